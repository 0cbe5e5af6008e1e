//! A broker inside TLS that reports what it saw of a connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use openssl::ssl::{
    AlpnError, HandshakeError, NameType, Ssl, SslAcceptor, SslAcceptorBuilder, SslMethod,
    SslStream, SslVerifyMode, SslVersion, select_next_proto,
};

use super::certificates::Certified;
use crate::support::{ACCEPTED, PATIENCE};

/// What a server saw of a connection after the handshake.
#[derive(Debug)]
pub struct Seen {
    pub sni: Option<String>,
    pub alpn: Option<String>,
    pub version: String,
    pub cipher: String,
    pub client: Option<String>,
    pub stream: SslStream<TcpStream>,
}

pub struct Server {
    port: u16,
    seen: Receiver<Seen>,
}

impl Server {
    /// Starts a server.
    pub fn new(certified: &Certified) -> Self {
        Self::with(certified, |_| {})
    }

    pub fn with(certified: &Certified, change: impl FnOnce(&mut SslAcceptorBuilder)) -> Self {
        Self::on("127.0.0.1", acceptor(certified, change))
    }

    pub fn on(address: &str, acceptor: SslAcceptor) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, seen) = channel();
        std::thread::spawn(move || {
            // Accepts several connections, since some tests connect twice.
            while let Ok((stream, _)) = listener.accept() {
                if let Some(seen) = serve(stream, &acceptor)
                    && sender.send(seen).is_err()
                {
                    return;
                }
            }
        });
        Self { port, seen }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for an accepted connection.
    pub fn seen(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a connection")
    }
}

pub fn acceptor(
    certified: &Certified,
    change: impl FnOnce(&mut SslAcceptorBuilder),
) -> SslAcceptor {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    change(&mut builder); // first, because a security level affects the certificate
    builder.set_certificate(&certified.certificate).unwrap();
    builder.set_private_key(&certified.key).unwrap();
    builder.build()
}

/// Requires a client certificate of a CA.
pub fn demand(builder: &mut SslAcceptorBuilder, authority: &Certified, version: SslVersion) {
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    builder.cert_store_mut().add_cert(authority.certificate.clone()).unwrap();
    builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
}

/// Accepts one ALPN protocol only, and otherwise sends an alert.
pub fn speak(builder: &mut SslAcceptorBuilder, protocol: &'static [u8]) {
    builder.set_alpn_select_callback(move |_, offered| {
        select_next_proto(protocol, offered)
            .filter(|chosen| protocol.ends_with(chosen))
            .ok_or(AlpnError::ALERT_FATAL)
    });
}

fn serve(stream: TcpStream, acceptor: &SslAcceptor) -> Option<Seen> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = match Ssl::new(acceptor.context()).unwrap().accept(stream) {
        Ok(stream) => stream,
        Err(HandshakeError::Failure(refused)) => {
            // Closing at once could lose the alert.
            let _ = std::io::copy(&mut refused.get_ref(), &mut std::io::sink());
            return None;
        }
        Err(_) => return None,
    };
    let mut connect = [0; 256];
    assert!(stream.read(&mut connect).ok()? > 0 && connect[0] == 0x10, "a CONNECT comes first");
    stream.write_all(ACCEPTED).ok()?;
    let ssl = stream.ssl();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Seen {
        sni: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
        alpn: ssl.selected_alpn_protocol().map(text),
        version: ssl.version_str().to_owned(),
        cipher: ssl.current_cipher().unwrap().name().to_owned(),
        client: ssl.peer_certificate().map(|certificate| {
            let name = certificate.subject_name().entries().last().unwrap();
            text(name.data().as_slice())
        }),
        stream,
    })
}
