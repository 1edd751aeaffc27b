//! Operations kept outstanding, as that many sessions would.

use std::time::Duration;

use ironpost_proto::body::BodySink;
use ironpost_store::ops::{Delivery, Submit};
use ironpost_store::sink::Sink;
use ironpost_store::{Op, Outcome, Volume};

use crate::Fault;
use crate::letters::PREFIX;

/// No result for so long: the store has failed.
const WAIT: Duration = Duration::from_secs(60);

/// A sink with the whole body in it.
pub(crate) fn fill(volume: &Volume, body: &[u8]) -> Result<Sink, Fault> {
    let mut sink = volume.sink(body.len() as u64);
    let mut rest = body;
    while !rest.is_empty() {
        rest = &rest[sink.push(rest)..];
        if !rest.is_empty() {
            // It is emptied by a thread of the store's; there is nothing of ours to be woken by.
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(sink)
}

/// One delivery into an INBOX.
pub(crate) fn delivery(account: u32, prefix: &[u8]) -> Op {
    Op::Submit(Submit {
        deliveries: vec![Delivery {
            account,
            mailbox: "INBOX".to_owned(),
            prefix: prefix.to_vec(),
            ..Delivery::default()
        }],
        ..Submit::default()
    })
}

/// Does `count` operations, at most `outstanding` at a time; every one must succeed.
pub(crate) fn flow(
    volume: &Volume,
    count: u64,
    outstanding: u64,
    mut make: impl FnMut(u64) -> Result<(Op, Option<Sink>), Fault>,
) -> Result<(), Fault> {
    let (mut asked, mut done) = (0, 0);
    while done < count {
        while asked < count && asked - done < outstanding {
            let (op, sink) = make(asked)?;
            volume.submit(op, sink, None)?;
            asked += 1;
        }
        volume.wait(WAIT)?;
        let finished = volume.completions(1024);
        volume.take_dirty();
        if finished.is_empty() {
            return Err("the store does not answer".into());
        }
        for (_, result) in finished {
            result?;
            done += 1;
        }
    }
    Ok(())
}

/// Delivers letters of so many octets, to `accounts` in turn.
pub(crate) fn deliver(
    volume: &Volume,
    count: u64,
    outstanding: u64,
    accounts: u64,
    bodies: &[Vec<u8>],
) -> Result<(), Fault> {
    flow(volume, count, outstanding, |number| {
        let body = &bodies[number as usize % bodies.len()];
        let op = delivery(1 + (number % accounts) as u32, PREFIX);
        Ok((op, Some(fill(volume, body)?)))
    })
}

/// One operation and its outcome.
pub(crate) fn one(volume: &Volume, op: Op) -> Result<Outcome, Fault> {
    let ticket = volume.write(op)?;
    loop {
        volume.wait(WAIT)?;
        let finished = volume.completions(1024);
        if finished.is_empty() {
            return Err("the store does not answer".into());
        }
        for (of, result) in finished {
            if of == ticket {
                return Ok(result?);
            }
        }
    }
}
