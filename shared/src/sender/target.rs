//! Which targets we call, and which we never do.
//!
//! Endpoint addresses are chosen by strangers, so each one is judged three times by the same
//! [`TargetPolicy`]: its spelling when it is registered and again before every send
//! ([`check_url`]), and every address that its name resolves to when a connection is opened
//! ([`GuardedResolver`]). A name is resolved once per connection and only judged addresses are
//! handed on, so an answer that changes between check and connection changes nothing.
//!
//! Not guaranteed: that a public address belongs to who registered it, that a public address
//! does not forward to a private one behind our back, or that networks which an operator numbers
//! from public space (a peered network, say) are out of reach unless the operator names them.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use url::{Host, Url};

use super::reason::is_out_of_files;
use crate::domain::id::ApplicationId;

/// Longest URL that is accepted, in bytes: what every common HTTP server takes as well.
pub const MAX_URL_BYTES: usize = 2048;

/// Why we do not call `address`, or `None` when it is public.
///
/// IPv4 addresses in IPv6 clothes (`::ffff:10.0.0.1`) are judged as IPv4. The text names the
/// range and its kind: `10.0.0.0/8 is private use`.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    REFUSED.iter().find(|range| range.network.contains(address)).map(|range| range.reason)
}

/// What an operator permits beyond, or within, the public internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPolicy {
    /// Permits 127.0.0.0/8, `::1`, `localhost` and names without a dot. For the local process
    /// only: in a Lambda function the runtime's own API listens on loopback.
    pub allow_loopback: bool,
    /// Refuses `http://`.
    pub https_only: bool,
    /// The ports that may be called; `None` permits every port but 0.
    pub allowed_ports: Option<Vec<u16>>,
    /// Host names that are refused whatever they resolve to. Lower case, without a trailing dot;
    /// one that begins with a dot stands for all names below it.
    pub refused_hosts: Vec<String>,
    /// Addresses that are refused beside those that are not public: networks which an operator
    /// numbers from public space.
    pub refused_networks: Vec<Network>,
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl FromStr for Network {
    type Err = String;

    /// Reads `203.0.113.0/24`, or an address alone.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network: write it like 203.0.113.0/24");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix <= most { Ok(Self { address, prefix }) } else { Err(wrong()) }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Default for TargetPolicy {
    /// The public internet over https, on the usual web ports. 80 and 8080 are in the list so
    /// that permitting `http://` is one knob, not two; until then they only serve the rare
    /// `https://host:8080`.
    fn default() -> Self {
        Self {
            allow_loopback: false,
            https_only: true,
            allowed_ports: Some(vec![80, 443, 8080, 8443]),
            refused_hosts: Vec::new(),
            refused_networks: Vec::new(),
        }
    }
}

impl TargetPolicy {
    /// For a developer's machine: also http, loopback and every port. Private networks stay
    /// refused.
    pub fn local() -> Self {
        Self {
            allow_loopback: true,
            https_only: false,
            allowed_ports: None,
            refused_hosts: Vec::new(),
            refused_networks: Vec::new(),
        }
    }

    /// Why this policy does not call `address`, or `None` when it does.
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let canonical = address.to_canonical();
        if self.refused_networks.iter().any(|network| network.contains(canonical)) {
            return Some(BY_OPERATOR);
        }
        if self.allow_loopback && address.to_canonical().is_loopback() {
            return None;
        }
        refusal(address)
    }

    /// Whether a host name, in lower case, is refused whatever it resolves to.
    fn refuses_name(&self, name: &str) -> bool {
        let is_it = |refused: &String| {
            name == refused || refused.starts_with('.') && name.ends_with(refused.as_str())
        };
        self.refused_hosts.iter().any(is_it)
    }

    /// Adds what an operator refuses: networks and names of hosts, with spaces or commas between
    /// them.
    ///
    /// # Errors
    /// What is neither, and how to write it.
    pub fn refusing(mut self, targets: &str) -> Result<Self, String> {
        for target in targets.split([' ', ',']).filter(|target| !target.is_empty()) {
            let is_name = |target: &str| target.contains(|c: char| c.is_ascii_alphabetic());
            if is_name(target) && !target.contains([':', '/']) {
                self.refused_hosts.push(target.trim_end_matches('.').to_ascii_lowercase());
            } else {
                self.refused_networks.push(target.parse()?);
            }
        }
        Ok(self)
    }
}

/// What is said of an address that an operator refuses.
const BY_OPERATOR: &str = "it is in a network that the operator of this service refuses";

