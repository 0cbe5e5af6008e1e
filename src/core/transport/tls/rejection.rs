//! Why the broker's certificate was rejected.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref, X509StoreContextRef};

use super::super::super::error::Error;
use super::super::super::options::{ConnectOptions, Pem};
use super::super::super::text::shown;
use super::{ca_certificates, pem};

// OpenSSL's error codes (`X509_V_ERR_*` in its x509_vfy.h).
const NO_ISSUER: i32 = 2;
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const SELF_SIGNED: i32 = 18;
const SELF_SIGNED_IN_CHAIN: i32 = 19;
const NO_LOCAL_ISSUER: i32 = 20;
const UNVERIFIED_LEAF: i32 = 21;
const WRONG_PURPOSE: i32 = 26;
const WRONG_HOST: i32 = 62;
const WRONG_ADDRESS: i32 = 64;
const WEAK: std::ops::RangeInclusive<i32> = 66..=68;

/// A certificate may have any number of names; a message shows at most these.
const NAMES_SHOWN: usize = 5;

/// The first verification error of a handshake.
#[derive(Clone, Default)]
pub struct Rejection(Arc<Mutex<Option<Objection>>>);

struct Objection {
    code: i32,
    message: &'static str,
    subject: String,
    issuer: String,
    not_before: String,
    not_after: String,
    names: Vec<String>,
}

impl Rejection {
    /// Records OpenSSL's first error.
    pub fn note(&self, context: &X509StoreContextRef) {
        let error = context.error();
        let certificate = context.current_cert();
        let text = |get: fn(&X509Ref) -> String| certificate.map(get).unwrap_or_default();
        let objection = Objection {
            code: error.as_raw(),
            message: error.error_string(),
            subject: text(|certificate| name(certificate.subject_name())),
            issuer: text(|certificate| name(certificate.issuer_name())),
            not_before: text(|certificate| certificate.not_before().to_string()),
            not_after: text(|certificate| certificate.not_after().to_string()),
            names: certificate.map(names).unwrap_or_default(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(objection);
    }

    /// The error for the recorded one, if there is any.
    pub fn explain(&self, options: &ConnectOptions, host: &str) -> Option<Error> {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(|objection| Error::Certificate {
            reason: objection.explain(options, host),
            code: objection.code,
            message: objection.message.to_owned(),
        })
    }
}

impl Objection {
    fn explain(&self, options: &ConnectOptions, host: &str) -> String {
        let Self { message, subject, not_before, not_after, .. } = self;
        let ca = options.key("TLS_CA_CERTS");
        match self.code {
            EXPIRED => {
                format!(
                    "the certificate of {subject} expired on {not_after}: the broker needs a new one"
                )
            }
            NOT_YET_VALID => format!(
                "the certificate of {subject} is not valid before {not_before}: is this machine's clock right?"
            ),
            SELF_SIGNED => format!(
                "the broker's certificate is self-signed, and not {}: name it in {ca} to trust it",
                among(options.tls.ca.as_ref())
            ),
            NO_ISSUER | SELF_SIGNED_IN_CHAIN | NO_LOCAL_ISSUER | UNVERIFIED_LEAF => format!(
                "the broker's certificate comes from an authority that is not {} ({}): name that authority's \
                 certificate in {ca}, or have the broker send those in between ({message})",
                among(options.tls.ca.as_ref()),
                self.issuer
            ),
            WRONG_HOST | WRONG_ADDRESS => format!(
                "the broker's certificate is not for {host:?} but for {}: connect to a name that it has, \
                 or set {} to True to take it for any",
                list(&self.names),
                options.key("TLS_INSECURE")
            ),
            WRONG_PURPOSE => {
                format!(
                    "the certificate of {subject} is not for a server: the broker needs another one"
                )
            }
            code if WEAK.contains(&code) => format!(
                "the certificate of {subject} is too weak ({message}): \"@SECLEVEL=0\" in {} allows it",
                options.key("TLS_CIPHERS")
            ),
            _ => format!("{message} (certificate of {subject}): look at {ca}"),
        }
    }
}

fn among(ca: Option<&Pem>) -> String {
    match ca {
        Some(given) => format!("in {}", pem::describe(given)),
        None if ca_certificates::system_has_any() => {
            "among the system's CA certificates".to_owned()
        }
        None => "among the system's CA certificates, as this system has none".to_owned(),
    }
}

fn list(names: &[String]) -> String {
    match names.len() {
        0 => "no name at all".to_owned(),
        count if count > NAMES_SHOWN => {
            format!("{} and {} more", names[..NAMES_SHOWN].join(", "), count - NAMES_SHOWN)
        }
        _ => names.join(", "),
    }
}

/// The names in the certificate. The subject's common name counts only if there are no others.
fn names(certificate: &X509Ref) -> Vec<String> {
    let mut found = Vec::new();
    for name in certificate.subject_alt_names().iter().flatten() {
        if let Some(domain) = name.dnsname() {
            found.push(shown(domain));
        } else if let Some(address) = name.ipaddress().and_then(address) {
            found.push(shown(&address));
        }
    }
    if found.is_empty() {
        common_name(certificate.subject_name()).into_iter().collect()
    } else {
        found
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
}

/// A short form of a subject: its common name, or else the last entry.
fn name(subject: &X509NameRef) -> String {
    let last = || subject.entries().last().and_then(|entry| entry.data().to_string().ok());
    common_name(subject)
        .or_else(|| last().map(|text| shown(&text)))
        .unwrap_or_else(|| "a subject without a name".to_owned())
}

fn common_name(subject: &X509NameRef) -> Option<String> {
    let entry = subject.entries_by_nid(Nid::COMMONNAME).next()?;
    Some(shown(&entry.data().to_string().ok()?))
}
