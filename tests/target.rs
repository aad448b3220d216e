//! Which targets are refused: whole ranges, every notation, every name that leads inside.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use async_trait::async_trait;
use proptest::prelude::*;
use proptest::sample::select;
use shared::sender::target::{
    GuardedResolver, LookupError, MAX_URL_BYTES, Resolver, TargetPolicy, check_url, refusal,
};

/// Written down a second time, from the registries, so that a slip in the table shows.
const LISTED_V4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
];

const LISTED_V6: &[&str] = &[
    "::/128",
    "::1/128",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::/32",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::/3",
    "4000::/2",
    "8000::/1",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_address_of_every_listed_ipv4_range_is_refused(
        range in select(LISTED_V4), host in any::<u32>(),
    ) {
        let (network, prefix) = v4_range(range);
        let address = Ipv4Addr::from_bits(network | (host & v4_host_bits(prefix)));
        let reason = refusal(address.into());
        prop_assert!(reason.is_some(), "{address} of {range}");
        prop_assert!(reason_holds(reason, address.into()), "{address}: {reason:?}");
    }

    #[test]
    fn every_address_of_every_listed_ipv6_range_is_refused(
        range in select(LISTED_V6), host in any::<u128>(),
    ) {
        let (network, prefix) = v6_range(range);
        let address = Ipv6Addr::from_bits(network | (host & v6_host_bits(prefix)));
        let reason = refusal(address.into());
        // The mapped form lies inside ::/3 but is judged as IPv4.
        if address.to_ipv4_mapped().is_none() {
            prop_assert!(reason.is_some(), "{address} of {range}");
            prop_assert!(reason_holds(reason, address.into()), "{address}: {reason:?}");
        }
    }

    #[test]
    fn an_ipv4_address_is_refused_exactly_when_it_is_listed(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(refusal(address.into()).is_some(), listed_v4(address), "{}", address);
    }

    #[test]
    fn a_global_unicast_ipv6_address_is_refused_exactly_when_it_is_listed(
        bits in any::<u128>(), near in select(LISTED_V6), use_near in any::<bool>(),
    ) {
        // Half of the cases keep the first 24 bits of a listed range, where it gets crowded.
        let top = if use_near { v6_range(near).0 } else { bits };
        let bits = (top & !(u128::MAX >> 24)) | (bits & (u128::MAX >> 24));
        let address = Ipv6Addr::from_bits(bits & (u128::MAX >> 3) | (1 << 125));
        prop_assert_eq!(refusal(address.into()).is_some(), listed_v6(address), "{}", address);
    }

    #[test]
    fn an_ipv4_mapped_address_is_judged_as_ipv4(bits in any::<u32>()) {
        let address = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(refusal(address.to_ipv6_mapped().into()), refusal(address.into()));
    }

    #[test]
    fn every_ipv6_form_that_carries_an_ipv4_address_is_refused(bits in any::<u32>()) {
        let bits = u128::from(bits);
        for carrier in [
            0,                                // IPv4-compatible
            0xffff_0000_u128 << 32,           // IPv4-translated
            0x64_ff9b << 96,                  // NAT64
            (0x64_ff9b << 96) | (1 << 80),    // local NAT64
            (0x2001 << 112) | (0xffff << 32), // Teredo
        ] {
            let address = Ipv6Addr::from_bits(carrier | bits);
            prop_assert!(refusal(address.into()).is_some(), "{address}");
        }
        let six_to_four = Ipv6Addr::from_bits((0x2002 << 112) | (bits << 80) | 1);
        prop_assert!(refusal(six_to_four.into()).is_some(), "{six_to_four}");
    }

    #[test]
    fn a_literal_is_judged_the_same_in_every_notation(
        bits in any::<u32>(), range in select(LISTED_V4), listed in any::<bool>(),
    ) {
        let bits = if listed {
            let (network, prefix) = v4_range(range);
            network | (bits & v4_host_bits(prefix))
        } else {
            bits
        };
        let address = Ipv4Addr::from_bits(bits);
        for host in notations(address) {
            let verdict = check_url(&format!("https://{host}/hook"), &TargetPolicy::default());
            match refusal(address.into()) {
                None => prop_assert!(verdict.is_ok(), "{host}: {verdict:?}"),
                Some(reason) => {
                    let text = verdict.expect_err(&host);
                    prop_assert!(text.contains(reason), "{host}: {text}");
                }
            }
        }
    }

    #[test]
    fn an_ipv6_literal_is_judged_as_its_address(
        bits in any::<u128>(), range in select(LISTED_V6), listed in any::<bool>(),
    ) {
        let bits = if listed {
            let (network, prefix) = v6_range(range);
            network | (bits & v6_host_bits(prefix))
        } else {
            bits
        };
        let address = Ipv6Addr::from_bits(bits);
        let long = address.segments().map(|part| format!("{part:04X}")).join(":");
        for host in [format!("[{address}]"), format!("[{long}]")] {
            let verdict = check_url(&format!("https://{host}/"), &TargetPolicy::default());
            prop_assert_eq!(verdict.is_ok(), refusal(address.into()).is_none(), "{}", host);
        }
    }

    #[test]
    fn local_mode_permits_loopback_and_nothing_else(
        bits in any::<u32>(), range in select(LISTED_V4),
    ) {
        let (network, prefix) = v4_range(range);
        let address = IpAddr::V4(Ipv4Addr::from_bits(network | (bits & v4_host_bits(prefix))));
        let local = TargetPolicy::local();
        prop_assert_eq!(local.refusal(address).is_none(), address.is_loopback(), "{}", address);
        let url = format!("http://{address}:4000/");
        prop_assert_eq!(check_url(&url, &local).is_ok(), address.is_loopback(), "{}", address);
    }

    #[test]
    fn no_text_makes_the_check_panic(text in any::<String>(), host in ".{0,40}") {
        for policy in [TargetPolicy::default(), TargetPolicy::local()] {
            let _ = check_url(&text, &policy);
            let _ = check_url(&format!("https://{host}"), &policy);
            let _ = check_url(&format!("https://[{host}]:{text}"), &policy);
        }
    }

    #[test]
    fn an_accepted_url_is_accepted_again_and_stays_the_same(
        host in "[a-z0-9.%\\[\\]:@-]{1,30}", path in ".{0,30}",
    ) {
        let policy = TargetPolicy::default();
        if let Ok(url) = check_url(&format!("https://{host}/{path}"), &policy) {
            prop_assert_eq!(check_url(url.as_str(), &policy), Ok(url));
        }
    }

    #[test]
    fn one_refused_address_among_many_refuses_the_name(
        public in proptest::collection::vec(any::<u32>(), 0..6),
        range in select(LISTED_V4), host in any::<u32>(), mapped in any::<bool>(),
        position in any::<prop::sample::Index>(),
    ) {
        let mut answer: Vec<IpAddr> = public
            .into_iter()
            .map(Ipv4Addr::from_bits)
            .filter(|address| !listed_v4(*address))
            .map(IpAddr::from)
            .collect();
        let guard = guard(Ok(answer.clone()));
        if !answer.is_empty() {
            prop_assert_eq!(lookup(&guard), Ok(answer.clone()));
        }

        let (network, prefix) = v4_range(range);
        let inside = Ipv4Addr::from_bits(network | (host & v4_host_bits(prefix)));
        let inside = if mapped { inside.to_ipv6_mapped().into() } else { inside.into() };
        answer.insert(position.index(answer.len() + 1), inside);
        let verdict = lookup(&self::guard(Ok(answer)));
        prop_assert!(matches!(verdict, Err(LookupError::Refused(_))), "{verdict:?}");
    }
}

