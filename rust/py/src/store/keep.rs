//! Quotas, retention, import and leases: the operations of `Store` that mail sessions do not need.

use ironpost_store::ids::{AccountId, Ticket};
use ironpost_store::ops::RetainedChoice;
use ironpost_store::reader;
use ironpost_store::{Op, Outcome};
use pyo3::prelude::*;

use super::sink::Sink;
use super::{Store, flag_set};

/// What an account and its quota group hold and may hold; a limit of 0 is none.
#[pyclass(frozen, get_all, module = "ironpost._core")]
pub(crate) struct Quota {
    messages: u64,
    octets: u64,
    limit_messages: u64,
    limit_octets: u64,
    group: String,
    group_messages: u64,
    group_octets: u64,
    group_limit_messages: u64,
    group_limit_octets: u64,
}

#[pymethods]
impl Quota {
    fn __repr__(&self) -> String {
        format!("<Quota {} messages, {} octets>", self.messages, self.octets)
    }
}

/// A message that was expunged and can still be recovered.
#[pyclass(frozen, get_all, module = "ironpost._core")]
pub(crate) struct Retained {
    expunged: u64,
    mailbox: u32,
    name: String,
    uid: u32,
    size: u32,
    internal_date: i64,
}

#[pymethods]
impl Retained {
    fn __repr__(&self) -> String {
        format!("<Retained {:?} uid {}>", self.name, self.uid)
    }
}

impl From<reader::RetainedMessage> for Retained {
    fn from(message: reader::RetainedMessage) -> Self {
        Self {
            expunged: message.expunged,
            mailbox: message.mailbox,
            name: message.record.name,
            uid: message.uid,
            size: message.record.message.size,
            internal_date: message.record.message.internal_date,
        }
    }
}

#[pymethods]
impl Store {
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    #[pyo3(signature = (
        account, mailbox, sink, flags, internal_date, internal_zone = 0, *, uid = None, saved = None, quota = false
    ))]
    fn import_message(
        &self,
        account: u32,
        mailbox: String,
        sink: &Sink,
        flags: Vec<String>,
        internal_date: Option<f64>,
        internal_zone: i16,
        uid: Option<u32>,
        saved: Option<f64>,
        quota: bool,
    ) -> PyResult<Ticket> {
        let op = Op::Import {
            account,
            mailbox,
            uid,
            flags: flag_set(&flags)?,
            internal_date: internal_date.map(|seconds| seconds.floor() as i64),
            internal_zone,
            saved: saved.map(|seconds| seconds as u32),
            quota,
        };
        let body = sink.take()?;
        self.call(|volume| volume.submit(op, Some(body), None))
    }

    #[pyo3(signature = (
        account, name, special_use = String::new(), subscribed = None, uid_validity = None, uid_next = None
    ))]
    fn adopt_mailbox(
        &self,
        account: u32,
        name: String,
        special_use: String,
        subscribed: Option<bool>,
        uid_validity: Option<u32>,
        uid_next: Option<u32>,
    ) -> PyResult<Ticket> {
        self.write(Op::AdoptMailbox {
            account,
            name,
            special_use,
            subscribed,
            uid_validity,
            uid_next,
        })
    }

    #[pyo3(signature = (account, *, group = None, messages = None, octets = None))]
    fn set_quota(
        &self,
        account: u32,
        group: Option<String>,
        messages: Option<u64>,
        octets: Option<u64>,
    ) -> PyResult<Ticket> {
        self.write(Op::SetQuota {
            account,
            group,
            messages,
            octets,
        })
    }

    #[pyo3(signature = (group, *, messages = None, octets = None))]
    fn set_group_quota(&self, group: String, messages: Option<u64>, octets: Option<u64>) -> PyResult<Ticket> {
        self.write(Op::SetGroupQuota {
            group,
            messages,
            octets,
        })
    }

    fn quota(&self, account: u32) -> PyResult<Option<Quota>> {
        let found = self.call(|volume| reader::quota(volume.context(), account))?;
        Ok(found.map(|(account, group)| Quota {
            messages: account.messages,
            octets: account.octets,
            limit_messages: account.limit_messages,
            limit_octets: account.limit_octets,
            group: account.group,
            group_messages: group.messages,
            group_octets: group.octets,
            group_limit_messages: group.limit_messages,
            group_limit_octets: group.limit_octets,
        }))
    }

    fn group_quota(&self, group: &str) -> PyResult<(u64, u64, u64, u64)> {
        let found = self.call(|volume| reader::group_quota(volume.context(), group))?;
        Ok((found.messages, found.octets, found.limit_messages, found.limit_octets))
    }

    fn expire(&self, account: u32, mailbox: u32, before: f64) -> PyResult<Ticket> {
        let before = before as u32;
        let is_due = self.call(|volume| reader::expires(volume.context(), mailbox, before))?;
        if !is_due {
            return self.nothing(Outcome::Count(0));
        }
        self.write(Op::Expire {
            account,
            mailbox,
            before,
        })
    }

    fn purge_retained(&self, account: u32, before: f64) -> PyResult<Ticket> {
        self.write(Op::PurgeRetained {
            account,
            before: before as u64,
        })
    }

    #[pyo3(signature = (account, *, mailbox = None, since = None, uids = Vec::new(), into = None))]
    fn recover(
        &self,
        account: AccountId,
        mailbox: Option<String>,
        since: Option<f64>,
        uids: Vec<(u32, u32)>,
        into: Option<String>,
    ) -> PyResult<Ticket> {
        let choice = RetainedChoice {
            mailbox,
            since: since.map_or(0, |seconds| seconds as u64),
            uids,
        };
        self.write(Op::Recover { account, choice, into })
    }

    #[pyo3(signature = (account, after = None, limit = 1000))]
    fn retained(&self, account: u32, after: Option<(u64, u32, u32)>, limit: usize) -> PyResult<Ticket> {
        self.read(reader::retained(account, after, limit))
    }

    fn lease(&self, name: String, seconds: u32) -> PyResult<Ticket> {
        self.write(Op::Lease { name, seconds })
    }

    fn release(&self, name: String) -> PyResult<Ticket> {
        self.write(Op::ReleaseLease { name })
    }

    fn seal(&self) -> PyResult<Ticket> {
        self.write(Op::Seal)
    }
}
