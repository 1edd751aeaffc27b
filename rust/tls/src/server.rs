//! Server side: certificates, session tickets (RFC 5077, RFC 8446 §4.6.1).

pub(crate) use crate::certificates::take_server_name;
use crate::certificates::{Resolver, certified_key};
use crate::clients;
use crate::error::{ConfigFault, TlsFault};
use crate::layer::Layer;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ProducesTickets, UnbufferedServerConnection};
use std::sync::{Arc, OnceLock};

/// One provider for the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}

/// Tickets sealed by keys of this process that rotate by themselves; shared by all configurations, so that a reload of
/// certificates does not cost all sessions. A ticket of one worker gives a full handshake in another.
fn ticketer() -> Result<Arc<dyn ProducesTickets>, ConfigFault> {
    static TICKETER: OnceLock<Arc<dyn ProducesTickets>> = OnceLock::new();
    if let Some(ticketer) = TICKETER.get() {
        return Ok(ticketer.clone());
    }
    let made = own_ticketer()?;
    Ok(TICKETER.get_or_init(|| made).clone())
}

/// For one configuration. A ticket holds its client's certificate and spares its verification: a reload that has taken a
/// revocation list in must not be gone round by an old ticket.
fn own_ticketer() -> Result<Arc<dyn ProducesTickets>, ConfigFault> {
    aws_lc_rs::Ticketer::new().map_err(|error| ConfigFault(format!("session tickets: {error}")))
}

/// An immutable server configuration; cheap to clone.
#[derive(Clone)]
pub struct ServerConfig(Arc<rustls::ServerConfig>);

impl ServerConfig {
    /// From a chain (the server's own certificate first) and its key in PEM, and further pairs that are chosen by SNI
    /// from their DNS names. The first pair also serves clients whose name fits none, or that send none.
    ///
    /// `clients`: authorities, and revocation lists, for certificates of clients, which are not asked for without them.
    ///
    /// Fails with a text that names the faulty pair.
    pub fn from_pem(
        chain_pem: &[u8],
        key_pem: &[u8],
        more: &[(Vec<u8>, Vec<u8>)],
        clients: Option<&[u8]>,
    ) -> Result<Self, ConfigFault> {
        let provider = provider();
        let mut keys = vec![certified_key(chain_pem, key_pem, "", &provider)?];
        for (index, (chain_pem, key_pem)) in more.iter().enumerate() {
            keys.push(certified_key(
                chain_pem,
                key_pem,
                &format!(" (further pair {})", index + 1),
                &provider,
            )?);
        }
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigFault(error.to_string()))?;
        let builder = match clients {
            Some(pem) => builder.with_client_cert_verifier(clients::verifier(pem, provider)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Resolver::new(keys)?));
        config.ticketer = if clients.is_some() {
            own_ticketer()?
        } else {
            ticketer()?
        };
        // Sessions live in tickets alone: no memory of ours per client.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn layer(&self) -> Result<Layer, TlsFault> {
        Ok(Layer::server(UnbufferedServerConnection::new(self.0.clone())?))
    }
}
