//! The extension module `ironpost._core`: conversion only, no logic. `python/ironpost/_core.pyi` is its contract.
//!
//! Each file has `register`, which adds its classes. To add one: `mod name;` below, `name::register(module)?;` in
//! `_core`.

mod convert;
mod enter;
mod errors;
mod events;
mod imap;
mod imap_client;
mod imap_url;
mod lines;
mod mime;
mod pop3;
mod signal;
mod smtp;
mod store;
mod task;
mod tls;
mod wire;

use pyo3::prelude::*;

/// "release" or "debug"; benchmarks refuse the latter.
const BUILD_PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("build_profile", BUILD_PROFILE)?;
    errors::register(module)?;
    signal::register(module)?;
    events::register(module)?;
    tls::register(module)?;
    pop3::register(module)?;
    mime::register(module)?;
    imap::register(module)?;
    lines::register(module)?;
    imap_client::register(module)?;
    module.add_class::<imap_url::ImapUrl>()?;
    store::register(module)?;
    task::register(module)?;
    smtp::register(module)?;
    Ok(())
}
