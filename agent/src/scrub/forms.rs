//! The forms in which an address is written.

use data_encoding::{BASE64, HEXLOWER};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Between the numbers of an address in text.
const SEPARATORS: [&str; 11] = [".", "-", "_", ",", "%2e", "%252e", "%2d", "&#46;", "&#x2e;", "[.]", "(.)"];

/// How much around a form goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Nothing.
    Itself,
    /// The digits around it.
    Hex,
    /// The whole word.
    Base64,
    /// The rest of an IPv6 address.
    Colons,
}

/// One form of one address.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Its bytes, in lower case where case is ignored.
    pub(super) text: Vec<u8>,
    /// Upper case is the same.
    pub(super) ignores_case: bool,
    /// How much around it goes with it.
    pub(super) width: Width,
    /// What a digit before or after it means.
    edges: Edges,
}

/// What a digit beside a form means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edges {
    /// Nothing.
    Any,
    /// It is part of another number.
    Number,
    /// It is part of another address, if both together make an octet; else the address was written beside something.
    Octets,
}

impl Form {
    fn new(text: impl Into<Vec<u8>>, width: Width) -> Self {
        let ignores_case = width != Width::Base64;
        let mut text = text.into();
        if ignores_case {
            text.make_ascii_lowercase();
        }
        Self { text, ignores_case, width, edges: Edges::Any }
    }

    fn number(text: impl Into<Vec<u8>>) -> Self {
        Self { edges: Edges::Number, ..Self::new(text, Width::Itself) }
    }

    fn octets(text: impl Into<Vec<u8>>) -> Self {
        Self { edges: Edges::Octets, ..Self::new(text, Width::Itself) }
    }

    /// Says whether it stands at a place.
    pub(super) fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(here) = bytes.get(at..at + self.text.len()) else { return false };
        let is_same =
            if self.ignores_case { here.eq_ignore_ascii_case(&self.text) } else { here == self.text };
        is_same && self.stands_alone(bytes, at)
    }

    fn stands_alone(&self, bytes: &[u8], at: usize) -> bool {
        let (before, after) = (&bytes[..at], &bytes[at + self.text.len()..]);
        let is_digit = |byte: &&u8| byte.is_ascii_digit();
        let (ahead, behind) =
            (before.iter().rev().take_while(is_digit).count(), after.iter().take_while(is_digit).count());
        match self.edges {
            Edges::Any => true,
            Edges::Number => ahead == 0 && behind == 0,
            Edges::Octets => {
                let first = self.text.iter().take_while(is_digit).count();
                let last = self.text.iter().rev().take_while(is_digit).count();
                let end = at + self.text.len();
                let is_other = ahead > 0 && is_octet(&bytes[at - ahead..at + first])
                    || behind > 0 && is_octet(&bytes[end - last..end + behind]);
                !is_other
            }
        }
    }
}

/// Says whether digits can be a part of an address.
fn is_octet(digits: &[u8]) -> bool {
    let number = digits.iter().fold(0_u32, |number, digit| (number * 10 + u32::from(digit - b'0')).min(1000));
    digits.len() <= 3 && number <= 255
}

/// Returns all forms of an address.
pub(super) fn of(address: IpAddr) -> Vec<Form> {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    }
}

