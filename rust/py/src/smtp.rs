//! `SmtpServer`, `SmtpClient` and their events of `_core.pyi`: conversion only.

use crate::errors::Fault;
use crate::events::{AuthBegin, AuthResponse, Bad, BodyEnd, BodyReady, Closed, event, object};
use crate::signal::answer;
use crate::store::Sink;
use crate::tls::{TlsClientConfig, TlsServerConfig};
use crate::wire::{WireState, wire_class};
use ironpost_proto::smtp::event::{BodyType, Notify, Ret};
use ironpost_proto::smtp::{ClientEvent, Event, Limits, SmtpClient as Client, SmtpServer as Server};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

event!(
    /// HELO, EHLO or LHLO.
    Helo { verb: &'static str, name: String }
);
event!(
    /// A well-formed MAIL.
    Mail {
        address: String,
        local: String,
        domain: String,
        size: Option<u64>,
        body: Option<&'static str>,
        smtputf8: bool,
        auth: Option<String>,
        ret: Option<&'static str>,
        envid: Option<String>,
    }
);
event!(
    /// A well-formed RCPT.
    Rcpt { address: String, local: String, domain: String, notify: Py<PyTuple>, orcpt: Option<String> }
);
event!(
    /// DATA: `accept_data()` or `reply`.
    DataBegin {}
);
event!(
    /// BDAT: `accept_data()` or `reply`.
    BdatBegin { size: u64, last: bool, first: bool }
);
event!(
    /// A chunk that is not the last has passed: `reply` once.
    ChunkEnd { size: u64 }
);
event!(
    /// STARTTLS: `start_tls` or `reply`.
    StartTls {}
);
event!(
    /// RSET; the transaction is gone already.
    Reset {}
);
event!(
    /// VRFY or EXPN.
    Verify { verb: &'static str, argument: String }
);
event!(
    /// HELP.
    Help {}
);
event!(
    /// NOOP.
    Noop {}
);
event!(
    /// QUIT.
    Quit {}
);
event!(
    /// The reply to one command of ours.
    Reply { command: &'static str, index: usize, code: u16, enhanced: String, lines: Py<PyTuple> }
);

/// One line of text or several.
#[derive(FromPyObject)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// An SMTP or LMTP server core behind optional TLS.
#[pyclass(module = "ironpost._core")]
pub(crate) struct SmtpServer {
    wire: WireState<Server>,
}

wire_class! {
    impl SmtpServer {
        #[new]
        #[pyo3(signature = (
            *,
            lmtp = false,
            tls = None,
            message_octets_max = 52_428_800,
            recipients_max = 1000,
            line_octets_max = 4096,
            auth_line_octets_max = 12_288,
        ))]
        fn new(
            lmtp: bool,
            tls: Option<&TlsServerConfig>,
            message_octets_max: u64,
            recipients_max: usize,
            line_octets_max: usize,
            auth_line_octets_max: usize,
        ) -> PyResult<Self> {
            let limits = Limits { message_octets_max, recipients_max, line_octets_max, auth_line_octets_max };
            Ok(Self { wire: WireState::server(Server::new(lmtp, limits), tls)? })
        }

        fn next_event(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
            let next = self.wire.enter(|wire| Ok::<_, Fault>(wire.core_mut().next_event()))?;
            answer(py, next, server_event)
        }

        fn greet(&mut self, code: u16, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.greet(code, text))
        }

        #[getter]
        fn early_talker(&self) -> bool {
            self.wire.look().early_talker()
        }

        fn reply(&mut self, code: u16, enhanced: &str, text: Texts) -> PyResult<()> {
            match text {
                Texts::One(text) => self.wire.core(|core| core.reply(code, enhanced, &[&text])),
                Texts::Many(texts) => self.wire.core(|core| core.reply(code, enhanced, &slices(&texts))),
            }
        }

        fn reply_hello(&mut self, text: &str, extensions: Vec<String>) -> PyResult<()> {
            self.wire.core(|core| core.reply_hello(text, &slices(&extensions)))
        }

        fn accept_data(&mut self) -> PyResult<()> {
            self.wire.core(Server::accept_data)
        }

        fn feed_sink(&mut self, sink: &Sink) -> PyResult<bool> {
            let wire = &mut self.wire;
            sink.with_body_sink(|body| wire.core(|core| core.feed_sink(body)))?
        }

        fn discard_body(&mut self) -> PyResult<()> {
            self.wire.core(Server::discard_body)
        }

        #[getter]
        fn message_too_big(&self) -> bool {
            self.wire.look().message_too_big()
        }

        fn auth_challenge(&mut self, data: &[u8]) -> PyResult<()> {
            self.wire.core(|core| core.auth_challenge(data))
        }

        fn auth_done(&mut self, success: bool, code: u16, enhanced: &str, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.auth_done(success, code, enhanced, text))
        }

        fn start_tls(&mut self, config: &TlsServerConfig, enhanced: &str, text: &str) -> PyResult<()> {
            self.wire.start_tls(config, |core| {
                let begun = core.begin_tls(enhanced, text)?;
                Ok(begun.is_ok().then(|| core.after_tls()))
            })
        }
    }
}

/// An SMTP or LMTP client core behind optional TLS.
#[pyclass(module = "ironpost._core")]
pub(crate) struct SmtpClient {
    wire: WireState<Client>,
}

