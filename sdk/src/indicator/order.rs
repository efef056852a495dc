//! The order of values in one word, for sorting many of them.

use super::Value;

impl Value {
    /// The first 64 bits of a value's order: kind, then as much of the value as there is room for. Where
    /// two differ, the values stand in the same order.
    pub(crate) fn order_prefix(&self) -> u64 {
        let leading = |bytes: &[u8]| {
            let mut word = [0; 8];
            let length = bytes.len().min(7);
            word[1..=length].copy_from_slice(&bytes[..length]);
            u64::from_be_bytes(word)
        };
        let rest = match self {
            Self::Ipv4(network) => {
                u64::from(network.addr().to_bits()) << 6 | u64::from(network.prefix_len())
            }
            // The upper 61 bits.
            Self::Ipv6(network) => (network.addr().to_bits() >> 67) as u64,
            Self::Domain(name) => leading(name.as_str().as_bytes()),
            Self::Url(url) => {
                // The schemes that nearly all have would fill the key.
                let text = url.as_str();
                let (rank, text) =
                    match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
                        (Some(rest), _) => (1, rest),
                        (_, Some(rest)) => (3, rest),
                        _ if text < "http://" => (0, ""),
                        _ if text < "https://" => (2, ""),
                        _ => (4, ""),
                    };
                rank << 56 | leading(text.as_bytes())
            }
            Self::Md5(bytes) => leading(bytes),
            Self::Sha1(bytes) => leading(bytes),
            Self::Sha256(bytes) => leading(bytes),
        };
        (self.kind() as u64) << 61 | rest
    }
}
