//! IMAP URLs for Python.

use ironpost_proto::imap::url::{Access, ImapUrl as Url};
use pyo3::prelude::*;

/// An IMAP URL that names a message, or a part of one.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct ImapUrl {
    pub(crate) inner: Url,
    text: String,
}

#[pymethods]
impl ImapUrl {
    #[staticmethod]
    fn parse(text: String) -> Option<Self> {
        let inner = Url::parse(&text).ok()?;
        Some(Self { inner, text })
    }

    #[getter]
    fn host(&self) -> Option<&str> {
        self.inner.server.as_ref().map(|(host, _)| host.as_str())
    }

    #[getter]
    fn port(&self) -> Option<u16> {
        self.inner.server.as_ref().and_then(|(_, port)| *port)
    }

    #[getter]
    fn user(&self) -> &str {
        &self.inner.user
    }

    #[getter]
    fn mailbox(&self) -> Option<&str> {
        self.inner.mailbox.as_deref()
    }

    #[getter]
    fn uid_validity(&self) -> Option<u32> {
        self.inner.uid_validity
    }

    #[getter]
    fn uid(&self) -> u32 {
        self.inner.uid
    }

    /// `("submit" | "user" | "authuser" | "anonymous", user or "")`
    #[getter]
    fn access(&self) -> Option<(&'static str, &str)> {
        self.inner
            .authorisation
            .as_ref()
            .map(|authorisation| match &authorisation.access {
                Access::Submit(user) => ("submit", user.as_str()),
                Access::User(user) => ("user", user.as_str()),
                Access::AnyUser => ("authuser", ""),
                Access::Anonymous => ("anonymous", ""),
            })
    }

    #[getter]
    fn expires(&self) -> Option<i64> {
        self.inner
            .authorisation
            .as_ref()
            .and_then(|authorisation| authorisation.expires)
    }

    #[getter]
    fn rump(&self) -> &str {
        let octets = self
            .inner
            .authorisation
            .as_ref()
            .map_or(0, |authorisation| authorisation.rump_octets);
        self.text.get(..octets).unwrap_or_default()
    }

    #[getter]
    fn verifier(&self) -> Option<(&str, &str)> {
        let verifier = self.inner.authorisation.as_ref()?.verifier.as_ref()?;
        Some((&verifier.0, &verifier.1))
    }

    fn __repr__(&self) -> String {
        // Without the token: it is a secret.
        format!("ImapUrl(mailbox={:?}, uid={})", self.inner.mailbox, self.inner.uid)
    }
}
