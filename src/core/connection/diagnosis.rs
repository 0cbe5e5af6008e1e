//! Hints for the log when no broker answered the CONNECT.

use std::io;

use super::super::error::{Error, is_reset};
use super::super::options::{ConnectOptions, Protocol, Transport};
use super::super::text::shown;

/// The values on Linux and macOS for "Too many open files", in the process and in the system.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Detects other protocols by their first bytes, which no MQTT packet of a broker begins with.
pub fn look_at(beginning: &[u8], options: &ConnectOptions) -> Result<(), Error> {
    let (what, key) = if beginning.starts_with(b"HTTP/") {
        ("HTTP", "TRANSPORT")
    } else if beginning.starts_with(&[21, 3]) {
        ("TLS", "TLS_ENABLED") // an alert (RFC 8446, section 5.1)
    } else {
        return Ok(());
    };
    let key = options.key(key);
    let text = format!("the broker answers with {what}: look at the port and at {key}");
    Err(Error::Protocol(text))
}

/// The error for a connection that ended before the CONNACK. Many brokers hang up without a reason.
pub fn explain(error: Error, options: &ConnectOptions) -> Error {
    let is_end = match &error {
        Error::Closed => true,
        Error::Io(source) => is_reset(source),
        _ => false,
    };
    if !is_end {
        return error;
    }
    let broker = options.broker();
    let mut guesses = Vec::new();
    if !broker.tls && broker.transport != Transport::Unix {
        guesses.push(format!("wants TLS on this port ({})", options.key("TLS_ENABLED")));
    } else if broker.tls && options.tls.certificate.is_none() {
        guesses.push(format!("wants a client certificate ({})", options.key("TLS_CERTFILE")));
    }
    guesses.push(format!(
        "does not speak {} ({})",
        name(options.protocol),
        options.key("PROTOCOL_VERSION")
    ));
    if let Some(will) = &options.will {
        let (topic, key) = (shown(&will.topic), options.key("LAST_WILL_TOPIC"));
        guesses.push(format!("does not take the will on {topic} ({key})"));
    }
    let login = format!("({} and {})", options.key("CLIENT_ID"), options.key("USERNAME"));
    guesses.push(format!("does not let this client in {login}; its log may say so"));
    Error::Unanswered(guesses.join(", or "))
}

/// A hint if a broker cannot be reached; `None` if the error is clear by itself.
///
/// `first` is an attempt whose caller waits for it and gets an exception.
pub fn advise(error: &Error, options: &ConnectOptions, first: bool) -> Option<String> {
    let mut advice: Vec<String> = Vec::new();
    let each = match error {
        Error::Brokers(errors) => errors.as_slice(),
        one => std::slice::from_ref(one),
    };
    for text in each.iter().filter_map(|error| where_to_look(error, options)) {
        if !advice.contains(&text) {
            advice.push(text);
        }
    }
    if advice.is_empty() {
        return None;
    }
    let advice = advice.join(". ");
    if first && each.iter().any(is_away) {
        let how =
            if options.key_prefix.is_some() { "connect_async=True" } else { "connect_async()" };
        return Some(format!("{advice}; {how} starts without one"));
    }
    Some(advice)
}

/// Whether no broker was listening.
fn is_away(error: &Error) -> bool {
    use Error::{Connect, ConnectTimeout, Resolve};
    let timeout = |step| matches!(step, "TCP connection" | "proxy connection");
    matches!(error, Connect { source, .. } if !is_out_of_descriptors(source))
        || matches!(error, Resolve { .. })
        || matches!(error, ConnectTimeout { step, .. } if timeout(*step))
}

/// Whether this process, or the system, has no descriptors left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

