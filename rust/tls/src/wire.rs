//! `Wire`: a protocol core behind an optional TLS layer (docs/protocol-cores.md).
//!
//! STARTTLS replaces the layer and takes a new core, so that nothing that was said in plaintext lives on but what was
//! queued to be sent (RFC 3207 §4.2, RFC 9051 §6.2.1, RFC 2595 §4). Whether plaintext lay behind STARTTLS is the core's
//! business. An idle wire owns no buffer.

use crate::client::ClientConfig;
use crate::deflate::{Deflate, Inflated, compress};
use crate::error::TlsFault;
use crate::layer::{Incoming, Layer};
use crate::server::ServerConfig;
use ironpost_proto::Core;
use std::cell::RefCell;

/// What a finished handshake has agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// "TLSv1.2" or "TLSv1.3".
    pub version: &'static str,
    /// Name of the cipher suite, as in the IANA registry.
    pub cipher: &'static str,
    /// The name asked for by SNI (server), or verified against (client).
    pub server_name: Option<String>,
    /// Whether a session ticket has spared the full handshake.
    pub resumed: bool,
    /// DER of the certificate by which the client has proved itself (server).
    pub client_certificate: Option<Vec<u8>>,
}

/// A core and its optional TLS layer.
pub struct Wire<C> {
    core: C,
    layer: Option<Box<Layer>>,
    /// Between core and layer (RFC 4978).
    deflate: Option<Box<Deflate>>,
    /// Plaintext queued before STARTTLS: leaves as it is, before everything else.
    before: Vec<u8>,
    /// Taken from the core, compressed if that is on, and not yet sent, from `queue_start` on.
    queue: Vec<u8>,
    queue_start: usize,
}

