//! The exception classes of `_core.pyi` and how faults of the crates become them.

use ironpost_proto::error::LocalMisuse as Misuse;
use ironpost_tls::{ConfigFault, TlsFault};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

macro_rules! exceptions {
    ($($name:ident($base:ty), $doc:literal;)*) => {
        $(pyo3::create_exception!(ironpost._core, $name, $base, $doc);)*

        /// Adds all exception classes to the module.
        pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            let py = module.py();
            $(module.add(stringify!($name), py.get_type::<$name>())?;)*
            Ok(())
        }
    };
}

exceptions! {
    CoreError(PyException), "Base of all that this extension raises of its own.";
    LocalMisuse(CoreError), "The caller broke the contract: a bug of ours.";
    InternalError(CoreError), "A panic, caught at the boundary.";
    TlsError(CoreError), "The TLS layer failed; the connection is unusable.";
    StoreError(CoreError), "Base of what the store answers.";
    StoreBusy(StoreError), "The queue of the writer is full: try again later.";
    StoreFull(StoreError), "No space on the disk or in the index.";
    StoreCorrupt(StoreError), "A record is damaged; the text names it.";
    StoreFailed(StoreError), "The volume has failed; the worker must end.";
    NotFound(StoreError), "No such mailbox, message or queue item.";
    AlreadyExists(StoreError), "It exists already.";
    Refused(StoreError), "The operation is not allowed.";
    OverQuota(StoreError), "The account, or its quota group, has no room; the text says which and how much it may hold.";
}

/// What a call on a wire may fail with.
pub(crate) enum Fault {
    Misuse(Misuse),
    Tls(TlsFault),
    Config(ConfigFault),
    Python(PyErr),
}

impl From<Misuse> for Fault {
    fn from(fault: Misuse) -> Self {
        Self::Misuse(fault)
    }
}

impl From<TlsFault> for Fault {
    fn from(fault: TlsFault) -> Self {
        Self::Tls(fault)
    }
}

impl From<ConfigFault> for Fault {
    fn from(fault: ConfigFault) -> Self {
        Self::Config(fault)
    }
}

impl From<PyErr> for Fault {
    fn from(fault: PyErr) -> Self {
        Self::Python(fault)
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Misuse(fault) => LocalMisuse::new_err(fault.to_string()),
            Fault::Tls(fault) => TlsError::new_err(fault.to_string()),
            Fault::Config(fault) => PyValueError::new_err(fault.to_string()),
            Fault::Python(error) => error,
        }
    }
}
