//! What the server says of access control lists, of annotations and of names that change (RFC 4314, RFC 5464, RFC 5465).

use super::server::ImapServer;
use super::{response, response_acl, response_metadata};
use crate::error::LocalMisuse;

impl ImapServer {
    /// A LIST line of a mailbox that has been renamed (RFC 9051 §6.3.9.7).
    pub fn untagged_renamed<Attribute: AsRef<str>>(
        &mut self,
        attributes: &[Attribute],
        mailbox: &str,
        old_name: &str,
    ) -> Result<(), LocalMisuse> {
        response::renamed(&mut self.output, attributes, mailbox, old_name, self.encoding)
    }

    /// An ACL, LISTRIGHTS or MYRIGHTS line (RFC 4314 §3.6-3.8), or a METADATA line of entries without values (RFC 5464 §4.4.2).
    pub fn untagged_words<Word: AsRef<str>>(
        &mut self,
        response: &str,
        mailbox: &str,
        words: &[Word],
    ) -> Result<(), LocalMisuse> {
        response_acl::rights(&mut self.output, response, mailbox, words, self.encoding)
    }

    /// A METADATA line: entries with their values (RFC 5464 §4.4.1).
    pub fn untagged_metadata(
        &mut self,
        mailbox: &str,
        values: &[(String, Option<Vec<u8>>)],
    ) -> Result<(), LocalMisuse> {
        response_metadata::metadata(&mut self.output, mailbox, values, self.encoding)
    }
}
