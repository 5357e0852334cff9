//! Keeps the far ends of circumvention checks away from the coordinator's own hosts.
//!
//! By name always, when a list is pushed and whenever schedules are made. By address when a list is pushed, as far as this
//! machine can look the names up: a name may lead elsewhere later, or elsewhere for others, so that agents look again at
//! the address that they are about to contact.

use faultline_model::{CheckKind, OwnHosts, Target, TaskList};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

const LOOKUP: Duration = Duration::from_secs(3);

/// Returns a far end of a list that is one of the coordinator's own hosts, if there is one.
pub(crate) async fn find_own(list: &TaskList, own: &OwnHosts) -> Option<Target> {
    let far: Vec<&Target> = list
        .targets
        .iter()
        .filter(|spec| spec.checks.iter().any(|check| check.is_circumvention()))
        .map(|spec| &spec.target)
        .collect();
    let meets = |target: &&&Target| is_own_by_name(list, target, own);
    if let Some(target) = far.iter().find(meets) {
        return Some((**target).clone());
    }
    if far.is_empty() {
        return None;
    }
    let mut addresses: BTreeSet<IpAddr> = own.addresses().collect();
    for found in look_up(own.names().map(str::to_owned).collect()).await {
        addresses.extend(found.1);
    }
    let hosts: BTreeSet<String> = far.iter().map(|target| target.host().to_owned()).collect();
    let host = at_any_of(look_up(hosts).await, &addresses)?;
    far.into_iter().find(|target| target.host() == host).cloned()
}

/// Returns a name that leads to one of the addresses.
fn at_any_of(found: Vec<(String, BTreeSet<IpAddr>)>, addresses: &BTreeSet<IpAddr>) -> Option<String> {
    found.into_iter().find(|(_, own)| !own.is_disjoint(addresses)).map(|(host, _)| host)
}

fn is_own_by_name(list: &TaskList, target: &Target, own: &OwnHosts) -> bool {
    let allowed = |check: &CheckKind| list.allows(*check, target);
    let checks = list.find(target).map_or(&[][..], |spec| spec.checks.as_slice());
    checks.iter().filter(|check| allowed(check)).any(|check| own.are_met_by(*check, target))
}

/// Asks this machine's resolver for names. One that does not answer in time is not known.
async fn look_up(hosts: BTreeSet<String>) -> Vec<(String, BTreeSet<IpAddr>)> {
    let mut lookups = JoinSet::new();
    for host in hosts {
        lookups.spawn(async move {
            let found = timeout(LOOKUP, lookup_host((host.clone(), 0))).await;
            let mut addresses = BTreeSet::new();
            if let Ok(Ok(found)) = found {
                addresses.extend(found.map(|address| address.ip().to_canonical()));
            }
            (host, addresses)
        });
    }
    lookups.join_all().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::{Category, Limits, Role, ServiceId, TargetSpec, Timestamp};

    fn list(target: &str, check: CheckKind) -> TaskList {
        let spec = TargetSpec {
            target: Target::new(target).expect("a target"),
            service: ServiceId::new("ways").expect("a service"),
            service_name: "Ways".into(),
            role: Role::Site,
            category: Category::new("ANON").expect("a category"),
            checks: vec![check],
            domestic: None,
        };
        TaskList {
            name: "ways".into(),
            version: 1,
            issued_at: Timestamp::from_unix_ms(0),
            expires_at: Timestamp::from_unix_ms(86_400_000),
            limits: Limits::default(),
            resolvers: vec![],
            targets: vec![spec],
            landmarks: vec![],
            throughput_control: None,
            line: faultline_model::LineProbes::default(),
            risk: std::collections::BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_far_end_that_is_the_coordinator_by_name_or_by_address_is_found() {
        let own = OwnHosts::of(&["coordinator.invalid:7443".into(), "127.0.0.1:7443".into()]);
        let by_name = list("openvpn://coordinator.invalid:1194?transport=udp", CheckKind::Openvpn);
        assert!(find_own(&by_name, &own).await.is_some());
        // The one name that every machine leads to a known address.
        let found = look_up(BTreeSet::from(["localhost".to_owned()])).await;
        assert_eq!(at_any_of(found, &own.addresses().collect()), Some("localhost".to_owned()));
        let other = list("openvpn://relay.invalid:1194?transport=udp", CheckKind::Openvpn);
        assert_eq!(find_own(&other, &own).await, None);
        let site = list("https://coordinator.invalid/", CheckKind::Web);
        assert_eq!(find_own(&site, &own).await, None, "a site is no way around anything");
    }
}