#[test]
fn the_neighbours_of_every_listed_range_are_judged_on_their_own() {
    for range in LISTED_V4 {
        let (network, prefix) = v4_range(range);
        let last = network | v4_host_bits(prefix);
        for bits in [network, last] {
            assert!(refusal(Ipv4Addr::from_bits(bits).into()).is_some(), "edge of {range}");
        }
        for bits in [network.checked_sub(1), last.checked_add(1)].into_iter().flatten() {
            let address = Ipv4Addr::from_bits(bits);
            assert_eq!(refusal(address.into()).is_some(), listed_v4(address), "{address}");
        }
    }
    for range in LISTED_V6 {
        let (network, prefix) = v6_range(range);
        let last = network | v6_host_bits(prefix);
        for bits in [network, last] {
            assert!(refusal(Ipv6Addr::from_bits(bits).into()).is_some(), "edge of {range}");
        }
        for bits in [network.checked_sub(1), last.checked_add(1)].into_iter().flatten() {
            let address = Ipv6Addr::from_bits(bits);
            assert_eq!(refusal(address.into()).is_some(), listed_v6(address), "{address}");
        }
    }
}

#[test]
fn addresses_just_outside_the_ranges_are_public() {
    for address in [
        "1.0.0.0",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::1",
        "2001:db9::",
        "2003::",
        "2606:4700:4700::1111",
        "2620:4f:7fff::1",
        "2620:4f:8001::",
        "3ffe::1",
        "3fff:1000::",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(refusal(address.parse().unwrap()), None, "{address}");
    }
}

