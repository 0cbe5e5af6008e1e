//! Debian's proxies tinyproxy and microsocks, if they are installed.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use flask_mqtt_core::core::session::Event;
use flask_mqtt_core::core::url::parse_proxy;

use super::servers::nobody;
use super::support::{App, Broker, wait_for};

/// A proxy program that runs until this is dropped.
struct Program {
    child: Child,
    config: Option<PathBuf>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(config) = &self.config {
            let _ = std::fs::remove_file(config);
        }
    }
}

impl Program {
    /// Starts it and waits until it listens; `None` if it is not installed.
    fn start(command: &mut Command, port: u16, config: Option<PathBuf>) -> Option<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("not tested: {} is not installed", command.get_program().display());
            return None;
        };
        let program = Self { child, config };
        wait_for("the proxy", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(program)
    }

    fn tinyproxy(port: u16, more: &str) -> Option<Self> {
        let name = format!("flask-mqtt-{}-{port}.conf", std::process::id());
        let path = std::env::temp_dir().join(name);
        let text = format!("Port {port}\nListen 127.0.0.1\nTimeout 10\nAllow 127.0.0.1\n{more}\n");
        std::fs::write(&path, text).unwrap();
        Self::start(Command::new("tinyproxy").arg("-d").arg("-c").arg(&path), port, Some(path))
    }

    fn microsocks(port: u16, more: &[&str]) -> Option<Self> {
        let port_text = port.to_string();
        let arguments = [&["-i", "127.0.0.1", "-p", &port_text], more].concat();
        Self::start(Command::new("microsocks").args(arguments), port, None)
    }
}

/// Connects to a broker by its host name.
fn connect(proxy: &str) -> Result<(), String> {
    let broker = Broker::new();
    let mut options = broker.options();
    "localhost".clone_into(&mut options.brokers[0].host);
    options.proxy = Some(parse_proxy(proxy).unwrap());
    let app = App::new();
    app.connect(options).map_err(|error| error.to_string())?;
    broker.accept();
    app.wait(|event| matches!(event, Event::ConnAck { code: 0, .. }));
    Ok(())
}

#[test]
fn tinyproxy_leads_to_the_broker() {
    let port = nobody().port;
    let Some(_proxy) = Program::tinyproxy(port, "") else { return };
    connect(&format!("http://127.0.0.1:{port}")).unwrap();
}

#[test]
fn tinyproxy_wants_its_password() {
    let port = nobody().port;
    let Some(_proxy) = Program::tinyproxy(port, "BasicAuth user pass") else { return };
    connect(&format!("http://user:pass@127.0.0.1:{port}")).unwrap();
    for login in ["", "user:wrong@"] {
        let text = connect(&format!("http://{login}127.0.0.1:{port}")).unwrap_err();
        assert!(text.contains("does not accept the user name and password in proxy"), "{text}");
    }
}

#[test]
fn microsocks_leads_to_the_broker() {
    let port = nobody().port;
    let Some(_proxy) = Program::microsocks(port, &[]) else { return };
    connect(&format!("socks5://127.0.0.1:{port}")).unwrap();
}

#[test]
fn microsocks_wants_its_password() {
    let port = nobody().port;
    let Some(_proxy) = Program::microsocks(port, &["-u", "user", "-P", "pass"]) else { return };
    connect(&format!("socks5h://user:pass@127.0.0.1:{port}")).unwrap();
    let text = connect(&format!("socks5://user:wrong@127.0.0.1:{port}")).unwrap_err();
    assert!(text.contains("does not accept the user name and password in proxy"), "{text}");
    let text = connect(&format!("socks5://127.0.0.1:{port}")).unwrap_err();
    assert!(text.contains("requires a login method"), "{text}");
}
