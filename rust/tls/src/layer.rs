//! One rustls connection, client or server, over the unbuffered interface: the record layer owns no buffers of its own.
//!
//! Handshake and alert records gather in `outgoing`; application data is encrypted only when it is taken.

use crate::error::TlsFault;
use crate::server::take_server_name;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, HandshakeKind};
use std::ops::Deref;

/// Most plaintext octets in one record (RFC 8446 §5.1).
const RECORD_OCTETS_MAX: usize = 16_384;
/// What encryption adds to a record at most: 22 octets in TLS 1.3, 29 in TLS 1.2 with AES-GCM, and some room for an
/// internal key update; when more is needed rustls says how much.
const RECORD_OVERHEAD: usize = 64;
/// What close_notify takes about, for `output_pending`.
const CLOSE_NOTIFY_OCTETS: usize = 24;

/// What came out of the record layer.
pub(crate) enum Incoming<'a> {
    /// Decrypted octets.
    Data(&'a [u8]),
    /// The peer's close_notify (RFC 8446 §6.1): no more data.
    End,
}

/// The two kinds of connection, which rustls gives no common `process_tls_records`.
trait Records: Deref<Target: Deref<Target = CommonState>> {
    type Data;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// How far the closing of our side has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    Wanted,
    Sent,
}

/// The TLS layer of one wire.
pub(crate) struct Layer {
    connection: Connection,
    /// Ciphertext received that does not make a whole record or handshake message yet.
    pending: Vec<u8>,
    outgoing: Vec<u8>,
    outgoing_start: usize,
    established: bool,
    /// The peer has sent close_notify: whatever it sends behind it is dropped (RFC 8446 §6.1).
    ended: bool,
    closing: Closing,
    fault: Option<TlsFault>,
    server_name: Option<Box<str>>,
}

impl Layer {
    pub(crate) fn server(connection: UnbufferedServerConnection) -> Self {
        Self::new(Connection::Server(connection), None)
    }

    /// The ClientHello waits in the output at once.
    pub(crate) fn client(connection: UnbufferedClientConnection, server_name: Option<Box<str>>) -> Self {
        let mut layer = Self::new(Connection::Client(connection), server_name);
        let mut nothing = Vec::new();
        let _ = layer.process(&mut nothing, &mut |_| ());
        layer
    }

