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
use std::sync::Arc;

use async_trait::async_trait;
use url::{Host, Url};

use super::reason::is_out_of_files;
pub use super::refused::{Network, refusal};
use crate::domain::id::ApplicationId;

/// Longest URL that is accepted, in bytes: what every common HTTP server takes as well.
pub const MAX_URL_BYTES: usize = 2048;

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
        leave_out_translations(&mut addresses);
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

/// Leaves out what a DNS64 server made of the name's own IPv4 addresses (RFC 6147), for whoever has
/// no IPv4: it says nothing that those do not say.
fn leave_out_translations(addresses: &mut Vec<IpAddr>) {
    let own: Vec<IpAddr> = addresses.iter().filter(|address| address.is_ipv4()).copied().collect();
    let is_translation = |address: &IpAddr| match address {
        IpAddr::V6(address) if TRANSLATED.contains((*address).into()) => {
            let [.., a, b, c, d] = address.octets();
            own.contains(&IpAddr::from([a, b, c, d]))
        }
        _ => false,
    };
    addresses.retain(|address| !is_translation(address));
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

/// IPv6 addresses that end with the IPv4 address which they stand for (RFC 6052).
const TRANSLATED: Network =
    Network { address: IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)), prefix: 96 };
