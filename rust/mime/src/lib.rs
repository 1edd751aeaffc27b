//! Messages as byte ranges: the input is never copied, offsets are exact to the octet.
//!
//! [`Structure::parse`] reads a message once and yields a flat table of parts; everything else (ENVELOPE,
//! BODYSTRUCTURE, sections, search text) is made from that table and the message's own octets. A message too large for
//! memory is read through a window ([`Octets`]). Nothing here fails on
//! bad input: what cannot be understood is opaque text. No files, no clock, no threads
//! (RFC 5322, RFC 2045-2047, RFC 2231, RFC 9051 §7.5.2, RFC 5256 §2).
#![forbid(unsafe_code)]

pub mod bodystructure;
pub mod envelope;
pub mod headers;
pub mod html;
mod lexer;
pub mod octets;
mod section;
pub mod structure;
mod table;
pub mod transfer;
mod work;

pub mod address_list;
pub mod builder;
pub mod charset;
pub mod date;
pub mod encoded_word;
pub mod lines;
pub mod params;
pub mod preview;
pub mod subject;
pub mod text;
pub mod threading;

pub use bodystructure::bodystructure;
pub use envelope::envelope;
pub use octets::Octets;
pub use section::{Leaf, SectionRange};
pub use structure::{Headers, Limits, Part, PartKind, Structure};
pub use transfer::TransferEncoding;
