//! RFC 5322 addresses, groups and obsolete forms, RFC 6532, as ENVELOPE shows them.
//!
//! A list never fails: what is broken yields an address with a word in place of what is missing, so that a client sees
//! that something stood there, and never a NIL host, which would read as a group (RFC 9051 §7.5.2).
use crate::headers::unfold;
use crate::lexer::{Scanner, Step};

/// One address of an ENVELOPE (RFC 9051 §7.5.2).
///
/// A group begins with an address that has only a mailbox (the group's name) and ends with one that has nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The display name, unquoted, still RFC 2047 encoded.
    pub name: Option<Vec<u8>>,
    /// The obsolete source route, `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// The local part, unquoted.
    pub mailbox: Option<Vec<u8>>,
    /// The domain.
    pub host: Option<Vec<u8>>,
}

impl Address {
    /// True for an address, false for a group's begin or end.
    #[must_use]
    pub fn is_mailbox(&self) -> bool {
        self.host.is_some()
    }
}

/// Addresses kept of one field; more than any list of recipients that a person can have written.
pub const ADDRESSES_MAX: usize = 10_000;

/// Stands for a local part that is missing.
const NO_MAILBOX: &[u8] = b"MISSING_MAILBOX";
/// Stands for a domain that is missing.
const NO_HOST: &[u8] = b"MISSING_DOMAIN";
/// Stands for the domain of an address whose angle brackets are broken.
const BROKEN_HOST: &[u8] = b"SYNTAX_ERROR";
/// Stands for a source route that is broken.
const BROKEN_ROUTE: &[u8] = b"INVALID_ROUTE";

/// Reads a raw `address-list` (RFC 5322 §3.4, §4.4); at most [`ADDRESSES_MAX`], up to the first hopeless place.
#[must_use]
pub fn parse(value: &[u8]) -> Vec<Address> {
    let value = unfold(value);
    let mut parser = Parser {
        scanner: Scanner::new(&value),
        found: Vec::new(),
    };
    if parser.scanner.skip_cfws() == Step::More {
        parser.list();
    }
    parser.found
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    found: Vec<Address>,
}

