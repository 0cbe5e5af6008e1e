//! Brokers that require a client certificate.

use std::net::TcpListener;

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Secret};
use openssl::ec::{Asn1Flag, EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::SslVersion;
use openssl::symm::Cipher;

use super::certificates::{Certified, Wish, authority, certify};
use super::server::{Server, acceptor, demand};
use super::{assert_says, connect, fail, options, text};
use crate::support::App;

const PASSWORD: &[u8] = b"secret password";

fn client() -> Wish {
    Wish { name: "a client", dns: vec![], ..Wish::default() }
}

/// A broker that requires a client certificate of a CA, with that CA.
fn demanding(version: SslVersion) -> (Server, Certified) {
    let ca = authority("an authority");
    let server = Server::with(&ca.localhost(), |builder| demand(builder, &ca, version));
    (server, ca)
}

fn accepted(server: &Server, options: ConnectOptions) {
    let _app = connect(options);
    assert_eq!(server.seen().client.as_deref(), Some("a client"));
}

/// Every format of a private key.
fn forms(key: &PKey<Private>) -> Vec<(Vec<u8>, bool)> {
    let cipher = Cipher::aes_128_cbc();
    let mut forms = vec![
        (key.private_key_to_pem_pkcs8().unwrap(), false),
        (key.private_key_to_pem_pkcs8_passphrase(cipher, PASSWORD).unwrap(), true),
    ];
    if let Ok(rsa) = key.rsa() {
        forms.push((rsa.private_key_to_pem().unwrap(), false));
        forms.push((rsa.private_key_to_pem_passphrase(cipher, PASSWORD).unwrap(), true));
    }
    if let Ok(ec) = key.ec_key() {
        let plain = ec.private_key_to_pem().unwrap();
        let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
        // The format of `openssl ecparam -genkey`: the curve in a block before the key.
        let curve =
            b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        forms.push(([&curve[..], &plain].concat(), false));
        forms.push((plain, false));
        forms.push((ec.private_key_to_pem_passphrase(cipher, PASSWORD).unwrap(), true));
    }
    forms
}

#[test]
fn keys_in_every_form_are_accepted() {
    let (server, ca) = demanding(SslVersion::TLS1_3);
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let keys = [
        PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(),
        PKey::generate_ed25519().unwrap(),
    ];
    let mut count = 0;
    for key in keys {
        let client = certify(&client(), Some(&ca), key);
        for (pem, encrypted) in forms(&client.key) {
            let mut options = options(server.port(), &ca);
            options.tls.certificate = Some(client.pem());
            options.tls.key = Some(text(pem));
            options.tls.key_password =
                encrypted.then(|| Secret(String::from_utf8(PASSWORD.to_vec()).unwrap()));
            accepted(&server, options);
            count += 1;
        }
    }
    assert_eq!(count, 11);
}

#[test]
fn a_key_beside_its_certificate_is_found_in_either_order() {
    let (server, ca) = demanding(SslVersion::TLS1_2);
    let client = ca.issue(&client());
    let key = client.key.private_key_to_pem_pkcs8().unwrap();
    for pem in [[client.text(), key.clone()].concat(), [key, client.text()].concat()] {
        let mut options = options(server.port(), &ca);
        options.tls.certificate = Some(text(pem));
        accepted(&server, options);
    }
}

#[test]
fn the_chain_beside_the_certificate_is_sent() {
    let (server, ca) = demanding(SslVersion::TLS1_3);
    let middle =
        ca.issue(&Wish { name: "a middle", dns: vec![], authority: true, ..Wish::default() });
    let client = middle.issue(&client());
    let mut options = options(server.port(), &ca);
    options.tls.certificate = Some(text([client.text(), middle.text()].concat()));
    options.tls.key = Some(client.key_pem());
    accepted(&server, options);
}

/// The error for a broker that rejects a client: in TLS 1.2 during the handshake, in TLS 1.3 after
/// it.
fn refusal(version: SslVersion, options: ConnectOptions) -> String {
    if version == SslVersion::TLS1_2 {
        let error = fail(options);
        assert!(matches!(error, Error::Tls(_)), "{error:?}");
        return error.to_string();
    }
    let app = App::new();
    app.connect(options).unwrap();
    let (code, notice) = app.wait_lost();
    assert_eq!(code, 7);
    notice
}

#[test]
fn a_client_without_a_certificate_is_told_to_set_one() {
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let (server, ca) = demanding(version);
        let said = refusal(version, options(server.port(), &ca));
        assert_says(&said, &["TLS: ", "certificate", "MQTT_TLS_CERTFILE and MQTT_TLS_KEYFILE"]);
    }
}

#[test]
fn a_client_with_a_certificate_of_another_authority_is_told_so() {
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let (server, ca) = demanding(version);
        let stranger = authority("another").issue(&client());
        let mut options = options(server.port(), &ca);
        options.tls.certificate = Some(stranger.pem());
        options.tls.key = Some(stranger.key_pem());
        let said = refusal(version, options);
        assert_says(
            &said,
            &["does not accept the client's certificate (unknown ca)", "MQTT_TLS_CERTFILE"],
        );
    }
}

#[test]
fn a_client_with_an_expired_certificate_is_told_so() {
    let (server, ca) = demanding(SslVersion::TLS1_3);
    let expired = ca.issue(&Wish { valid: (-20, -10), ..client() });
    let mut options = options(server.port(), &ca);
    options.tls.certificate = Some(expired.pem());
    options.tls.key = Some(expired.key_pem());
    let said = refusal(SslVersion::TLS1_3, options);
    assert_says(&said, &["client's certificate (certificate expired)", "MQTT_TLS_CERTFILE"]);
}

#[test]
fn of_a_broker_that_hangs_up_with_its_refusal_either_is_told_with_the_keys() {
    let ca = authority("an authority");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = options(listener.local_addr().unwrap().port(), &ca);
    let acceptor = acceptor(&ca.localhost(), |builder| demand(builder, &ca, SslVersion::TLS1_3));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            drop(acceptor.accept(stream));
        }
    });
    for _ in 0..20 {
        let said = refusal(SslVersion::TLS1_3, options.clone());
        assert_says(&said, &["TLS: ", "MQTT_TLS_CERTFILE and MQTT_TLS_KEYFILE"]);
    }
}
