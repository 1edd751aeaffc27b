//! FETCH: from hot row, card and pack to response octets, in stretches (RFC 9051 §6.4.5, §7.5.2).

pub mod cursor;
pub mod decoding;
pub mod internal_date;
pub mod items;
pub mod message;
pub mod object_id;
pub mod section;
mod warm;

pub use cursor::{FetchCursor, paged};
