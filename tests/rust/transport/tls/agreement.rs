//! Versions, ciphers and protocols that both sides must agree on, and peers that do not speak TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, TlsVersion};
use openssl::dh::Dh;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{ShutdownState, SniError, SslAcceptorBuilder, SslOptions, SslVersion};

use super::certificates::{Certified, Wish, authority, certify};
use super::server::{Server, speak};
use super::{assert_says, connect, fail, options};
use crate::support::wait_for;

fn server(change: impl FnOnce(&mut SslAcceptorBuilder)) -> (Server, Certified) {
    let ca = authority("an authority");
    (Server::with(&ca.localhost(), change), ca)
}

fn refused(options: ConnectOptions, parts: &[&str]) {
    let error = fail(options);
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
    assert_says(&error.to_string(), parts);
}

fn only(builder: &mut SslAcceptorBuilder, version: SslVersion) {
    builder.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1);
    builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
}

#[test]
fn the_highest_version_of_both_is_spoken_within_the_bounds() {
    let (server, ca) = server(|_| {});
    for (highest, version) in [(None, "TLSv1.3"), (Some(TlsVersion::V12), "TLSv1.2")] {
        let mut options = options(server.port(), &ca);
        options.tls.highest = highest;
        let _app = connect(options);
        assert_eq!(server.seen().version, version);
    }
}

#[test]
fn old_versions_are_spoken_on_demand_only() {
    for (version, asked) in
        [(SslVersion::TLS1, TlsVersion::V10), (SslVersion::TLS1_1, TlsVersion::V11)]
    {
        let (server, ca) = server(|builder| only(builder, version));
        let mut options = options(server.port(), &ca);
        let parts = ["no version of TLS", "TLS 1.2 or higher", "MQTT_TLS_VERSION", "@SECLEVEL=0"];
        refused(options.clone(), &parts);
        options.tls.lowest = Some(asked);
        options.tls.highest = Some(asked);
        refused(options.clone(), &["MQTT_TLS_VERSION", "@SECLEVEL=0", "MQTT_TLS_CIPHERS"]);
        options.tls.ciphers = Some("DEFAULT:@SECLEVEL=0".to_owned());
        let _app = connect(options);
        server.seen();
    }
}

#[test]
fn a_broker_that_only_speaks_less_than_the_lowest_version_is_refused() {
    let (server, ca) = server(|builder| only(builder, SslVersion::TLS1_2));
    let mut options = options(server.port(), &ca);
    options.tls.lowest = Some(TlsVersion::V13);
    refused(options, &["TLS 1.3 or higher", "MQTT_TLS_VERSION"]);
}