#[test]
fn the_reason_names_the_range_and_its_kind() {
    let reason = |address: &str| refusal(address.parse().unwrap()).unwrap_or("public");
    assert_eq!(reason("10.1.2.3"), "10.0.0.0/8 is private use");
    assert_eq!(reason("169.254.169.254"), "169.254.0.0/16 is link local");
    assert_eq!(reason("::ffff:127.0.0.1"), "127.0.0.0/8 is loopback");
    assert_eq!(reason("255.255.255.255"), "255.255.255.255/32 is broadcast");
    assert_eq!(reason("::1"), "::1/128 is loopback");
    assert_eq!(reason("2001:0:1::1"), "2001::/32 is Teredo tunnelling");
    assert_eq!(reason("2001:1::4"), "2001::/23 is for IETF protocols");
    assert_eq!(reason("fd00:ec2::254"), "fc00::/7 is unique local (private use)");
    assert_eq!(reason("4000::1"), "4000::/2 is not global unicast");
}

#[test]
fn a_bracketed_loopback_literal_is_refused() {
    for url in ["https://[::1]/", "https://[::1]:8443/", "https://[0:0:0:0:0:0:0:1]/"] {
        let text = check_url(url, &TargetPolicy::default()).unwrap_err();
        assert!(text.contains("::1/128 is loopback"), "{url}: {text}");
    }
}

#[test]
fn a_literal_with_a_zone_is_refused() {
    for url in ["https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[2606::1%251]/"] {
        assert!(check_url(url, &TargetPolicy::default()).is_err(), "{url}");
    }
}

#[test]
fn loopback_is_refused_unless_local_mode_permits_it() {
    for host in
        ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "localhost", "a.localhost"]
    {
        let url = format!("http://{host}:4000/hook");
        let public = TargetPolicy { https_only: false, allowed_ports: None, ..Default::default() };
        assert!(check_url(&url, &public).is_err(), "{host}");
        assert!(check_url(&url, &TargetPolicy::local()).is_ok(), "{host}");
    }
}

#[test]
fn names_of_the_inside_are_refused() {
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "x.localhost",
        "localhost.localdomain",
        "printer.local",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "ip-10-0-0-1.ec2.internal",
        "internal",
        "nas.home.arpa",
        "metadata.goog",
        "metadata",
        "instance-data",
        "localhos\u{ff54}", // a full-width t
        "%6cocalhost",
    ] {
        let verdict = check_url(&format!("https://{host}/"), &TargetPolicy::default());
        assert!(verdict.is_err(), "{host}: {verdict:?}");
    }
    // Local mode opens localhost, not the rest.
    for host in ["printer.local", "metadata.google.internal", "nas.home.arpa"] {
        assert!(check_url(&format!("http://{host}/"), &TargetPolicy::local()).is_err(), "{host}");
    }
}

#[test]
fn names_that_only_look_like_the_inside_are_accepted() {
    for host in [
        "hooks.example.com",
        "hooks.example.com.",
        "mylocalhost.com",
        "localhost.example.com",
        "internal.example.com",
        "notinternal.dev",
        "hooks.notinternal",
        "xn--bcher-kva.example",
        "b\u{fc}cher.example",
        "1.2.3.4.example.com",
    ] {
        let verdict = check_url(&format!("https://{host}/"), &TargetPolicy::default());
        assert!(verdict.is_ok(), "{host}: {verdict:?}");
    }
}

#[test]
fn the_refusal_says_what_is_wrong_and_what_to_do() {
    for (url, problem, fix) in [
        ("", "not a valid URL", "write it like https://host/path"),
        ("hooks.example.com/x", "not a valid URL", "write it like https://host/path"),
        ("https://", "not a valid URL", "write it like https://host/path"),
        ("ftp://hooks.example.com/", "scheme \"ftp\" is not supported", "use https"),
        ("file:///etc/passwd", "scheme \"file\" is not supported", "use https"),
        ("http://hooks.example.com/", "http is not allowed", "use https"),
        ("https://u@hooks.example.com/", "user name or password", "custom header"),
        ("https://:p@hooks.example.com/", "user name or password", "custom header"),
        ("https://localhost/", "names in \"localhost\"", "use a public host name"),
        ("https://intranet/", "not a full host name", "use a public one"),
        ("https://a..example.com/", "two dots in a row", "correct the name"),
        ("https://a{b}.example.com/", "characters that no host name", "correct the name"),
        ("https://10.0.0.1/", "10.0.0.0/8 is private use", "use a host that is reachable"),
        ("https://hooks.example.com:22/", "port 22", "use one of: 80, 443, 8080, 8443"),
        ("https://hooks.example.com:0/", "port 0", "use the port of your receiver"),
        ("https://hooks.example.com:65536/", "not a valid URL", "write it like"),
    ] {
        let text = check_url(url, &TargetPolicy::default()).expect_err(url);
        assert!(text.contains(problem) && text.contains(fix), "{url}: {text}");
    }
}

