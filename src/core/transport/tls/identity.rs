//! The client's certificate and key.

use openssl::pkey::{PKey, Private};
use openssl::ssl::SslConnectorBuilder;

use super::super::super::error::Error;
use super::super::super::options::{ConnectOptions, Pem};
use super::pem;

/// Sets the certificate, its chain and its key, if the options have them.
pub fn set(connector: &mut SslConnectorBuilder, options: &ConnectOptions) -> Result<(), Error> {
    let certificate_key = options.key("TLS_CERTFILE");
    let key_key = options.key("TLS_KEYFILE");
    let Some(source) = &options.tls.certificate else {
        return match options.tls.key {
            None => Ok(()),
            Some(_) => Err(Error::Tls(format!(
                "{key_key} is set, {certificate_key} is not: a key needs its certificate"
            ))),
        };
    };
    let chain = pem::certificates(&pem::read(&certificate_key, source)?).map_err(|reason| {
        Error::Tls(format!("{certificate_key}: {}: {reason}", pem::describe(source)))
    })?;
    let mut chain = chain.into_iter();
    let Some(certificate) = chain.next() else {
        let what = pem::describe(source);
        return Err(Error::Tls(format!("{certificate_key}: no PEM certificate in {what}")));
    };
    let key = private_key(options, source)?;
    let public = certificate.public_key().map_err(|error| pem::internal(&error))?;
    if !public.public_eq(&key) {
        return Err(Error::Tls(format!(
            "{key_key} does not match {certificate_key}: the key is another certificate's (the client's \
             own certificate has to be the first in its file)"
        )));
    }
    let refused = |error: &_| {
        let ciphers = options.key("TLS_CIPHERS");
        Error::Tls(format!(
            "{certificate_key}: OpenSSL refuses the certificate ({}); \"@SECLEVEL=0\" in {ciphers} \
             allows weak ones",
            pem::said(error)
        ))
    };
    connector.set_certificate(&certificate).map_err(|error| refused(&error))?;
    for authority in chain {
        connector.add_extra_chain_cert(authority).map_err(|error| refused(&error))?;
    }
    connector.set_private_key(&key).map_err(|error| refused(&error))
}

fn private_key(options: &ConnectOptions, certificate: &Pem) -> Result<PKey<Private>, Error> {
    let (name, source) = match &options.tls.key {
        Some(key) => (options.key("TLS_KEYFILE"), key),
        None => (options.key("TLS_CERTFILE"), certificate),
    };
    let password_key = options.key("TLS_KEYFILE_PASSWORD");
    let text = pem::read(&name, source)?;
    let what = pem::describe(source);
    let refuse = |reason: String| Err(Error::Tls(reason));
    if !contains(&text, b"PRIVATE KEY-----") {
        return refuse(match options.tls.key {
            Some(_) => format!("{name}: no PEM private key in {what}"),
            None => format!(
                "{name}: no PEM private key in {what}: name its file in {}",
                options.key("TLS_KEYFILE")
            ),
        });
    }
    let password = options.tls.key_password.as_ref().map_or("", |password| password.0.as_str());
    if password.contains('\0') {
        return refuse(format!("{password_key} has a null character in it"));
    }
    // A password, even an empty one, keeps OpenSSL from asking for it on the terminal.
    PKey::private_key_from_pem_passphrase(&text, password.as_bytes()).or_else(|error| {
        refuse(match (contains(&text, b"ENCRYPTED"), password.is_empty()) {
            (true, true) => format!("{name}: the key in {what} is encrypted: set {password_key}"),
            (true, false) => format!("{name}: {password_key} does not open the key in {what}"),
            _ => format!("{name}: the key in {what} is damaged ({})", pem::said(&error)),
        })
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
