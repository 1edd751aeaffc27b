//! What the client core tells.

/// OK, NO or BAD of a command, or BYE and PREAUTH (RFC 9051 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `OK`, `NO`, `BAD`, `BYE` or `PREAUTH`.
    pub status: &'static str,
    /// The response code's name in upper case, empty when there is none.
    pub code: String,
    /// What stands behind the name.
    pub arguments: String,
    /// Words for people, at most `TEXT_OCTETS_MAX` octets.
    pub text: String,
}

/// A line of LIST, LSUB or XLIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Which of them.
    pub kind: &'static str,
    /// `\Noselect`, `\Sent`, ... as the server writes them.
    pub attributes: Vec<String>,
    /// The hierarchy separator; `None` for a flat name.
    pub separator: Option<char>,
    /// The name as it crossed the wire: what commands must use.
    pub wire: Vec<u8>,
    /// The name for people: decoded from modified UTF-7 or UTF-8, as it is when it is neither.
    pub name: String,
}

/// Prefix and separator of one namespace (RFC 2342).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Decoded.
    pub prefix: String,
    /// `None` for a flat one.
    pub separator: Option<char>,
}

/// What a FETCH response holds of a message's octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchedBody {
    /// Nothing was said of it.
    Absent,
    /// NIL: the server cannot give it.
    Nil,
    /// A short message in quotes.
    Inline(Vec<u8>),
    /// It has gone to the sink: `BodyEnd` came before this.
    Streamed,
}

/// One FETCH response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Message number.
    pub number: u32,
    /// UID, if it was told.
    pub uid: Option<u32>,
    /// Flags, if they were told.
    pub flags: Option<Vec<String>>,
    /// INTERNALDATE in Unix seconds with its zone in minutes, when it is a date.
    pub internal_date: Option<(i64, i32)>,
    /// RFC822.SIZE.
    pub size: Option<u64>,
    /// MODSEQ (RFC 7162).
    pub modseq: Option<u64>,
    /// X-GM-LABELS of Gmail, as they crossed the wire.
    pub labels: Option<Vec<Vec<u8>>>,
    /// The message itself.
    pub body: FetchedBody,
}

/// SEARCH or ESEARCH (RFC 9051 §7.3.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// What was found, as ascending runs where the server gave them so.
    pub ranges: Vec<(u32, u32)>,
    /// COUNT of ESEARCH.
    pub count: Option<u64>,
}

/// What the server has told of the mailbox that is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Messages.
    pub exists: u32,
    /// UIDVALIDITY.
    pub uid_validity: Option<u32>,
    /// UIDNEXT.
    pub uid_next: Option<u32>,
    /// HIGHESTMODSEQ.
    pub highest_modseq: Option<u64>,
    /// FLAGS.
    pub flags: Vec<String>,
    /// PERMANENTFLAGS.
    pub permanent_flags: Vec<String>,
    /// Opened for reading only, by the server's word.
    pub read_only: bool,
}

/// One complete event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The first line.
    Greeting(Condition),
    /// A command is complete.
    Done {
        /// The number that the command's call has given.
        tag: u32,
        /// Its name.
        command: &'static str,
        /// How it ended.
        condition: Condition,
    },
    /// A condition that belongs to no command: a warning, an alert, BYE.
    Notice(Condition),
    /// LIST, LSUB or XLIST.
    List(ListEntry),
    /// STATUS of a mailbox: its name on the wire, and the items in upper case.
    Status(Vec<u8>, Vec<(String, u64)>),
    /// Personal namespaces; others' and shared ones.
    Namespaces(Vec<Namespace>, Vec<Namespace>),
    /// The octets of a message follow.
    FetchBegin {
        /// Message number.
        number: u32,
        /// Octets.
        size: u64,
    },
    /// Octets of the message wait.
    BodyReady,
    /// All of them have passed.
    BodyEnd {
        /// Octets.
        size: u64,
        /// BLAKE3 of them.
        digest: [u8; 32],
    },
    /// A FETCH response is complete.
    Fetch(Fetch),
    /// A message has gone; those behind it have moved up by one.
    Expunge(u32),
    /// What a SEARCH has found.
    Search(Search),
    /// A response that cannot be understood; its beginning.
    Odd(String),
    /// Nothing more comes.
    Closed(&'static str),
}
