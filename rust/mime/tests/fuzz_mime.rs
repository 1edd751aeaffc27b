//! The fuzz targets of the MIME readers in short form; `scripts/fuzz.sh` runs the same for longer.
//!
//! No panic, work and output bounded, ranges within the message, and every encoding decodes to itself. `fuzz/` holds the
//! targets and the seeds.

mod fuzz;

use fuzz::runner::Campaign;
use fuzz::{seeds, targets};

#[test]
fn mime_structure() {
    let (target, seeds) = (targets::structure, seeds::messages());
    Campaign {
        name: "mime_structure",
        target,
        seeds,
        dictionaries: &["mime"],
    }
    .run();
}

#[test]
fn mime_envelope() {
    let (target, seeds) = (targets::envelope, seeds::messages());
    Campaign {
        name: "mime_envelope",
        target,
        seeds,
        dictionaries: &["mime"],
    }
    .run();
}

#[test]
fn mime_text() {
    let (target, seeds) = (targets::text, seeds::messages());
    Campaign {
        name: "mime_text",
        target,
        seeds,
        dictionaries: &["mime"],
    }
    .run();
}
