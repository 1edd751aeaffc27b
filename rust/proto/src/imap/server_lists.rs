//! What the server says of access control lists and of annotations (RFC 4314, RFC 5464).

use super::server::ImapServer;
use super::{response_acl, response_metadata};
use crate::error::LocalMisuse;

impl ImapServer {
    /// An ACL, LISTRIGHTS or MYRIGHTS line (RFC 4314 §3.6-3.8).
    pub fn untagged_rights<Word: AsRef<str>>(
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
