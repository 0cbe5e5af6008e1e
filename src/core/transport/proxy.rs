//! A proxy between client and broker. It receives the broker's host name, and resolves it itself.

use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use openssl::base64::encode_block;
use tokio::net::TcpStream;
use tokio_socks::Error as SocksError;
use tokio_socks::tcp::Socks5Stream;

use super::super::error::{Error, said};
use super::super::options::{ConnectOptions, Credentials, Endpoint, Proxy, ProxyKind};
use super::{Stream, tcp};

/// Limit on a proxy's response in bytes.
const ANSWER: usize = 16 * 1024;

/// `host:port` of a proxy, for messages.
pub fn address(proxy: &Proxy) -> String {
    Endpoint::tcp(proxy.host.as_str(), proxy.port).address()
}

/// Connects to a proxy.
pub async fn reach(options: &ConnectOptions, proxy: &Proxy) -> Result<TcpStream, Error> {
    tcp::connect(options, &proxy.host, proxy.port).await.map_err(|error| match error {
        Error::Connect { source, .. } => {
            Error::Connect { address: format!("proxy {}", address(proxy)), source }
        }
        Error::Resolve { reason, .. } => {
            failed(proxy, format!("cannot resolve its name: {reason}"))
        }
        other => other,
    })
}

/// Connects to a broker through a proxy that was reached.
pub async fn connect(
    options: &ConnectOptions,
    proxy: &Proxy,
    broker: &Endpoint,
    stream: TcpStream,
) -> Result<Box<dyn Stream>, Error> {
    match proxy.kind {
        ProxyKind::Http => http(options, proxy, broker, stream).await,
        ProxyKind::Socks5 => socks5(options, proxy, broker, stream).await,
    }
}

fn failed(proxy: &Proxy, reason: String) -> Error {
    Error::Proxy { proxy: address(proxy), reason }
}

async fn socks5(
    options: &ConnectOptions,
    proxy: &Proxy,
    broker: &Endpoint,
    stream: TcpStream,
) -> Result<Box<dyn Stream>, Error> {
    let target = (broker.host.as_str(), broker.port);
    let connected = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(stream, target).await,
        Some(Credentials { username, password }) => {
            let password = std::str::from_utf8(password.as_deref().unwrap_or_default());
            let Ok(password) = password else {
                return Err(failed(proxy, "SOCKS 5 takes a password in UTF-8".to_owned()));
            };
            Socks5Stream::connect_with_password_and_socket(stream, target, username, password).await
        }
    };
    match connected {
        Ok(stream) => Ok(Box::new(stream.into_inner())),
        Err(error) => Err(failed(proxy, socks5_reason(options, broker, &error))),
    }
}

fn socks5_reason(options: &ConnectOptions, broker: &Endpoint, error: &SocksError) -> String {
    let key = options.key("PROXY");
    match error {
        SocksError::NoAcceptableAuthMethods | SocksError::AuthorizationRequired => {
            format!("it requires a login method that {key} does not provide")
        }
        SocksError::PasswordAuthFailure(_) => {
            format!("it does not accept the user name and password in {key}")
        }
        SocksError::InvalidResponseVersion => {
            format!("the answer is not of SOCKS 5; look at the scheme in {key}")
        }
        SocksError::Io(error) => format!("the connection failed: {}", said(error)),
        other => format!("it cannot connect to {}: {other}", broker.address()),
    }
}

async fn http(
    options: &ConnectOptions,
    proxy: &Proxy,
    broker: &Endpoint,
    stream: TcpStream,
) -> Result<Box<dyn Stream>, Error> {
    let request = connect_request(proxy, broker)?;
    let talk = async {
        let io = TokioIo::new(stream);
        let mut http = hyper::client::conn::http1::Builder::new();
        let (mut sender, connection) = http.max_buf_size(ANSWER).handshake(io).await?;
        // The task ends with the sender, when this call does, unless the stream is taken before.
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Ok(Err(status));
        }
        hyper::upgrade::on(response).await.map(Ok)
    };
    let key = options.key("PROXY");
    match talk.await {
        Ok(Ok(upgraded)) => Ok(Box::new(TokioIo::new(upgraded))),
        // Tinyproxy sends 401, but the standard is 407.
        Ok(Err(
            status @ (StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED),
        )) => {
            let code = status.as_u16();
            let text = format!("it does not accept the user name and password in {key} ({code})");
            Err(failed(proxy, text))
        }
        Ok(Err(status)) => Err(failed(
            proxy,
            format!("it answered {status} to connecting to {}", broker.address()),
        )),
        Err(error) if error.is_parse() => {
            Err(failed(proxy, format!("the answer is not of HTTP; look at the scheme in {key}")))
        }
        // If a proxy sends data or closes before it gets the request, hyper reports only this.
        Err(error) if error.is_canceled() => Err(failed(
            proxy,
            format!("it does not wait for the request; look at the scheme and the port in {key}"),
        )),
        Err(error) => Err(failed(proxy, format!("the connection failed: {error}"))),
    }
}

fn connect_request(proxy: &Proxy, broker: &Endpoint) -> Result<Request<String>, Error> {
    let target = broker.address();
    let invalid = || failed(proxy, format!("{target} cannot be asked for over HTTP"));
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&target)
        .header(HOST, &target)
        .body(String::new())
        .map_err(|_| invalid())?;
    if let Some(Credentials { username, password }) = &proxy.credentials {
        let password = password.as_deref().unwrap_or_default();
        let pair = [username.as_bytes(), b":", password].concat();
        let text = format!("Basic {}", encode_block(&pair));
        let mut value = HeaderValue::try_from(text).map_err(|_| invalid())?;
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}
