//! What needs the volunteer's own word, and what it can cost: one sentence each, which `terms set` shows first.

/// Something that needs its own opt-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensitive {
    /// A Citizen Lab category code, or the name of a check.
    pub code: &'static str,
    /// What it is.
    pub name: &'static str,
    /// What agreeing can cost, in a sentence.
    pub cost: &'static str,
}

const fn of(code: &'static str, name: &'static str, cost: &'static str) -> Sensitive {
    Sensitive { code, name, cost }
}

/// Categories that need an opt-in where the country's risk is high.
pub const SENSITIVE: &[Sensitive] = &[
    of(
        "ANON",
        "circumvention tools",
        "Visiting these sites can be read as preparing to evade the law, and your provider sees the visit.",
    ),
    of(
        "GAYL",
        "sexual orientation",
        "These visits can be taken as a sign of your own orientation, which some courts and many mobs punish.",
    ),
    of(
        "GMB",
        "gambling",
        "Gambling sites are forbidden in many countries, and a visit from your line can be fined.",
    ),
    of(
        "HATE",
        "hate speech",
        "Access to such pages can be prosecuted, and your line is what an investigator would find.",
    ),
    of(
        "HUMR",
        "human rights",
        "Visitors of these sites are taken for activists, and activists are watched and arrested.",
    ),
    of(
        "LGBT",
        "sexual orientation and gender",
        "These visits can be taken as a sign of your own orientation, which some courts and many mobs punish.",
    ),
    of(
        "MILX",
        "militant groups",
        "Access alone can be prosecuted as support of terrorism, whatever your reason was.",
    ),
    of("POLR", "political criticism", "Visitors of these sites are taken for opponents of those in power."),
    of(
        "PORN",
        "pornography",
        "Pornography is forbidden in many countries, and a visit from your line can shame or convict you.",
    ),
    of(
        "REL",
        "religious criticism",
        "Laws against blasphemy can apply, up to death, and an accusation alone can bring violence.",
    ),
    of(
        "XED",
        "sex education",
        "Sex education is forbidden in some countries and can shame you where it is not.",
    ),
];

/// Checks that speak as a circumvention tool does, and need an opt-in everywhere.
pub const CIRCUMVENTION: &[Sensitive] = &[
    of(
        "openvpn",
        "OpenVPN handshakes",
        "Your line looks as if it used a VPN, which some countries forbid or register.",
    ),
    of(
        "wireguard",
        "WireGuard handshakes",
        "Your line looks as if it used a VPN, which some countries forbid or register.",
    ),
    of(
        "tor",
        "Tor handshakes",
        "Your line looks as if it used Tor, and Tor users are listed and watched in some countries.",
    ),
    of(
        "proxy",
        "proxy handshakes",
        "Your line looks as if it used a foreign proxy, which can be read as evading the law.",
    ),
    of(
        "vpn_api",
        "the interfaces of VPN providers",
        "Your line looks as if it signed up for a VPN, which some countries forbid or register.",
    ),
];

/// The only check that needs an opt-in just where the risk is high.
pub const DIAGNOSE: Sensitive = of(
    "diagnose",
    "follow-up checks of what seems blocked",
    "One blocked site is asked for several times in unusual ways, which stands out in your provider's logs.",
);

/// Returns the sentence of a code.
#[must_use]
pub fn cost_of(all: &'static [Sensitive], code: &str) -> Option<&'static Sensitive> {
    all.iter().find(|sensitive| sensitive.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_opt_in_has_a_sentence_on_what_it_can_cost() {
        for Sensitive { code, name, cost } in SENSITIVE.iter().chain(CIRCUMVENTION).chain([&DIAGNOSE]) {
            assert!(cost.ends_with('.') && cost.len() > 50 && !name.is_empty(), "{code}");
        }
        for code in ["REL", "LGBT", "HUMR", "POLR", "ANON", "MILX", "PORN", "GMB"] {
            assert!(cost_of(SENSITIVE, code).is_some(), "{code}");
        }
        for opt_in in faultline_model::OptIn::ALL {
            assert!(cost_of(CIRCUMVENTION, opt_in.as_str()).is_some(), "{opt_in}");
        }
    }
}
