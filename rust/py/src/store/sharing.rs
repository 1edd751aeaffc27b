//! What sessions do in mailboxes of others: operations of `Store` with some freedom only (RFC 4314 §4).

use ironpost_store::Op;
use ironpost_store::ids::Ticket;
use ironpost_store::ops::FlagMode;
use ironpost_store::sharing::{CopyAcross, FlagClasses};
use pyo3::prelude::*;

use super::Store;
use super::view::MailboxView;
use crate::imap::SequenceSet;

/// Of rights, those on flags.
pub(super) fn classes(rights: &str) -> FlagClasses {
    FlagClasses {
        seen: rights.contains('s'),
        deleted: rights.contains('t'),
        others: rights.contains('w'),
    }
}

#[pymethods]
impl Store {
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn copy_across(
        &self,
        view: &MailboxView,
        messages: &SequenceSet,
        uid: bool,
        to: u32,
        target: String,
        r#move: bool,
        rights: &str,
    ) -> PyResult<Ticket> {
        let view = view.inner();
        self.write(Op::CopyAcross(CopyAcross {
            account: view.account,
            mailbox: view.mailbox,
            uids: view.resolve(&messages.inner, uid).ranges(),
            to,
            target,
            remove: r#move,
            kept: classes(rights),
        }))
    }

    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn replace_some_flags(
        &self,
        view: &MailboxView,
        messages: &SequenceSet,
        uid: bool,
        rights: &str,
        flags: Vec<String>,
        silent: bool,
        unchanged_since: Option<u64>,
    ) -> PyResult<Ticket> {
        let mode = FlagMode::ReplaceSome(classes(rights));
        self.change_flags(view, (messages, uid), mode, &flags, silent, unchanged_since)
    }
}