/// Reads an endpoint's URL and judges everything about it that needs no network.
///
/// The parser is the WHATWG one, as browsers have it, and the result is what must be called:
/// it has turned `2130706433`, `0x7f.1` and `0177.0.0.1` into `127.0.0.1`.
///
/// # Errors
///
/// What is wrong and what to do about it, in words for whoever registers the endpoint. The text
/// never repeats user name, password, path or query.
pub fn check_url(url: &str, policy: &TargetPolicy) -> Result<Url, String> {
    if url.len() > MAX_URL_BYTES {
        return Err(format!("the URL is longer than {MAX_URL_BYTES} bytes; use a shorter one"));
    }
    let url = Url::parse(url)
        .map_err(|error| format!("not a valid URL ({error}); write it like https://host/path"))?;
    match url.scheme() {
        "https" => {}
        "http" if policy.https_only => {
            return Err("http is not allowed, because anybody on the way can read and change the \
                        messages; use https"
                .to_owned());
        }
        "http" => {}
        other => return Err(format!("the scheme \"{other}\" is not supported; use https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user name or password is not allowed; put credentials into a \
                    custom header"
            .to_owned());
    }
    match url.host() {
        None => return Err("the URL names no host; write it like https://host/path".to_owned()),
        Some(Host::Domain(name)) => check_name(name, policy)?,
        Some(Host::Ipv4(address)) => check_literal(address.into(), policy)?,
        Some(Host::Ipv6(address)) => check_literal(address.into(), policy)?,
    }
    check_port(&url, policy)?;
    check_second_parser(&url)?;
    Ok(url)
}

/// Turns names into addresses.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of `host`, in no particular order.
    ///
    /// # Errors
    ///
    /// Why there are none, in few words.
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String>;

    /// The same for an endpoint of this application, where look-ups are counted by whose they are.
    ///
    /// # Errors
    ///
    /// Why there are none, in few words.
    async fn resolve_for(
        &self,
        host: &str,
        _owner: Option<ApplicationId>,
    ) -> Result<Vec<IpAddr>, String> {
        self.resolve(host).await
    }
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| {
            let text = error.to_string();
            text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
        })?;
        Ok(found.map(|socket| socket.ip()).collect())
    }
}

/// Why a name led to no address that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The name has an address that we do not call.
    Refused(String),
    /// The name could not be resolved.
    Failed(String),
    /// Nobody was asked, because this machine lacks something.
    Unsent(String),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Refused(reason) | Self::Failed(reason) | Self::Unsent(reason)) = self;
        f.write_str(reason)
    }
}

impl Error for LookupError {}

/// The only way from a name to a connection: resolves once, judges every address, hands on
/// what it judged.
#[derive(Clone)]
pub struct GuardedResolver {
    resolver: Arc<dyn Resolver>,
    policy: Arc<TargetPolicy>,
}

impl GuardedResolver {
    /// Judges what `resolver` finds by `policy`.
    pub fn new(resolver: Arc<dyn Resolver>, policy: Arc<TargetPolicy>) -> Self {
        Self { resolver, policy }
    }

    /// The addresses of `host` that may be connected to, IPv4 first (Lambda functions have no
    /// way out over IPv6 by default).
    ///
    /// # Errors
    ///
    /// [`LookupError::Refused`] when any address is refused: a name that points both inside
    /// and outside is an attack or a mistake. [`LookupError::Failed`] when there is no answer or
    /// an empty one. [`LookupError::Unsent`] when there is none because we could not ask.
    pub async fn addresses(
        &self,
        host: &str,
        owner: Option<ApplicationId>,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let found = self.resolver.resolve_for(host, owner).await;
        let mut addresses = found.map_err(no_answer)?;
        if addresses.is_empty() {
            return Err(LookupError::Failed("the name has no address".to_owned()));
        }
        for address in &addresses {
            if let Some(reason) = self.policy.refusal(*address) {
                // What is inside is the operator's to know, not the customer's.
                tracing::info!(host, %address, reason, "endpoint not called");
                return Err(LookupError::Refused(format!(
                    "\"{host}\" resolves to an address that is not public"
                )));
            }
        }
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }
}

/// A resolver does not tell why it failed. When no socket can be opened, that is why.
fn no_answer(reason: String) -> LookupError {
    match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
        Err(error) if is_out_of_files(&error) => LookupError::Unsent(error.to_string()),
        _ => LookupError::Failed(reason),
    }
}

