//! Bodies out of the stream, out of the volume, or from aside.

use std::io::Read;

use ironpost_proto::body::BodySink;

use super::outstanding::Pending;
use super::{Body, Content, Digest, Import, PIECE_OCTETS};
use crate::error::Result;
use crate::portable::format::{self, CHECK_OCTETS, Record};
use crate::sink::Sink;

impl<R: Read> Import<'_, R> {
    /// The body of a record: out of the stream, out of the volume, or from aside. `None` when there is none to be had,
    /// which has been told.
    pub(super) fn content(&mut self, record: &Record, place: &str) -> Result<Option<(Content, Digest)>> {
        let Some(digest) = format::digest(record.text("Body")) else {
            self.damaged(format!("{place}: its record names no body"));
            return Ok(None);
        };
        let octets: u64 = record.number("Body-Octets");
        // An empty body is in every record that has it, shared or not.
        let known_empty = octets == 0 && self.bodies.contains_key(&digest);
        if record.body_octets == octets && !known_empty {
            return Ok(self.read_body(digest, octets, place)?.map(|content| (content, digest)));
        }
        if let Some(Body::InFlight(ticket)) = self.bodies.get(&digest) {
            let ticket = *ticket;
            self.wait_for(ticket)?;
        }
        match self.bodies.get(&digest) {
            Some(Body::Stored(blob)) => Ok(Some((Content::Blob(*blob), digest))),
            Some(Body::Spare) => {
                let mut sink = self.volume.sink(octets);
                let mut at = 0;
                while at < octets {
                    let piece = self.spare.read(&digest, at, PIECE_OCTETS)?;
                    at += piece.len() as u64;
                    self.pour(&mut sink, &piece)?;
                }
                Ok(Some((Content::Sink(sink), digest)))
            }
            Some(Body::InFlight(_)) | None => {
                self.damaged(format!(
                    "{place}: the body that it shares with an earlier message was lost"
                ));
                Ok(None)
            }
        }
    }

    fn read_body(&mut self, digest: Digest, octets: u64, place: &str) -> Result<Option<Content>> {
        let mut hasher = blake3::Hasher::new();
        let mut memory = Vec::with_capacity((octets as usize).min(PIECE_OCTETS));
        let mut sink: Option<Sink> = None;
        let cut = loop {
            match self.reader.read_body(PIECE_OCTETS) {
                Ok([]) => break false,
                Ok(piece) => {
                    hasher.update(piece);
                    memory.extend_from_slice(piece);
                }
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break true,
                Err(error) => return Err(error.into()),
            }
            if octets > PIECE_OCTETS as u64 && memory.len() >= PIECE_OCTETS {
                let mut open = sink.take().unwrap_or_else(|| self.volume.sink(octets));
                self.pour(&mut open, &memory)?;
                sink = Some(open);
                memory.clear();
            }
        };
        if cut {
            self.damaged(format!("{place}: the export ends within it"));
            return Ok(None);
        }
        if hasher.finalize().as_bytes()[..CHECK_OCTETS] != digest {
            self.damaged(format!("{place}: its octets do not fit their digest"));
            return Ok(None);
        }
        let Some(mut sink) = sink else {
            return Ok(Some(Content::Memory(memory)));
        };
        self.pour(&mut sink, &memory)?;
        Ok(Some(Content::Sink(sink)))
    }

    /// Keeps a body that is not wanted here but may be shared by messages that are.
    pub(super) fn set_aside(&mut self, record: &Record) -> Result<()> {
        let shared = record.number::<u32>("References") > 1 && record.body_octets > 0;
        let Some(digest) = format::digest(record.text("Body")).filter(|_| shared) else {
            return Ok(());
        };
        if self.bodies.contains_key(&digest) {
            return Ok(());
        }
        let mut hasher = blake3::Hasher::new();
        self.spare.begin(&digest)?;
        loop {
            match self.reader.read_body(PIECE_OCTETS) {
                Ok([]) => break,
                Ok(piece) => {
                    hasher.update(piece);
                    self.spare.write(piece)?;
                }
                // Told by the next item.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        if hasher.finalize().as_bytes()[..CHECK_OCTETS] == digest {
            self.bodies.insert(digest, Body::Spare);
        } else {
            self.damaged(format!(
                "record at {}: its octets do not fit their digest",
                record.offset
            ));
        }
        Ok(())
    }

    pub(super) fn fill(&mut self, octets: &[u8]) -> Result<Sink> {
        let mut sink = self.volume.sink(octets.len() as u64);
        self.pour(&mut sink, octets)?;
        Ok(sink)
    }

    pub(super) fn pour(&mut self, sink: &mut Sink, octets: &[u8]) -> Result<()> {
        let mut rest = octets;
        while !rest.is_empty() {
            let taken = sink.push(rest);
            rest = &rest[taken..];
            if !rest.is_empty() {
                let ticket = self.volume.wait_sink(sink)?;
                self.pending.insert(ticket, Pending::plain());
                self.wait_for(ticket)?;
            }
        }
        Ok(())
    }
}
