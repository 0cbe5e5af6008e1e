//! Which broker certificates are trusted, and the messages about the others.

use flask_mqtt_core::core::error::Error;
use flask_mqtt_core::core::options::{ConnectOptions, Pem};
use flask_mqtt_core::core::session::Event;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::certificates::{Certified, Folder, Wish, authority, certify, self_signed};
use super::server::{Server, acceptor};
use super::{assert_says, connect, fail, options};
use crate::support::App;

const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const SELF_SIGNED: i32 = 18;
const SELF_SIGNED_IN_CHAIN: i32 = 19;
const NO_LOCAL_ISSUER: i32 = 20;
const WRONG_PURPOSE: i32 = 26;
const WRONG_HOST: i32 = 62;
const WRONG_ADDRESS: i32 = 64;
const KEY_TOO_SMALL: i32 = 66;

/// Connects, and asserts OpenSSL's error code and the text of the error.
fn assert_rejected(options: ConnectOptions, expected: i32, parts: &[&str]) {
    let error = fail(options);
    let Error::Certificate { code, message, .. } = &error else { panic!("{error}") };
    assert_eq!(*code, expected, "{error}");
    assert!(!message.is_empty());
    assert_says(&error.to_string(), parts);
    assert_says(&error.to_string(), &["TLS: certificate verify failed: "]);
}

fn connects(options: ConnectOptions, server: &Server) {
    let _app = connect(options);
    server.seen();
}

#[test]
fn a_broker_whose_authority_is_given_as_text_or_file_or_directory_is_trusted() {
    let ca = authority("an authority");
    let server = Server::new(&ca.localhost());
    let folder = Folder::new();
    let file = folder.write("ca.pem", ca.text());
    let trusted = [ca.pem(), Pem::Path(file), Pem::Path(folder.path().to_owned())];
    for pem in trusted {
        let mut options = options(server.port(), &ca);
        options.tls.ca = Some(pem);
        let _app = connect(options);
        assert_eq!(server.seen().sni.as_deref(), Some("localhost"));
    }
}

#[test]
fn of_a_directory_with_hashed_names_the_hashed_files_count() {
    let ca = authority("an authority");
    let server = Server::new(&ca.localhost());
    let folder = Folder::new();
    folder.write("notes.pem", "not a certificate");
    folder.write(&format!("{:08x}.0", ca.certificate.subject_name_hash()), ca.text());
    let mut options = options(server.port(), &ca);
    options.tls.ca = Some(Pem::Path(folder.path().to_owned()));
    connects(options, &server);
}

#[test]
fn a_broker_of_another_authority_is_not_trusted() {
    let server = Server::new(&authority("theirs").localhost());
    let mut options = options(server.port(), &authority("ours"));
    let parts = ["an authority that is not in the PEM text", "MQTT_TLS_CA_CERTS"];
    assert_rejected(options.clone(), NO_LOCAL_ISSUER, &parts);
    options.tls.verify_host = false;
    assert_rejected(options.clone(), NO_LOCAL_ISSUER, &parts);
    options.key_prefix = None;
    assert_rejected(options, NO_LOCAL_ISSUER, &["certificate in tls_ca_certs"]);
}

#[test]
fn an_authority_that_the_broker_sends_itself_is_not_trusted() {
    let theirs = authority("theirs");
    let server = Server::with(&theirs.localhost(), |builder| {
        builder.add_extra_chain_cert(theirs.certificate.clone()).unwrap();
    });
    let parts = ["an authority that is not in the PEM text", "MQTT_TLS_CA_CERTS"];
    assert_rejected(options(server.port(), &authority("ours")), SELF_SIGNED_IN_CHAIN, &parts);
}

#[test]
fn without_ca_certificates_of_ones_own_the_systems_are_asked() {
    let server = Server::new(&authority("theirs").localhost());
    let mut options = options(server.port(), &authority("ours"));
    options.tls.ca = None;
    assert_rejected(
        options,
        NO_LOCAL_ISSUER,
        &["the system's CA certificates", "MQTT_TLS_CA_CERTS"],
    );
}

#[test]
fn a_self_signed_certificate_is_trusted_where_it_is_named_only() {
    let alone = self_signed(&Wish::default());
    let server = Server::new(&alone);
    let stranger = options(server.port(), &authority("ours"));
    assert_rejected(stranger, SELF_SIGNED, &["self-signed", "MQTT_TLS_CA_CERTS"]);
    connects(options(server.port(), &alone), &server);
}

#[test]
fn an_expired_certificate_is_refused_with_its_date() {
    let ca = authority("an authority");
    let server = Server::new(&ca.issue(&Wish { valid: (-20, -10), ..Wish::default() }));
    let parts = ["the certificate of \"a server\" expired on ", "GMT"];
    assert_rejected(options(server.port(), &ca), EXPIRED, &parts);
}

#[test]
fn a_certificate_of_the_future_is_refused_with_its_date() {
    let ca = authority("an authority");
    let server = Server::new(&ca.issue(&Wish { valid: (10, 20), ..Wish::default() }));
    let parts = ["not valid before ", "GMT", "clock"];
    assert_rejected(options(server.port(), &ca), NOT_YET_VALID, &parts);
}