#[test]
fn the_ciphers_of_the_list_are_used_in_either_version() {
    let (server, ca) = server(|_| {});
    let list = "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_CHACHA20_POLY1305_SHA256";
    let cases = [
        (TlsVersion::V12, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (TlsVersion::V13, "TLS_CHACHA20_POLY1305_SHA256"),
    ];
    for (version, cipher) in cases {
        let mut options = options(server.port(), &ca);
        options.tls.ciphers = Some(list.to_owned());
        options.tls.highest = Some(version);
        let _app = connect(options);
        assert_eq!(server.seen().cipher, cipher);
    }
}

#[test]
fn a_list_of_ciphers_of_tls_1_3_alone_lets_nothing_older_in() {
    let (server, ca) = server(|builder| only(builder, SslVersion::TLS1_2));
    let mut options = options(server.port(), &ca);
    options.tls.ciphers = Some("TLS_AES_128_GCM_SHA256".to_owned());
    refused(options, &["MQTT_TLS_VERSION"]);
}

#[test]
fn where_no_cipher_is_shared_the_ciphers_are_named() {
    let (server, ca) = server(|builder| {
        builder.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        builder.set_cipher_list("ECDHE-ECDSA-AES128-GCM-SHA256").unwrap();
    });
    let mut options = options(server.port(), &ca);
    options.tls.ciphers = Some("ECDHE-ECDSA-AES256-GCM-SHA384".to_owned());
    refused(options, &["refuses the handshake (handshake failure)", "MQTT_TLS_CIPHERS"]);
}

#[test]
fn ciphers_that_do_not_go_with_the_version_are_named_with_it() {
    let (server, ca) = server(|_| {});
    let mut options = options(server.port(), &ca);
    options.tls.lowest = Some(TlsVersion::V11);
    options.tls.highest = Some(TlsVersion::V11);
    options.tls.ciphers = Some("ECDHE-ECDSA-AES256-GCM-SHA384:@SECLEVEL=0".to_owned());
    refused(options, &["MQTT_TLS_CIPHERS", "(TLS 1.1)", "MQTT_TLS_VERSION"]);
}

#[test]
fn a_weak_key_exchange_is_refused_unless_it_is_allowed() {
    let ca = authority("an authority");
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let server = Server::with(&certify(&Wish::default(), Some(&ca), key), |builder| {
        only(builder, SslVersion::TLS1_2);
        builder.set_cipher_list("DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0").unwrap();
        builder.set_tmp_dh(&Dh::get_1024_160().unwrap()).unwrap();
    });
    let mut options = options(server.port(), &ca);
    options.tls.ciphers = Some("DHE-RSA-AES128-GCM-SHA256".to_owned());
    refused(options.clone(), &["key exchange is too weak", "@SECLEVEL=0", "MQTT_TLS_CIPHERS"]);
    options.tls.ciphers = Some("DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0".to_owned());
    let _app = connect(options);
    server.seen();
}

#[test]
fn a_host_that_the_broker_does_not_know_is_named() {
    let (server, ca) = server(|builder| {
        builder.set_servername_callback(|_, _| Err(SniError::ALERT_FATAL));
    });
    refused(options(server.port(), &ca), &["knows no host named \"localhost\""]);
}

#[test]
fn protocols_are_offered_in_their_order_and_one_is_chosen() {
    let (server, ca) = server(|builder| speak(builder, b"\x04mqtt"));
    let mut options = options(server.port(), &ca);
    options.tls.alpn = vec!["x-amzn-mqtt-ca".to_owned(), "mqtt".to_owned()];
    let _app = connect(options.clone());
    assert_eq!(server.seen().alpn.as_deref(), Some("mqtt"));
    options.tls.alpn.pop();
    refused(options, &["MQTT_TLS_ALPN", "x-amzn-mqtt-ca"]);
}

/// A peer that runs a test's function on its first connection.
fn peer(act: impl FnOnce(TcpStream) + Send + 'static) -> ConnectOptions {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || act(listener.accept().unwrap().0));
    options(port, &authority("an authority"))
}

#[test]
fn a_peer_that_answers_in_another_language_does_not_speak_tls() {
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let options = peer(move |mut stream| {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 4096]); // until the client closes
        });
        refused(options, &["does not speak TLS on this port", "MQTT_TLS_ENABLED"]);
    }
}

#[test]
fn a_peer_that_hangs_up_in_the_handshake_may_not_speak_tls() {
    for read in [true, false] {
        let options = peer(move |mut stream| {
            // With unread data, closing sends the client a reset instead of an end.
            if read {
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            } else {
                stream.peek(&mut [0]).unwrap();
            }
        });
        let parts =
            ["closed the connection in the handshake", "MQTT_TLS_ENABLED", "MQTT_TLS_CERTFILE"];
        refused(options, &parts);
    }
}

#[test]
fn a_peer_that_says_nothing_is_given_up_after_the_handshake_timeout() {
    let mut options = peer(|mut stream| while stream.read(&mut [0; 4096]).unwrap_or(0) > 0 {});
    options.connect_timeout = Duration::from_millis(200);
    options.handshake_timeout = Duration::from_millis(200);
    let error = fail(options);
    assert!(matches!(error, Error::ConnectTimeout { step: "TLS handshake", .. }), "{error:?}");
}

#[test]
fn a_broker_that_hangs_up_without_a_close_notify_of_tls_has_closed_the_connection() {
    let (server, ca) = server(|_| {});
    let app = connect(options(server.port(), &ca));
    drop(server.seen().stream.get_ref().shutdown(std::net::Shutdown::Both));
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 7);
    assert_says(&notice, &["connection closed by the broker; next attempt"]);
}

#[test]
fn a_disconnect_ends_with_a_close_notify_of_tls() {
    let (server, ca) = server(|_| {});
    let app = connect(options(server.port(), &ca));
    let mut seen = server.seen();
    app.disconnect();
    let mut rest = Vec::new();
    wait_for("the end", || seen.stream.read_to_end(&mut rest).ok());
    assert_eq!(rest, [0xe0, 0], "a DISCONNECT");
    assert!(seen.stream.get_shutdown().contains(ShutdownState::RECEIVED));
}
