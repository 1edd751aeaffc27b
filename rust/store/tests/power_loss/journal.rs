//! The log of a recorded process: every call that may change what is on disk, in order, with its data; and notes.

use std::path::Path;

/// One entry. A handle names one `open` of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Open {
        handle: u64,
        create: bool,
        truncate: bool,
        path: String,
    },
    /// `durable`: the descriptor has O_DSYNC or O_SYNC.
    Write {
        handle: u64,
        offset: u64,
        durable: bool,
        data: Vec<u8>,
    },
    Truncate {
        handle: u64,
        length: u64,
    },
    /// `fallocate` that may make the file longer.
    Allocate {
        handle: u64,
        end: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Unlink {
        path: String,
    },
    MakeFolder {
        path: String,
    },
    RemoveFolder {
        path: String,
    },
    /// What was written before this entry is durable once the sync has ended well.
    SyncBegins {
        handle: u64,
        token: u64,
    },
    SyncEnds {
        handle: u64,
        token: u64,
        failed: bool,
    },
    Note {
        text: String,
    },
}

impl Entry {
    /// The entry with its length before it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        let mut put = |kind: u8, numbers: &[u64], rest: &[&[u8]]| {
            out.push(kind);
            numbers
                .iter()
                .for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
            rest.iter().for_each(|octets| out.extend_from_slice(octets));
        };
        match self {
            Self::Open {
                handle,
                create,
                truncate,
                path,
            } => {
                put(
                    1,
                    &[*handle, u64::from(*create), u64::from(*truncate)],
                    &[path.as_bytes()],
                );
            }
            Self::Write {
                handle,
                offset,
                durable,
                data,
            } => {
                put(2, &[*handle, *offset, u64::from(*durable)], &[data]);
            }
            Self::Truncate { handle, length } => put(3, &[*handle, *length, 0], &[]),
            Self::Allocate { handle, end } => put(4, &[*handle, *end, 0], &[]),
            Self::Rename { from, to } => {
                put(5, &[from.len() as u64, 0, 0], &[from.as_bytes(), to.as_bytes()]);
            }
            Self::Unlink { path } => put(6, &[0, 0, 0], &[path.as_bytes()]),
            Self::MakeFolder { path } => put(7, &[0, 0, 0], &[path.as_bytes()]),
            Self::RemoveFolder { path } => put(8, &[0, 0, 0], &[path.as_bytes()]),
            Self::SyncBegins { handle, token } => put(9, &[*handle, *token, 0], &[]),
            Self::SyncEnds { handle, token, failed } => put(10, &[*handle, *token, u64::from(*failed)], &[]),
            Self::Note { text } => put(11, &[0, 0, 0], &[text.as_bytes()]),
        }
        let length = (out.len() - 4) as u32;
        out[..4].copy_from_slice(&length.to_le_bytes());
        out
    }

    fn decode(octets: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(octets[1 + at * 8..9 + at * 8].try_into().unwrap());
        let (first, second, third) = (number(0), number(1), number(2));
        let rest = &octets[25..];
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        match octets[0] {
            1 => Self::Open {
                handle: first,
                create: second != 0,
                truncate: third != 0,
                path: text(rest),
            },
            2 => Self::Write {
                handle: first,
                offset: second,
                durable: third != 0,
                data: rest.to_vec(),
            },
            3 => Self::Truncate {
                handle: first,
                length: second,
            },
            4 => Self::Allocate {
                handle: first,
                end: second,
            },
            5 => Self::Rename {
                from: text(&rest[..first as usize]),
                to: text(&rest[first as usize..]),
            },
            6 => Self::Unlink { path: text(rest) },
            7 => Self::MakeFolder { path: text(rest) },
            8 => Self::RemoveFolder { path: text(rest) },
            9 => Self::SyncBegins {
                handle: first,
                token: second,
            },
            10 => Self::SyncEnds {
                handle: first,
                token: second,
                failed: third != 0,
            },
            11 => Self::Note { text: text(rest) },
            kind => panic!("no such entry: {kind}"),
        }
    }
}

/// All entries of a log.
pub fn read(path: &Path) -> Vec<Entry> {
    let octets = std::fs::read(path).unwrap();
    let mut rest = &octets[..];
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        entries.push(Entry::decode(&rest[4..4 + length]));
        rest = &rest[4 + length..];
    }
    entries
}
