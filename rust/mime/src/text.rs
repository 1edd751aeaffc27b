//! Searchable text.
use crate::structure::Structure;

/// Gives out decoded header texts and text parts as UTF-8, piece by piece.
pub fn searchable(_message: &[u8], _structure: &Structure, _sink: &mut dyn FnMut(&str)) {}

/// As [`searchable`], without the message's own header (SEARCH BODY).
pub fn searchable_body(_message: &[u8], _structure: &Structure, _sink: &mut dyn FnMut(&str)) {}
