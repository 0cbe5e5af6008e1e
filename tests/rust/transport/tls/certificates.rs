//! Certificates, keys and directories for a test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use flask_mqtt_core::core::options::Pem;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

const DAY: i64 = 24 * 60 * 60;

/// A certificate with its key.
pub struct Certified {
    pub certificate: X509,
    pub key: PKey<Private>,
}

impl Certified {
    pub fn pem(&self) -> Pem {
        super::text(self.text())
    }

    pub fn text(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    pub fn key_pem(&self) -> Pem {
        super::text(self.key.private_key_to_pem_pkcs8().unwrap())
    }

    /// A certificate signed by this CA.
    pub fn issue(&self, wish: &Wish) -> Certified {
        make(wish, Some(self))
    }

    /// A server's certificate for `localhost`.
    pub fn localhost(&self) -> Certified {
        self.issue(&Wish::default())
    }
}

/// The properties of a certificate.
pub struct Wish {
    pub name: &'static str,
    pub dns: Vec<&'static str>,
    pub ip: Vec<&'static str>,
    /// Days from now.
    pub valid: (i64, i64),
    pub authority: bool,
    /// Whether it is for clients only.
    pub client_only: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            name: "a server",
            dns: vec!["localhost"],
            ip: vec![],
            valid: (-1, 30),
            authority: false,
            client_only: false,
        }
    }
}

pub fn authority(name: &'static str) -> Certified {
    self_signed(&Wish { name, dns: vec![], authority: true, ..Wish::default() })
}

pub fn self_signed(wish: &Wish) -> Certified {
    make(wish, None)
}

pub fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn make(wish: &Wish, issuer: Option<&Certified>) -> Certified {
    certify(wish, issuer, new_key())
}

pub fn certify(wish: &Wish, issuer: Option<&Certified>, key: PKey<Private>) -> Certified {
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(64, MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, wish.name).unwrap();
    let name = name.build();
    builder.set_subject_name(&name).unwrap();
    builder
        .set_issuer_name(issuer.map_or(&name, |issuer| issuer.certificate.subject_name()))
        .unwrap();
    builder.set_not_before(&days_from_now(wish.valid.0)).unwrap();
    builder.set_not_after(&days_from_now(wish.valid.1)).unwrap();
    builder.set_pubkey(&key).unwrap();
    if wish.authority {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    if wish.client_only {
        let purpose = ExtendedKeyUsage::new().client_auth().build().unwrap();
        builder.append_extension(purpose).unwrap();
    }
    if !wish.dns.is_empty() || !wish.ip.is_empty() {
        let mut names = SubjectAlternativeName::new();
        for dns in &wish.dns {
            names.dns(dns);
        }
        for ip in &wish.ip {
            names.ip(ip);
        }
        let extension =
            names.build(&builder.x509v3_context(issuer.map(|issuer| &*issuer.certificate), None));
        builder.append_extension(extension.unwrap()).unwrap();
    }
    builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
    Certified { certificate: builder.build(), key }
}

fn days_from_now(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Asn1Time::from_unix(i64::try_from(now.as_secs()).unwrap() + days * DAY).unwrap()
}

/// A directory that is removed when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mqtt-tls-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
