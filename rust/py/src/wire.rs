//! What all wire classes share: `WireState` holds the `Wire` and `wire_class!` writes the common methods.
//!
//! A wire class is made thus (pop3.rs is the worked example):
//!
//! ```ignore
//! #[pyclass(module = "ironpost._core")]
//! pub(crate) struct Pop3Server { wire: WireState<Server> }
//!
//! wire_class! {
//!     impl Pop3Server {
//!         #[new] ...                          // and the class's own methods, as in #[pymethods]
//!         fn ok(&mut self, text: &str) -> PyResult<()> {
//!             self.wire.core(|core| core.ok(text))
//!         }
//!     }
//! }
//! ```
//!
//! The core must have `fn state(&self) -> &'static str` of its own.

use crate::enter::instant;
use crate::errors::{Fault, InternalError};
use crate::tls::{TlsClientConfig, TlsServerConfig};
use ironpost_proto::Core;
use ironpost_proto::error::LocalMisuse;
use ironpost_tls::Wire;
use pyo3::prelude::*;

/// A wire and whether a panic has broken it.
pub(crate) struct WireState<C> {
    wire: Wire<C>,
    broken: bool,
}

impl<C: Core> WireState<C> {
    /// Server side; with `tls` implicit TLS from the first octet.
    pub(crate) fn server(core: C, tls: Option<&TlsServerConfig>) -> PyResult<Self> {
        let wire = match tls {
            None => Wire::plain(core),
            Some(config) => Wire::server(core, config.inner()).map_err(Fault::from)?,
        };
        Ok(Self { wire, broken: false })
    }

    /// Client side; with `tls` implicit TLS from the first octet.
    pub(crate) fn client(core: C, tls: Option<&TlsClientConfig>, server_name: &str) -> PyResult<Self> {
        let wire = match tls {
            None => Wire::plain(core),
            Some(config) => Wire::client(core, config.inner(), server_name).map_err(Fault::from)?,
        };
        Ok(Self { wire, broken: false })
    }

    /// Runs `call` on the wire: panics become `InternalError`, after which the wire is not used again.
    pub(crate) fn enter<R, E: Into<Fault>>(&mut self, call: impl FnOnce(&mut Wire<C>) -> Result<R, E>) -> PyResult<R> {
        if self.broken {
            return Err(InternalError::new_err(
                "the wire was broken by an earlier internal error",
            ));
        }
        self.broken = true;
        let wire = &mut self.wire;
        let result = instant(|| Ok(call(wire)))?;
        self.broken = false;
        result.map_err(|fault| fault.into().into())
    }

    /// A command or question to the core.
    pub(crate) fn core<R>(&mut self, call: impl FnOnce(&mut C) -> Result<R, LocalMisuse>) -> PyResult<R> {
        self.enter(|wire| call(wire.core_mut()))
    }

    /// STARTTLS as server. `call` queues the plaintext reply and gives the core that lives behind the handshake; when it
    /// gives none (octets lay behind the command), no handshake begins and the old core tells why.
    pub(crate) fn start_tls(
        &mut self,
        config: &TlsServerConfig,
        call: impl FnOnce(&mut C) -> Result<Option<C>, LocalMisuse>,
    ) -> PyResult<()> {
        self.enter(|wire| {
            if let Some(fresh) = call(wire.core_mut())? {
                wire.start_server(config.inner(), fresh)?;
            }
            Ok::<(), Fault>(())
        })
    }

    /// Looks at the core.
    pub(crate) fn look(&self) -> &C {
        self.wire.core()
    }

    /// Looks at the wire.
    pub(crate) fn look_wire(&self) -> &Wire<C> {
        &self.wire
    }
}

/// Writes `#[pymethods]` with the methods of `Wire` in `_core.pyi` and those of the class itself, which keeps its
/// `WireState` in a field `wire`.
macro_rules! wire_class {
    (impl $class:ident { $($own:tt)* }) => {
        #[pyo3::pymethods]
        impl $class {
            fn receive(&mut self, data: &pyo3::Bound<'_, pyo3::PyAny>, length: usize) -> pyo3::PyResult<()> {
                let wire = &mut self.wire;
                crate::convert::with_octets(data, length, |octets| wire.enter(|wire| wire.receive(octets)))
            }

            fn receive_eof(&mut self) -> pyo3::PyResult<()> {
                self.wire.enter(|wire| {
                    wire.receive_eof();
                    Ok::<(), crate::errors::Fault>(())
                })
            }

            #[pyo3(signature = (limit = 65536))]
            fn take_output<'py>(
                &mut self,
                py: pyo3::Python<'py>,
                limit: usize,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyBytes>> {
                let mut out = Vec::new();
                self.wire.enter(|wire| {
                    wire.take_output(limit, &mut out);
                    Ok::<(), crate::errors::Fault>(())
                })?;
                Ok(pyo3::types::PyBytes::new(py, &out))
            }

            #[getter]
            fn output_pending(&mut self) -> pyo3::PyResult<usize> {
                self.wire.enter(|wire| Ok::<usize, crate::errors::Fault>(wire.output_pending()))
            }

            #[getter]
            fn state(&self) -> &'static str {
                self.wire.look().state()
            }

            #[getter]
            fn tls(&self) -> Option<crate::tls::TlsInfo> {
                self.wire.look_wire().tls().map(crate::tls::TlsInfo::from)
            }

            #[getter]
            fn secure(&self) -> bool {
                self.wire.look_wire().secure()
            }

            fn close_tls(&mut self) -> pyo3::PyResult<()> {
                self.wire.enter(|wire| {
                    wire.close_tls();
                    Ok::<(), crate::errors::Fault>(())
                })
            }

            $($own)*
        }
    };
}
pub(crate) use wire_class;