#[test]
fn the_refusal_never_repeats_credentials_or_query() {
    for url in [
        "https://user:s3cret@10.0.0.1/s3cret?key=s3cret",
        "https://10.0.0.1/s3cret?key=s3cret",
        "https://hooks.example.com:22/s3cret?key=s3cret",
        "https://user:s3cret@:bad:/?s3cret",
        "http://hooks.example.com/?s3cret",
    ] {
        let text = check_url(url, &TargetPolicy::default()).expect_err(url);
        assert!(!text.contains("s3cret"), "{url}: {text}");
    }
}

#[test]
fn the_result_is_what_must_be_called() {
    let url = |text| check_url(text, &TargetPolicy::local()).unwrap().to_string();
    assert_eq!(url(" http://2130706433:80/a b\n"), "http://127.0.0.1/a%20b");
    assert_eq!(url("HTTPS://HOOKS.Example.COM:443/A?b=C"), "https://hooks.example.com/A?b=C");
    assert_eq!(url("http:\\\\0x7f.1\\x"), "http://127.0.0.1/x");
}

#[test]
fn a_url_beyond_the_longest_is_refused() {
    let url = |len: usize| format!("https://h.example/{}", "a".repeat(len - 18));
    assert_eq!(url(MAX_URL_BYTES).len(), MAX_URL_BYTES);
    assert!(check_url(&url(MAX_URL_BYTES), &TargetPolicy::default()).is_ok());
    let text = check_url(&url(MAX_URL_BYTES + 1), &TargetPolicy::default()).unwrap_err();
    assert!(text.contains("longer than 2048 bytes"), "{text}");
}

