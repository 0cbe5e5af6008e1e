//! Cases that no peer can observe.
#![allow(clippy::unwrap_used)]

use openssl::x509::X509;

use super::super::super::options::{ConnectOptions, Endpoint, Pem};
use super::advice::Advice;
use super::connector;

const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

fn ca_certificates(options: &ConnectOptions) -> usize {
    connector::build(options).unwrap().context().cert_store().all_certificates().len()
}

#[test]
fn the_authorities_of_the_system_are_found_whichever_openssl_is_linked_unless_others_are_named() {
    let Ok(system) = std::fs::read(SYSTEM) else {
        return; // nothing to find
    };
    let mut options = ConnectOptions::new("localhost", 8883);
    assert!(ca_certificates(&options) > 10);
    let one = X509::stack_from_pem(&system).unwrap()[0].to_pem().unwrap();
    options.tls.ca = Some(Pem::Text(one.into()));
    assert_eq!(ca_certificates(&options), 1);
}

#[test]
fn neither_the_dot_that_ends_a_name_nor_the_zone_of_an_address_is_asked_for() {
    let options = ConnectOptions::new("localhost", 8883);
    let host = |host| Advice::new(&options, &Endpoint::tcp(host, 8883)).host().to_owned();
    assert_eq!(host("broker.test."), "broker.test");
    assert_eq!(host("fe80::1%eth0"), "fe80::1");
}