/// Names that stand for something inside the machine or its network, with everything below
/// them: RFC 6761 (localhost), RFC 6762 (local), RFC 8375 (home.arpa), ICANN's private-use
/// name (internal), and the metadata services of clouds that do not use one of those.
const INSIDE: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "metadata.goog",
    "metadata.packet.net",
    "metadata.tencentyun.com",
];

fn check_name(name: &str, policy: &TargetPolicy) -> Result<(), String> {
    let bare = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if bare.split('.').any(str::is_empty) {
        return Err(format!("\"{name}\" is not a host name: two dots in a row; correct the name"));
    }
    if policy.refuses_name(&bare) {
        return Err(format!(
            "\"{bare}\" is refused by the operator of this service; use another host name"
        ));
    }
    if policy.allow_loopback && is_or_is_below(&bare, "localhost") {
        return Ok(());
    }
    if let Some(inside) = INSIDE.iter().find(|inside| is_or_is_below(&bare, inside)) {
        return Err(format!(
            "\"{bare}\" is not public: names in \"{inside}\" stand for hosts of an internal \
             network; use a public host name"
        ));
    }
    // Such a name is completed with the search domains of whoever resolves it.
    if !policy.allow_loopback && !bare.contains('.') {
        return Err(format!(
            "\"{bare}\" is not a full host name; use a public one, like hooks.example.com"
        ));
    }
    Ok(())
}

fn is_or_is_below(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn check_literal(address: IpAddr, policy: &TargetPolicy) -> Result<(), String> {
    match policy.refusal(address) {
        None => Ok(()),
        Some(reason) => Err(format!(
            "the address {address} is not public: {reason}; use a host that is reachable from \
             the internet"
        )),
    }
}

fn check_port(url: &Url, policy: &TargetPolicy) -> Result<(), String> {
    let port = url.port_or_known_default().unwrap_or(0);
    if port == 0 {
        return Err("port 0 cannot be called; use the port of your receiver".to_owned());
    }
    match &policy.allowed_ports {
        Some(allowed) if !allowed.contains(&port) => {
            let allowed: Vec<_> = allowed.iter().map(u16::to_string).collect();
            Err(format!("port {port} is not allowed; use one of: {}", allowed.join(", ")))
        }
        _ => Ok(()),
    }
}

/// The HTTP client parses the URL's text again, by stricter rules. Whatever the two read
/// differently is refused here, before it can become a difference between check and connection.
fn check_second_parser(url: &Url) -> Result<(), String> {
    let same = url
        .as_str()
        .parse::<http::Uri>()
        .is_ok_and(|uri| uri.host() == url.host_str() && uri.port_u16() == url.port());
    if same {
        Ok(())
    } else {
        Err("the host name has characters that no host name may have; correct the name".to_owned())
    }
}

/// A block of addresses that we do not call.
struct Range {
    network: Network,
    reason: &'static str,
}

const fn v4(octets: [u8; 4], prefix: u32, reason: &'static str) -> Range {
    let [a, b, c, d] = octets;
    let address = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    Range { network: Network { address, prefix }, reason }
}

const fn v6(leading: [u16; 4], prefix: u32, reason: &'static str) -> Range {
    v6_host(leading, 0, prefix, reason)
}

const fn v6_host(leading: [u16; 4], last: u16, prefix: u32, reason: &'static str) -> Range {
    let [a, b, c, d] = leading;
    let address = IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, last));
    Range { network: Network { address, prefix }, reason }
}