#[test]
fn a_certificate_for_other_names_is_refused_with_these_names() {
    let ca = authority("an authority");
    let wish = Wish { dns: vec!["a.test", "*.b.test"], ip: vec!["10.0.0.1"], ..Wish::default() };
    let server = Server::new(&ca.issue(&wish));
    let mut options = options(server.port(), &ca);
    let parts = ["\"localhost\"", "\"a.test\", \"*.b.test\", \"10.0.0.1\"", "MQTT_TLS_INSECURE"];
    assert_rejected(options.clone(), WRONG_HOST, &parts);
    options.tls.verify_host = false;
    connects(options, &server);
}

#[test]
fn a_certificate_with_a_hundred_names_does_not_flood_the_message() {
    let ca = authority("an authority");
    let server = Server::new(&ca.issue(&Wish { dns: vec!["x.test"; 100], ..Wish::default() }));
    assert_rejected(options(server.port(), &ca), WRONG_HOST, &["and 95 more"]);
}

#[test]
fn the_common_name_counts_where_there_is_no_other_name() {
    let ca = authority("an authority");
    let wish = |name| Wish { name, dns: vec![], ..Wish::default() };
    let server = Server::new(&ca.issue(&wish("localhost")));
    connects(options(server.port(), &ca), &server);
    let server = Server::new(&ca.issue(&wish("other")));
    assert_rejected(options(server.port(), &ca), WRONG_HOST, &["but for \"other\""]);
}

#[test]
fn a_wildcard_for_a_part_of_a_name_does_not_count() {
    let ca = authority("an authority");
    let server = Server::new(&ca.issue(&Wish { dns: vec!["local*"], ..Wish::default() }));
    assert_rejected(options(server.port(), &ca), WRONG_HOST, &["\"local*\""]);
}

fn server_at(address: &str, certified: &Certified) -> Server {
    Server::on(address, acceptor(certified, |_| {}))
}

#[test]
fn an_address_has_to_be_in_the_certificate_and_is_not_sent_as_a_name() {
    let ca = authority("an authority");
    for address in ["127.0.0.1", "::1"] {
        let wish = Wish { dns: vec![], ip: vec![address], ..Wish::default() };
        let server = server_at(address, &ca.issue(&wish));
        let mut options = options(server.port(), &ca);
        options.brokers[0].host = address.to_owned();
        let _app = connect(options.clone());
        assert_eq!(server.seen().sni, None);

        let server = server_at(address, &ca.localhost());
        options.brokers[0].port = server.port();
        assert_rejected(options, WRONG_ADDRESS, &[address, "but for \"localhost\""]);
    }
}

#[test]
fn without_verification_any_certificate_will_do() {
    let wish = Wish { dns: vec!["other.test"], valid: (-20, -10), ..Wish::default() };
    let server = Server::new(&self_signed(&wish));
    let mut options = options(server.port(), &authority("ours"));
    options.tls.verify = false;
    connects(options, &server);
}

#[test]
fn an_intermediate_authority_has_to_be_sent_by_the_broker() {
    let root = authority("a root");
    let middle =
        root.issue(&Wish { name: "a middle", dns: vec![], authority: true, ..Wish::default() });
    let leaf = middle.localhost();
    let complete = Server::with(&leaf, |builder| {
        builder.add_extra_chain_cert(middle.certificate.clone()).unwrap();
    });
    connects(options(complete.port(), &root), &complete);
    let lacking = Server::new(&leaf);
    assert_rejected(options(lacking.port(), &root), NO_LOCAL_ISSUER, &["MQTT_TLS_CA_CERTS"]);
}

#[test]
fn ca_certificates_are_read_anew_for_every_connection() {
    let (old, new) = (authority("old"), authority("new"));
    let folder = Folder::new();
    let file = folder.write("ca.pem", old.text());
    let server = Server::new(&new.localhost());
    let mut options = options(server.port(), &old);
    options.tls.ca = Some(Pem::Path(file));
    let app = App::new();
    let _waiter = app.client.connect(options, false).unwrap(); // not only the first attempt
    app.wait(|event| matches!(event, Event::Notice { .. }));
    folder.write("ca.pem", new.text());
    server.seen();
}

#[test]
fn a_certificate_for_clients_only_is_refused() {
    let ca = authority("an authority");
    let server = Server::new(&ca.issue(&Wish { client_only: true, ..Wish::default() }));
    assert_rejected(
        options(server.port(), &ca),
        WRONG_PURPOSE,
        &["\"a server\" is not for a server"],
    );
}

#[test]
fn a_weak_certificate_is_refused_unless_it_is_allowed() {
    let ca = authority("an authority");
    let key = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let weak = certify(&Wish::default(), Some(&ca), key);
    let server = Server::with(&weak, |builder| {
        builder.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
    });
    let mut options = options(server.port(), &ca);
    let parts = ["too weak", "key too weak", "@SECLEVEL=0", "MQTT_TLS_CIPHERS"];
    assert_rejected(options.clone(), KEY_TOO_SMALL, &parts);
    options.tls.ciphers = Some("DEFAULT:@SECLEVEL=0".to_owned());
    connects(options, &server);
}
