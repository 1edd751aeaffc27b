//! Commands: the table of all of them, and what a parsed one holds (RFC 9051 §6).
//!
//! A new command is one row here and one function in its family's file.

use super::append::{AppendPart, AppendTarget};
use super::command_acl::{of_identifier, set_acl};
use super::command_auth::{authenticate, compress, enable, id, language, login};
use super::command_mailbox::{create, examine_or_select, list, lsub, mailbox, rename, status};
use super::command_message::{append, cancel_update, copy, fetch, replace, search, store, uid_batches, uid_expunge};
use super::command_metadata::{Depth, get_metadata, set_metadata};
use super::command_multisearch::esearch;
use super::command_notify::{NotifySet, notify};
use super::command_quota::{get_quota, set_quota};
use super::command_url::{gen_url_auth, reset_key, url_fetch};
use super::fault::{BadKind, Fault};
use super::fetch_att::FetchAttribute;
use super::lexer::Lexer;
use super::mailbox_filter::MailboxFilter;
use super::mailbox_name::NameEncoding;
use super::modseq::{FetchModifiers, Resync};
use super::search_key::SearchProgram;
use super::sequence::SequenceSet;
use super::sort::{sort, thread};
use super::state::{Allowed, Phase};

/// A complete, well-formed command that the state allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As the client wrote it.
    pub tag: String,
    /// Upper case; `UID FETCH` and the like are names of their own.
    pub name: &'static str,
    /// What came behind it.
    pub arguments: Arguments,
}

/// Arguments, by shape. Mailbox names are Unicode with INBOX in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// NOOP and the like.
    None,
    /// The end of APPEND, REPLACE or UID REPLACE; messages in literals have come before, each with its `AppendBegin`.
    Append {
        /// Where to.
        target: AppendTarget,
        /// What stood behind the last literal.
        parts: Vec<AppendPart>,
    },
    /// LOGIN.
    Login {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// AUTHENTICATE (RFC 4959 for the initial response).
    Authenticate {
        /// Upper case.
        mechanism: String,
        /// Decoded; empty for `=`.
        initial: Option<Vec<u8>>,
    },
    /// ENABLE: names in upper case.
    Enable(Vec<String>),
    /// ID: `None` for NIL.
    Id(Option<Vec<(String, Option<String>)>>),
    /// SELECT and EXAMINE.
    Select {
        /// Which.
        mailbox: String,
        /// Parameters in upper case (RFC 4466).
        parameters: Vec<String>,
        /// What the client knows already (RFC 7162).
        resync: Option<Resync>,
    },
    /// LANGUAGE (RFC 5255 §3.2): language ranges, the best first.
    Language(Vec<String>),
    /// COMPRESS (RFC 4978): the algorithm in upper case.
    Compress(String),
    /// CREATE.
    Create {
        /// Without a final separator.
        mailbox: String,
        /// E.g. `\Sent` (RFC 6154).
        special_use: Option<&'static str>,
    },
    /// DELETE, SUBSCRIBE, UNSUBSCRIBE.
    Mailbox(String),
    /// RENAME.
    Rename {
        /// From.
        old: String,
        /// To.
        new: String,
    },
    /// LIST.
    List(ListArguments),
    /// LSUB.
    Lsub {
        /// Goes before the pattern.
        reference: String,
        /// With `*` and `%`.
        pattern: String,
    },
    /// STATUS.
    Status {
        /// Which.
        mailbox: String,
        /// Upper case.
        items: Vec<&'static str>,
    },
    /// SEARCH, SORT, THREAD and their UID forms.
    Search(SearchProgram),
    /// ESEARCH (RFC 7377).
    MultiSearch {
        /// Which mailboxes; the selected one when `None`.
        sources: Option<Vec<MailboxFilter>>,
        /// What to find, and what to return of it.
        program: SearchProgram,
    },
    /// FETCH and UID FETCH; the latter does not add UID to the items.
    Fetch {
        /// Which messages.
        set: SequenceSet,
        /// What of them.
        items: Vec<FetchAttribute>,
        /// Which of them, and what else.
        modifiers: FetchModifiers,
    },
    /// STORE and UID STORE.
    Store {
        /// Which messages.
        set: SequenceSet,
        /// Only those without a later change (RFC 7162).
        unchanged_since: Option<u64>,
        /// Add, remove or replace.
        mode: StoreMode,
        /// No untagged FETCH is wanted.
        silent: bool,
        /// Canonical.
        flags: Vec<String>,
    },
    /// COPY, MOVE and their UID forms.
    Copy {
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: String,
    },
    /// UID EXPUNGE.
    Set(SequenceSet),
    /// UIDBATCHES (RFC 10022 §3.1).
    UidBatches {
        /// Messages in each batch.
        size: u32,
        /// Of the batches, which, from 1 for the one with the highest UIDs, as the client wrote it; all when `None`.
        batches: Option<(u32, u32)>,
    },
    /// CANCELUPDATE (RFC 5267 §4.3.5): the tags of searching commands.
    CancelUpdate(Vec<String>),
    /// GENURLAUTH (RFC 4467): URLs up to their access identifiers, each with its mechanism in upper case.
    GenUrlAuth(Vec<(String, String)>),
    /// URLFETCH: whole URLs.
    UrlFetch(Vec<String>),
    /// RESETKEY.
    ResetKey {
        /// Of all mailboxes when `None`.
        mailbox: Option<String>,
        /// Upper case; all when empty.
        mechanisms: Vec<String>,
    },
    /// DELETEACL and LISTRIGHTS (RFC 4314 §3.2, §3.4).
    Identifier {
        /// Which mailbox.
        mailbox: String,
        /// Whom it is about.
        identifier: String,
    },
    /// SETACL (RFC 4314 §3.1).
    SetAcl {
        /// Which mailbox.
        mailbox: String,
        /// Whom it is about.
        identifier: String,
        /// Add, remove or replace.
        mode: StoreMode,
        /// Known ones, each once.
        rights: String,
    },
    /// GETMETADATA (RFC 5464 §4.2); the mailbox "" stands for the server.
    GetMetadata {
        /// Which mailbox.
        mailbox: String,
        /// Larger values are left out.
        max_size: Option<u32>,
        /// How far below the entries.
        depth: Depth,
        /// Lower case, each once.
        entries: Vec<String>,
    },
    /// SETMETADATA (RFC 5464 §4.3).
    SetMetadata {
        /// Which mailbox.
        mailbox: String,
        /// Entries in lower case with their values; `None` removes.
        values: Vec<(String, Option<Vec<u8>>)>,
    },
    /// NOTIFY (RFC 5465 §3.1): `None` for NONE.
    Notify(Option<NotifySet>),
    /// GETQUOTA (RFC 9208 §4.1.1).
    QuotaRoot(String),
    /// SETQUOTA (RFC 9208 §4.1.3).
    SetQuota {
        /// Which root.
        root: String,
        /// Resource names in upper case with their limits.
        limits: Vec<(String, u64)>,
    },
}