#[test]
fn what_an_operator_refuses_is_refused_in_every_spelling() {
    let targets = "api.posthorn.example, .corp.example 9.9.0.0/16,2606:4700::/32 8.8.4.4";
    let refused = || TargetPolicy::default().refusing(targets).unwrap();
    for host in [
        "api.posthorn.example",
        "API.Posthorn.Example",
        "api.posthorn.example.",
        "a.b.corp.example",
        "9.9.255.1",
        "0x09090001",
        "8.8.4.4",
        "[2606:4700::1]",
        "[::ffff:9.9.9.9]",
    ] {
        let text = check_url(&format!("https://{host}/"), &refused()).expect_err(host);
        assert!(text.contains("operator of this service"), "{text}");
    }
    for host in ["hooks.posthorn.example", "corp.example", "8.8.4.5", "9.10.0.1", "[2606:4701::1]"]
    {
        assert!(check_url(&format!("https://{host}/"), &refused()).is_ok(), "{host}");
    }
    let inside: IpAddr = "9.9.9.9".parse().unwrap();
    assert!(refused().refusal(inside).is_some());
    let local = TargetPolicy::local().refusing("127.0.0.2").unwrap();
    assert!(check_url("http://127.0.0.2/", &local).is_err());
    assert!(check_url("http://127.0.0.1/", &local).is_ok());
    let everything = TargetPolicy::default().refusing("0.0.0.0/0").unwrap();
    assert!(check_url("https://8.8.8.8/", &everything).is_err());
    for wrong in ["9.9.0.0/33", "9.9.0/8", "::/129", "9.9.0.0/-1", "a/b", "9"] {
        assert!(TargetPolicy::default().refusing(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn ports_are_open_when_no_list_is_set() {
    let policy = TargetPolicy { allowed_ports: None, ..TargetPolicy::default() };
    assert!(check_url("https://hooks.example.com:4567/", &policy).is_ok());
    assert!(check_url("https://hooks.example.com:0/", &policy).is_err());
}

#[test]
fn ipv4_comes_first_and_the_order_is_kept_otherwise() {
    let answer = addresses(&["2606:4700::2", "8.8.4.4", "2606:4700::1", "1.1.1.1"]);
    let sorted = addresses(&["8.8.4.4", "1.1.1.1", "2606:4700::2", "2606:4700::1"]);
    assert_eq!(lookup(&guard(Ok(answer))), Ok(sorted));
}

#[test]
fn a_resolver_that_fails_or_finds_nothing_leads_nowhere() {
    let failed = |text: &str| Err(LookupError::Failed(text.to_owned()));
    assert_eq!(lookup(&guard(Err("no such name".to_owned()))), failed("no such name"));
    assert_eq!(lookup(&guard(Ok(Vec::new()))), failed("the name has no address"));
}

struct Fixed(Result<Vec<IpAddr>, String>);

#[async_trait]
impl Resolver for Fixed {
    async fn resolve(&self, _host: &str) -> Result<Vec<IpAddr>, String> {
        self.0.clone()
    }
}

fn guard(answer: Result<Vec<IpAddr>, String>) -> GuardedResolver {
    GuardedResolver::new(Arc::new(Fixed(answer)), Arc::new(TargetPolicy::default()))
}

fn lookup(guard: &GuardedResolver) -> Result<Vec<IpAddr>, LookupError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(guard.addresses("hooks.example.com", None))
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The spellings in which browsers and C libraries read an IPv4 address, and its IPv6 clothes.
fn notations(address: Ipv4Addr) -> BTreeSet<String> {
    let [a, b, c, d] = address.octets();
    let bits = address.to_bits();
    let (low24, low16) = (bits & 0x00ff_ffff, bits & 0xffff);
    let wide: String = address
        .to_string()
        .chars()
        .map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap())
        .collect();
    [
        address.to_string(),
        format!("{address}."),
        format!("{bits}"),
        format!("0x{bits:x}"),
        format!("0X{bits:X}"),
        format!("0{bits:o}"),
        format!("{a}.{low24}"),
        format!("0x{a:x}.{low24}"),
        format!("0{a:o}.0x{low24:x}"),
        format!("{a}.{b}.{low16}"),
        format!("0x{a:x}.0{b:o}.{low16}."),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0x{a:08x}.{b}.0{c:05o}.{d}"),
        format!("%3{}{}", first_digit(a), &address.to_string()[1..]),
        wide,
        format!("{a}\u{3002}{b}\u{3002}{c}\u{3002}{d}"), // ideographic full stops
        format!("[::ffff:{address}]"),
        format!("[::FFFF:{:x}:{:x}]", bits >> 16, low16),
        format!("[0:0:0:0:0:ffff:{:04x}:{:04x}]", bits >> 16, low16),
    ]
    .into()
}

fn first_digit(number: u8) -> char {
    number.to_string().remove(0)
}

/// Whether the range that the reason begins with is a real one that holds the address.
fn reason_holds(reason: Option<&str>, address: IpAddr) -> bool {
    let range = reason.and_then(|reason| reason.split_once(" is ")).map(|(range, _)| range);
    range.is_some_and(|range| match address {
        IpAddr::V4(address) => in_v4(range, address),
        IpAddr::V6(address) => in_v6(range, address),
    })
}

fn listed_v4(address: Ipv4Addr) -> bool {
    LISTED_V4.iter().any(|range| in_v4(range, address))
}

fn listed_v6(address: Ipv6Addr) -> bool {
    match address.to_ipv4_mapped() {
        Some(mapped) => listed_v4(mapped),
        None => LISTED_V6.iter().any(|range| in_v6(range, address)),
    }
}

fn in_v4(range: &str, address: Ipv4Addr) -> bool {
    let (network, prefix) = v4_range(range);
    address.to_bits() & !v4_host_bits(prefix) == network
}

fn in_v6(range: &str, address: Ipv6Addr) -> bool {
    let (network, prefix) = v6_range(range);
    address.to_bits() & !v6_host_bits(prefix) == network
}

fn v4_range(range: &str) -> (u32, u32) {
    let (network, prefix) = range.split_once('/').unwrap();
    (network.parse::<Ipv4Addr>().unwrap().to_bits(), prefix.parse().unwrap())
}

fn v6_range(range: &str) -> (u128, u32) {
    let (network, prefix) = range.split_once('/').unwrap();
    (network.parse::<Ipv6Addr>().unwrap().to_bits(), prefix.parse().unwrap())
}

fn v4_host_bits(prefix: u32) -> u32 {
    u32::MAX.checked_shr(prefix).unwrap_or(0)
}

fn v6_host_bits(prefix: u32) -> u128 {
    u128::MAX.checked_shr(prefix).unwrap_or(0)
}
