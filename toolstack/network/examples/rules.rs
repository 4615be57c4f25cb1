use network::{Firewall, GuestPort, Mac, NetworkRules, Protocol, Published};
fn main() {
    let mut firewall = Firewall::new(true);
    firewall.set_network(NetworkRules { bridge: "hyper0".into(), subnets: vec!["172.17.0.0/16".parse().unwrap(), "fd00:1::/64".parse().unwrap()], internal: false, masquerade: true });
    firewall.set_network(NetworkRules { bridge: "hyper-123456789".into(), subnets: vec!["172.18.0.0/16".parse().unwrap()], internal: true, masquerade: true });
    firewall.write().unwrap_or_else(|e| { let mut s: Option<&dyn std::error::Error> = Some(&e); while let Some(x)=s { eprintln!("{x}"); s=x.source(); } std::process::exit(1) });
    let port = |n: u32| GuestPort { interface: format!("vif{n}.0"), mac: Mac::random(), addresses: vec![format!("172.17.0.{n}").parse().unwrap(), format!("fd00:1::{n}").parse().unwrap()] };
    let published = |host: &str, guest: &str| Published { protocol: Protocol::Tcp, host: host.parse().unwrap(), guest: guest.parse().unwrap() };
    for n in 2..100 { firewall.add_guest(vec![port(n)], &[published(&format!("0.0.0.0:{}", 8000 + n), &format!("172.17.0.{n}:80"))]).unwrap(); }
    firewall.add_guest(vec![], &[published("127.0.0.1:80", "172.17.0.3:80"), published("[::]:81", "[fd00:1::3]:81"), published("[fd09::1]:81", "[fd00:1::3]:81")]).unwrap();
    for n in 4..100 { firewall.remove_guest(&[format!("vif{n}.0")], &[published(&format!("0.0.0.0:{}", 8000 + n), &format!("172.17.0.{n}:80"))]).unwrap(); }
}
