//! `Pop3Server` and `Pop3Command` of `_core.pyi`; the worked example of a wire class.

use crate::errors::Fault;
use crate::events::{AuthBegin, AuthResponse, Bad, Closed, event, object};
use crate::signal::answer;
use crate::tls::TlsServerConfig;
use crate::wire::{WireState, wire_class};
use ironpost_proto::pop3::{Command, Event, Server};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

event!(
    /// A command that is legal in the present state.
    Pop3Command { name: &'static str, arguments: Py<PyTuple> }
);

/// A POP3 server core behind optional TLS.
#[pyclass(module = "ironpost._core")]
pub(crate) struct Pop3Server {
    wire: WireState<Server>,
}

wire_class! {
    impl Pop3Server {
        #[new]
        #[pyo3(signature = (*, tls = None))]
        fn new(tls: Option<&TlsServerConfig>) -> PyResult<Self> {
            Ok(Self { wire: WireState::server(Server::new(), tls)? })
        }

        fn next_event(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
            let next = self.wire.enter(|wire| Ok::<_, Fault>(wire.core_mut().next_event()))?;
            answer(py, next, convert)
        }

        fn greet(&mut self, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.greet(text))
        }

        #[pyo3(signature = (text = ""))]
        fn ok(&mut self, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.ok(text))
        }

        #[pyo3(signature = (text, code = ""))]
        fn err(&mut self, text: &str, code: &str) -> PyResult<()> {
            self.wire.core(|core| core.err(text, code))
        }

        fn ok_list(&mut self, text: &str, lines: Vec<String>) -> PyResult<()> {
            self.wire.core(|core| core.ok_list(text, lines.iter().map(String::as_str)))
        }

        fn begin_message(&mut self, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.begin_message(text))
        }

        fn message(&mut self, chunk: &[u8]) -> PyResult<()> {
            self.wire.core(|core| core.message(chunk))
        }

        fn end_message(&mut self) -> PyResult<()> {
            self.wire.core(Server::end_message)
        }

        fn auth_challenge(&mut self, data: &[u8]) -> PyResult<()> {
            self.wire.core(|core| core.auth_challenge(data))
        }

        fn authenticated(&mut self) -> PyResult<()> {
            self.wire.core(Server::authenticated)
        }

        fn start_tls(&mut self, config: &TlsServerConfig, text: &str) -> PyResult<()> {
            self.wire.start_tls(config, |core| core.start_tls(text))
        }
    }
}

fn convert(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    match event {
        Event::Command(command) => object(
            py,
            Pop3Command {
                name: command.name(),
                arguments: arguments(py, &command)?.unbind(),
            },
        ),
        Event::AuthBegin { mechanism, initial } => object(py, AuthBegin { mechanism, initial }),
        Event::AuthResponse(data) => object(py, AuthResponse { data }),
        Event::Bad { kind, text } => object(
            py,
            Bad {
                kind: kind.name(),
                code: 500,
                enhanced: String::new(),
                text: text.to_owned(),
            },
        ),
        Event::Closed(reason) => object(
            py,
            Closed {
                reason: reason.to_owned(),
            },
        ),
    }
}

fn arguments<'py>(py: Python<'py>, command: &Command) -> PyResult<Bound<'py, PyTuple>> {
    match command {
        Command::User(text) | Command::Pass(text) => PyTuple::new(py, [PyString::new(py, text)]),
        Command::List(number) | Command::Uidl(number) => PyTuple::new(py, [*number]),
        Command::Retr(number) | Command::Dele(number) => PyTuple::new(py, [*number]),
        Command::Top(number, lines) => PyTuple::new(py, [*number, *lines]),
        Command::Lang(tag) => PyTuple::new(py, [tag]),
        Command::Stat
        | Command::Noop
        | Command::Rset
        | Command::Quit
        | Command::Capa
        | Command::Stls
        | Command::Utf8 => Ok(PyTuple::empty(py)),
    }
}

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Pop3Command>()?;
    module.add_class::<Pop3Server>()
}
