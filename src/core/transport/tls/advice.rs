//! Hints for TLS errors: what was wrong, and which key to check.

use std::io;

use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode};

use super::super::super::error::{Error, is_reset, said};
use super::super::super::options::{ConnectOptions, Endpoint};
use super::connector::version_name;
use super::pem;
use super::rejection::Rejection;

/// The code of OpenSSL's TLS library (`ERR_LIB_SSL`).
const LIBRARY: i32 = 20;

/// The code of the operating system there (`ERR_LIB_SYS`).
const SYSTEM: i32 = 2;

// OpenSSL's reasons (`SSL_R_*` in its sslerr.h).
const NO_CIPHERS: i32 = 181;
const NO_PROTOCOLS: i32 = 191;
const PACKET_TOO_LONG: i32 = 198;
const UNKNOWN_PROTOCOL: i32 = 252;
const UNSUPPORTED_PROTOCOL: i32 = 258;
const WRONG_VERSION_NUMBER: i32 = 267;
const UNEXPECTED_END: i32 = 294;
const LEGACY_SIGNATURE: i32 = 333;
const DH_KEY_TOO_SMALL: i32 = 394;
const VERSION_TOO_LOW: i32 = 396;
/// The reason of a received alert is its number (RFC 8446, section 6) plus this.
const ALERT: i32 = 1000;

const HANDSHAKE_FAILURE: i32 = 40;
const PROTOCOL_VERSION: i32 = 70;
const INSUFFICIENT_SECURITY: i32 = 71;
const UNRECOGNIZED_NAME: i32 = 112;
const CERTIFICATE_REQUIRED: i32 = 116;
const NO_APPLICATION_PROTOCOL: i32 = 120;

/// The facts about a connection that error texts use.
pub struct Advice {
    options: ConnectOptions,
    host: String,
    address: String,
}

impl Advice {
    pub fn new(options: &ConnectOptions, broker: &Endpoint) -> Self {
        // A certificate has neither the dot after a full name nor the zone of an IPv6 address.
        let host = broker.host.split('%').next().unwrap_or_default().trim_end_matches('.');
        Self { options: options.clone(), host: host.to_owned(), address: broker.address() }
    }

    /// The name to verify in the certificate.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The error for a failed handshake.
    pub fn handshake(&self, error: ssl::Error, rejection: &Rejection) -> Error {
        if let Some(error) = rejection.explain(&self.options, &self.host) {
            return error;
        }
        if let Some(error) = system(&error) {
            return if is_reset(&error) { self.cut() } else { error.into() };
        }
        match error.ssl_error() {
            Some(stack) if reasons(stack).any(|reason| reason == UNEXPECTED_END) => self.cut(),
            Some(stack) => self.explain(stack),
            None => match error.into_io_error() {
                Ok(error) if is_reset(&error) => self.cut(),
                Ok(error) => error.into(),
                Err(error) if error.code() == ErrorCode::SYSCALL => self.cut(),
                Err(error) => Error::Tls(error.to_string()),
            },
        }
    }

    /// The error for a connection that failed after its handshake. `heard` says whether the broker
    /// had sent anything.
    pub fn later(&self, error: io::Error, heard: bool) -> io::Error {
        if let Some(stack) = stack(&error) {
            return io::Error::other(self.explain(stack));
        }
        let error = of_tls(&error).and_then(system).unwrap_or(error);
        if heard || !is_reset(&error) {
            return error;
        }
        io::Error::other(Error::Tls(format!(
            "{} closed the connection right after the handshake ({}): possibly it {}",
            self.address,
            said(&error),
            self.objection()
        )))
    }

    fn explain(&self, stack: &ErrorStack) -> Error {
        let known = reasons(stack).find_map(|reason| match reason {
            ALERT..=1255 => Some(self.alert(reason - ALERT, stack)),
            WRONG_VERSION_NUMBER | UNKNOWN_PROTOCOL | PACKET_TOO_LONG => Some(format!(
                "{} does not speak TLS on this port: look at the port and at {}",
                self.address,
                self.key("TLS_ENABLED")
            )),
            UNSUPPORTED_PROTOCOL | VERSION_TOO_LOW => Some(self.version()),
            NO_PROTOCOLS => Some(format!(
                "no TLS version is enabled ({}): OpenSSL has TLS 1.0 and 1.1 only with \
                 \"@SECLEVEL=0\" in {}; look at {}",
                self.versions(),
                self.key("TLS_CIPHERS"),
                self.key("TLS_VERSION")
            )),
            NO_CIPHERS => Some(format!(
                "no cipher of {} goes with the version of TLS ({}): look at {}",
                self.key("TLS_CIPHERS"),
                self.versions(),
                self.key("TLS_VERSION")
            )),
            LEGACY_SIGNATURE => Some(format!(
                "the broker's signature is too weak for OpenSSL's security level, as with TLS 1.0 and 1.1: look at \
                 {}; \"@SECLEVEL=0\" in {} allows it",
                self.key("TLS_VERSION"),
                self.key("TLS_CIPHERS")
            )),
            DH_KEY_TOO_SMALL => Some(format!(
                "the broker's key exchange is too weak: \"@SECLEVEL=0\" in {} allows it",
                self.key("TLS_CIPHERS")
            )),
            _ => None,
        });
        let other = || format!("{} broke off: {}", self.address, pem::said(stack));
        Error::Tls(known.unwrap_or_else(other))
    }

