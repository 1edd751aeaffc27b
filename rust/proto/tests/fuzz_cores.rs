//! The fuzz targets of the cores in short form; `scripts/fuzz.sh` runs the same for longer.
//!
//! No panic, output and memory bounded, the events independent of how octets are cut into reads, and what is printed
//! parses to the same again. `fuzz/` holds the targets, the mutator and the seeds.

mod fuzz;

use fuzz::runner::Campaign;
use fuzz::{imap, imap_client as imap_peer, pop3, seeds, smtp, texts};

#[test]
fn smtp_server() {
    let (target, seeds) = (smtp::server, seeds::smtp_server());
    Campaign {
        name: "smtp_server",
        target,
        seeds,
        dictionaries: &["smtp"],
    }
    .run();
}

#[test]
fn smtp_client() {
    let (target, seeds) = (smtp::client, seeds::smtp_client());
    Campaign {
        name: "smtp_client",
        target,
        seeds,
        dictionaries: &["smtp"],
    }
    .run();
}

#[test]
fn imap_server() {
    let (target, seeds) = (imap::server, seeds::imap_server());
    Campaign {
        name: "imap_server",
        target,
        seeds,
        dictionaries: &["imap"],
    }
    .run();
}

#[test]
fn imap_client() {
    let (target, seeds) = (imap_peer::client, seeds::imap_client());
    Campaign {
        name: "imap_client",
        target,
        seeds,
        dictionaries: &["imap"],
    }
    .run();
}

#[test]
fn imap_search_key() {
    let (target, seeds) = (imap::search_key, seeds::imap_search_key());
    Campaign {
        name: "imap_search_key",
        target,
        seeds,
        dictionaries: &["imap"],
    }
    .run();
}

#[test]
fn pop3_server() {
    let (target, seeds) = (pop3::server, seeds::pop3_server());
    Campaign {
        name: "pop3_server",
        target,
        seeds,
        dictionaries: &["pop3"],
    }
    .run();
}

#[test]
fn address() {
    let (target, seeds) = (texts::address, seeds::address());
    Campaign {
        name: "address",
        target,
        seeds,
        dictionaries: &["smtp"],
    }
    .run();
}

#[test]
fn mailbox_name() {
    let (target, seeds) = (texts::mailbox_name, seeds::mailbox_name());
    Campaign {
        name: "mailbox_name",
        target,
        seeds,
        dictionaries: &["imap"],
    }
    .run();
}