thread_local! {
    /// Where ciphertext is worked on, shared by all connections of a thread; as large as the largest `receive`.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<C: Core> Wire<C> {
    /// A plaintext wire.
    pub fn plain(core: C) -> Self {
        Self {
            core,
            layer: None,
            deflate: None,
            before: Vec::new(),
            queue: Vec::new(),
            queue_start: 0,
        }
    }

    /// Implicit TLS from the first octet, server side (RFC 8314 §3).
    pub fn server(core: C, config: &ServerConfig) -> Result<Self, TlsFault> {
        Ok(Self {
            layer: Some(Box::new(config.layer()?)),
            ..Self::plain(core)
        })
    }

    /// Implicit TLS from the first octet, client side. The ClientHello waits in the output.
    pub fn client(core: C, config: &ClientConfig, server_name: &str) -> Result<Self, TlsFault> {
        Ok(Self {
            layer: Some(Box::new(config.layer(server_name)?)),
            ..Self::plain(core)
        })
    }

    /// Begins the handshake as server; what the old core has queued leaves in plaintext before it.
    ///
    /// A wire that already has TLS answers an error and is unchanged.
    pub fn start_server(&mut self, config: &ServerConfig, fresh: C) -> Result<(), TlsFault> {
        let layer = config.layer()?;
        self.replace(layer, fresh)
    }

    /// Begins the handshake as client, with `server_name` for SNI and, where asked for, verification.
    ///
    /// A wire that already has TLS answers an error and is unchanged.
    pub fn start_client(&mut self, config: &ClientConfig, server_name: &str, fresh: C) -> Result<(), TlsFault> {
        let layer = config.layer(server_name)?;
        self.replace(layer, fresh)
    }

    fn replace(&mut self, layer: Layer, fresh: C) -> Result<(), TlsFault> {
        if self.layer.is_some() {
            return Err(TlsFault("the connection has TLS already".into()));
        }
        if self.deflate.is_some() {
            return Err(TlsFault("the connection is compressed already".into()));
        }
        self.before = std::mem::take(&mut self.queue).split_off(std::mem::take(&mut self.queue_start));
        self.before.append(self.core.output());
        self.core = fresh;
        self.layer = Some(Box::new(layer));
        Ok(())
    }

    /// The core, to look at.
    pub fn core(&self) -> &C {
        &self.core
    }

    /// The core, to pull events from and to command.
    pub fn core_mut(&mut self) -> &mut C {
        &mut self.core
    }

    /// Takes octets from the peer, all at once. The first TLS fault is told by this and every later call; the alert for
    /// the peer waits in the output.
    pub fn receive(&mut self, data: &[u8]) -> Result<(), TlsFault> {
        let Some(layer) = &mut self.layer else {
            match &mut self.deflate {
                None => self.core.receive(data),
                Some(deflate) => deflate.receive(data),
            }
            return Ok(());
        };
        let (core, deflate) = (&mut self.core, &mut self.deflate);
        SCRATCH.with_borrow_mut(|scratch| {
            layer.receive(data, scratch, &mut |incoming| match incoming {
                Incoming::Data(octets) => match deflate {
                    None => core.receive(octets),
                    Some(deflate) => deflate.receive(octets),
                },
                Incoming::End => end(core, deflate.as_deref_mut()),
            })
        })
    }

    /// The peer has closed its side of the transport.
    pub fn receive_eof(&mut self) {
        end(&mut self.core, self.deflate.as_deref_mut());
    }

    /// Both directions are compressed from here on (RFC 4978 §3); what is queued already leaves as it is. False when they
    /// are already. What the core has received before is its own affair.
    pub fn start_deflate(&mut self) -> bool {
        if self.deflate.is_some() {
            return false;
        }
        self.queue.append(self.core.output());
        self.deflate = Some(Box::new(Deflate::new()));
        true
    }

    /// Whether both directions are compressed.
    pub fn compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// Whether the peer has sent what is no DEFLATE; the core has then been told that nothing more comes.
    pub fn deflate_broken(&self) -> bool {
        self.deflate.as_ref().is_some_and(|deflate| deflate.broken())
    }

    /// Gives the core the next chunk of what has been received compressed, 32 KiB at most. To be called when the core needs
    /// data; false when there is nothing (read more).
    pub fn inflate(&mut self) -> bool {
        let Some(deflate) = &mut self.deflate else { return false };
        if deflate.is_empty() {
            return false;
        }
        let core = &mut self.core;
        let inflated = deflate.inflate(|octets| core.receive(octets));
        if deflate.over() {
            core.receive_eof();
        }
        inflated != Inflated::Nothing
    }

    /// Takes what the core has to send into the empty queue. False: nothing.
    fn refill(&mut self) -> bool {
        self.queue_start = 0;
        let plain = std::mem::take(self.core.output());
        if self.deflate.is_some() {
            self.queue = Vec::new();
            compress(&plain, &mut self.queue);
        } else {
            self.queue = plain;
        }
        !self.queue.is_empty()
    }

    /// Appends what is to be sent now to `out`, until that holds `limit` octets; nothing when nothing waits.
    ///
    /// Handshake records and replies leave together, so that no reply waits for an acknowledgement of a ticket.
    pub fn take_output(&mut self, limit: usize, out: &mut Vec<u8>) {
        move_front(&mut self.before, limit, out);
        if !self.before.is_empty() || out.len() >= limit {
            return;
        }
        if let Some(mut layer) = self.layer.take() {
            self.take_sealed(&mut layer, limit, out);
            self.layer = Some(layer);
            if self.queue_start == self.queue.len() {
                self.queue = Vec::new();
                self.queue_start = 0;
            }
            return;
        }
        while out.len() < limit {
            if self.queue.is_empty() {
                if !self.refill() {
                    return;
                }
                if out.is_empty() && self.queue.len() <= limit {
                    *out = std::mem::take(&mut self.queue);
                    continue;
                }
            }
            let rest = self.queue.get(self.queue_start..).unwrap_or_default();
            let count = rest.len().min(limit - out.len());
            out.extend_from_slice(rest.get(..count).unwrap_or_default());
            self.queue_start += count;
            if self.queue_start == self.queue.len() {
                self.queue = Vec::new();
                self.queue_start = 0;
            }
        }
    }

    fn take_sealed(&mut self, layer: &mut Layer, limit: usize, out: &mut Vec<u8>) {
        layer.take_outgoing(limit, out);
        while out.len() < limit && layer.can_send() && layer.pending_outgoing() == 0 {
            if self.queue_start == self.queue.len() && !self.refill() {
                layer.finish();
                layer.take_outgoing(limit, out);
                break;
            }
            let used = layer.encrypt(self.queue.get(self.queue_start..).unwrap_or_default(), limit, out);
            self.queue_start += used;
            if used == 0 {
                break;
            }
        }
    }

    /// Octets known to wait, before encryption; 0 means that `take_output` would give nothing.
    pub fn output_pending(&mut self) -> usize {
        let plain = self.queue.len() - self.queue_start + self.core.output().len();
        let sealed = match &self.layer {
            None => plain,
            Some(layer) => layer.pending_output() + if layer.can_send() { plain } else { 0 },
        };
        self.before.len() + sealed
    }

    /// Memory that the wire itself holds in buffers, in octets; for tests of idle cost.
    pub fn buffer_octets(&self) -> usize {
        let layer = self.layer.as_ref().map_or(0, |layer| layer.buffer_octets());
        self.before.capacity() + self.queue.capacity() + layer
    }

    /// Whether a handshake has finished.
    pub fn secure(&self) -> bool {
        self.layer.as_ref().is_some_and(|layer| layer.established())
    }

    /// Whether the wire has a TLS layer, its handshake finished or not.
    pub fn has_tls(&self) -> bool {
        self.layer.is_some()
    }

    /// What the finished handshake has agreed on.
    pub fn tls(&self) -> Option<TlsInfo> {
        let layer = self.layer.as_ref().filter(|layer| layer.established())?;
        Some(TlsInfo {
            version: layer.version(),
            cipher: layer.cipher(),
            server_name: layer.server_name().map(str::to_owned),
            resumed: layer.resumed(),
            client_certificate: layer.client_certificate().map(<[u8]>::to_vec),
        })
    }

    /// Queues close_notify behind all output (RFC 8446 §6.1); nothing on a plaintext wire.
    pub fn close_tls(&mut self) {
        if let Some(layer) = &mut self.layer {
            layer.close();
        }
    }
}

/// Nothing more comes; what waits compressed comes before the core is told.
fn end<C: Core>(core: &mut C, deflate: Option<&mut Deflate>) {
    match deflate {
        Some(deflate) if !deflate.over() => {
            deflate.receive_eof();
            if deflate.over() {
                core.receive_eof();
            }
        }
        _ => core.receive_eof(),
    }
}

fn move_front(from: &mut Vec<u8>, limit: usize, out: &mut Vec<u8>) {
    if from.is_empty() {
        return;
    }
    let count = from.len().min(limit.saturating_sub(out.len()));
    out.extend(from.drain(..count));
    if from.is_empty() {
        *from = Vec::new();
    }
}