/// Everything that is not the public internet. The first match gives the reason, so narrow
/// ranges come before those that hold them.
///
/// Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries, the IPv4 and IPv6
/// multicast registries, and the IANA IPv6 address space, in which only 2000::/3 is in use for
/// global unicast; and one public address that every virtual machine of a cloud reaches its host
/// by. RFC 6890 is older than many of these rows. `::ffff:0:0/96` is missing
/// because such addresses are judged as IPv4.
#[rustfmt::skip]
const REFUSED: &[Range] = &[
    v4([0, 0, 0, 0], 8, "0.0.0.0/8 is \"this network\""),
    v4([10, 0, 0, 0], 8, "10.0.0.0/8 is private use"),
    v4([100, 64, 0, 0], 10, "100.64.0.0/10 is shared address space of carriers"),
    v4([127, 0, 0, 0], 8, "127.0.0.0/8 is loopback"),
    v4([168, 63, 129, 16], 32, "168.63.129.16/32 is Azure's own services"),
    v4([169, 254, 0, 0], 16, "169.254.0.0/16 is link local"),
    v4([172, 16, 0, 0], 12, "172.16.0.0/12 is private use"),
    v4([192, 0, 0, 0], 24, "192.0.0.0/24 is for IETF protocols"),
    v4([192, 0, 2, 0], 24, "192.0.2.0/24 is documentation"),
    v4([192, 31, 196, 0], 24, "192.31.196.0/24 is AS112 service"),
    v4([192, 52, 193, 0], 24, "192.52.193.0/24 is multicast tunnelling (AMT)"),
    v4([192, 88, 99, 0], 24, "192.88.99.0/24 is the former 6to4 relay"),
    v4([192, 168, 0, 0], 16, "192.168.0.0/16 is private use"),
    v4([192, 175, 48, 0], 24, "192.175.48.0/24 is AS112 service"),
    v4([198, 18, 0, 0], 15, "198.18.0.0/15 is benchmarking"),
    v4([198, 51, 100, 0], 24, "198.51.100.0/24 is documentation"),
    v4([203, 0, 113, 0], 24, "203.0.113.0/24 is documentation"),
    v4([224, 0, 0, 0], 4, "224.0.0.0/4 is multicast"),
    v4([255, 255, 255, 255], 32, "255.255.255.255/32 is broadcast"),
    v4([240, 0, 0, 0], 4, "240.0.0.0/4 is reserved"),

    v6([0, 0, 0, 0], 128, "::/128 is the unspecified address"),
    v6_host([0, 0, 0, 0], 1, 128, "::1/128 is loopback"),
    v6([0, 0, 0, 0], 96, "::/96 is the former IPv4-compatible range"),
    v6([0x64, 0xff9b, 0, 0], 96, "64:ff9b::/96 is IPv4 translation (NAT64)"),
    v6([0x64, 0xff9b, 1, 0], 48, "64:ff9b:1::/48 is local IPv4 translation (NAT64)"),
    v6([0x100, 0, 0, 0], 64, "100::/64 is discard only"),
    v6([0x100, 0, 0, 1], 64, "100:0:0:1::/64 is a dummy prefix"),
    v6([0x2001, 0, 0, 0], 32, "2001::/32 is Teredo tunnelling"),
    v6_host([0x2001, 1, 0, 0], 1, 128, "2001:1::1/128 is port control anycast"),
    v6_host([0x2001, 1, 0, 0], 2, 128, "2001:1::2/128 is TURN anycast"),
    v6_host([0x2001, 1, 0, 0], 3, 128, "2001:1::3/128 is service registration anycast"),
    v6([0x2001, 2, 0, 0], 48, "2001:2::/48 is benchmarking"),
    v6([0x2001, 3, 0, 0], 32, "2001:3::/32 is multicast tunnelling (AMT)"),
    v6([0x2001, 4, 0x112, 0], 48, "2001:4:112::/48 is AS112 service"),
    v6([0x2001, 0x10, 0, 0], 28, "2001:10::/28 is the former ORCHID range"),
    v6([0x2001, 0x20, 0, 0], 28, "2001:20::/28 is host identities (ORCHIDv2)"),
    v6([0x2001, 0x30, 0, 0], 28, "2001:30::/28 is drone identities (DRIP)"),
    v6([0x2001, 0, 0, 0], 23, "2001::/23 is for IETF protocols"),
    v6([0x2001, 0xdb8, 0, 0], 32, "2001:db8::/32 is documentation"),
    v6([0x2002, 0, 0, 0], 16, "2002::/16 is 6to4 tunnelling"),
    v6([0x2620, 0x4f, 0x8000, 0], 48, "2620:4f:8000::/48 is AS112 service"),
    v6([0x3fff, 0, 0, 0], 20, "3fff::/20 is documentation"),
    v6([0x5f00, 0, 0, 0], 16, "5f00::/16 is segment routing"),
    v6([0xfc00, 0, 0, 0], 7, "fc00::/7 is unique local (private use)"),
    v6([0xfe80, 0, 0, 0], 10, "fe80::/10 is link local"),
    v6([0xfec0, 0, 0, 0], 10, "fec0::/10 is the former site local range"),
    v6([0xff00, 0, 0, 0], 8, "ff00::/8 is multicast"),
    v6([0, 0, 0, 0], 3, "::/3 is not global unicast"),
    v6([0x4000, 0, 0, 0], 2, "4000::/2 is not global unicast"),
    v6([0x8000, 0, 0, 0], 1, "8000::/1 is not global unicast"),
];
