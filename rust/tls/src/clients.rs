//! Certificates of clients: asked for where somebody may log in by one, never demanded (RFC 8446 §4.3.2).

use std::sync::Arc;

use crate::certificates::chain;
use crate::error::ConfigFault;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// A verifier for clients whose chain ends at one of the authorities in `pem`; revocation lists in it are heeded for the client's
/// own certificate. A client that shows none is let through, one that shows another is turned away in the handshake.
///
/// Fails when `pem` is unreadable or holds no usable authority.
pub(crate) fn verifier(pem: &[u8], provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, ConfigFault> {
    let mut roots = RootCertStore::empty();
    for root in chain(pem, "client authorities")? {
        roots
            .add(root)
            .map_err(|error| ConfigFault(format!("client authorities: not usable: {error}")))?;
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ConfigFault(format!("client authorities: {error}")))?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
    if !lists.is_empty() {
        builder = builder.with_crls(lists).only_check_end_entity_revocation();
    }
    builder
        .build()
        .map_err(|error| ConfigFault(format!("client authorities: {error}")))
}
