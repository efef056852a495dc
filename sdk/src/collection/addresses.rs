//! Address sets as sorted, disjoint intervals: exact union and subtraction in both families, and the
//! fewest prefixes that say the same.

use std::fmt::Debug;
use std::hash::Hash;

use ipnet::{Ipv4Net, Ipv6Net};

/// IPv4 addresses.
pub type Ipv4Set = AddressSet<Ipv4Net>;

/// IPv6 addresses.
pub type Ipv6Set = AddressSet<Ipv6Net>;

/// A family's network as numbers: what the set algebra needs to know of it.
pub trait Network: Copy + Ord + Hash + Debug + private::Sealed {
    /// An address as a number.
    type Bits: Copy + Ord + Hash + Debug + Default;

    /// Its first and last address.
    fn bounds(&self) -> (Self::Bits, Self::Bits);

    /// The widest network that starts at `first` and ends no later than `last`, with its last address.
    /// `first ≤ last`.
    fn widest_from(first: Self::Bits, last: Self::Bits) -> (Self, Self::Bits);

    /// The address after it, unless it is the family's last.
    fn after(address: Self::Bits) -> Option<Self::Bits>;

    /// The address before it, unless it is the family's first.
    fn before(address: Self::Bits) -> Option<Self::Bits>;

    /// How many addresses from `first` to `last`, both included; the whole of IPv6 is one more than can
    /// be counted and gives `u128::MAX`.
    fn length(first: Self::Bits, last: Self::Bits) -> u128;
}

mod private {
    /// There are two families and no more.
    pub trait Sealed {}
    impl Sealed for ipnet::Ipv4Net {}
    impl Sealed for ipnet::Ipv6Net {}
}

macro_rules! network {
    ($network:ty, $bits:ty, $address:ty) => {
        impl Network for $network {
            type Bits = $bits;

            fn bounds(&self) -> ($bits, $bits) {
                (self.network().to_bits(), self.broadcast().to_bits())
            }

            fn widest_from(first: $bits, last: $bits) -> (Self, $bits) {
                // Host bits allowed by where it starts, and by how much there is: a length that is no
                // power of two has room for the next lower one.
                let aligned = first.trailing_zeros();
                let room = match (last - first).checked_add(1) {
                    Some(length) => length.ilog2(),
                    None => <$bits>::BITS,
                };
                let host_bits = aligned.min(room);
                let span = <$bits>::MAX
                    .checked_shr(<$bits>::BITS - host_bits)
                    .unwrap_or(0);
                // At most 128.
                let prefix = (<$bits>::BITS - host_bits) as u8;
                let network = Self::new_assert(<$address>::from_bits(first), prefix);
                (network, first + span)
            }

            fn after(address: $bits) -> Option<$bits> {
                address.checked_add(1)
            }

            fn before(address: $bits) -> Option<$bits> {
                address.checked_sub(1)
            }

            fn length(first: $bits, last: $bits) -> u128 {
                u128::from(last - first).saturating_add(1)
            }
        }
    };
}

network!(Ipv4Net, u32, std::net::Ipv4Addr);
network!(Ipv6Net, u128, std::net::Ipv6Addr);

/// A set of addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressSet<N: Network> {
    /// First and last address of each, sorted, with a gap between any two.
    intervals: Vec<(N::Bits, N::Bits)>,
}

impl<N: Network> Default for AddressSet<N> {
    fn default() -> Self {
        Self {
            intervals: Vec::new(),
        }
    }
}

impl<N: Network> FromIterator<N> for AddressSet<N> {
    fn from_iter<I: IntoIterator<Item = N>>(networks: I) -> Self {
        let intervals = networks.into_iter().map(|network| network.bounds());
        Self::from_intervals(intervals.collect())
    }
}

impl<N: Network> AddressSet<N> {
    /// Sorts and joins what overlaps or touches.
    fn from_intervals(mut intervals: Vec<(N::Bits, N::Bits)>) -> Self {
        intervals.sort_unstable_by_key(|(first, _)| *first);
        // `dedup_by` hands over each interval with the last one kept.
        intervals.dedup_by(|next, kept| {
            let touches = N::after(kept.1).is_none_or(|after| next.0 <= after);
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
        Self { intervals }
    }

    /// Whether it has no address.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// How many addresses it has; the whole of IPv6 is one more than can be counted and gives
    /// `u128::MAX`.
    pub fn count(&self) -> u128 {
        self.intervals.iter().fold(0, |count: u128, (first, last)| {
            count.saturating_add(N::length(*first, *last))
        })
    }

    /// Whether every address of the network is in it.
    pub fn covers(&self, network: &N) -> bool {
        let (first, last) = network.bounds();
        self.touching(first, last)
            .first()
            .is_some_and(|interval| interval.0 <= first && last <= interval.1)
    }

    /// Whether any address of the network is in it.
    pub fn intersects(&self, network: &N) -> bool {
        let (first, last) = network.bounds();
        !self.touching(first, last).is_empty()
    }

    /// The addresses of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let both = self.intervals.iter().chain(&other.intervals);
        Self::from_intervals(both.copied().collect())
    }

    /// The addresses that are not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut left = Vec::with_capacity(self.intervals.len());
        let mut others = other.intervals.as_slice();
        for (first, last) in &self.intervals {
            while let [(_, end), rest @ ..] = others
                && end < first
            {
                others = rest;
            }
            subtract_from::<N>((*first, *last), others, |interval| left.push(interval));
        }
        Self { intervals: left }
    }

