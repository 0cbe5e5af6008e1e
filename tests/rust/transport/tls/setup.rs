//! Mistakes that are detected before connecting, and their messages.

use std::io::ErrorKind;
use std::path::PathBuf;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Pem, Secret, TlsVersion};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;

use super::certificates::{Certified, Folder, Wish, authority, certify, new_key};
use super::{assert_says, options, text};
use crate::support::App;

const GARBAGE: &[u8] = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";

/// Options for a port without a listener, changed by a test.
fn with(change: impl FnOnce(&mut ConnectOptions, &Certified)) -> ConnectOptions {
    let ca = authority("an authority");
    let mut options = options(1, &ca);
    change(&mut options, &ca);
    options
}

/// Asserts that connecting fails before any attempt, because TLS cannot be set up.
fn assert_refused(options: ConnectOptions, parts: &[&str]) {
    let error = App::new().client.connect(options, true).unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
    assert_says(&error.to_string(), parts);
}

fn assert_unreadable(options: ConnectOptions, kind: ErrorKind, parts: &[&str]) {
    let error = App::new().client.connect(options, true).unwrap_err();
    let Error::File { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), kind);
    assert_says(&error.to_string(), parts);
}

#[test]
fn files_that_are_not_there_are_named_with_their_keys() {
    let missing = || Some(Pem::Path(PathBuf::from("/nowhere/file.pem")));
    let say = |key| ["/nowhere/file.pem", key];
    let no_ca = with(|options, _| options.tls.ca = missing());
    assert_unreadable(no_ca, ErrorKind::NotFound, &say("MQTT_TLS_CA_CERTS"));
    let no_certificate = with(|options, _| options.tls.certificate = missing());
    assert_unreadable(no_certificate, ErrorKind::NotFound, &say("MQTT_TLS_CERTFILE"));
    let no_key = with(|options, ca| {
        options.tls.certificate = Some(ca.pem());
        options.tls.key = missing();
    });
    assert_unreadable(no_key, ErrorKind::NotFound, &say("MQTT_TLS_KEYFILE"));
}

#[test]
fn a_directory_is_no_certificate_and_a_device_is_no_file() {
    let folder = Folder::new();
    let directory = with(|options, _| {
        options.tls.certificate = Some(Pem::Path(folder.path().to_owned()));
    });
    assert_unreadable(directory, ErrorKind::IsADirectory, &["MQTT_TLS_CERTFILE", "Is a directory"]);
    let device = with(|options, _| options.tls.ca = Some(Pem::Path(PathBuf::from("/dev/zero"))));
    let parts = ["MQTT_TLS_CA_CERTS", "not a regular file"];
    assert_unreadable(device, ErrorKind::InvalidInput, &parts);
}

#[test]
fn ca_certificates_without_a_usable_certificate_are_refused() {
    let folder = Folder::new();
    let empty = Pem::Path(folder.path().to_owned());
    for nothing in [text(vec![]), text(b"hello".to_vec()), empty] {
        let options = with(|options, _| options.tls.ca = Some(nothing));
        assert_refused(options, &["MQTT_TLS_CA_CERTS: no PEM certificate in "]);
    }
    let garbage = with(|options, _| options.tls.ca = Some(text(GARBAGE.to_vec())));
    assert_refused(garbage, &["MQTT_TLS_CA_CERTS: the PEM text: a certificate is damaged"]);
    let file = folder.write("broken.crt", GARBAGE);
    let directory = with(|options, _| options.tls.ca = Some(Pem::Path(folder.path().to_owned())));
    assert_refused(directory, &["MQTT_TLS_CA_CERTS", file.to_str().unwrap(), "damaged"]);
}

#[test]
fn a_certificate_whose_password_openssl_would_ask_the_terminal_for_is_refused() {
    let body = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n";
    let encrypted = String::from_utf8(GARBAGE.to_vec()).unwrap().replace("!!!!", body);
    let options = with(|options, _| options.tls.ca = Some(text(encrypted.into())));
    assert_refused(options, &["MQTT_TLS_CA_CERTS", "encrypted certificate"]);
}

#[test]
fn a_key_without_a_certificate_is_refused() {
    let options = with(|options, ca| options.tls.key = Some(ca.key_pem()));
    assert_refused(options, &["MQTT_TLS_KEYFILE is set", "MQTT_TLS_CERTFILE is not"]);
}

#[test]
fn a_certificate_without_a_key_is_refused() {
    let options = with(|options, ca| options.tls.certificate = Some(ca.pem()));
    assert_refused(options, &["MQTT_TLS_CERTFILE: no PEM private key", "MQTT_TLS_KEYFILE"]);
    let options = with(|options, ca| {
        options.tls.certificate = Some(ca.pem());
        options.tls.key = Some(ca.pem());
    });
    assert_refused(options, &["MQTT_TLS_KEYFILE: no PEM private key in the PEM text"]);
}

