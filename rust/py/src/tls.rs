//! `TlsServerConfig`, `TlsClientConfig` and `TlsInfo` of `_core.pyi`.

use crate::enter::instant;
use crate::errors::Fault;
use ironpost_tls::{ClientConfig, ServerConfig, Verification};
use pyo3::prelude::*;
use std::borrow::Cow;

/// Certificates and keys of a server.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct TlsServerConfig(ServerConfig);

#[pymethods]
impl TlsServerConfig {
    #[new]
    #[pyo3(signature = (chain_pem, key_pem, more = Vec::new(), clients_pem = None))]
    fn new(
        chain_pem: &[u8],
        key_pem: &[u8],
        more: Vec<(Vec<u8>, Vec<u8>)>,
        clients_pem: Option<&[u8]>,
    ) -> PyResult<Self> {
        instant(|| {
            Ok(Self(
                ServerConfig::from_pem(chain_pem, key_pem, &more, clients_pem).map_err(Fault::from)?,
            ))
        })
    }
}

impl TlsServerConfig {
    pub(crate) fn inner(&self) -> &ServerConfig {
        &self.0
    }
}

/// What a client verifies.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct TlsClientConfig(ClientConfig);

#[pymethods]
impl TlsClientConfig {
    #[new]
    #[pyo3(signature = (*, verify, roots_pem = None))]
    fn new(verify: bool, roots_pem: Option<&[u8]>) -> PyResult<Self> {
        let verification = if verify {
            Verification::Required
        } else {
            Verification::Opportunistic
        };
        instant(|| Ok(Self(ClientConfig::new(verification, roots_pem).map_err(Fault::from)?)))
    }
}

impl TlsClientConfig {
    pub(crate) fn inner(&self) -> &ClientConfig {
        &self.0
    }
}

/// What a finished handshake has agreed on.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct TlsInfo {
    #[pyo3(get)]
    version: &'static str,
    #[pyo3(get)]
    cipher: &'static str,
    #[pyo3(get)]
    server_name: Option<String>,
    #[pyo3(get)]
    resumed: bool,
    #[pyo3(get)]
    client_certificate: Option<Cow<'static, [u8]>>,
}

#[pymethods]
impl TlsInfo {
    fn __repr__(&self) -> String {
        let name = self.server_name.as_deref().unwrap_or("-");
        format!(
            "<TlsInfo {} {} {name} resumed={}>",
            self.version, self.cipher, self.resumed
        )
    }
}

impl From<ironpost_tls::TlsInfo> for TlsInfo {
    fn from(info: ironpost_tls::TlsInfo) -> Self {
        Self {
            version: info.version,
            cipher: info.cipher,
            server_name: info.server_name,
            resumed: info.resumed,
            client_certificate: info.client_certificate.map(Cow::Owned),
        }
    }
}

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TlsServerConfig>()?;
    module.add_class::<TlsClientConfig>()?;
    module.add_class::<TlsInfo>()
}
