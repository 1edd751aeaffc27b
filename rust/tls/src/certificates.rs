//! Certificate chains and keys out of PEM (RFC 7468), and the choice among several by SNI (RFC 6066 §3).

use crate::error::ConfigFault;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

thread_local! {
    /// The unbuffered interface of rustls does not tell the name that the client asked for; the resolver sees it.
    static SERVER_NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The SNI of the ClientHello that this thread has just processed, if it has.
pub(crate) fn take_server_name() -> Option<String> {
    SERVER_NAME.with_borrow_mut(Option::take)
}

/// All certificates of `pem`, in order.
pub(crate) fn chain(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, ConfigFault> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, PemError>>()
        .map_err(|error| ConfigFault(format!("{what}: not readable as PEM: {error}")))?;
    if chain.is_empty() {
        let found = if pem.iter().all(u8::is_ascii_whitespace) {
            "the file is empty"
        } else {
            "no certificate in it"
        };
        return Err(ConfigFault(format!("{what}: {found}")));
    }
    Ok(chain)
}

fn private_key(pem: &[u8], what: &str) -> Result<PrivateKeyDer<'static>, ConfigFault> {
    let holds = |text: &str| pem.windows(text.len()).any(|window| window == text.as_bytes());
    if holds("BEGIN ENCRYPTED PRIVATE KEY") || holds("Proc-Type: 4,ENCRYPTED") {
        return Err(ConfigFault(format!(
            "{what}: the key is encrypted; store it decrypted, readable by its owner only"
        )));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound if pem.iter().all(u8::is_ascii_whitespace) => {
            ConfigFault(format!("{what}: the file is empty"))
        }
        PemError::NoItemsFound => ConfigFault(format!("{what}: no private key in it")),
        error => ConfigFault(format!("{what}: not readable as PEM: {error}")),
    })
}

/// A chain and its key, known to fit.
pub(crate) fn certified_key(
    chain_pem: &[u8],
    key_pem: &[u8],
    which: &str,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, ConfigFault> {
    let chain = chain(chain_pem, &format!("certificate chain{which}"))?;
    let key = private_key(key_pem, &format!("private key{which}"))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| ConfigFault(format!("private key{which}: not usable: {error}")))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(ConfigFault(format!(
            "private key{which} does not fit the first certificate of the chain (the server's own must come first)"
        ))),
        Err(error) => Err(ConfigFault(format!("certificate chain{which}: not usable: {error}"))),
    }
}

/// Chooses by SNI: exact name, then wildcard, then the default; among several for a name (an ECDSA and an RSA one) the
/// first that the client can verify.
#[derive(Debug)]
pub(crate) struct Resolver {
    keys: Vec<Arc<CertifiedKey>>,
    /// Lower-case DNS name to indices into `keys`; a wildcard stands as ".example.org".
    names: HashMap<String, Vec<usize>>,
}

impl Resolver {
    /// `keys` is not empty; its first is the default.
    pub(crate) fn new(keys: Vec<CertifiedKey>) -> Result<Self, ConfigFault> {
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            let end_entity = key.end_entity_cert().map_err(|error| ConfigFault(error.to_string()))?;
            let parsed = webpki::EndEntityCert::try_from(end_entity)
                .map_err(|error| ConfigFault(format!("certificate chain: not usable: {error}")))?;
            for name in parsed.valid_dns_names() {
                let name = name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase();
                names.entry(name).or_default().push(index);
            }
        }
        Ok(Self {
            keys: keys.into_iter().map(Arc::new).collect(),
            names,
        })
    }

    fn candidates(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = name
            .find('.')
            .and_then(|dot| name.get(dot..))
            .and_then(|parent| self.names.get(parent));
        self.names
            .get(&name)
            .into_iter()
            .chain(wildcard)
            .flatten()
            .filter_map(|index| self.keys.get(*index))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        SERVER_NAME.set(name.map(str::to_owned));
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        name.and_then(|name| self.candidates(name).find(usable))
            .or_else(|| self.keys.iter().find(usable))
            .or_else(|| self.keys.first())
            .cloned()
    }
}