    fn new(connection: Connection, server_name: Option<Box<str>>) -> Self {
        Self {
            connection,
            pending: Vec::new(),
            outgoing: Vec::new(),
            outgoing_start: 0,
            established: false,
            ended: false,
            closing: Closing::Open,
            fault: None,
            server_name,
        }
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Server(connection) => connection,
            Connection::Client(connection) => connection,
        }
    }

    pub(crate) fn established(&self) -> bool {
        self.established
    }

    pub(crate) fn version(&self) -> &'static str {
        match self.common().protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        }
    }

    pub(crate) fn cipher(&self) -> &'static str {
        self.common()
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown")
    }

    pub(crate) fn resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// DER of what the peer of a server has shown and holds the key of.
    pub(crate) fn client_certificate(&self) -> Option<&[u8]> {
        match &self.connection {
            Connection::Server(connection) => connection.peer_certificates()?.first().map(AsRef::as_ref),
            Connection::Client(_) => None,
        }
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether application data could be encrypted now.
    pub(crate) fn can_send(&self) -> bool {
        self.established && self.fault.is_none() && self.closing != Closing::Sent
    }

    /// Handshake, alert and closing octets that wait.
    pub(crate) fn pending_output(&self) -> usize {
        let closing = usize::from(self.closing == Closing::Wanted && self.can_send()) * CLOSE_NOTIFY_OCTETS;
        self.outgoing.len() - self.outgoing_start + closing
    }

    /// Handshake and alert octets that wait.
    pub(crate) fn pending_outgoing(&self) -> usize {
        self.outgoing.len() - self.outgoing_start
    }

    /// Memory held in buffers of ours, in octets.
    pub(crate) fn buffer_octets(&self) -> usize {
        self.pending.capacity() + self.outgoing.capacity()
    }

    /// Asks for close_notify behind all output.
    pub(crate) fn close(&mut self) {
        if self.closing == Closing::Open {
            self.closing = Closing::Wanted;
        }
    }

    /// Takes ciphertext. `scratch` is any vector whose memory may be used meanwhile.
    pub(crate) fn receive(
        &mut self,
        data: &[u8],
        scratch: &mut Vec<u8>,
        deliver: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), TlsFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.ended {
            return Ok(());
        }
        // A short rest and a short addition stay in the connection's own vector, so that a peer that sends octet by
        // octet costs no copying; else the work is done in the shared scratch memory.
        let small = !self.pending.is_empty() && self.pending.len() + data.len() <= 2 * RECORD_OCTETS_MAX;
        let mut buffer = std::mem::take(&mut self.pending);
        if !small {
            scratch.clear();
            scratch.extend_from_slice(&buffer);
            std::mem::swap(&mut buffer, scratch);
        }
        buffer.extend_from_slice(data);
        let result = self.process(&mut buffer, deliver);
        if small {
            if buffer.is_empty() {
                buffer = Vec::new();
            }
            self.pending = buffer;
        } else {
            self.pending = buffer.as_slice().to_vec();
            std::mem::swap(&mut buffer, scratch);
        }
        result
    }

    /// Runs the connection over `buffer`, whose consumed front is removed.
    fn process(&mut self, buffer: &mut Vec<u8>, deliver: &mut dyn FnMut(Incoming<'_>)) -> Result<(), TlsFault> {
        let mut ended = false;
        let deliver = &mut |incoming: Incoming<'_>| {
            ended |= matches!(incoming, Incoming::End);
            deliver(incoming);
        };
        let result = match &mut self.connection {
            Connection::Server(connection) => {
                let result = pump(connection, buffer, &mut self.outgoing, deliver);
                if let Some(name) = take_server_name() {
                    self.server_name = Some(name.into());
                }
                result
            }
            Connection::Client(connection) => pump(connection, buffer, &mut self.outgoing, deliver),
        };
        self.ended |= ended;
        if self.ended {
            buffer.clear();
        }
        self.established = self.established || !self.common().is_handshaking();
        if let Err(fault) = &result {
            self.fault = Some(fault.clone());
            buffer.clear();
        }
        result
    }

    /// Moves handshake and alert octets to `out`, at most until it holds `limit`.
    pub(crate) fn take_outgoing(&mut self, limit: usize, out: &mut Vec<u8>) {
        let waiting = self.outgoing.get(self.outgoing_start..).unwrap_or_default();
        let count = waiting.len().min(limit.saturating_sub(out.len()));
        out.extend_from_slice(waiting.get(..count).unwrap_or_default());
        self.outgoing_start += count;
        if self.outgoing_start == self.outgoing.len() {
            self.outgoing = Vec::new();
            self.outgoing_start = 0;
        }
    }

    /// Encrypts from the front of `plain` into `out` until that holds `limit`; returns how much of `plain` was used.
    pub(crate) fn encrypt(&mut self, plain: &[u8], limit: usize, out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while used < plain.len() && self.can_send() {
            let rest = plain.len() - used;
            let room = limit.saturating_sub(out.len());
            // A record that is not worth its overhead waits for the next call, unless this one would come out empty.
            let worth = rest.min(1024) + RECORD_OVERHEAD;
            if room < worth && !out.is_empty() {
                break;
            }
            let direct = room >= worth;
            let most = if direct { room - RECORD_OVERHEAD } else { 1024 };
            let Some(piece) = plain.get(used..used + rest.min(most).min(RECORD_OCTETS_MAX)) else {
                break;
            };
            let sealed = if direct {
                self.seal(Seal::Data(piece), out)
            } else {
                self.seal_outgoing(Seal::Data(piece))
            };
            if !sealed {
                break;
            }
            used += piece.len();
            if out.len() > limit {
                // A key update came along; what is too much stays behind.
                self.outgoing = out.split_off(limit);
            }
            self.take_outgoing(limit, out);
        }
        used
    }

    /// Queues close_notify when it is wanted and all data has gone.
    pub(crate) fn finish(&mut self) {
        if self.closing == Closing::Wanted && self.can_send() {
            self.seal_outgoing(Seal::Close);
            self.closing = Closing::Sent;
        }
    }

    fn seal_outgoing(&mut self, what: Seal<'_>) -> bool {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let sealed = self.seal(what, &mut outgoing);
        self.outgoing = outgoing;
        sealed
    }

    fn seal(&mut self, what: Seal<'_>, out: &mut Vec<u8>) -> bool {
        let result = match &mut self.connection {
            Connection::Server(connection) => seal(connection, &mut self.pending, what, out),
            Connection::Client(connection) => seal(connection, &mut self.pending, what, out),
        };
        if let Err(fault) = &result {
            self.fault = Some(fault.clone());
        }
        result.is_ok()
    }
}

#[derive(Clone, Copy)]
enum Seal<'a> {
    Data(&'a [u8]),
    Close,
}

