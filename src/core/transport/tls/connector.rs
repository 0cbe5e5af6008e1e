//! OpenSSL's objects, made from the options.

use openssl::ssl::{Ssl, SslConnector, SslMethod, SslOptions, SslVerifyMode, SslVersion};

use super::super::super::error::Error;
use super::super::super::options::{ConnectOptions, TlsVersion};
use super::rejection::Rejection;
use super::{ca_certificates, identity, pem};

/// Builds the connector for all handshakes with these options.
pub fn build(options: &ConnectOptions) -> Result<SslConnector, Error> {
    let mut connector =
        SslConnector::builder(SslMethod::tls_client()).map_err(|error| pem::internal(&error))?;
    connector.set_options(SslOptions::NO_RENEGOTIATION);
    if !options.tls.verify {
        connector.set_verify(SslVerifyMode::NONE);
    }
    let (suites, ciphers) = ciphers(options)?;
    // The ciphers come before the certificate: their security level decides which certificates are
    // allowed.
    if let Some(ciphers) = &ciphers {
        connector.set_cipher_list(ciphers).map_err(|_| no_cipher(options))?;
    }
    if let Some(suites) = &suites {
        connector.set_ciphersuites(suites).map_err(|_| no_cipher(options))?;
    }
    let (lowest, highest) = versions(options, suites.is_some() && ciphers.is_none())?;
    connector
        .set_min_proto_version(lowest)
        .and_then(|()| connector.set_max_proto_version(highest))
        .map_err(|error| {
            let key = options.key("TLS_VERSION");
            Error::Tls(format!("{key}: this OpenSSL does not have it ({})", pem::said(&error)))
        })?;
    if let Some(protocols) = protocols(options)? {
        connector.set_alpn_protos(&protocols).map_err(|error| pem::internal(&error))?;
    }
    ca_certificates::set(&mut connector, options)?;
    identity::set(&mut connector, options)?;
    Ok(connector.build())
}

/// Prepares one handshake with a host.
pub fn session(options: &ConnectOptions, host: &str, rejection: &Rejection) -> Result<Ssl, Error> {
    if host.contains('\0') {
        return Err(Error::Tls(format!("the host {host:?} has a null character in it")));
    }
    let mut session = build(options)?.configure().map_err(|error| pem::internal(&error))?;
    if options.tls.verify {
        let rejection = rejection.clone();
        session.set_verify_callback(SslVerifyMode::PEER, move |fine, context| {
            if !fine {
                rejection.note(context);
            }
            fine
        });
    }
    session.set_verify_hostname(options.tls.verify && options.tls.verify_host);
    session.into_ssl(host).map_err(|error| {
        Error::Tls(format!("the host {host:?} cannot be asked for ({})", pem::said(&error)))
    })
}

/// Separates the names of TLS 1.3 suites from the other ciphers and OpenSSL's operators, since
/// OpenSSL has a separate call for each.
fn ciphers(options: &ConnectOptions) -> Result<(Option<String>, Option<String>), Error> {
    let Some(list) = &options.tls.ciphers else { return Ok((None, None)) };
    if list.contains('\0') {
        return Err(no_cipher(options));
    }
    let (suites, others): (Vec<_>, Vec<_>) = list
        .split([':', ',', ' '])
        .filter(|name| !name.is_empty())
        .partition(|name| name.starts_with("TLS_") && !name.contains("_WITH_"));
    if suites.is_empty() && others.is_empty() {
        return Err(no_cipher(options));
    }
    let join = |names: Vec<&str>| (!names.is_empty()).then(|| names.join(":"));
    Ok((join(suites), join(others)))
}

fn no_cipher(options: &ConnectOptions) -> Error {
    let key = options.key("TLS_CIPHERS");
    let list = options.tls.ciphers.as_deref().unwrap_or_default();
    Error::Tls(format!("{key} {list:?}: no cipher of that name; `openssl ciphers` lists them"))
}

/// The lowest and the highest version. If all ciphers are TLS 1.3 suites, lower versions are
/// disabled: they would use ciphers that are not in the list.
fn versions(
    options: &ConnectOptions,
    only_suites: bool,
) -> Result<(Option<SslVersion>, Option<SslVersion>), Error> {
    let (lowest, highest) = (options.tls.lowest, options.tls.highest);
    if let (Some(lowest), Some(highest)) = (lowest, highest)
        && lowest > highest
    {
        return Err(Error::Tls(format!(
            "{}: the lowest version, {}, is above the highest, {}",
            options.key("TLS_VERSION"),
            version_name(lowest),
            version_name(highest)
        )));
    }
    if !only_suites {
        return Ok((lowest.map(to_openssl), highest.map(to_openssl)));
    }
    match highest {
        None | Some(TlsVersion::V13) => Ok((Some(SslVersion::TLS1_3), highest.map(to_openssl))),
        Some(highest) => Err(Error::Tls(format!(
            "{} has ciphers of TLS 1.3 only, but the highest version ({}) is {}",
            options.key("TLS_CIPHERS"),
            options.key("TLS_VERSION"),
            version_name(highest)
        ))),
    }
}

fn to_openssl(version: TlsVersion) -> SslVersion {
    match version {
        TlsVersion::Ssl3 => SslVersion::SSL3,
        TlsVersion::V10 => SslVersion::TLS1,
        TlsVersion::V11 => SslVersion::TLS1_1,
        TlsVersion::V12 => SslVersion::TLS1_2,
        TlsVersion::V13 => SslVersion::TLS1_3,
    }
}

/// A version's name for messages.
pub fn version_name(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::Ssl3 => "SSL 3.0",
        TlsVersion::V10 => "TLS 1.0",
        TlsVersion::V11 => "TLS 1.1",
        TlsVersion::V12 => "TLS 1.2",
        TlsVersion::V13 => "TLS 1.3",
    }
}

/// The protocols to offer (RFC 7301, section 3.1), each with its length in front.
fn protocols(options: &ConnectOptions) -> Result<Option<Vec<u8>>, Error> {
    let mut encoded = Vec::new();
    for protocol in &options.tls.alpn {
        let length = u8::try_from(protocol.len()).ok().filter(|length| *length > 0);
        let Some(length) = length else {
            let key = options.key("TLS_ALPN");
            return Err(Error::Tls(format!("{key} {protocol:?}: a name has 1 to 255 bytes")));
        };
        encoded.push(length);
        encoded.extend_from_slice(protocol.as_bytes());
    }
    if encoded.len() > usize::from(u16::MAX) {
        let key = options.key("TLS_ALPN");
        return Err(Error::Tls(format!("{key}: all names together have at most 65535 bytes")));
    }
    Ok((!encoded.is_empty()).then_some(encoded))
}
