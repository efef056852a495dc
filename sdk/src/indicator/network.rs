//! Addresses and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{Kind, Value, ValueError};

/// Prefix length of the IPv4-mapped block `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
const MAPPED: u8 = 96;

/// Reads an address or network of either family; IPv4-mapped IPv6 becomes IPv4, host bits are masked.
pub(super) fn parse(text: &str, kind: Kind) -> Result<Value, ValueError> {
    let invalid = |message| ValueError::Invalid { kind, message };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    if address.contains('%') {
        return Err(invalid("a zone id means something on one host only"));
    }
    let address: IpAddr = address.parse().map_err(|_| {
        invalid(match kind {
            Kind::Ipv6 => "not an IPv6 address",
            _ => "not a dotted quad",
        })
    })?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(digits) => prefix_length(digits)
            .filter(|length| *length <= widest)
            .ok_or_else(|| invalid("a bad prefix length"))?,
        None => widest,
    };
    Ok(match address {
        IpAddr::V4(address) => v4(address, prefix),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) if prefix >= MAPPED => v4(address, prefix - MAPPED),
            _ => v6(address, prefix),
        },
    })
}

/// One host; IPv4-mapped IPv6 becomes IPv4.
impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => v4(address, 32),
            IpAddr::V6(address) => v6(address, 128),
        }
    }
}

fn v4(address: Ipv4Addr, prefix: u8) -> Value {
    Value::Ipv4(Ipv4Net::new_assert(address, prefix).trunc())
}

fn v6(address: Ipv6Addr, prefix: u8) -> Value {
    Value::Ipv6(Ipv6Net::new_assert(address, prefix).trunc())
}

/// Digits without sign or leading zero.
fn prefix_length(digits: &str) -> Option<u8> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    (plain && !padded).then(|| digits.parse().ok()).flatten()
}
