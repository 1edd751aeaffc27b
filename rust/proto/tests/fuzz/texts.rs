//! Small grammars that stand alone: what was read is printed so that it reads the same again.

use ironpost_proto::address::{Charset, Path, mailbox, path};
use ironpost_proto::imap::lexer::Lexer;
use ironpost_proto::imap::mailbox_matches;
use ironpost_proto::imap::mailbox_name::{decode_modified_utf7, encode_modified_utf7};
use ironpost_proto::imap::quoting::write_string;

/// Paths and mailboxes of SMTP (RFC 5321 §4.1.2).
pub fn address(data: &[u8]) {
    for charset in [Charset::Ascii, Charset::Utf8] {
        if let Ok(read) = mailbox(data, charset) {
            assert_eq!(mailbox(read.to_string().as_bytes(), charset), Ok(read));
        }
        let Ok((read, length)) = path(data, charset) else {
            continue;
        };
        assert!(length <= data.len());
        if let Path::Mailbox(read) = &read {
            assert_eq!(mailbox(read.to_string().as_bytes(), charset).as_ref(), Ok(read));
        }
        let again = format!("<{read}>");
        assert_eq!(path(again.as_bytes(), charset), Ok((read, again.len())));
    }
}

/// Modified UTF-7 both ways (RFC 3501 §5.1.3), strings as we quote them, LIST patterns.
pub fn mailbox_name(data: &[u8]) {
    if let Some(text) = decode_modified_utf7(data) {
        let mut encoded = Vec::new();
        encode_modified_utf7(&mut encoded, &text);
        assert_eq!(encoded, data, "a second spelling of {text:?} was accepted");
    }
    let text = String::from_utf8_lossy(data);
    let mut encoded = Vec::new();
    encode_modified_utf7(&mut encoded, &text);
    assert_eq!(decode_modified_utf7(&encoded).as_deref(), Some(&*text));
    if !data.contains(&0) {
        let mut quoted = Vec::new();
        write_string(&mut quoted, data);
        let mut lexer = Lexer::new(&quoted);
        assert_eq!(lexer.string().as_deref(), Ok(data));
        assert!(lexer.rest().is_empty());
    }
    let (name, pattern) = text.split_once('/').unwrap_or((&text, "*"));
    let _ = mailbox_matches(name, "", pattern);
    assert!(mailbox_matches(&text, "", "*"));
}
