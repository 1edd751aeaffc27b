//! ESEARCH over several mailboxes (RFC 7377): its arguments, and its answer.

use super::command::{Arguments, Context};
use super::command_message::search;
use super::fault::Fault;
use super::lexer::Lexer;
use super::mailbox_filter::MailboxFilter;
use super::mailbox_name::NameEncoding;
use super::quoting::{write_number, write_string};
use super::response::mailbox_name;
use super::search_key::word_follows;
use crate::error::{LocalMisuse, one_line};

/// `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`
pub(super) fn esearch(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mut attempt = lexer.clone();
    attempt.space()?;
    let mut sources = None;
    if word_follows(&mut attempt, "IN") {
        *lexer = attempt;
        sources = Some(source_options(lexer, context)?);
    }
    match search(lexer, context)? {
        Arguments::Search(mut program) => {
            if !program.returns.extended {
                // RFC 7377 §2.1: the answer is ESEARCH in any case.
                program.returns.extended = true;
                program.returns.all = true;
            }
            Ok(Arguments::MultiSearch { sources, program })
        }
        _ => Err(Fault::syntax("malformed ESEARCH")),
    }
}

/// `SP "(" source-mbox [SP "(" scope-options ")"] ")"`, `source-mbox = filter-mailboxes *(SP filter-mailboxes)`
fn source_options(lexer: &mut Lexer<'_>, context: &Context) -> Result<Vec<MailboxFilter>, Fault> {
    lexer.space()?;
    lexer.open()?;
    let mut sources = Vec::new();
    loop {
        if lexer.peek() == Some(b'(') {
            return Err(Fault::syntax("no scope options are known"));
        }
        let filter = MailboxFilter::parse(lexer, context.encoding)?;
        if filter == MailboxFilter::SelectedDelayed {
            // RFC 7377 §2.2
            return Err(Fault::syntax("selected-delayed is not for ESEARCH"));
        }
        sources.push(filter);
        if !lexer.another()? {
            return Ok(sources);
        }
    }
}

/// `* ESEARCH (TAG tag MAILBOX mailbox UIDVALIDITY number)`, then `data` with the space that it begins with (RFC 7377 §2.1).
pub(super) fn write_found(
    out: &mut Vec<u8>,
    tag: &str,
    mailbox: &str,
    uid_validity: u32,
    data: &str,
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    one_line(tag, "tag")?;
    one_line(mailbox, "mailbox")?;
    one_line(data, "data")?;
    out.extend_from_slice(b"* ESEARCH (TAG ");
    write_string(out, tag.as_bytes());
    out.extend_from_slice(b" MAILBOX ");
    mailbox_name(out, mailbox, encoding);
    out.extend_from_slice(b" UIDVALIDITY ");
    write_number(out, u64::from(uid_validity));
    out.push(b')');
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_was_found_names_its_mailbox() {
        let mut out = Vec::new();
        let encoding = NameEncoding::ModifiedUtf7;
        write_found(&mut out, "tag1", "folder2/b a", 503, " UID ALL 3002:3004", encoding).unwrap();
        write_found(&mut out, "tag1", "\u{e9}", 1, " UID COUNT 1", encoding).unwrap();
        assert!(write_found(&mut out, "tag1", "a\r\nb", 1, "", encoding).is_err());
        let said = "* ESEARCH (TAG \"tag1\" MAILBOX \"folder2/b a\" UIDVALIDITY 503) UID ALL 3002:3004\r\n\
                    * ESEARCH (TAG \"tag1\" MAILBOX \"&AOk-\" UIDVALIDITY 1) UID COUNT 1\r\n";
        assert_eq!(String::from_utf8_lossy(&out), said);
    }
}
