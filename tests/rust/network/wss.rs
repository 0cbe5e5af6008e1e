//! Combined transports: a websocket inside TLS, and both behind a proxy.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

use flask_mqtt_core::core::options::{ConnectOptions, Pem};
use flask_mqtt_core::core::qos::Qos;
use flask_mqtt_core::core::session::Event;
use flask_mqtt_core::core::url::parse_proxy;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod, SslStream};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};
use rumqttc::mqttbytes::v4::Packet;

use super::servers::{WsConnection, connect, read_head, take, websocket};
use super::support::{ACCEPTED, App, publish};

/// A self-signed certificate for `localhost`.
fn certificate() -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.append_extension(BasicConstraints::new().ca().build().unwrap()).unwrap();
    let context = builder.x509v3_context(None, None);
    let names = SubjectAlternativeName::new().dns("localhost").build(&context).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// A broker behind a websocket inside TLS.
struct Broker {
    listener: TcpListener,
    acceptor: SslAcceptor,
    certificate: X509,
}

impl Broker {
    fn new() -> Self {
        let (certificate, key) = certificate();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        acceptor.set_private_key(&key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener, acceptor: acceptor.build(), certificate }
    }

    fn options(&self) -> ConnectOptions {
        let mut options = websocket(self.listener.local_addr().unwrap().port());
        "localhost".clone_into(&mut options.brokers[0].host);
        options.brokers[0].tls = true;
        options.tls.ca = Some(Pem::Text(self.certificate.to_pem().unwrap().into()));
        options
    }

    fn accept(&self, app: &App, options: ConnectOptions) -> WsConnection<SslStream<TcpStream>> {
        let (result, mut connection) = connect(app, options, || {
            let stream = self.acceptor.accept(take(&self.listener)).unwrap();
            WsConnection::over(stream, Some("mqtt"))
        });
        result.unwrap();
        assert!(matches!(connection.read(), Some(Packet::Connect(_))));
        connection.send(ACCEPTED);
        app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
        connection
    }
}

/// Sends small and large messages in both directions, and disconnects.
fn talk(app: &App, connection: &mut WsConnection<SslStream<TcpStream>>) {
    for size in [0, 1, 1_000_000] {
        let payload = vec![5; size];
        app.client.publish("t", &payload, Qos::AtMostOnce, false, None).unwrap();
        assert!(
            matches!(connection.read(), Some(Packet::Publish(message)) if message.payload == payload)
        );
        connection.send(&publish(&payload));
        assert_eq!(app.messages(1), [payload]);
    }
    app.disconnect();
    assert_eq!(connection.read(), Some(Packet::Disconnect));
}

#[test]
fn packets_go_both_ways_through_a_websocket_inside_tls() {
    let (broker, app) = (Broker::new(), App::new());
    let mut connection = broker.accept(&app, broker.options());
    let port = broker.options().broker().port;
    assert_eq!(connection.header("host"), format!("localhost:{port}"));
    assert_eq!(connection.header("origin"), format!("https://localhost:{port}"));
    talk(&app, &mut connection);
}

/// A proxy for one connection. It returns the requested address.
fn relay() -> (JoinHandle<String>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut client = take(&listener);
        let head = read_head(&mut client);
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let broker = TcpStream::connect(&target).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
        let up = std::thread::spawn(move || copy(from, to));
        copy(broker, client);
        up.join().unwrap();
        target
    });
    (thread, port)
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // The test ignores how a connection ends.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn packets_go_both_ways_through_a_proxy_tls_and_a_websocket() {
    let (broker, app) = (Broker::new(), App::new());
    let (proxy, port) = relay();
    let mut options = broker.options();
    let address = options.broker().address();
    options.proxy = Some(parse_proxy(&format!("http://127.0.0.1:{port}")).unwrap());
    let mut connection = broker.accept(&app, options);
    talk(&app, &mut connection);
    drop(connection);
    assert_eq!(proxy.join().unwrap(), address);
}