#[test]
fn a_client_certificate_that_is_none_is_refused() {
    let options = with(|options, ca| options.tls.certificate = Some(ca.key_pem()));
    assert_refused(options, &["MQTT_TLS_CERTFILE: no PEM certificate"]);
    let options = with(|options, _| options.tls.certificate = Some(text(GARBAGE.to_vec())));
    assert_refused(options, &["MQTT_TLS_CERTFILE", "damaged"]);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let options = with(|options, ca| {
        options.tls.certificate = Some(ca.pem());
        options.tls.key = Some(authority("another").key_pem());
    });
    assert_refused(options, &["MQTT_TLS_KEYFILE does not match MQTT_TLS_CERTFILE"]);
}

/// Options with a key that `secret password` opens.
fn encrypted(password: Option<&str>) -> ConnectOptions {
    with(|options, ca| {
        let (cipher, right) = (Cipher::aes_128_cbc(), b"secret password");
        let pem = ca.key.private_key_to_pem_pkcs8_passphrase(cipher, right).unwrap();
        options.tls.certificate = Some(ca.pem());
        options.tls.key = Some(text(pem));
        options.tls.key_password = password.map(|password| Secret(password.to_owned()));
    })
}

#[test]
fn an_encrypted_key_without_its_password_is_refused_and_nobody_is_asked_for_it() {
    assert_refused(
        encrypted(None),
        &["the key in the PEM text is encrypted", "MQTT_TLS_KEYFILE_PASSWORD"],
    );
}

#[test]
fn a_wrong_password_is_refused_and_not_shown() {
    for wrong in ["a wrong one", "secret\0password"] {
        let options = encrypted(Some(wrong));
        assert!(!format!("{options:?}").contains("wrong one"));
        let error = App::new().client.connect(options, true).unwrap_err();
        assert_says(&error.to_string(), &["MQTT_TLS_KEYFILE_PASSWORD"]);
        assert!(!format!("{error} {error:?}").contains(wrong));
    }
}

#[test]
fn a_damaged_key_is_refused_and_not_shown() {
    let options = with(|options, ca| {
        let damaged = String::from_utf8(new_key().private_key_to_pem_pkcs8().unwrap()).unwrap();
        options.tls.certificate = Some(ca.pem());
        options.tls.key = Some(text(damaged.replace("\nMI", "\nAA").into()));
    });
    assert_refused(options, &["MQTT_TLS_KEYFILE: the key in the PEM text is damaged"]);
}

#[test]
fn ciphers_that_openssl_does_not_know_are_refused() {
    for list in ["NONSENSE", "TLS_NONSENSE", "", ":", "AES\0"] {
        let options = with(|options, _| options.tls.ciphers = Some(list.to_owned()));
        assert_refused(options, &[&format!("MQTT_TLS_CIPHERS {list:?}"), "no cipher"]);
    }
}

#[test]
fn versions_that_leave_nothing_are_refused() {
    let options = with(|options, _| {
        options.tls.lowest = Some(TlsVersion::V13);
        options.tls.highest = Some(TlsVersion::V12);
    });
    assert_refused(options, &["MQTT_TLS_VERSION", "TLS 1.3", "TLS 1.2"]);
    let options = with(|options, _| {
        options.tls.ciphers = Some("TLS_AES_128_GCM_SHA256".to_owned());
        options.tls.highest = Some(TlsVersion::V12);
    });
    assert_refused(options, &["MQTT_TLS_CIPHERS", "MQTT_TLS_VERSION", "TLS 1.2"]);
}

#[test]
fn protocols_to_offer_with_an_impossible_length_are_refused() {
    for protocol in [String::new(), "x".repeat(256)] {
        let options = with(|options, _| options.tls.alpn = vec![protocol]);
        assert_refused(options, &["MQTT_TLS_ALPN", "1 to 255 bytes"]);
    }
    let options = with(|options, _| options.tls.alpn = vec!["x".repeat(255); 300]);
    assert_refused(options, &["MQTT_TLS_ALPN", "at most 65535 bytes"]);
}

#[test]
fn a_certificate_that_is_too_weak_for_openssl_is_refused() {
    let weak = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let mut options = with(|options, ca| {
        let weak = certify(&Wish::default(), Some(ca), weak);
        options.tls.certificate = Some(weak.pem());
        options.tls.key = Some(weak.key_pem());
    });
    assert_refused(options.clone(), &["MQTT_TLS_CERTFILE", "too small", "@SECLEVEL=0"]);
    options.tls.ciphers = Some("DEFAULT:@SECLEVEL=0".to_owned());
    App::new().client.connect(options, true).unwrap();
}
