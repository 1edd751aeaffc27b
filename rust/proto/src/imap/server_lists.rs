//! What the server says of access control lists, of annotations, of names that change and of searches in several mailboxes (RFC 4314,
//! RFC 5464, RFC 5465, RFC 7377).

use super::server::ImapServer;
use super::{command_multisearch, response, response_acl, response_metadata};
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

    /// An ESEARCH line that names its mailbox (RFC 7377 §2.1); `data` is empty or begins with a space.
    pub fn untagged_found(
        &mut self,
        tag: &str,
        mailbox: &str,
        uid_validity: u32,
        data: &str,
    ) -> Result<(), LocalMisuse> {
        command_multisearch::write_found(&mut self.output, tag, mailbox, uid_validity, data, self.encoding)
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
