//! ironpost-tls: rustls behind the sans-IO contract. A [`Wire`] joins a protocol core and, when there is one, a TLS layer.
//!
//! With COMPRESS a DEFLATE layer lies between the two. It opens no socket and reads no file: ciphertext in by [`Wire::receive`], ciphertext out by [`Wire::take_output`].
//! TLS 1.2 and 1.3 only (RFC 8996, RFC 9325); no early data, no ALPN; client certificates where they are asked for. Handshake signatures are
//! made inline: about 30 µs for ECDSA P-256, about a millisecond for RSA-2048, so that a busy server should hold ECDSA
//! keys (`ironpost init` makes them).
#![forbid(unsafe_code)]

mod certificates;
mod client;
mod clients;
mod deflate;
mod error;
mod layer;
mod server;
mod wire;

pub use client::{ClientConfig, Verification};
pub use error::{ConfigFault, TlsFault};
pub use server::ServerConfig;
pub use wire::{TlsInfo, Wire};
