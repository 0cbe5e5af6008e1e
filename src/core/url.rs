//! URLs of brokers and proxies. No error shows a user name, a password or a query.

use percent_encoding::percent_decode_str;
use url::{Host, ParseError, Url};

use super::error::Error;
use super::options::{Credentials, Proxy, ProxyKind, Transport};

/// The parts of a broker's URL; `None` if the URL omits one.
#[derive(Debug, Clone)]
pub struct BrokerUrl {
    /// The transport.
    pub transport: Transport,
    /// Whether to use TLS.
    pub tls: bool,
    /// Host name (in ASCII) or address; the path of the socket for [`Transport::Unix`].
    pub host: String,
    /// TCP port.
    pub port: Option<u16>,
    /// Path of the websocket, with its query.
    pub path: Option<String>,
    /// User name and password.
    pub credentials: Option<Credentials>,
}

/// Parses the URL of a broker: `mqtt`, `mqtts`, `ws`, `wss` or `unix`.
///
/// # Errors
/// [`Error::Url`], which says what is wrong and what would be right.
pub fn parse_broker(text: &str) -> Result<BrokerUrl, Error> {
    broker(text).map_err(|reason| Error::Url { url: redact(text), what: "broker", reason })
}

/// Parses the URL of a proxy: `socks5`, `socks5h` or `http`.
///
/// # Errors
/// [`Error::Url`], which says what is wrong and what would be right.
pub fn parse_proxy(text: &str) -> Result<Proxy, Error> {
    proxy(text).map_err(|reason| Error::Url { url: redact(text), what: "proxy", reason })
}

fn broker(text: &str) -> Result<BrokerUrl, String> {
    let (transport, tls) = match scheme(text, "mqtt")?.as_str() {
        "mqtt" => (Transport::Tcp, false),
        "mqtts" => (Transport::Tcp, true),
        "ws" => (Transport::Websocket, false),
        "wss" => (Transport::Websocket, true),
        "unix" => return unix(text),
        other => return Err(broker_scheme(other)),
    };
    let url = parse(text)?;
    let (host, port, credentials) = (host(&url)?, port(text, &url)?, credentials(&url)?);
    let path = if transport == Transport::Websocket {
        websocket_path(&url)?
    } else {
        let what = "only a ws or wss URL has a path, a query or a fragment";
        no_path(&url).then_some(None).ok_or(what)?
    };
    Ok(BrokerUrl { transport, tls, host, port, path, credentials })
}

fn broker_scheme(scheme: &str) -> String {
    let right = match scheme {
        "tcp" => "mqtt",
        "ssl" | "tls" | "mqtt+ssl" | "mqtt+tls" => "mqtts",
        "http" => "ws",
        "https" => "wss",
        _ => return "its scheme must be mqtt, mqtts, ws, wss or unix".to_owned(),
    };
    format!("its scheme must be mqtt, mqtts, ws, wss or unix; use {right} for {scheme}")
}

fn unix(text: &str) -> Result<BrokerUrl, String> {
    if !text["unix:".len()..].starts_with("///") {
        return Err(
            "the absolute path of the socket must follow unix://, as in unix:///run/broker.sock"
                .to_owned(),
        );
    }
    let url = parse(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a unix URL has no query or fragment; write ? as %3F and # as %23".to_owned());
    }
    let path = decode(url.path()).ok_or("the path must be percent-encoded UTF-8")?;
    if path.ends_with('/') || path.contains('\0') {
        return Err("the path must name a socket".to_owned());
    }
    Ok(BrokerUrl {
        transport: Transport::Unix,
        tls: false,
        host: path,
        port: None,
        path: None,
        credentials: None,
    })
}