    /// The meaning of an alert of the broker.
    fn alert(&self, number: i32, stack: &ErrorStack) -> String {
        let said = pem::said(stack);
        let said = said.rsplit("alert ").next().unwrap_or_default();
        match number {
            CERTIFICATE_REQUIRED => self.wants_certificate(said),
            // All alerts about the client's certificate: missing, bad, unsupported, revoked,
            // expired, unwanted, of an unknown CA, without access, or with a wrong signature.
            41..=46 | 48 | 49 | 51 if self.has_certificate() => format!(
                "the broker does not accept the client's certificate ({said}): look at {} and {}",
                self.key("TLS_CERTFILE"),
                self.key("TLS_KEYFILE")
            ),
            41..=46 | 48 | 49 => self.wants_certificate(said),
            HANDSHAKE_FAILURE | INSUFFICIENT_SECURITY => {
                let certificate = if self.has_certificate() {
                    format!("the client's certificate ({})", self.key("TLS_CERTFILE"))
                } else {
                    let (certificate, key) = (self.key("TLS_CERTFILE"), self.key("TLS_KEYFILE"));
                    format!("a client without a certificate (set {certificate} and {key})")
                };
                format!(
                    "the broker refuses the handshake ({said}): it does not accept {certificate}, or none \
                     of the ciphers ({})",
                    self.key("TLS_CIPHERS")
                )
            }
            PROTOCOL_VERSION => self.version(),
            UNRECOGNIZED_NAME => {
                format!("the broker knows no host named {:?} ({said})", self.host)
            }
            NO_APPLICATION_PROTOCOL => format!(
                "the broker speaks none of the protocols that {} offers ({said}): {:?}",
                self.key("TLS_ALPN"),
                self.options.tls.alpn
            ),
            _ => format!("the broker ended it with an alert: {said}"),
        }
    }

    fn wants_certificate(&self, said: &str) -> String {
        let (certificate, key) = (self.key("TLS_CERTFILE"), self.key("TLS_KEYFILE"));
        format!("the broker wants a client certificate ({said}): set {certificate} and {key}")
    }

    fn version(&self) -> String {
        format!(
            "the broker speaks no version of TLS that is asked for ({}): look at {}; TLS 1.0 and 1.1 also \
             need \"@SECLEVEL=0\" in {}",
            self.versions(),
            self.key("TLS_VERSION"),
            self.key("TLS_CIPHERS")
        )
    }

    fn versions(&self) -> String {
        match (self.options.tls.lowest, self.options.tls.highest) {
            (Some(lowest), Some(highest)) if lowest == highest => version_name(lowest).to_owned(),
            (Some(lowest), Some(highest)) => {
                format!("{} to {}", version_name(lowest), version_name(highest))
            }
            (Some(lowest), None) => format!("{} or higher", version_name(lowest)),
            (None, Some(highest)) => format!("{} or lower", version_name(highest)),
            (None, None) => "any".to_owned(),
        }
    }

    /// The error for a connection that was closed during the handshake.
    fn cut(&self) -> Error {
        Error::Tls(format!(
            "{} closed the connection in the handshake: possibly it does not speak TLS on this port \
             ({}), or {}",
            self.address,
            self.key("TLS_ENABLED"),
            self.objection()
        ))
    }

    /// Possible reasons why a broker hangs up on this client.
    fn objection(&self) -> String {
        let wish = if self.has_certificate() {
            "does not accept the client's certificate"
        } else {
            "wants a client certificate"
        };
        format!("{wish} ({} and {})", self.key("TLS_CERTFILE"), self.key("TLS_KEYFILE"))
    }

    fn has_certificate(&self) -> bool {
        self.options.tls.certificate.is_some()
    }

    fn key(&self, name: &str) -> String {
        self.options.key(name)
    }
}

/// Whether the peer closed without TLS's `close_notify`.
pub fn is_unexpected_end(error: &io::Error) -> bool {
    stack(error).is_some_and(|stack| reasons(stack).any(|reason| reason == UNEXPECTED_END))
}

/// Whether the peer sent an alert with its reason.
pub fn is_alert(error: &io::Error) -> bool {
    stack(error).is_some_and(|stack| reasons(stack).any(|reason| (ALERT..=1255).contains(&reason)))
}

/// The operating system's error, if OpenSSL put it among its own errors.
fn system(error: &ssl::Error) -> Option<io::Error> {
    let error = error.ssl_error()?.errors().first()?;
    let number = i32::try_from(error.code() & 0x7fff_ffff).ok()?;
    (error.library_code() == SYSTEM).then(|| io::Error::from_raw_os_error(number))
}

fn of_tls(error: &io::Error) -> Option<&ssl::Error> {
    error.get_ref()?.downcast_ref()
}

fn stack(error: &io::Error) -> Option<&ErrorStack> {
    of_tls(error).filter(|error| system(error).is_none())?.ssl_error()
}

fn reasons(stack: &ErrorStack) -> impl Iterator<Item = i32> {
    let of_tls = stack.errors().iter().filter(|error| error.library_code() == LIBRARY);
    of_tls.map(openssl::error::Error::reason_code)
}