wire_class! {
    impl SmtpClient {
        #[new]
        #[pyo3(signature = (*, lmtp = false, tls = None, server_name = ""))]
        fn new(lmtp: bool, tls: Option<&TlsClientConfig>, server_name: &str) -> PyResult<Self> {
            Ok(Self { wire: WireState::client(Client::new(lmtp), tls, server_name)? })
        }

        fn next_event(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
            let next = self.wire.enter(|wire| Ok::<_, Fault>(wire.core_mut().next_event()))?;
            answer(py, next, client_event)
        }

        #[getter]
        fn extensions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
            let map = PyDict::new(py);
            for (keyword, parameters) in self.wire.look().extensions() {
                map.set_item(keyword, parameters)?;
            }
            Ok(map)
        }

        fn hello(&mut self, name: &str) -> PyResult<()> {
            self.wire.core(|core| core.hello(name))
        }

        fn helo(&mut self, name: &str) -> PyResult<()> {
            self.wire.core(|core| core.helo(name))
        }

        fn start_tls(&mut self) -> PyResult<()> {
            self.wire.core(Client::start_tls)
        }

        fn begin_tls(&mut self, config: &TlsClientConfig, server_name: &str) -> PyResult<()> {
            self.wire.enter(|wire| {
                if wire.core_mut().begin_tls()?.is_ok() {
                    let fresh = wire.core().after_tls();
                    wire.start_client(config.inner(), server_name, fresh)?;
                }
                Ok::<(), Fault>(())
            })
        }

        fn auth_plain(&mut self, user: &str, password: &str) -> PyResult<()> {
            self.wire.core(|core| core.auth_plain(user, password))
        }

        fn auth_login(&mut self, user: &str, password: &str) -> PyResult<()> {
            self.wire.core(|core| core.auth_login(user, password))
        }

        #[pyo3(signature = (address, parameters = Vec::new()))]
        fn mail(&mut self, address: &str, parameters: Vec<String>) -> PyResult<()> {
            self.wire.core(|core| core.mail(address, &slices(&parameters)))
        }

        #[pyo3(signature = (address, parameters = Vec::new()))]
        fn rcpt(&mut self, address: &str, parameters: Vec<String>) -> PyResult<()> {
            self.wire.core(|core| core.rcpt(address, &slices(&parameters)))
        }

        fn data(&mut self) -> PyResult<()> {
            self.wire.core(Client::data)
        }

        fn body(&mut self, chunk: &[u8]) -> PyResult<()> {
            self.wire.core(|core| core.body(chunk))
        }

        fn end_body(&mut self) -> PyResult<()> {
            self.wire.core(Client::end_body)
        }

        fn reset(&mut self) -> PyResult<()> {
            self.wire.core(Client::reset)
        }

        fn quit(&mut self) -> PyResult<()> {
            self.wire.core(Client::quit)
        }
    }
}

fn slices(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn server_event(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    match event {
        Event::Helo { verb, name } => object(
            py,
            Helo {
                verb: verb.name(),
                name,
            },
        ),
        Event::Mail(mail) => object(
            py,
            Mail {
                address: mail.address,
                local: mail.local,
                domain: mail.domain,
                size: mail.size,
                body: mail.body.map(BodyType::name),
                smtputf8: mail.smtputf8,
                auth: mail.auth,
                ret: mail.ret.map(Ret::name),
                envid: mail.envid,
            },
        ),
        Event::Rcpt(rcpt) => {
            let notify = PyTuple::new(py, rcpt.notify.into_iter().map(Notify::name).collect::<Vec<_>>())?.unbind();
            object(
                py,
                Rcpt {
                    address: rcpt.address,
                    local: rcpt.local,
                    domain: rcpt.domain,
                    notify,
                    orcpt: rcpt.orcpt,
                },
            )
        }
        Event::DataBegin => object(py, DataBegin {}),
        Event::BdatBegin { size, last, first } => object(py, BdatBegin { size, last, first }),
        Event::BodyReady => object(py, BodyReady {}),
        Event::ChunkEnd { size } => object(py, ChunkEnd { size }),
        Event::BodyEnd {
            size,
            bare_cr,
            bare_lf,
            nul,
        } => object(
            py,
            BodyEnd {
                size,
                bare_cr,
                bare_lf,
                nul,
            },
        ),
        Event::AuthBegin { mechanism, initial } => object(py, AuthBegin { mechanism, initial }),
        Event::AuthResponse { data } => object(py, AuthResponse { data }),
        Event::StartTls => object(py, StartTls {}),
        Event::Reset => object(py, Reset {}),
        Event::Verify { verb, argument } => object(py, Verify { verb, argument }),
        Event::Help => object(py, Help {}),
        Event::Noop => object(py, Noop {}),
        Event::Quit => object(py, Quit {}),
        Event::Bad(bad) => object(
            py,
            Bad {
                kind: bad.kind.name(),
                code: bad.code,
                enhanced: bad.enhanced.to_owned(),
                text: bad.text.to_owned(),
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

fn client_event(py: Python<'_>, event: ClientEvent) -> PyResult<Py<PyAny>> {
    match event {
        ClientEvent::Reply { command, index, reply } => {
            let lines = PyTuple::new(py, reply.lines)?.unbind();
            object(
                py,
                Reply {
                    command,
                    index,
                    code: reply.code,
                    enhanced: reply.enhanced,
                    lines,
                },
            )
        }
        ClientEvent::Closed(reason) => object(
            py,
            Closed {
                reason: reason.to_owned(),
            },
        ),
    }
}

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Helo>()?;
    module.add_class::<Mail>()?;
    module.add_class::<Rcpt>()?;
    module.add_class::<DataBegin>()?;
    module.add_class::<BdatBegin>()?;
    module.add_class::<ChunkEnd>()?;
    module.add_class::<StartTls>()?;
    module.add_class::<Reset>()?;
    module.add_class::<Verify>()?;
    module.add_class::<Help>()?;
    module.add_class::<Noop>()?;
    module.add_class::<Quit>()?;
    module.add_class::<Reply>()?;
    module.add_class::<SmtpServer>()?;
    module.add_class::<SmtpClient>()
}