fn websocket_path(url: &Url) -> Result<Option<String>, String> {
    if url.fragment().is_some() {
        return Err("a broker's URL has no fragment; write # as %23".to_owned());
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{}{query}", url.path());
    if path.contains('@') {
        // Otherwise a / or ? in a password would make a part of it the path.
        return Err(
            "an @ after the host: percent-encode it, and any / or ? in a password".to_owned()
        );
    }
    Ok((path != "/").then_some(path))
}

fn proxy(text: &str) -> Result<Proxy, String> {
    let (kind, usual) = match scheme(text, "socks5")?.as_str() {
        "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
        "http" => (ProxyKind::Http, 80),
        "https" => {
            return Err(
                "TLS to a proxy is not supported; its scheme must be http or socks5".to_owned()
            );
        }
        _ => return Err("its scheme must be socks5, socks5h or http".to_owned()),
    };
    let url = parse(text)?;
    if !no_path(&url) {
        return Err("a proxy's URL has no path, query or fragment".to_owned());
    }
    let (host, port, credentials) = (host(&url)?, port(text, &url)?, credentials(&url)?);
    check_login(kind, credentials.as_ref())?;
    Ok(Proxy { kind, host, port: port.unwrap_or(usual), credentials })
}

/// Checks the user name and password against the limits of the proxy protocol.
fn check_login(kind: ProxyKind, credentials: Option<&Credentials>) -> Result<(), &'static str> {
    let Some(Credentials { username, password }) = credentials else { return Ok(()) };
    let password = password.as_deref().unwrap_or_default();
    let fits = |text: &[u8]| (1..=255).contains(&text.len());
    match kind {
        ProxyKind::Socks5 if !fits(username.as_bytes()) || !fits(password) => {
            Err("SOCKS 5 takes a user name and a password of 1 to 255 bytes each")
        }
        ProxyKind::Socks5 if std::str::from_utf8(password).is_err() => {
            Err("the password of a SOCKS 5 proxy must be percent-encoded UTF-8")
        }
        ProxyKind::Http if username.contains(':') => {
            Err("HTTP takes no user name with a colon in it")
        }
        _ => Ok(()),
    }
}

/// The scheme in lower case. The parser checks the rest.
fn scheme(text: &str, example: &str) -> Result<String, String> {
    if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
        // The parser would silently drop some of them.
        return Err("it has a space or control character in it; percent-encode it".to_owned());
    }
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.ok_or_else(|| format!("it has no scheme, as in {example}://"))
}

fn parse(text: &str) -> Result<Url, String> {
    if !text.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//")) {
        return Err("// must follow its scheme".to_owned());
    }
    if text.contains('\\') {
        return Err("it has a \\ in it; write / or %5C".to_owned());
    }
    Url::parse(text).map_err(|error| match error {
        ParseError::InvalidPort => PORT.to_owned(),
        ParseError::EmptyHost => "it names no host".to_owned(),
        other => other.to_string(),
    })
}

const PORT: &str =
    "the port must be a number from 1 to 65535, and : / ? # in a password percent-encoded";

/// The host in the form that a resolver accepts: a name in ASCII, or an IPv6 address without
/// brackets.
fn host(url: &Url) -> Result<String, String> {
    let text = url.host_str().filter(|text| !text.is_empty()).ok_or("it names no host")?;
    // The parser does this only for the schemes of browsers.
    match Host::parse(text).map_err(|error| error.to_string())? {
        Host::Domain(name) => Ok(name),
        Host::Ipv4(address) => Ok(address.to_string()),
        Host::Ipv6(address) => Ok(address.to_string()),
    }
}

/// The port, even if it is the default one, which the parser omits.
fn port(text: &str, url: &Url) -> Result<Option<u16>, String> {
    match url.port() {
        Some(0) => Err(PORT.to_owned()),
        None if authority(text).rsplit_once(':').is_some_and(|(_, port)| is_number(port)) => {
            Ok(url.port_or_known_default())
        }
        port => Ok(port),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn credentials(url: &Url) -> Result<Option<Credentials>, String> {
    let invalid = "the user name must be percent-encoded UTF-8";
    let username = decode(url.username()).ok_or(invalid)?;
    let password = url.password().map(|text| percent_decode_str(text).collect());
    match (username.is_empty(), password) {
        (true, None) => Ok(None),
        (true, Some(_)) => Err("it has a password without a user name".to_owned()),
        (false, password) => Ok(Some(Credentials { username, password })),
    }
}

fn decode(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

fn no_path(url: &Url) -> bool {
    matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none()
}

/// The part between `//` and the path, with user name and password.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The URL for a message, without possible secrets, even if it cannot be parsed.
fn redact(text: &str) -> String {
    let (scheme, rest) = match text.split_once("//") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}//"), rest),
        _ => (String::new(), text),
    };
    let query = rest.find(['?', '#']).unwrap_or(rest.len());
    let (user, rest) = match rest.rfind('@') {
        // Either a password contains a ?, or a query contains an @.
        Some(at) if query < at => return format!("{scheme}…"),
        Some(at) => ("…@", &rest[at + 1..]),
        None => ("", rest),
    };
    let query = rest.find(['?', '#']).unwrap_or(rest.len());
    let more = if query < rest.len() { "…" } else { "" };
    let rest = &rest[..query];
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // Without an @, text that is no port may be a password.
    let is_address = host.starts_with('[') && host.ends_with(']');
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !is_address && !is_number(port) => (host, ":…"),
        _ => (host, ""),
    };
    format!("{scheme}{user}{host}{port}{path}{more}")
}

fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.strip_suffix(':').is_some_and(|name| !name.is_empty() && name.bytes().all(is_part))
}