/// Lets rustls consume `buffer` until it wants more.
fn pump<R: Records>(
    connection: &mut R,
    buffer: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
    deliver: &mut dyn FnMut(Incoming<'_>),
) -> Result<(), TlsFault> {
    let mut start = 0;
    let result = loop {
        let Some(rest) = buffer.get_mut(start..) else {
            break Err(TlsFault("record layer consumed more than there was".into()));
        };
        let UnbufferedStatus { discard, state } = connection.process(rest);
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => deliver(Incoming::Data(record.payload)),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut record)) => {
                encode(outgoing, |space| record.encode(space).map_err(too_small))?;
            }
            Ok(ConnectionState::TransmitTlsData(record)) => record.done(),
            Ok(ConnectionState::PeerClosed) => deliver(Incoming::End),
            Ok(ConnectionState::Closed) => {
                start = buffer.len();
                break Ok(());
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                start += discard;
                break Ok(());
            }
            // Early data is never offered; no other state is known.
            Ok(state) => break Err(TlsFault(format!("unexpected TLS state {state:?}"))),
            Err(error) => {
                start += discard;
                let fault = TlsFault::from(error);
                collect_alert(connection, buffer.get_mut(start..).unwrap_or_default(), outgoing);
                break Err(fault);
            }
        }
        start += discard;
    };
    buffer.drain(..start.min(buffer.len()));
    result
}

/// After an error rustls holds its alert ready for the next call; called with nothing ready it would look at the input
/// again, which it must not.
fn collect_alert<R: Records>(connection: &mut R, buffer: &mut [u8], outgoing: &mut Vec<u8>) {
    while connection.wants_write() {
        let Ok(ConnectionState::EncodeTlsData(mut record)) = connection.process(buffer).state else {
            return;
        };
        if encode(outgoing, |space| record.encode(space).map_err(too_small)).is_err() {
            return;
        }
    }
}

/// Seals `what` at the end of `out`, behind the key update that rustls may want first.
fn seal<R: Records>(connection: &mut R, pending: &mut [u8], what: Seal<'_>, out: &mut Vec<u8>) -> Result<(), TlsFault> {
    loop {
        match connection.process(pending).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => return write(&mut traffic, what, out),
            Ok(ConnectionState::EncodeTlsData(mut record)) => {
                encode(out, |space| record.encode(space).map_err(too_small))?;
            }
            Ok(ConnectionState::TransmitTlsData(record)) => record.done(),
            Ok(state) => return Err(TlsFault(format!("cannot send in TLS state {state:?}"))),
            Err(error) => return Err(error.into()),
        }
    }
}

fn write<D>(traffic: &mut WriteTraffic<'_, D>, what: Seal<'_>, out: &mut Vec<u8>) -> Result<(), TlsFault> {
    let guess = match what {
        Seal::Data(plain) => plain.len() + RECORD_OVERHEAD,
        Seal::Close => RECORD_OVERHEAD,
    };
    append(out, guess, |space| {
        match what {
            Seal::Data(plain) => traffic.encrypt(plain, space),
            Seal::Close => traffic.queue_close_notify(space),
        }
        .map_err(|error| match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => TooSmall::Need(required_size),
            EncryptError::EncryptExhausted => TooSmall::Never("the connection's keys are exhausted"),
        })
    })
}

enum TooSmall {
    Need(usize),
    Never(&'static str),
}

fn too_small(error: EncodeError) -> TooSmall {
    match error {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => TooSmall::Need(required_size),
        EncodeError::AlreadyEncoded => TooSmall::Never("a handshake record was encoded twice"),
    }
}

fn encode(out: &mut Vec<u8>, with: impl FnMut(&mut [u8]) -> Result<usize, TooSmall>) -> Result<(), TlsFault> {
    append(out, 0, with)
}

/// Lets `with` write behind the end of `out`, in as much space as it asks for.
fn append(
    out: &mut Vec<u8>,
    guess: usize,
    mut with: impl FnMut(&mut [u8]) -> Result<usize, TooSmall>,
) -> Result<(), TlsFault> {
    let before = out.len();
    let mut space = guess;
    for _ in 0..3 {
        out.resize(before + space, 0);
        match with(out.get_mut(before..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(before + written);
                return Ok(());
            }
            Err(TooSmall::Need(needed)) => space = needed,
            Err(TooSmall::Never(why)) => {
                out.truncate(before);
                return Err(TlsFault(why.into()));
            }
        }
    }
    out.truncate(before);
    Err(TlsFault("the record layer never had space enough".into()))
}
