//! The two faults of this crate: a configuration that can't be used, and a connection that has failed.

use std::fmt;

/// Certificates, keys or roots that do not make a usable configuration; the text names what is wrong with which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault(pub(crate) String);

impl fmt::Display for ConfigFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ConfigFault {}

/// The TLS layer of one connection has failed and stays so; every later call that needs it tells the same fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFault(pub(crate) String);

impl fmt::Display for TlsFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for TlsFault {}

impl From<rustls::Error> for TlsFault {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}
