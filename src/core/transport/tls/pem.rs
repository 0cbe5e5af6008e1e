//! Certificates and keys as PEM, from a file or from a value.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use openssl::error::ErrorStack;
use openssl::x509::X509;

use super::super::super::error::Error;
use super::super::super::options::Pem;

/// Far larger than a file of all public CA certificates.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// The name of a PEM source in messages.
pub fn describe(pem: &Pem) -> String {
    match pem {
        Pem::Path(path) => format!("{:?}", path.display().to_string()),
        Pem::Text(_) => "the PEM text".to_owned(),
    }
}

/// The content of a PEM source.
pub fn read(key: &str, pem: &Pem) -> Result<Bytes, Error> {
    match pem {
        Pem::Path(path) => read_file(path).map_err(|source| unreadable(key, path, source)),
        Pem::Text(text) => Ok(text.clone()),
    }
}

/// The error for an unreadable path.
pub fn unreadable(key: &str, path: &Path, source: io::Error) -> Error {
    Error::File { key: key.to_owned(), path: path.display().to_string(), source }
}

fn read_file(path: &Path) -> io::Result<Bytes> {
    refuse_odd(&std::fs::metadata(path)?)?; // opening a pipe may block forever
    let mut content = Vec::new();
    File::open(path)?.take(LARGEST_FILE).read_to_end(&mut content)?;
    Ok(content.into())
}

/// Directories pass: the operating system's own error is clear.
fn refuse_odd(metadata: &Metadata) -> io::Result<()> {
    let refusal = if metadata.len() > LARGEST_FILE {
        "it is larger than 16 MiB"
    } else if metadata.is_file() || metadata.is_dir() {
        return Ok(());
    } else {
        "it is not a regular file"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, refusal))
}

/// All certificates in a PEM text, possibly none. The error says what is wrong with a certificate.
pub fn certificates(text: &[u8]) -> Result<Vec<X509>, String> {
    if certificate_is_encrypted(text) {
        return Err("an encrypted certificate cannot be used".to_owned());
    }
    X509::stack_from_pem(text)
        .map_err(|error| format!("a certificate is damaged ({})", said(&error)))
}

/// OpenSSL would ask for the password on the terminal.
fn certificate_is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let encrypted = |block: &str| {
        let label = block.lines().next().unwrap_or_default();
        label.contains("CERTIFICATE") && block.contains("Proc-Type:")
    };
    text.split("-----BEGIN ").skip(1).any(encrypted)
}

/// OpenSSL's reasons, without source locations.
pub fn said(stack: &ErrorStack) -> String {
    let reasons: Vec<_> = stack.errors().iter().filter_map(openssl::error::Error::reason).collect();
    if reasons.is_empty() { "no reason given".to_owned() } else { reasons.join(", ") }
}

/// An error that no configuration explains.
pub fn internal(stack: &ErrorStack) -> Error {
    Error::Tls(format!("OpenSSL: {}", said(stack)))
}