fn where_to_look(error: &Error, options: &ConnectOptions) -> Option<String> {
    let proxy = options.key("PROXY");
    let (host, port) = match options.key_prefix {
        Some(_) => (options.key("BROKER_URL"), options.key("BROKER_PORT")),
        None => ("the host".to_owned(), "the port".to_owned()),
    };
    Some(match error {
        Error::Connect { source, .. } if is_out_of_descriptors(source) => {
            "How many files may a process have open? Check the limit (ulimit -n)".to_owned()
        }
        Error::Connect { address, .. } if address.starts_with("proxy ") => {
            format!("Is a proxy running there? Check {proxy}")
        }
        Error::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            format!("May this process use it? Check {host} and the permissions")
        }
        Error::Connect { address, .. } if address.contains('/') => {
            format!("Is a broker running there? Check {host}")
        }
        Error::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
            format!("Is a broker running there? Check {host} and {port}")
        }
        Error::Connect { .. } => {
            format!("Is there a way to the broker? Check {host} and the network")
        }
        Error::Resolve { .. } => format!("Is the name right? Check {host} and the network"),
        Error::ConnectTimeout { step: "TCP connection", .. } => {
            format!("Is a firewall in between? Check {host} and {port}")
        }
        Error::ConnectTimeout { step: "proxy connection", .. } => {
            format!("Is the proxy running, and can it reach the broker? Check {proxy} and {host}")
        }
        Error::ConnectTimeout { step: "TLS handshake", .. } => {
            format!(
                "Does the broker speak TLS on this port? Check {port} and {}",
                options.key("TLS_ENABLED")
            )
        }
        Error::ConnectTimeout { step: "websocket handshake", .. } => format!(
            "Does the broker speak websockets on this port? Check {port}, {} and {}",
            options.key("TRANSPORT"),
            options.key("TLS_ENABLED")
        ),
        Error::ConnectTimeout { .. } => format!(
            "Does a broker speak MQTT on this port? Check {port} and {}",
            options.key("TLS_ENABLED")
        ),
        _ => return None,
    })
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::V31 => "MQTT 3.1",
        Protocol::V311 => "MQTT 3.1.1",
        Protocol::V5 => "MQTT 5",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails is to panic

    use super::*;

    fn explained(error: Error, change: impl FnOnce(&mut ConnectOptions)) -> String {
        let mut options = ConnectOptions::new("localhost", 1883);
        options.key_prefix = Some("MQTT".to_owned());
        change(&mut options);
        explain(error, &options).to_string()
    }

    #[test]
    fn a_broker_that_hangs_up_without_a_word_may_want_tls() {
        let reset = Error::Io(io::ErrorKind::ConnectionReset.into());
        for error in [Error::Closed, reset] {
            let text = explained(error, |_| {});
            assert!(text.contains("wants TLS on this port (MQTT_TLS_ENABLED)"), "{text}");
            assert!(text.contains("MQTT 3.1.1 (MQTT_PROTOCOL_VERSION)"), "{text}");
        }
        let text = explained(Error::Closed, |options| options.brokers[0].tls = true);
        assert!(text.contains("wants a client certificate (MQTT_TLS_CERTFILE)"), "{text}");
        assert!(!text.contains("TLS_ENABLED"), "{text}");
    }

    #[test]
    fn an_error_that_says_enough_stays() {
        let text = explained(Error::Refused(5), |_| {});
        assert_eq!(text, Error::Refused(5).to_string());
        let text = explained(Error::Io(io::Error::from_raw_os_error(5)), |_| {});
        assert!(!text.contains("TLS"), "{text}");
    }

    #[test]
    fn advice_names_the_keys_or_the_arguments_and_comes_once() {
        let refused = |kind: io::ErrorKind, address: &str| Error::Connect {
            address: address.to_owned(),
            source: kind.into(),
        };
        let mut options = ConnectOptions::new("localhost", 1883);
        let denied = refused(io::ErrorKind::PermissionDenied, "/run/broker.sock");
        let text = advise(&denied, &options, false).unwrap();
        assert_eq!(text, "May this process use it? Check the host and the permissions");
        options.key_prefix = Some("MQTT".to_owned());
        let each = || refused(io::ErrorKind::ConnectionRefused, "localhost:1883");
        let text = advise(&Error::Brokers(vec![each(), each()]), &options, true).unwrap();
        assert_eq!(
            text,
            "Is a broker running there? Check MQTT_BROKER_URL and MQTT_BROKER_PORT; \
             connect_async=True starts without one"
        );
        assert!(advise(&Error::Tls("x".to_owned()), &options, true).is_none());
    }

    #[test]
    fn an_answer_of_another_protocol_is_told_from_mqtt() {
        let options = ConnectOptions::new("localhost", 1883);
        let refusal = |bytes| look_at(bytes, &options).map_err(|error| error.to_string());
        assert!(refusal(b"HTTP/1.1 400 Bad Request").is_err_and(|text| text.contains("transport")));
        assert!(refusal(&[21, 3, 3, 0, 2, 2, 70]).is_err_and(|text| text.contains("tls_enabled")));
        assert!(refusal(&[0x20, 2, 0, 0]).is_ok());
    }
}
