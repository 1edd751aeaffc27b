//! The fuzz targets by name. They live beside the crates' tests, where `make test` drives them in short form; here the
//! same files are built for cargo-fuzz.

#[path = "../../mime/tests/fuzz/mod.rs"]
mod mime;
#[path = "../../proto/tests/fuzz/mod.rs"]
mod proto;

pub use mime::targets::{envelope as mime_envelope, structure as mime_structure, text as mime_text};
pub use proto::imap::{search_key as imap_search_key, server as imap_server};
pub use proto::imap_client::client as imap_client;
pub use proto::pop3::server as pop3_server;
pub use proto::smtp::{client as smtp_client, server as smtp_server};
pub use proto::texts::{address, mailbox_name};
