//! Client side: opportunistic TLS between MTAs (RFC 3207, RFC 7435), or chain and name verified (RFC 9525).

use crate::certificates::chain;
use crate::error::{ConfigFault, TlsFault};
use crate::layer::Layer;
use crate::server::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{UnbufferedClientConnection, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// What a client wants to know of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Any certificate will do: better than plaintext, no proof of who answers (RFC 7435).
    Opportunistic,
    /// Chain to a root and name in the certificate.
    Required,
}

/// An immutable client configuration with its own cache of session tickets; cheap to clone.
#[derive(Clone)]
pub struct ClientConfig {
    config: Arc<rustls::ClientConfig>,
    verification: Verification,
}

impl ClientConfig {
    /// `roots_pem` replaces the built-in web roots; it is only read when verification is required.
    ///
    /// Fails when the roots are unreadable or none is usable.
    pub fn new(verification: Verification, roots_pem: Option<&[u8]>) -> Result<Self, ConfigFault> {
        let provider = provider();
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigFault(error.to_string()))?;
        let builder = match verification {
            Verification::Opportunistic => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
            Verification::Required => {
                let mut roots = RootCertStore::empty();
                match roots_pem {
                    None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
                    Some(pem) => {
                        for root in chain(pem, "roots")? {
                            roots
                                .add(root)
                                .map_err(|error| ConfigFault(format!("roots: not usable: {error}")))?;
                        }
                    }
                }
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| ConfigFault(format!("roots: {error}")))?;
                builder.with_webpki_verifier(verifier)
            }
        };
        Ok(Self {
            config: Arc::new(builder.with_no_client_auth()),
            verification,
        })
    }

    pub(crate) fn layer(&self, server_name: &str) -> Result<Layer, TlsFault> {
        let trimmed = server_name.strip_suffix('.').unwrap_or(server_name);
        let (name, told) = match (ServerName::try_from(trimmed.to_owned()), self.verification) {
            (Ok(name), _) => (name, Some(trimmed.into())),
            // No name to verify and none that SNI could carry: an address sends no SNI.
            (Err(_), Verification::Opportunistic) => {
                (ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0]))), None)
            }
            (Err(_), Verification::Required) => {
                return Err(TlsFault(format!(
                    "{server_name:?} is not a name that a certificate could hold"
                )));
            }
        };
        Ok(Layer::client(
            UnbufferedClientConnection::new(self.config.clone(), name)?,
            told,
        ))
    }
}

/// Accepts any certificate, yet insists that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