    /// What is left of one network when this set is taken away, as the fewest networks.
    pub fn cut(&self, network: &N) -> Vec<N> {
        let (first, last) = network.bounds();
        let mut left = Vec::new();
        subtract_from::<N>((first, last), self.touching(first, last), |interval| {
            left.extend(Prefixes::<N>::new(interval));
        });
        left
    }

    /// The fewest networks that are this set, in order.
    pub fn networks(&self) -> impl Iterator<Item = N> {
        self.intervals
            .iter()
            .flat_map(|interval| Prefixes::<N>::new(*interval))
    }

    /// The intervals that have an address in common with `first..=last`.
    fn touching(&self, first: N::Bits, last: N::Bits) -> &[(N::Bits, N::Bits)] {
        let start = self.intervals.partition_point(|(_, end)| *end < first);
        let tail = &self.intervals[start..];
        // Nearly always none or one: looking from the front is faster than another search.
        match tail.first() {
            Some((begin, end)) if *begin <= last && *end < last => {
                &tail[..tail.partition_point(|(begin, _)| *begin <= last)]
            }
            Some((begin, _)) if *begin <= last => &tail[..1],
            _ => &[],
        }
    }
}

/// What is left of one interval. `others` are sorted and disjoint, and none ends before it.
fn subtract_from<N: Network>(
    (first, last): (N::Bits, N::Bits),
    others: &[(N::Bits, N::Bits)],
    mut left: impl FnMut((N::Bits, N::Bits)),
) {
    let mut next = Some(first);
    for (begin, end) in others {
        if *begin > last {
            break;
        }
        if let (Some(from), Some(to)) = (next, N::before(*begin))
            && from <= to
        {
            left((from, to));
        }
        next = N::after(*end);
    }
    if let Some(from) = next
        && from <= last
    {
        left((from, last));
    }
}

/// The fewest networks of one interval.
struct Prefixes<N: Network> {
    next: Option<N::Bits>,
    last: N::Bits,
}

impl<N: Network> Prefixes<N> {
    fn new((first, last): (N::Bits, N::Bits)) -> Self {
        Self {
            next: Some(first),
            last,
        }
    }
}

