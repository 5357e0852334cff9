//! IPv4 addresses and prefixes of the emulated internet, all of them public.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A text that is no usable prefix.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an IPv4 prefix such as 101.50.64.0/18 (length 8 to 24)")]
pub struct PrefixError(String);

/// An IPv4 prefix that one network owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    first: u32,
    length: u32,
}

impl Prefix {
    /// The prefix that holds every address.
    pub const ALL: Self = Self { first: 0, length: 0 };

    /// Makes a prefix from its first address and its length, clearing the host bits.
    #[must_use]
    pub const fn new(address: Ipv4Addr, length: u32) -> Self {
        let mask = if length == 0 { 0 } else { u32::MAX << (32 - length) };
        Self { first: address.to_bits() & mask, length }
    }

    /// Returns how many leading bits its addresses share.
    #[must_use]
    pub const fn length(self) -> u32 {
        self.length
    }

    /// Returns the address at an offset from the first.
    #[must_use]
    pub const fn at(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.wrapping_add(offset))
    }

    /// Returns the last address.
    #[must_use]
    pub const fn last(self) -> Ipv4Addr {
        let hosts = if self.length == 0 { u32::MAX } else { !(u32::MAX << (32 - self.length)) };
        Ipv4Addr::from_bits(self.first | hosts)
    }

    /// Says whether an address lies in the prefix.
    #[must_use]
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() >= self.first && address.to_bits() <= self.last().to_bits()
    }

    /// Says whether two prefixes share an address.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.at(0)) || other.contains(self.at(0))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let wrong = || PrefixError(text.chars().take(40).collect());
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let length: u32 = length.parse().map_err(|_| wrong())?;
        if (8..=24).contains(&length) { Ok(Self::new(address, length)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.at(0), self.length)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.at(0), self.length).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (address, length) = <(Ipv4Addr, u32)>::deserialize(deserializer)?;
        if length <= 32 {
            Ok(Self::new(address, length))
        } else {
            Err(serde::de::Error::custom("a prefix is at most 32 bits long"))
        }
    }
}

/// Says whether an address can belong to a host on the public internet; agents connect to no other.
#[must_use]
pub fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !reserved
}

/// The first 96 bits of every IPv6 address in the emulated internet; the last 32 are the host's IPv4 address. So
/// whatever is true of one address, a rule for instance, is true of its companion.
const SIX: u128 = 0x2a0e_4000 << 96;
/// How much longer a prefix of companions is than that of the IPv4 addresses.
pub const SIX_LENGTH: u32 = 96;

/// Returns the IPv6 companion of an address.
#[must_use]
pub fn six(address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SIX | u128::from(address.to_bits()))
}

/// Returns the IPv4 address of a host that is reached at an address of either family; `None` for foreign ones.
#[must_use]
pub fn four(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) if address.to_bits() & !0xffff_ffff == SIX => {
            let octets = address.octets();
            Some(Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]))
        }
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

/// Returns an address, and its companion where hosts have one.
#[must_use]
pub fn both(address: Ipv4Addr, has_six: bool) -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::V4(address)];
    if has_six {
        addresses.push(IpAddr::V6(six(address)));
    }
    addresses
}

/// Deals out addresses of the outside world, never one that is taken.
#[derive(Debug)]
pub struct Pool {
    prefix: Prefix,
    next: u32,
    taken: Vec<Ipv4Addr>,
}

impl Pool {
    /// Starts a pool over a prefix.
    #[must_use]
    pub const fn new(prefix: Prefix) -> Self {
        Self { prefix, next: 10, taken: Vec::new() }
    }

    /// Marks an address as given to somebody.
    pub fn take(&mut self, address: Ipv4Addr) {
        self.taken.push(address);
    }

    /// Returns the next free address.
    pub fn deal(&mut self) -> Ipv4Addr {
        loop {
            let address = self.prefix.at(self.next);
            self.next += 1;
            let edge = matches!(address.octets()[3], 0 | 255);
            if !edge && !self.taken.contains(&address) {
                self.taken.push(address);
                return address;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_knows_what_it_holds() {
        let prefix: Prefix = "101.50.64.0/18".parse().expect("valid");
        assert!(prefix.contains(Ipv4Addr::new(101, 50, 127, 255)));
        assert!(!prefix.contains(Ipv4Addr::new(101, 50, 128, 0)));
        assert!(prefix.overlaps("101.50.100.0/24".parse().expect("valid")));
        assert!(Prefix::ALL.contains(Ipv4Addr::BROADCAST));
        assert_eq!(prefix.to_string(), "101.50.64.0/18");
        for bad in ["", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/7", "x/24"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn private_reserved_and_documentation_addresses_are_not_public() {
        for bad in
            ["10.0.0.1", "127.0.0.1", "192.168.1.1", "100.64.0.1", "203.0.113.9", "198.18.0.1", "240.0.0.1"]
        {
            assert!(!is_public(bad.parse().expect("valid")), "{bad}");
        }
        assert!(is_public(Ipv4Addr::new(8, 8, 8, 8)));
    }

    #[test]
    fn a_companion_leads_back_to_its_address() {
        let address = Ipv4Addr::new(104, 244, 42, 1);
        assert_eq!(six(address).to_string(), "2a0e:4000::68f4:2a01");
        assert_eq!(four(six(address).into()), Some(address));
        assert_eq!(four(Ipv6Addr::LOCALHOST.into()), None);
        assert_eq!(both(address, false), [IpAddr::V4(address)]);
    }

    #[test]
    fn a_pool_never_deals_a_taken_address() {
        let mut pool = Pool::new(Prefix::new(Ipv4Addr::new(151, 101, 0, 0), 16));
        pool.take(Ipv4Addr::new(151, 101, 0, 10));
        assert_eq!(pool.deal(), Ipv4Addr::new(151, 101, 0, 11));
        assert_eq!(pool.deal(), Ipv4Addr::new(151, 101, 0, 12));
    }
}
