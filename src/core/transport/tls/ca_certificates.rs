//! The CA certificates that a broker's certificate is verified against.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnectorBuilder, SslFiletype};
use openssl::x509::X509;
use openssl::x509::store::{X509Lookup, X509StoreBuilder, X509StoreBuilderRef};

use super::super::super::error::Error;
use super::super::super::options::{ConnectOptions, Pem};
use super::pem;

/// Sets the CA certificates: only the given ones, or the system's.
pub fn set(connector: &mut SslConnectorBuilder, options: &ConnectOptions) -> Result<(), Error> {
    let Some(given) = &options.tls.ca else {
        return if options.tls.verify { add_system(connector.cert_store_mut()) } else { Ok(()) };
    };
    let key = options.key("TLS_CA_CERTS");
    let found = match given {
        Pem::Path(path) if path.is_dir() => from_directory(&key, path)?,
        pem => from_source(&key, pem)?,
    };
    if found.is_empty() {
        let what = pem::describe(given);
        return Err(Error::Tls(format!("{key}: no PEM certificate in {what}")));
    }
    let mut store = X509StoreBuilder::new().map_err(|error| pem::internal(&error))?;
    for certificate in found {
        store.add_cert(certificate).map_err(|error| pem::internal(&error))?;
    }
    connector.set_cert_store(store.build());
    Ok(())
}

fn from_source(key: &str, source: &Pem) -> Result<Vec<X509>, Error> {
    let text = pem::read(key, source)?;
    pem::certificates(&text)
        .map_err(|reason| Error::Tls(format!("{key}: {}: {reason}", pem::describe(source))))
}

/// The files of a directory: those with names as `openssl rehash` makes them, otherwise all `.pem`,
/// `.crt` and `.cer` files.
fn from_directory(key: &str, directory: &Path) -> Result<Vec<X509>, Error> {
    let files = list(directory).map_err(|source| pem::unreadable(key, directory, source))?;
    let hashed: Vec<_> = files.iter().filter(|file| is_hashed(file)).cloned().collect();
    let wanted = if hashed.is_empty() {
        files.into_iter().filter(|file| is_named_pem(file)).collect()
    } else {
        hashed
    };
    let mut certificates = Vec::new();
    for file in wanted {
        certificates.extend(from_source(key, &Pem::Path(file))?);
    }
    Ok(certificates)
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.read_dir()? {
        let path = entry?.path();
        // Dangling links are usual after certificates were removed.
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name is a hash and a number: `5ed36f99.0`.
fn is_hashed(file: &Path) -> bool {
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.split_once('.').is_some_and(|(hash, number)| {
        hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_named_pem(file: &Path) -> bool {
    let extension = file.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["pem", "crt", "cer"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Adds OpenSSL's default places, which follow the environment variables, and those where systems
/// keep their CA certificates: a bundled OpenSSL knows only the place where it was built.
fn add_system(store: &mut X509StoreBuilderRef) -> Result<(), Error> {
    add_probed(store).map_err(|error| pem::internal(&error))
}

fn add_probed(store: &mut X509StoreBuilderRef) -> Result<(), ErrorStack> {
    let probed = openssl_probe::probe();
    if std::env::var_os(openssl_probe::ENV_CERT_FILE).is_none()
        && let Some(file) = probed.cert_file
    {
        // An unreadable file is ignored, as OpenSSL does in its default places: the directories may
        // have the certificate, and if not, the handshake fails.
        let _ = store.add_lookup(X509Lookup::file())?.load_cert_file(file, SslFiletype::PEM);
    }
    if std::env::var_os(openssl_probe::ENV_CERT_DIR).is_none() {
        let lookup = store.add_lookup(X509Lookup::hash_dir())?;
        for directory in probed.cert_dir.iter().filter_map(|directory| directory.to_str()) {
            lookup.add_dir(directory, SslFiletype::PEM)?;
        }
    }
    Ok(())
}

/// Whether any place exists where the system may keep CA certificates.
pub fn system_has_any() -> bool {
    let probed = openssl_probe::probe();
    probed.cert_file.is_some() || !probed.cert_dir.is_empty()
}