fn of_v4(address: Ipv4Addr) -> Vec<Form> {
    let mut forms = Vec::new();
    let forward = address.octets();
    let mut backward = forward;
    backward.reverse();
    for octets in [forward, backward] {
        let [a, b, c, d] = octets;
        for separator in SEPARATORS {
            forms.push(Form::octets(octets.map(|octet| octet.to_string()).join(separator)));
            forms.push(Form::octets(octets.map(|octet| format!("{octet:03}")).join(separator)));
        }
        let bits = u32::from_be_bytes(octets);
        let (hex, decimal) = (HEXLOWER.encode(&octets), bits.to_string());
        forms.push(Form::new(hex.clone(), Width::Hex));
        forms.push(Form::number(octets.map(|octet| format!("0x{octet:x}")).join(".")));
        forms.push(Form::number(octets.map(|octet| format!("{octet:02x}")).join(":")));
        forms.push(Form::number(octets.map(|octet| format!("%{octet:02x}")).concat()));
        forms.push(Form::number(octets.map(|octet| format!("\\x{octet:02x}")).concat()));
        // The last 32 bits of an IPv6 address that carries it.
        let groups = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        forms.push(Form::new(format!(":{:x}:{:x}", groups[0], groups[1]), Width::Colons));
        forms.push(Form::new(format!(":{:04x}:{:04x}", groups[0], groups[1]), Width::Colons));
        forms.push(Form::number(decimal.clone()));
        let dotted = octets.map(|octet| octet.to_string()).join(".");
        for text in [dotted, hex.to_uppercase(), hex, decimal] {
            in_base64(text.as_bytes(), &mut forms);
        }
        // Four bytes leave so little in base64 that only the first whole words of it are taken.
        let raw = BASE64.encode(&octets);
        let raw = raw.trim_end_matches('=');
        forms.push(Form::new(format!("{raw}="), Width::Base64));
        forms.push(Form::new(format!("{raw}%3D"), Width::Base64));
        forms.push(Form::new(format!("{}=", url_safe(raw)), Width::Base64));
    }
    forms
}

fn of_v6(address: Ipv6Addr) -> Vec<Form> {
    let octets = address.octets();
    let network = HEXLOWER.encode(&octets[..8]);
    let groups = &address.segments()[..4];
    let mut forms = vec![Form::new(network.clone(), Width::Hex)];
    for separator in [":", "%3a", "%253a", "-", "&#58;", "_"] {
        let short: Vec<String> = groups.iter().map(|group| format!("{group:x}")).collect();
        let long: Vec<String> = groups.iter().map(|group| format!("{group:04x}")).collect();
        for text in [short, long] {
            forms.push(Form::new(text.join(separator) + separator, Width::Colons));
        }
    }
    for text in [address.to_string().replace(':', "%3a"), address.to_string().replace(':', "-")] {
        forms.push(Form::new(text, Width::Colons));
    }
    // As under ip6.arpa: nibble by nibble, the last first.
    let nibbles: Vec<String> = network.chars().rev().map(String::from).collect();
    forms.push(Form::new(nibbles.join("."), Width::Colons));
    forms.push(Form::number(address.to_bits().to_string()));
    let network_text = address.segments()[..4].iter().map(|g| format!("{g:x}")).collect::<Vec<_>>().join(":");
    for text in [address.to_string(), network_text, network] {
        in_base64(text.as_bytes(), &mut forms);
    }
    in_base64(&octets[..8], &mut forms);
    forms
}

/// Base64 of a text with anything before and after it: at each of the three alignments, the letters that the neighbours do
/// not reach.
fn in_base64(text: &[u8], forms: &mut Vec<Form>) {
    for before in 0..3 {
        let shifted = [&[0_u8; 2][..before], text].concat();
        let whole = shifted.len() / 3 * 3;
        let letters = BASE64.encode(&shifted[..whole]);
        let own = &letters[if before == 0 { 0 } else { 4 }..];
        if own.len() >= 8 {
            forms.push(Form::new(own, Width::Base64));
            if url_safe(own) != own {
                forms.push(Form::new(url_safe(own), Width::Base64));
            }
        }
    }
}

fn url_safe(letters: &str) -> String {
    letters.replace('+', "-").replace('/', "_")
}

/// Returns the IPv4 addresses that an IPv6 address carries: mapped, compatible, NAT64, 6to4, Teredo.
pub(super) fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        (0, 0) if [c, d, e] == [0; 3] && (f == 0 || f == 0xffff) => vec![v4(g, h)],
        (0x64, 0xff9b) => vec![v4(g, h)],
        (0x2002, _) => vec![v4(b, c)],
        (0x2001, 0) => vec![v4(c, d), v4(!g, !h)],
        _ => vec![],
    }
}