/// LIST, plain or extended (RFC 9051 §6.3.9, RFC 5258, RFC 5819).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListArguments {
    /// Goes before each pattern.
    pub reference: String,
    /// With `*` and `%`.
    pub patterns: Vec<String>,
    /// Upper case.
    pub select_options: Vec<&'static str>,
    /// Upper case.
    pub return_options: Vec<&'static str>,
    /// Of RETURN (STATUS (...)), upper case.
    pub status_items: Vec<&'static str>,
    /// Of RETURN (METADATA (...)), lower case (RFC 9590).
    pub entries: Vec<String>,
}

/// What STORE does with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`.
    Replace,
}

/// What the parsers need to know of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// How names are encoded.
    pub encoding: NameEncoding,
    /// Nesting of search keys.
    pub search_depth_max: usize,
    /// IMAP4rev2 is enabled.
    pub rev2: bool,
    /// UTF8=ACCEPT is enabled: SEARCH takes no charset (RFC 6855 §3).
    pub utf8_accept: bool,
}

/// One command: its name, where it is allowed, and what reads its arguments.
#[derive(Debug)]
pub struct Row {
    /// Upper case.
    pub name: &'static str,
    /// In which phases.
    pub allowed: Allowed,
    parse: Parse,
}

type Parse = fn(&mut Lexer<'_>, &Context) -> Result<Arguments, Fault>;

const fn row(name: &'static str, allowed: Allowed, parse: Parse) -> Row {
    Row { name, allowed, parse }
}

fn nothing(_: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    Ok(Arguments::None)
}

/// All commands, the frequent ones first.
pub static COMMANDS: &[Row] = &[
    row("UID FETCH", Allowed::Selected, fetch),
    row("FETCH", Allowed::Selected, fetch),
    row("NOOP", Allowed::Always, nothing),
    row("IDLE", Allowed::Authenticated, nothing),
    row("UID STORE", Allowed::Selected, store),
    row("STORE", Allowed::Selected, store),
    row("UID SEARCH", Allowed::Selected, search),
    row("SEARCH", Allowed::Selected, search),
    row("UID SORT", Allowed::Selected, sort),
    row("SORT", Allowed::Selected, sort),
    row("UID THREAD", Allowed::Selected, thread),
    row("THREAD", Allowed::Selected, thread),
    row("ESEARCH", Allowed::Authenticated, esearch),
    row("STATUS", Allowed::Authenticated, status),
    row("SELECT", Allowed::Authenticated, examine_or_select),
    row("EXAMINE", Allowed::Authenticated, examine_or_select),
    row("LIST", Allowed::Authenticated, list),
    row("LSUB", Allowed::Authenticated, lsub),
    row("APPEND", Allowed::Authenticated, append),
    row("UID REPLACE", Allowed::Selected, replace),
    row("REPLACE", Allowed::Selected, replace),
    row("UID COPY", Allowed::Selected, copy),
    row("COPY", Allowed::Selected, copy),
    row("UID MOVE", Allowed::Selected, copy),
    row("MOVE", Allowed::Selected, copy),
    row("CANCELUPDATE", Allowed::Selected, cancel_update),
    row("UIDBATCHES", Allowed::Selected, uid_batches),
    row("UID EXPUNGE", Allowed::Selected, uid_expunge),
    row("EXPUNGE", Allowed::Selected, nothing),
    row("CLOSE", Allowed::Selected, nothing),
    row("UNSELECT", Allowed::Selected, nothing),
    row("CHECK", Allowed::Selected, nothing),
    row("CREATE", Allowed::Authenticated, create),
    row("DELETE", Allowed::Authenticated, mailbox),
    row("RENAME", Allowed::Authenticated, rename),
    row("SUBSCRIBE", Allowed::Authenticated, mailbox),
    row("UNSUBSCRIBE", Allowed::Authenticated, mailbox),
    row("NAMESPACE", Allowed::Authenticated, nothing),
    row("GETQUOTAROOT", Allowed::Authenticated, mailbox),
    row("GETQUOTA", Allowed::Authenticated, get_quota),
    row("SETQUOTA", Allowed::Authenticated, set_quota),
    row("GENURLAUTH", Allowed::Authenticated, gen_url_auth),
    row("URLFETCH", Allowed::Authenticated, url_fetch),
    row("RESETKEY", Allowed::Authenticated, reset_key),
    row("XLIST", Allowed::Authenticated, lsub),
    row("GETMETADATA", Allowed::Authenticated, get_metadata),
    row("SETMETADATA", Allowed::Authenticated, set_metadata),
    row("GETACL", Allowed::Authenticated, mailbox),
    row("MYRIGHTS", Allowed::Authenticated, mailbox),
    row("SETACL", Allowed::Authenticated, set_acl),
    row("DELETEACL", Allowed::Authenticated, of_identifier),
    row("LISTRIGHTS", Allowed::Authenticated, of_identifier),
    row("ENABLE", Allowed::Authenticated, enable),
    row("NOTIFY", Allowed::Authenticated, notify),
    row("COMPRESS", Allowed::Authenticated, compress),
    row("UNAUTHENTICATE", Allowed::Authenticated, nothing),
    row("CAPABILITY", Allowed::Always, nothing),
    row("LANGUAGE", Allowed::Always, language),
    row("ID", Allowed::Always, id),
    row("LOGIN", Allowed::NotAuthenticated, login),
    row("AUTHENTICATE", Allowed::NotAuthenticated, authenticate),
    row("STARTTLS", Allowed::NotAuthenticated, nothing),
    row("LOGOUT", Allowed::Always, nothing),
];

const UNKNOWN: Fault = Fault::new(BadKind::UnknownCommand, "unknown command");

/// Reads `tag SP command-name` and checks that the phase allows the command; arguments are left to [`Row::arguments`].
///
/// Used on complete commands, and on their beginnings when a literal is announced.
pub fn identify<'data>(lexer: &mut Lexer<'data>, phase: Phase) -> Result<(&'data str, &'static Row), Fault> {
    let tag = lexer.tag()?;
    lexer.space()?;
    let word = lexer.atom()?;
    let row = if word.eq_ignore_ascii_case("UID") {
        lexer.space()?;
        let word = lexer.atom()?;
        let of_uid = |row: &&Row| {
            row.name
                .strip_prefix("UID ")
                .is_some_and(|name| name.eq_ignore_ascii_case(word))
        };
        COMMANDS.iter().find(of_uid)
    } else {
        COMMANDS.iter().find(|row| row.name.eq_ignore_ascii_case(word))
    };
    let row = row.ok_or(UNKNOWN)?;
    if row.allowed.allows(phase) {
        return Ok((tag, row));
    }
    let text = match row.allowed {
        Allowed::NotAuthenticated => "not allowed after login",
        Allowed::Selected if phase == Phase::Authenticated => "no mailbox is selected",
        _ => "please log in first",
    };
    Err(Fault::new(BadKind::State, text))
}

impl Row {
    /// Reads the arguments up to the end of the command.
    pub fn arguments(&self, lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
        let arguments = (self.parse)(lexer, context)?;
        lexer.end()?;
        Ok(arguments)
    }
}

/// Parses a complete command, its CRLF included.
pub fn parse(command: &[u8], phase: Phase, context: &Context) -> Result<Command, Fault> {
    let mut lexer = Lexer::new(command);
    let (tag, row) = identify(&mut lexer, phase)?;
    let arguments = row.arguments(&mut lexer, context)?;
    Ok(Command {
        tag: tag.to_owned(),
        name: row.name,
        arguments,
    })
}
