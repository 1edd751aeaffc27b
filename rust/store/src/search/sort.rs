//! SORT: the order of what a search has found (RFC 5256 §3, RFC 5957 §3), from hot rows and cards.

use std::cmp::Ordering;
use std::sync::atomic::AtomicBool;

use ironpost_proto::imap::sort::{SortCriterion, SortKey};

use super::collation::casemap;
use super::facts::each_card;
use crate::card::Card;
use crate::db::records::MessageRecord;
use crate::error::Result;
use crate::ids::Uid;
use crate::jobs::ReadContext;
use crate::view::MailboxView;
use crate::view::uids::UidSet;

/// What one criterion compares.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(Box<[u8]>),
}

/// The found messages in the order asked for; those that are equal by all criteria by number.
pub(super) fn sorted(
    context: &ReadContext,
    view: &MailboxView,
    found: &UidSet,
    criteria: &[SortCriterion],
    cancelled: &AtomicBool,
) -> Result<Vec<Uid>> {
    let mut uids: Vec<Uid> = Vec::with_capacity(found.len() as usize);
    // Values of one message lie together, in the order of the criteria.
    let mut values: Vec<Value> = Vec::with_capacity(uids.capacity() * criteria.len());
    each_card(context, view, found, cancelled, |uid, row, card| {
        uids.push(uid);
        values.extend(criteria.iter().map(|criterion| value(criterion.key, row, card)));
    })?;
    let of = |message: usize| values.iter().skip(message * criteria.len()).zip(criteria);
    let mut order: Vec<usize> = (0..uids.len()).collect();
    order.sort_by(|&left, &right| {
        of(left)
            .zip(of(right))
            .map(|((left, criterion), (right, _))| {
                let order = left.cmp(right);
                if criterion.reverse { order.reverse() } else { order }
            })
            .find(|order| *order != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
    Ok(order
        .into_iter()
        .filter_map(|message| uids.get(message).copied())
        .collect())
}

fn value(key: SortKey, row: &MessageRecord, card: Option<&Card<'_>>) -> Value {
    let octets = |take: fn(&Card<'_>) -> Box<[u8]>| Value::Text(card.map(take).unwrap_or_default());
    match key {
        SortKey::Arrival => Value::Number(row.internal_date),
        SortKey::Date => Value::Number(sent(row, card)),
        SortKey::Size => Value::Number(i64::from(row.size)),
        SortKey::Subject => octets(|card| casemap(card.base_subject)),
        SortKey::From => octets(|card| casemap(&String::from_utf8_lossy(card.from))),
        SortKey::To => octets(|card| casemap(&String::from_utf8_lossy(card.to))),
        SortKey::Cc => octets(|card| casemap(&String::from_utf8_lossy(card.cc))),
        SortKey::DisplayFrom => octets(|card| casemap(card.extras.map_or("", |extras| extras.display_from))),
        SortKey::DisplayTo => octets(|card| casemap(card.extras.map_or("", |extras| extras.display_to))),
    }
}

/// The sent date in UTC; without a Date field that can be read, the internal date (RFC 5256 §2.2).
pub(super) fn sent(row: &MessageRecord, card: Option<&Card<'_>>) -> i64 {
    card.and_then(|card| card.date)
        .map_or(row.internal_date, |(seconds, _)| seconds)
}
