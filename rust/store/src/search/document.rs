//! The text of a stored message in pieces: what SEARCH TEXT and BODY look at and what the filter indexes.
//!
//! Both must see the same octets, or a search would miss what the filter rules out: this is the only place that decides.

use ironpost_mime::{Octets, Structure, text};

use super::needle::fold_onto;

/// The folded text of a prefix, one piece.
pub(crate) fn prefix_text(prefix: &[u8], folded: &mut String) {
    folded.clear();
    fold_onto(&String::from_utf8_lossy(prefix), folded);
}

/// Gives out the folded pieces of a body until `take` answers false; with `header` its header counts too.
///
/// `folded` is a buffer to be used again.
pub(crate) fn body_pieces(
    blob: &mut dyn Octets,
    structure: &Structure,
    header: bool,
    folded: &mut String,
    mut take: impl FnMut(&str) -> bool,
) {
    text::search(blob, structure, header, &mut |piece| {
        folded.clear();
        fold_onto(piece, folded);
        take(folded)
    });
}
