//! Which mailboxes a command is about: `filter-mailboxes` of NOTIFY (RFC 5465 §6, §8) and of ESEARCH (RFC 7377 §2.2, §6).

use super::fault::{BadKind, Fault};
use super::lexer::Lexer;
use super::mailbox_name::{NameEncoding, decode_name};

/// Names in one filter; a client that watches or searches more of them names the tree above.
pub const FILTER_NAMES_MAX: usize = 1000;

/// A set of mailboxes. Names are Unicode with INBOX in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxFilter {
    /// `selected`: the selected mailbox.
    Selected,
    /// `selected-delayed`: likewise, and expunges wait (RFC 5465 §6.2).
    SelectedDelayed,
    /// `inboxes`: one's own into which mail may be delivered.
    Inboxes,
    /// `personal`: all of one's own.
    Personal,
    /// `subscribed`.
    Subscribed,
    /// `subtree`: these and all below them.
    Subtree(Vec<String>),
    /// `subtree-one`: these and what stands right below them (RFC 7377 §2.2).
    SubtreeOne(Vec<String>),
    /// `mailboxes`: these.
    Mailboxes(Vec<String>),
}

impl MailboxFilter {
    /// The filter's word, in lower case.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::SelectedDelayed => "selected-delayed",
            Self::Inboxes => "inboxes",
            Self::Personal => "personal",
            Self::Subscribed => "subscribed",
            Self::Subtree(_) => "subtree",
            Self::SubtreeOne(_) => "subtree-one",
            Self::Mailboxes(_) => "mailboxes",
        }
    }

    /// It is about the selected mailbox.
    #[must_use]
    pub fn of_selected(&self) -> bool {
        matches!(self, Self::Selected | Self::SelectedDelayed)
    }

    /// The names of the filters that have some.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Subtree(names) | Self::SubtreeOne(names) | Self::Mailboxes(names) => names,
            _ => &[],
        }
    }

    /// `filter-mailboxes = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" /
    /// (("subtree" / "subtree-one" / "mailboxes") SP one-or-more-mailbox)`
    ///
    /// # Errors
    /// A syntax fault, or a limit when one filter names more than [`FILTER_NAMES_MAX`].
    pub fn parse(lexer: &mut Lexer<'_>, encoding: NameEncoding) -> Result<Self, Fault> {
        Ok(match lexer.atom()?.to_ascii_lowercase().as_str() {
            "selected" => Self::Selected,
            "selected-delayed" => Self::SelectedDelayed,
            "inboxes" => Self::Inboxes,
            "personal" => Self::Personal,
            "subscribed" => Self::Subscribed,
            "subtree" => Self::Subtree(one_or_more(lexer, encoding)?),
            "subtree-one" => Self::SubtreeOne(one_or_more(lexer, encoding)?),
            "mailboxes" => Self::Mailboxes(one_or_more(lexer, encoding)?),
            _ => return Err(Fault::syntax("unknown mailbox filter")),
        })
    }
}

/// `SP one-or-more-mailbox`, `one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"`
fn one_or_more(lexer: &mut Lexer<'_>, encoding: NameEncoding) -> Result<Vec<String>, Fault> {
    lexer.space()?;
    if !lexer.eat(b'(') {
        return Ok(vec![decode_name(&lexer.astring()?, encoding)?]);
    }
    let mut names = Vec::new();
    loop {
        if names.len() == FILTER_NAMES_MAX {
            return Err(Fault::new(BadKind::Limit, "too many mailboxes"));
        }
        names.push(decode_name(&lexer.astring()?, encoding)?);
        if !lexer.another()? {
            return Ok(names);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(text: &str) -> Result<MailboxFilter, Fault> {
        let line = format!("{text}\r\n");
        let mut lexer = Lexer::new(line.as_bytes());
        let filter = MailboxFilter::parse(&mut lexer, NameEncoding::ModifiedUtf7)?;
        lexer.end()?;
        Ok(filter)
    }

    fn print(filter: &MailboxFilter) -> String {
        if filter.names().is_empty() {
            return filter.word().to_owned();
        }
        let names: Vec<String> = filter.names().iter().map(|name| format!("\"{name}\"")).collect();
        format!("{} ({})", filter.word(), names.join(" "))
    }

    #[test]
    fn all_filters_print_as_they_were_read() {
        for text in [
            "selected",
            "selected-delayed",
            "inboxes",
            "personal",
            "subscribed",
            "subtree (\"a\" \"b/c d\")",
            "subtree-one (\"INBOX\")",
            "mailboxes (\"a\" \"a\")",
        ] {
            assert_eq!(print(&parse(text).unwrap()), text);
            assert_eq!(
                parse(&text.replace("selected", "SELECTED")).unwrap(),
                parse(text).unwrap()
            );
        }
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            parse("Subtree inbox").unwrap(),
            MailboxFilter::Subtree(names(&["INBOX"]))
        );
        assert_eq!(
            parse("mailboxes {3+}\r\na b").unwrap(),
            MailboxFilter::Mailboxes(names(&["a b"]))
        );
        assert_eq!(
            parse("mailboxes (&AOk- x)").unwrap(),
            MailboxFilter::Mailboxes(names(&["\u{e9}", "x"]))
        );
    }

    #[test]
    fn what_is_no_filter() {
        for text in [
            "",
            "all",
            "subtree",
            "subtree ",
            "subtree ()",
            "mailboxes (a",
            "mailboxes (a )",
            "mailboxes (a  b)",
            "selected x",
            "mailboxes a b",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let many = |count: usize| format!("mailboxes ({})", vec!["x"; count].join(" "));
        assert!(parse(&many(FILTER_NAMES_MAX)).is_ok());
        assert_eq!(parse(&many(FILTER_NAMES_MAX + 1)).unwrap_err().kind, BadKind::Limit);
    }
}