impl Parser<'_> {
    fn list(&mut self) {
        while self.found.len() < ADDRESSES_MAX {
            if self.address() == Step::End || !self.scanner.is_at(b',') {
                return;
            }
            self.scanner.advance();
            match self.scanner.skip_cfws() {
                Step::More => {}
                Step::End => return,
                Step::Broken => {
                    self.push(Address::default());
                    return;
                }
            }
        }
    }

    /// `mailbox / group`.
    fn address(&mut self) -> Step {
        let start = self.scanner.position();
        match self.group() {
            Some(step) => step,
            None => {
                self.scanner.rewind(start);
                self.mailbox()
            }
        }
    }

    /// `display-name ":" [group-list] ";"`; `None` when this is no group.
    fn group(&mut self) -> Option<Step> {
        let mut name = Vec::new();
        if self.scanner.phrase(&mut name) != Step::More || !self.scanner.is_at(b':') {
            return None;
        }
        self.found.push(Address {
            mailbox: Some(name),
            ..Address::default()
        });
        self.scanner.advance();
        let mut step = self.scanner.skip_cfws();
        if step == Step::More && !self.scanner.is_at(b';') {
            step = self.group_list();
        }
        if step == Step::More {
            step = if self.scanner.is_at(b';') {
                self.scanner.advance();
                self.scanner.skip_cfws()
            } else {
                Step::Broken
            };
        }
        self.found.push(Address::default());
        Some(step)
    }

    fn group_list(&mut self) -> Step {
        while self.found.len() < ADDRESSES_MAX {
            self.mailbox();
            if !self.scanner.is_at(b',') {
                break;
            }
            self.scanner.advance();
            let step = self.scanner.skip_cfws();
            if step != Step::More {
                return step;
            }
        }
        if self.scanner.peek().is_some() {
            Step::More
        } else {
            Step::End
        }
    }

    /// `name-addr / addr-spec`.
    fn mailbox(&mut self) -> Step {
        let start = self.scanner.position();
        let mut address = Address::default();
        let step = match self.name_addr(&mut address) {
            Some(step) => step,
            None => {
                self.scanner.rewind(start);
                address = Address::default();
                self.addr_spec(&mut address)
            }
        };
        self.push(address);
        step
    }

    fn push(&mut self, mut address: Address) {
        address.mailbox.get_or_insert_with(|| NO_MAILBOX.to_vec());
        if address.host.as_ref().is_none_or(Vec::is_empty) {
            address.host = Some(NO_HOST.to_vec());
        }
        self.found.push(address);
    }

    /// `[display-name] "<" addr-spec ">"`; `None` when no angle bracket follows the name.
    fn name_addr(&mut self, address: &mut Address) -> Option<Step> {
        let mut name = Vec::new();
        if self.scanner.phrase(&mut name) != Step::More || !self.scanner.is_at(b'<') {
            return None;
        }
        address.name = (!name.is_empty()).then_some(name);
        if self.angle_addr(address) == Step::Broken {
            address.host = Some(BROKEN_HOST.to_vec());
        }
        Some(if self.scanner.peek().is_some() {
            Step::More
        } else {
            Step::End
        })
    }

    /// `"<" [obs-route] addr-spec ">"`.
    fn angle_addr(&mut self, address: &mut Address) -> Step {
        self.scanner.advance();
        if self.scanner.skip_cfws() != Step::More {
            return Step::Broken;
        }
        if self.scanner.is_at(b'@') {
            let mut route = Vec::new();
            let is_route = self.route(&mut route) == Step::More && self.scanner.is_at(b':');
            if is_route {
                address.route = Some(route);
                self.scanner.advance();
            } else {
                address.route = Some(BROKEN_ROUTE.to_vec());
            }
            if self.scanner.skip_cfws() != Step::More {
                return Step::Broken;
            }
        }
        // <> has no address in it: both words stand in for it.
        if !self.scanner.is_at(b'>') {
            if self.local_part(address) != Step::More {
                return Step::Broken;
            }
            if self.scanner.is_at(b'@') {
                let mut host = Vec::new();
                let step = self.scanner.at_domain(&mut host);
                if step != Step::Broken {
                    address.host = Some(host);
                }
                if step != Step::More {
                    return Step::Broken;
                }
            }
        }
        if !self.scanner.is_at(b'>') {
            return Step::Broken;
        }
        self.scanner.advance();
        self.scanner.skip_cfws()
    }

    /// `obs-domain-list` (RFC 5322 §4.4).
    fn route(&mut self, route: &mut Vec<u8>) -> Step {
        loop {
            if !self.scanner.is_at(b'@') {
                return if self.scanner.peek().is_some() {
                    Step::More
                } else {
                    Step::End
                };
            }
            if !route.is_empty() {
                route.push(b',');
            }
            route.push(b'@');
            let step = self.scanner.at_domain(route);
            if step != Step::More {
                return step;
            }
            while self.scanner.skip_cfws() == Step::More && self.scanner.is_at(b',') {
                self.scanner.advance();
            }
        }
    }

    fn local_part(&mut self, address: &mut Address) -> Step {
        let mut mailbox = Vec::new();
        let step = self.scanner.local_part(&mut mailbox);
        if step != Step::Broken {
            address.mailbox = Some(mailbox);
        }
        step
    }

    /// `local-part "@" domain`, with a comment as the name: `jo@example.org (Jo Doe)`.
    fn addr_spec(&mut self, address: &mut Address) -> Step {
        self.scanner.comment.clear();
        let is_quoted = self.scanner.is_at(b'"');
        let mut step = self.local_part(address);
        let mut has_at = false;
        if step != Step::End && self.scanner.is_at(b'@') {
            has_at = true;
            let mut host = Vec::new();
            step = self.scanner.at_domain(&mut host);
            if step != Step::Broken {
                address.host = Some(host);
            }
        }
        if !self.scanner.comment.is_empty() {
            address.name = Some(self.scanner.comment.clone());
        } else if !has_at {
            // A lone word is a mailbox without its domain; several words are a name without its address.
            let mut tail = Vec::new();
            self.scanner.phrase(&mut tail);
            if !tail.is_empty() {
                let mut name = address.mailbox.take().unwrap_or_default();
                name.push(b' ');
                name.extend_from_slice(&tail);
                address.name = Some(name);
            } else if is_quoted {
                address.name = address.mailbox.take();
            }
            return if self.scanner.peek().is_some() {
                Step::Broken
            } else {
                Step::End
            };
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// name|route|mailbox|host of each address; ~ is NIL.
    fn shown(value: &str) -> Vec<String> {
        let text = |field: &Option<Vec<u8>>| {
            field
                .as_ref()
                .map_or_else(|| "~".to_owned(), |octets| String::from_utf8_lossy(octets).into_owned())
        };
        parse(value.as_bytes())
            .iter()
            .map(|a| {
                format!(
                    "{}|{}|{}|{}",
                    text(&a.name),
                    text(&a.route),
                    text(&a.mailbox),
                    text(&a.host)
                )
            })
            .collect()
    }

    #[test]
    fn regular_addresses() {
        assert_eq!(shown("a@b.c"), ["~|~|a|b.c"]);
        assert_eq!(
            shown(" John Q. Public <jq.p@x.example> , \"Joe \\\"X\\\"\" <\"j o\"@y>"),
            ["John Q. Public|~|jq.p|x.example", "Joe \"X\"|~|j o|y"]
        );
        assert_eq!(shown("<a@[IPv6:::1]>"), ["~|~|a|[IPv6:::1]"]);
        assert_eq!(shown("=?utf-8?q?J=C3=BC?= <a@b>"), ["=?utf-8?q?J=C3=BC?=|~|a|b"]);
        assert_eq!(
            shown("J\u{fc} <j\u{fc}@\u{fc}.example>"),
            ["J\u{fc}|~|j\u{fc}|\u{fc}.example"]
        );
        assert_eq!(
            shown("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            ["Pete|~|pete|silly.test"]
        );
        assert_eq!(shown("A\r\n\t<a@b>,\r\n c@d"), ["A|~|a|b", "~|~|c|d"]);
    }

    #[test]
    fn groups() {
        assert_eq!(
            shown("undisclosed-recipients:;"),
            ["~|~|undisclosed-recipients|~", "~|~|~|~"]
        );
        assert_eq!(
            shown("A Group:Ed <e@x>,f@y; , g@z"),
            ["~|~|A Group|~", "Ed|~|e|x", "~|~|f|y", "~|~|~|~", "~|~|g|z"]
        );
        assert_eq!(shown("G: a@b"), ["~|~|G|~", "~|~|a|b", "~|~|~|~"]);
        assert_eq!(shown("G:"), ["~|~|G|~", "~|~|~|~"]);
    }

    #[test]
    fn obsolete_forms() {
        assert_eq!(shown("a@b (Jo Doe)"), ["Jo Doe|~|a|b"]);
        assert_eq!(shown("<@r1,@r2:a@b>"), ["~|@r1,@r2|a|b"]);
        assert_eq!(shown("a . b @ c . d"), ["~|~|a.b|c.d"]);
        assert_eq!(
            shown("\"quoted\"@x, \"a\" . b.\"c d\"@y"),
            ["~|~|quoted|x", "~|~|a.b.c d|y"]
        );
        assert_eq!(
            shown("<....@a>, .0.@b, x..y@c"),
            ["~|~|....|a", "~|~|.0.|b", "~|~|x..y|c"]
        );
    }

    #[test]
    fn broken_addresses() {
        assert_eq!(shown(""), Vec::<String>::new());
        assert_eq!(shown("(only a comment)"), Vec::<String>::new());
        assert_eq!(shown("jo"), ["~|~|jo|MISSING_DOMAIN"]);
        assert_eq!(shown("Jo Doe"), ["Jo Doe|~|MISSING_MAILBOX|MISSING_DOMAIN"]);
        assert_eq!(shown("@host"), ["~|~|MISSING_MAILBOX|host"]);
        assert_eq!(shown("<>"), ["~|~|MISSING_MAILBOX|MISSING_DOMAIN"]);
        assert_eq!(shown("Jo <a@b"), ["Jo|~|a|SYNTAX_ERROR"]);
        assert_eq!(shown("Jo <a b@c>"), ["Jo|~|a|SYNTAX_ERROR"]);
        assert_eq!(shown("<@:a@b>"), ["~|INVALID_ROUTE|MISSING_MAILBOX|SYNTAX_ERROR"]);
        assert_eq!(shown("a@b, c@d ("), ["~|~|a|b", "~|~|c|MISSING_DOMAIN"]);
        assert_eq!(shown("a@"), ["~|~|a|MISSING_DOMAIN"]);
    }

    #[test]
    fn the_number_is_bounded() {
        assert_eq!(parse("a,".repeat(ADDRESSES_MAX * 2).as_bytes()).len(), ADDRESSES_MAX);
    }
}
