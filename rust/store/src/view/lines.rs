//! Untagged lines of numbers and flags (RFC 9051 §7.3, §7.5): written without a formatting machine, since a FETCH of
//! flags may answer for every message of a mailbox.

use std::sync::Arc;

use ironpost_proto::imap::quoting::write_number;
use ironpost_proto::imap::search_key::SystemFlag;

use crate::sharing::FlagClasses;

/// Flag names in the order of their bits.
const SYSTEM_FLAGS: [(SystemFlag, &[u8]); 5] = [
    (SystemFlag::Seen, b"\\Seen"),
    (SystemFlag::Answered, b"\\Answered"),
    (SystemFlag::Flagged, b"\\Flagged"),
    (SystemFlag::Deleted, b"\\Deleted"),
    (SystemFlag::Draft, b"\\Draft"),
];

/// Keywords an account may have: bits of a row.
pub const KEYWORDS_MAX: usize = 64;

/// An account's keywords: the name of each bit; empty where a number is not in use.
pub type KeywordNames = Arc<[Arc<str>]>;

/// Appends `(\Seen $Junk)`.
pub fn write_flags(out: &mut Vec<u8>, flags: u8, keywords: u64, recent: bool, names: &[Arc<str>]) {
    out.push(b'(');
    let start = out.len();
    for (flag, name) in SYSTEM_FLAGS {
        if flags & flag.bit() != 0 {
            out.extend_from_slice(name);
            out.push(b' ');
        }
    }
    if recent {
        out.extend_from_slice(b"\\Recent ");
    }
    let mut left = keywords;
    while left != 0 {
        // A bit without a name is newer than the list; the caller reads the list anew before that can be.
        if let Some(name) = names
            .get(left.trailing_zeros() as usize)
            .filter(|name| !name.is_empty())
        {
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
        }
        left &= left - 1;
    }
    if out.len() > start {
        out.pop();
    }
    out.push(b')');
}

/// Appends `* n NAME`, without the line end.
pub fn write_numbered(out: &mut Vec<u8>, number: u32, name: &[u8]) {
    out.extend_from_slice(b"* ");
    write_number(out, u64::from(number));
    out.push(b' ');
    out.extend_from_slice(name);
}

/// Appends the beginning of a message's FETCH line, or, for a client that counts in UIDs alone, of its UIDFETCH line (RFC 9586 §3.3).
pub fn write_fetch(out: &mut Vec<u8>, number: u32, uid: u32, uid_only: bool) {
    if uid_only {
        write_numbered(out, uid, b"UIDFETCH (");
    } else {
        write_numbered(out, number, b"FETCH (");
    }
}

/// What a FETCH line of flags tells of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlagsLine {
    /// Its UID.
    pub uid: u32,
    /// The UID is told among the rest.
    pub tells_uid: bool,
    /// The line begins with the UID instead of the message number (RFC 9586).
    pub uid_only: bool,
    /// System flags and keyword bits, where they are told.
    pub flags: Option<(u8, u64)>,
    /// Recent in this session.
    pub recent: bool,
    /// Its modseq, where it is told (RFC 7162 §3.1.4).
    pub modseq: Option<u64>,
}

/// Appends a whole `* n FETCH (FLAGS (...))` line.
pub fn write_flags_line(out: &mut Vec<u8>, number: u32, line: FlagsLine, names: &[Arc<str>]) {
    write_fetch(out, number, line.uid, line.uid_only);
    let start = out.len();
    if line.tells_uid && !line.uid_only {
        out.extend_from_slice(b"UID ");
        write_number(out, u64::from(line.uid));
        out.push(b' ');
    }
    if let Some((flags, keywords)) = line.flags {
        out.extend_from_slice(b"FLAGS ");
        write_flags(out, flags, keywords, line.recent, names);
        out.push(b' ');
    }
    if let Some(modseq) = line.modseq {
        out.extend_from_slice(b"MODSEQ (");
        write_number(out, modseq);
        out.extend_from_slice(b") ");
    }
    if out.len() > start {
        out.pop();
    }
    out.extend_from_slice(b")\r\n");
}

/// Appends `* FLAGS (...)` and `* OK [PERMANENTFLAGS (...)]` for a list of keywords that has grown; `permanent`: what the client
/// may change, nothing after EXAMINE.
pub fn write_flag_lists(out: &mut Vec<u8>, names: &[Arc<str>], permanent: Option<FlagClasses>) {
    let every = SYSTEM_FLAGS.iter().fold(0, |bits, (flag, _)| bits | flag.bit());
    let full = names.len() >= KEYWORDS_MAX;
    let all_keywords = if full { u64::MAX } else { (1 << names.len()) - 1 };
    out.extend_from_slice(b"* FLAGS ");
    write_flags(out, every, all_keywords, false, names);
    out.extend_from_slice(b"\r\n* OK [PERMANENTFLAGS ");
    let classes = permanent.unwrap_or(FlagClasses::NONE);
    if classes == FlagClasses::NONE {
        out.extend_from_slice(b"()");
    } else {
        let keywords = all_keywords & classes.keywords();
        write_flags(out, every & classes.system(), keywords, false, names);
        if classes.others && !full {
            out.pop();
            out.extend_from_slice(b" \\*)");
        }
    }
    out.extend_from_slice(b"] Keywords have grown\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<Arc<str>> {
        vec!["$Forwarded".into(), "$Junk".into()]
    }

    #[test]
    fn flag_lists() {
        for (flags, keywords, recent, text) in [
            (0, 0, false, "()"),
            (1, 0, false, "(\\Seen)"),
            (
                0b11111,
                0,
                true,
                "(\\Seen \\Answered \\Flagged \\Deleted \\Draft \\Recent)",
            ),
            (4, 3, false, "(\\Flagged $Forwarded $Junk)"),
            (0, 1 << 40, false, "()"),
        ] {
            let mut out = Vec::new();
            write_flags(&mut out, flags, keywords, recent, &names());
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

    #[test]
    fn whole_lines() {
        let mut out = Vec::new();
        let line = FlagsLine {
            uid: 99,
            tells_uid: true,
            uid_only: false,
            flags: Some((1, 2)),
            ..FlagsLine::default()
        };
        write_flags_line(&mut out, 12, line, &names());
        let line = FlagsLine {
            flags: None,
            modseq: Some(7),
            ..line
        };
        write_flags_line(&mut out, 13, line, &names());
        write_flag_lists(&mut out, &names()[..1], Some(FlagClasses::ALL));
        write_flag_lists(&mut out, &[], None);
        let seen = FlagClasses {
            seen: true,
            ..FlagClasses::NONE
        };
        write_flag_lists(&mut out, &names()[..1], Some(seen));
        assert_eq!(
            String::from_utf8_lossy(&out),
            "* 12 FETCH (UID 99 FLAGS (\\Seen $Junk))\r\n\
             * 13 FETCH (UID 99 MODSEQ (7))\r\n\
             * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded)\r\n\
             * OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded \\*)] Keywords have grown\r\n\
             * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)\r\n\
             * OK [PERMANENTFLAGS ()] Keywords have grown\r\n\
             * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded)\r\n\
             * OK [PERMANENTFLAGS (\\Seen)] Keywords have grown\r\n"
        );
    }
}