impl<N: Network> Iterator for Prefixes<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        let first = self.next.filter(|next| *next <= self.last)?;
        let (network, end) = N::widest_from(first, self.last);
        self.next = N::after(end);
        Some(network)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use iprange::IpRange;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn v4(texts: &[&str]) -> Ipv4Set {
        texts
            .iter()
            .map(|text| text.parse::<Ipv4Net>().expect("network"))
            .collect()
    }

    fn shown<N: Network + ToString>(set: &AddressSet<N>) -> Vec<String> {
        set.networks().map(|network| network.to_string()).collect()
    }

    #[test]
    fn neighbours_join_into_the_fewest_prefixes() {
        let set = v4(&[
            "192.0.2.128/25",
            "192.0.2.0/25",
            "192.0.3.0/24",
            "10.0.0.1/32",
        ]);
        assert_eq!(shown(&set), ["10.0.0.1/32", "192.0.2.0/23"]);
        assert_eq!(set.count(), 513);
    }

    #[test]
    fn subtraction_is_exact_at_the_ends_of_the_families() {
        let all = v4(&["0.0.0.0/0"]);
        assert_eq!(all.count(), 1 << 32);
        assert_eq!(shown(&all), ["0.0.0.0/0"]);
        assert!(all.subtract(&all).is_empty());
        let left = all.subtract(&v4(&["0.0.0.0/1", "255.255.255.255/32"]));
        assert_eq!(left.count(), (1 << 31) - 1);
        assert_eq!(left.union(&v4(&["0.0.0.0/1", "255.255.255.255/32"])), all);

        let all: Ipv6Set = ["::/0".parse::<Ipv6Net>().expect("network")]
            .into_iter()
            .collect();
        assert_eq!(all.count(), u128::MAX);
        assert_eq!(shown(&all), ["::/0"]);
        let last: Ipv6Net = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"
            .parse()
            .expect("network");
        let left = all.subtract(&[last].into_iter().collect());
        assert_eq!(left.count(), u128::MAX);
        assert_eq!(left.networks().count(), 128);
        assert!(!left.intersects(&last));
    }

    #[test]
    fn one_network_is_cut() {
        let set = v4(&["192.0.2.64/26", "192.0.2.0/32", "198.51.100.0/24"]);
        let cut = set.cut(&"192.0.2.0/25".parse().expect("network"));
        let cut: Vec<_> = cut.iter().map(ToString::to_string).collect();
        assert_eq!(
            cut,
            [
                "192.0.2.1/32",
                "192.0.2.2/31",
                "192.0.2.4/30",
                "192.0.2.8/29",
                "192.0.2.16/28",
                "192.0.2.32/27"
            ]
        );
        assert!(
            set.cut(&"198.51.100.7/32".parse().expect("network"))
                .is_empty()
        );
    }

    /// Networks of a universe of 64 addresses at either end of the family.
    fn small() -> impl Strategy<Value = Ipv4Net> {
        (any::<bool>(), 0..64_u32, 26..=32_u8).prop_map(|(high, host, prefix)| {
            let start = if high { u32::MAX - 63 } else { 0 };
            let address = std::net::Ipv4Addr::from_bits(start + host);
            Ipv4Net::new_assert(address, prefix).trunc()
        })
    }

    fn members(networks: &[Ipv4Net]) -> BTreeSet<u32> {
        networks
            .iter()
            .flat_map(|network| {
                let (first, last) = network.bounds();
                first..=last
            })
            .collect()
    }

    fn any_v4() -> impl Strategy<Value = Ipv4Net> {
        (any::<u32>(), 0..=32_u8, 0..4_u32).prop_map(|(bits, prefix, high)| {
            // Crowded in a corner, so that they meet.
            let address = std::net::Ipv4Addr::from_bits(high << 30 | bits >> 12);
            Ipv4Net::new_assert(address, prefix).trunc()
        })
    }

    fn any_v6() -> impl Strategy<Value = Ipv6Net> {
        (any::<u128>(), 0..=128_u8, 0..120_u32).prop_map(|(bits, prefix, shift)| {
            let address = std::net::Ipv6Addr::from_bits(bits >> shift);
            Ipv6Net::new_assert(address, prefix).trunc()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn agrees_with_sets_of_single_addresses(a in vec(small(), 0..12), b in vec(small(), 0..12), probe in small()) {
            let (set_a, set_b): (Ipv4Set, Ipv4Set) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (all_a, all_b) = (members(&a), members(&b));
            let members_of = |set: &Ipv4Set| members(&set.networks().collect::<Vec<_>>());

            prop_assert_eq!(members_of(&set_a), all_a.clone());
            prop_assert_eq!(set_a.count(), all_a.len() as u128);
            prop_assert_eq!(members_of(&set_a.union(&set_b)), all_a.union(&all_b).copied().collect());
            let left = set_a.subtract(&set_b);
            prop_assert_eq!(members_of(&left), all_a.difference(&all_b).copied().collect());
            let again: Ipv4Set = left.networks().collect();
            prop_assert_eq!(&again, &left);

            let probed = members(&[probe]);
            prop_assert_eq!(set_a.covers(&probe), probed.is_subset(&all_a));
            prop_assert_eq!(set_a.intersects(&probe), !probed.is_disjoint(&all_a));
            let cut = set_a.cut(&probe);
            prop_assert_eq!(members(&cut), probed.difference(&all_a).copied().collect());
            prop_assert_eq!(cut, [probe].into_iter().collect::<Ipv4Set>().subtract(&set_a).networks().collect::<Vec<_>>());
        }

        #[test]
        fn agrees_with_iprange_in_ipv4(a in vec(any_v4(), 0..40), b in vec(any_v4(), 0..40)) {
            let left = a.iter().copied().collect::<Ipv4Set>().subtract(&b.iter().copied().collect());
            let (mut range_a, mut range_b): (IpRange<Ipv4Net>, IpRange<Ipv4Net>) = (a.into_iter().collect(), b.into_iter().collect());
            range_a.simplify();
            range_b.simplify();
            let mut expected: Vec<Ipv4Net> = range_a.exclude(&range_b).iter().collect();
            expected.sort_unstable();
            prop_assert_eq!(left.networks().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn agrees_with_iprange_in_ipv6(a in vec(any_v6(), 0..40), b in vec(any_v6(), 0..40)) {
            let left = a.iter().copied().collect::<Ipv6Set>().subtract(&b.iter().copied().collect());
            let (mut range_a, mut range_b): (IpRange<Ipv6Net>, IpRange<Ipv6Net>) = (a.into_iter().collect(), b.into_iter().collect());
            range_a.simplify();
            range_b.simplify();
            let mut expected: Vec<Ipv6Net> = range_a.exclude(&range_b).iter().collect();
            expected.sort_unstable();
            prop_assert_eq!(left.networks().collect::<Vec<_>>(), expected);
        }
    }
}
