"""The typed face of the Rust extension: protocol cores behind TLS, and the message store.

Every wire class (`SmtpServer`, `SmtpClient`, `ImapServer`, `Pop3Server`) obeys one contract (docs/protocol-cores.md):
bytes in by `receive`, one complete event out by `next_event`, decisions by commands, bytes out by `take_output`.
A call that the state forbids raises `LocalMisuse`. Nothing here opens a socket or reads a protocol clock.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, final

from typing_extensions import Buffer

__version__: Final[str]
build_profile: Final[str]  # "release" or "debug"; benchmarks refuse the latter

# ---- errors ----------------------------------------------------------------------------------------------------

class CoreError(Exception): ...
class LocalMisuse(CoreError): ...  # our caller broke the contract: a bug of ours
class InternalError(CoreError): ...  # a panic, caught at the boundary
class TlsError(CoreError): ...  # the TLS layer failed; the connection is unusable
class StoreError(CoreError): ...  # base of what the store answers
class StoreBusy(StoreError): ...  # queue of the writer is full: try again later
class StoreFull(StoreError): ...  # no space on the disk or in the index
class StoreCorrupt(StoreError): ...  # a record is damaged; the text names it
class StoreFailed(StoreError): ...  # the volume has failed; the worker must end
class NotFound(StoreError): ...  # no such mailbox, message or queue item
class AlreadyExists(StoreError): ...
class Refused(StoreError): ...  # the operation is not allowed (delete INBOX, inferior to itself, limits)
class OverQuota(StoreError): ...  # the account, or its quota group, has no room; the text says which and how much

# ---- what next_event may return besides an event -----------------------------------------------------------------

@final
class Signal: ...

NEED_DATA: Final[Signal]  # read more from the peer
PAUSED: Final[Signal]  # a decision is owed before the grammar can go on

# ---- TLS ---------------------------------------------------------------------------------------------------------

@final
class TlsServerConfig:
    """Certificate chain and key in PEM, as files hold them. Raises ValueError with a clear text when they do not fit.

    Immutable; reload makes a new one. `more` holds further (chain, key) pairs, chosen by SNI from their DNS names;
    `clients_pem` authorities, and revocation lists, for certificates of clients: asked for only then, never demanded.
    """

    def __new__(
        cls,
        chain_pem: bytes,
        key_pem: bytes,
        more: Sequence[tuple[bytes, bytes]] = (),
        clients_pem: bytes | None = None,
    ) -> TlsServerConfig: ...

@final
class TlsClientConfig:
    """`verify` False is opportunistic TLS (RFC 3207 between MTAs); True checks chain and name.

    `roots_pem` replaces the built-in web roots.
    """

    def __new__(cls, *, verify: bool, roots_pem: bytes | None = None) -> TlsClientConfig: ...

@final
class TlsInfo:
    version: str  # "TLSv1.3"
    cipher: str
    server_name: str | None
    resumed: bool
    client_certificate: bytes | None  # DER of what the client has proved itself by

class Wire:
    """What all wires share."""

    def receive(self, data: Buffer, length: int) -> None:
        """Consumes the first `length` octets of `data` at once. Raises TlsError."""
    def receive_eof(self) -> None: ...
    def take_output(self, limit: int = 65536) -> bytes:
        """Octets to send now, at most `limit`; b"" when there are none. Drain it before reading on."""
    @property
    def output_pending(self) -> int:
        """Octets known to wait (0 means take_output would return b"")."""
    @property
    def state(self) -> str:
        """Name of the core's state, for logs and tests."""
    @property
    def tls(self) -> TlsInfo | None:
        """None on a plaintext connection and before the handshake has finished."""
    @property
    def secure(self) -> bool:
        """True once a TLS handshake has finished."""
    def close_tls(self) -> None:
        """Queues close_notify behind all output; nothing on a plaintext connection."""

# ---- SMTP and LMTP server ----------------------------------------------------------------------------------------
# Events are frozen and have __match_args__ in the order of their fields.

@final
class Helo:
    __match_args__ = ("verb", "name")
    verb: str  # "HELO", "EHLO" or "LHLO"
    name: str

@final
class Mail:
    __match_args__ = ("address", "local", "domain", "size", "body", "smtputf8", "auth", "ret", "envid")
    address: str  # reverse-path without brackets, "" for <>; domain in lower case
    local: str  # unquoted
    domain: str
    size: int | None
    body: str | None  # "7BIT", "8BITMIME"
    smtputf8: bool
    auth: str | None  # decoded AUTH= value, "<>" kept
    ret: str | None  # "FULL" or "HDRS"
    envid: str | None  # decoded xtext

@final
class Rcpt:
    __match_args__ = ("address", "local", "domain", "notify", "orcpt")
    address: str
    local: str
    domain: str  # lower case; "" only for <postmaster>
    notify: tuple[str, ...]  # of NEVER, SUCCESS, FAILURE, DELAY; empty when not given
    orcpt: str | None  # "rfc822;decoded"

@final
class DataBegin:  # decide: accept_data() or reply(4xx/5xx)
    ...

@final
class BdatBegin:  # decide on each chunk: accept_data() or reply(4xx/5xx) (its octets are then discarded)
    __match_args__ = ("size", "last", "first")
    size: int
    last: bool
    first: bool

@final
class BodyReady:  # octets wait: feed_sink() or discard_body()
    ...

@final
class ChunkEnd:  # a BDAT chunk that is not the last: reply once
    __match_args__ = ("size",)
    size: int

@final
class BodyEnd:  # the whole message has passed: reply (LMTP: reply once per accepted recipient, in order)
    __match_args__ = ("size", "bare_cr", "bare_lf", "nul")
    size: int  # octets fed to the sink
    bare_cr: bool
    bare_lf: bool
    nul: bool

@final
class AuthBegin:
    __match_args__ = ("mechanism", "initial")
    mechanism: str  # upper case
    initial: bytes | None  # decoded; b"" for "="

@final
class AuthResponse:
    __match_args__ = ("data",)
    data: bytes | None  # decoded; None when the client cancelled with "*"

@final
class StartTls: ...  # decide: start_tls(config) after which the core is new, or reply(4xx/5xx)

@final
class Reset: ...  # RSET; the core's transaction is already gone: reply

@final
class Verify:
    __match_args__ = ("verb", "argument")
    verb: str  # "VRFY" or "EXPN"
    argument: str

@final
class Help: ...

@final
class Noop: ...

@final
class Quit: ...

@final
class Bad:
    """The peer's fault; the session goes on. Answer with reply(event.code, event.enhanced, event.text), or close."""

    __match_args__ = ("kind", "code", "enhanced", "text")
    kind: str  # closed set, e.g. "syntax", "sequence", "line-too-long", "bare-newline", "unknown-verb"
    code: int
    enhanced: str
    text: str

@final
class Closed:  # the peer has closed, or a fatal fault: nothing more comes
    __match_args__ = ("reason",)
    reason: str

class SmtpServer(Wire):
    def __new__(
        cls,
        *,
        lmtp: bool = False,
        tls: TlsServerConfig | None = None,  # given: implicit TLS from the first octet
        message_octets_max: int = 52428800,  # beyond it the body is still consumed, discarded, and told as too big
        recipients_max: int = 1000,
        line_octets_max: int = 4096,
        auth_line_octets_max: int = 12288,
    ) -> SmtpServer: ...
    def next_event(
        self,
    ) -> (
        Helo
        | Mail
        | Rcpt
        | DataBegin
        | BdatBegin
        | BodyReady
        | ChunkEnd
        | BodyEnd
        | AuthBegin
        | AuthResponse
        | StartTls
        | Reset
        | Verify
        | Help
        | Noop
        | Quit
        | Bad
        | Closed
        | Signal
    ): ...
    def greet(self, code: int, text: str) -> None:
        """The 220 (or 4xx/5xx) greeting; must come first. Octets received before it are kept and are visible in
        `early_talker`."""
    @property
    def early_talker(self) -> bool: ...
    def reply(self, code: int, enhanced: str, text: str | Sequence[str]) -> None:
        """Answers the pending event. `enhanced` "" leaves the enhanced code out. 2xx to Mail opens the transaction, to
        Rcpt adds a recipient; 2xx-5xx to BodyEnd ends the transaction. A 421 makes the core refuse all further input."""
    def reply_hello(self, text: str, extensions: Sequence[str]) -> None:
        """250 to Helo: first line `text`, then the extensions (none for HELO)."""
    def accept_data(self) -> None: ...
    def feed_sink(self, sink: Sink) -> bool:
        """Moves what waits into the sink. False: the sink is full, await it and call again."""
    def discard_body(self) -> None:
        """Throws away what waits of the body."""
    @property
    def message_too_big(self) -> bool:
        """True when the body passed message_octets_max (valid from then until BodyEnd is answered)."""
    def auth_challenge(self, data: bytes) -> None:
        """334 with base64 of data."""
    def auth_done(self, success: bool, code: int, enhanced: str, text: str) -> None:
        """Ends the exchange; success forbids a second AUTH (503)."""
    def start_tls(self, config: TlsServerConfig, enhanced: str, text: str) -> None:
        """Queues 220 in plaintext and begins the handshake. Octets already buffered behind STARTTLS make the next event
        Closed("starttls-injection")."""

# ---- SMTP and LMTP client -----------------------------------------------------------------------------------------

@final
class Reply:
    """The reply to one command, in order. `command` is "greeting", "EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "MAIL",
    "RCPT", "DATA", "BODY", "RSET", "QUIT"; `index` counts RCPTs (and LMTP body replies) of the transaction from 0."""

    __match_args__ = ("command", "index", "code", "enhanced", "lines")
    command: str
    index: int
    code: int
    enhanced: str  # "" when there is none
    lines: tuple[str, ...]

class SmtpClient(Wire):
    """Commands may be called ahead of replies; the core sends them pipelined when the peer announced PIPELINING and one
    by one otherwise. A reply that breaks the grammar or takes more than 1,000 lines is Closed("...")."""

    def __new__(
        cls, *, lmtp: bool = False, tls: TlsClientConfig | None = None, server_name: str = ""
    ) -> SmtpClient: ...
    def next_event(self) -> Reply | Closed | Signal: ...
    @property
    def extensions(self) -> dict[str, str]:
        """Of the last EHLO: upper-case keyword to parameters."""
    def hello(self, name: str) -> None:  # EHLO or LHLO
        ...
    def helo(self, name: str) -> None: ...
    def start_tls(self) -> None:
        """STARTTLS."""
    def begin_tls(self, config: TlsClientConfig, server_name: str) -> None:
        """After the 220: handshake; extensions are forgotten."""
    def auth_plain(self, user: str, password: str) -> None: ...
    def auth_login(self, user: str, password: str) -> None: ...
    def mail(self, address: str, parameters: Sequence[str] = ()) -> None: ...
    def rcpt(self, address: str, parameters: Sequence[str] = ()) -> None: ...
    def data(self) -> None: ...
    def body(self, chunk: bytes) -> None:
        """After the 354: message octets, dot-stuffed here. Raises LocalMisuse on a bare CR or LF."""
    def end_body(self) -> None: ...
    def reset(self) -> None: ...
    def quit(self) -> None: ...

# ---- POP3 server ----------------------------------------------------------------------------------------------------

@final
class Pop3Command:
    """A command legal in the present state. `name` upper case; `arguments` are str or int as the command has them:
    USER(name) PASS(password) STAT LIST(n|None) RETR(n) DELE(n) NOOP RSET QUIT TOP(n, lines) UIDL(n|None) CAPA STLS
    UTF8 LANG(tag|None). APOP is not offered."""

    __match_args__ = ("name", "arguments")
    name: str
    arguments: tuple[str | int | None, ...]

class Pop3Server(Wire):
    def __new__(cls, *, tls: TlsServerConfig | None = None) -> Pop3Server: ...
    def next_event(self) -> Pop3Command | AuthBegin | AuthResponse | Bad | Closed | Signal:
        """Bad: answer with err(event.text)."""
    def greet(self, text: str) -> None: ...
    def ok(self, text: str = "") -> None: ...
    def err(self, text: str, code: str = "") -> None:
        """-ERR, with a response code such as "IN-USE", "AUTH", "SYS/TEMP" (RFC 2449, RFC 3206)."""
    def ok_list(self, text: str, lines: Sequence[str]) -> None:
        """+OK, the lines, the final dot."""
    def begin_message(self, text: str) -> None:
        """+OK of RETR/TOP; then message octets by `message`, ended by `end_message`."""
    def message(self, chunk: bytes) -> None:
        """Dot-stuffed here."""
    def end_message(self) -> None: ...
    def auth_challenge(self, data: bytes) -> None: ...
    def authenticated(self) -> None:
        """To the TRANSACTION state; the +OK is given apart."""
    def start_tls(self, config: TlsServerConfig, text: str) -> None: ...

# ---- IMAP server ------------------------------------------------------------------------------------------------------

@final
class SequenceSet:
    """Opaque; str() gives it back. `$` is the view's saved search result (RFC 5182)."""

    @staticmethod
    def of(numbers: Sequence[int]) -> SequenceSet:
        """A set of a program's own."""
    @staticmethod
    def every() -> SequenceSet:
        """1:*"""

    def exceeds(self, count: int) -> bool:
        """Names it a message number that a mailbox of `count` messages has not?"""

@final
class ImapUrl:
    """An IMAP URL that names a message, a part or a window of one (RFC 5092), perhaps with authorisation (RFC 4467)."""

    @staticmethod
    def parse(text: str) -> ImapUrl | None:
        """None when it is malformed, names no message or has more than 4,096 octets."""
    @property
    def host(self) -> str | None:
        """In lower case; None when the URL is relative."""
    @property
    def port(self) -> int | None: ...
    @property
    def user(self) -> str: ...
    @property
    def mailbox(self) -> str | None:
        """None: the selected one."""
    @property
    def uid_validity(self) -> int | None: ...
    @property
    def uid(self) -> int: ...
    @property
    def access(self) -> tuple[Literal["submit", "user", "authuser", "anonymous"], str] | None:
        """Whom the URL admits, with the user for the first two; None without URLAUTH."""
    @property
    def expires(self) -> int | None:
        """Unix seconds."""
    @property
    def rump(self) -> str:
        """What the token covers; "" without URLAUTH."""
    @property
    def verifier(self) -> tuple[str, str] | None:
        """Mechanism in upper case and token in lower-case hexadecimal; None for a rump alone."""

@final
class FetchItems:
    """Opaque parsed FETCH attributes. `sets_seen`: answering marks \\Seen."""

    sets_seen: bool
    asks_modseq: bool  # MODSEQ or CHANGEDSINCE is among them: enables CONDSTORE
    changed_since: int | None
    vanished: bool
    @staticmethod
    def changes(since: int) -> FetchItems:
        """UID, FLAGS and MODSEQ of what has a greater modseq."""

@final
class SearchProgram:
    """Opaque parsed SEARCH. `asks_modseq`: MODSEQ is among its keys; `updates`: RETURN (UPDATE)."""

    asks_modseq: bool
    names_numbers: bool  # a set of message numbers is among its keys
    names_saved: bool  # `$` is
    saves: bool  # RETURN (SAVE)
    updates: bool

@final
class Command:
    """A complete, well-formed command that the state allows. `arguments` by name:

    CAPABILITY NOOP LOGOUT STARTTLS CLOSE UNSELECT CHECK EXPUNGE NAMESPACE IDLE: ()
    LOGIN: (user: str, password: str)        AUTHENTICATE comes as AuthBegin
    ENABLE: (capabilities: tuple[str, ...],) upper case
    ID: (fields: dict[str, str | None] | None,)
    SELECT EXAMINE: (mailbox: str, parameters: tuple[str, ...], resync)  resync: None, or of QRESYNC (uid_validity: int,
        modseq: int, known: SequenceSet | None, matches: (numbers: SequenceSet, uids: SequenceSet) | None)
    CREATE: (mailbox: str, special_use: str | None)     DELETE SUBSCRIBE UNSUBSCRIBE: (mailbox: str,)
    RENAME: (old: str, new: str)
    LIST: (ListArguments,)    LSUB XLIST: (reference: str, pattern: str)
    STATUS: (mailbox: str, items: tuple[str, ...])      upper case
    GETQUOTA: (root: str,)                             GETQUOTAROOT: (mailbox: str,)
    SETQUOTA: (root: str, limits: tuple[tuple[str, int], ...])
    GETACL MYRIGHTS: (mailbox: str,)                   DELETEACL LISTRIGHTS: (mailbox: str, identifier: str)
    GETMETADATA: (mailbox: str, max_size: int | None, depth: str "0" "1" "infinity", entries: tuple[str, ...])  lower case
    SETMETADATA: (mailbox: str, values: tuple[tuple[str, bytes | None], ...])
    SETACL: (mailbox: str, identifier: str, mode: str "+" "-" "=", rights: str)  known rights, `c` and `d` among them
    APPEND REPLACE, UID REPLACE: (mailbox: str, replaces: SequenceSet | None, parts: tuple[AppendPart, ...] behind the last
        literal) after AppendBegin ... BodyEnd, which come for each literal
    ESEARCH: (sources: tuple[tuple[str, tuple[str, ...]], ...] | None, program: SearchProgram)  filter in lower case, its names
    UIDBATCHES: (size: int, batches: tuple[int, int] | None)  as the client wrote them, 1 at least
    SEARCH SORT THREAD, UID SEARCH, UID SORT, UID THREAD: (program: SearchProgram,)
    FETCH, UID FETCH: (set: SequenceSet, items: FetchItems)
    STORE, UID STORE: (set: SequenceSet, mode: str "+" "-" "=", silent: bool, flags: tuple[str, ...],
        unchanged_since: int | None)
    COPY MOVE, UID COPY, UID MOVE: (set: SequenceSet, mailbox: str)
    LANGUAGE: (ranges: tuple[str, ...],)
    UID EXPUNGE: (set: SequenceSet,)
    CANCELUPDATE: (tags: tuple[str, ...],)
    GENURLAUTH: (wanted: tuple[tuple[str, str], ...],) URL up to the access identifier, mechanism
    URLFETCH: (urls: tuple[str, ...],)
    RESETKEY: (mailbox: str | None, mechanisms: tuple[str, ...])

    Mailbox names are Unicode (decoded from modified UTF-7, or UTF-8), INBOX in upper case whatever its spelling.
    """

    __match_args__ = ("tag", "name", "arguments")
    tag: str
    name: str
    arguments: tuple[object, ...]

@final
class ListArguments:
    reference: str
    patterns: tuple[str, ...]
    select_options: tuple[str, ...]  # SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE
    return_options: tuple[str, ...]  # SUBSCRIBED CHILDREN SPECIAL-USE STATUS MYRIGHTS METADATA
    status_items: tuple[str, ...]
    entries: tuple[str, ...]  # of METADATA, lower case

# A message begins: flags, internal date (Unix seconds, zone in minutes), made of pieces; or the URL of a piece (RFC 4469).
AppendPart = tuple[tuple[str, ...], tuple[int, int] | None, bool] | str

@final
class AppendBegin:
    """A literal of APPEND, REPLACE or UID REPLACE. Decide: accept_literal() or refuse_literal(). Then BodyReady*, BodyEnd, and
    another or the Command."""

    __match_args__ = ("tag", "name", "mailbox", "replaces", "parts", "size", "synchronising", "binary")
    tag: str
    name: str
    mailbox: str
    replaces: SequenceSet | None
    parts: tuple[AppendPart, ...]  # what stood before the literal
    size: int
    synchronising: bool
    binary: bool  # literal8: NUL allowed

@final
class IdleDone: ...  # DONE: answer with respond(tag of IDLE, ...)

@final
class ImapBad:
    """Malformed, or not allowed in this state. Answer with respond(tag or "*", "BAD", "", text).

    Kinds that have a better answer: "badcharset" NO [BADCHARSET (UTF-8)], "too-big" NO [TOOBIG], "limit" NO [LIMIT],
    "useattr" NO [USEATTR], "mailbox-name" NO [CANNOT]. "idle-misuse" ends the IDLE. The others: "syntax",
    "unknown-command", "state", "bare-newline", "nul", "not-utf8", "too-long", "base64".
    `forgets`: a SEARCH with SAVE; answered with NO, the view must forget_saved() (RFC 5182 §2.1).
    """

    __match_args__ = ("tag", "kind", "text", "forgets")
    tag: str | None
    kind: str
    text: str
    forgets: bool

def mailbox_matches(name: str, reference: str, pattern: str) -> bool:
    """LIST matching with `*` and `%` over the hierarchy separator "/" (RFC 9051 §6.3.9), linear time."""

class ImapServer(Wire):
    def __new__(
        cls,
        *,
        tls: TlsServerConfig | None = None,
        command_octets_max: int = 65536,  # outside the message literal
        append_octets_max: int = 52428800,
        search_depth_max: int = 32,
    ) -> ImapServer: ...
    def next_event(
        self,
    ) -> Command | AuthBegin | AuthResponse | AppendBegin | BodyReady | BodyEnd | IdleDone | ImapBad | Closed | Signal:
        """Pull the next event only when the former one has been answered (pipelined commands wait in the core)."""
    @property
    def auth_tag(self) -> str:
        """The tag of the AUTHENTICATE under way, for its tagged answer; "" when there is none."""
    @property
    def backlog(self) -> int:
        """Octets received and not yet consumed: stop reading while this is high, pipelined commands wait here."""
    def greet(self, status: str, code: str, text: str) -> None:
        """`* OK [code] text`; status OK, PREAUTH or BYE."""
    def respond(self, tag: str, status: str, code: str, text: str) -> None:
        """Tagged when tag is not "*": `tag OK [code] text`. code "" leaves it out. CR and LF in texts are refused."""
    def untagged(self, line: str) -> None:
        """`* line`: for lines made of numbers and atoms only; ASCII."""
    def untagged_list(self, name: str, attributes: Sequence[str], mailbox: str, extended: str = "") -> None:
        """LIST or LSUB line; the name is quoted and encoded as the client has enabled. The separator is "/"."""
    def untagged_renamed(self, attributes: Sequence[str], mailbox: str, old_name: str) -> None:
        """LIST line with OLDNAME (RFC 9051 §6.3.9.7)."""
    def untagged_status(self, mailbox: str, items: Sequence[tuple[str, int | str]]) -> None:
        """Numbers, and object identifiers, which get their parentheses here."""
    def untagged_genurlauth(self, urls: Sequence[str]) -> None: ...
    def untagged_urlfetch(self, url: str, octets: int | None) -> None:
        """The beginning of the line: so many octets and CRLF follow by append_output; None is NIL, and nothing follows."""
    def untagged_words(self, response: str, mailbox: str, words: Sequence[str]) -> None:
        """ACL, LISTRIGHTS or MYRIGHTS line (RFC 4314 §3.6-3.8), METADATA line of entries alone (RFC 5464 §4.4.2)."""
    def untagged_found(self, tag: str, mailbox: str, uid_validity: int, data: str) -> None:
        """ESEARCH line that names its mailbox (RFC 7377 §2.1); `data` is empty or begins with a space."""
    def untagged_metadata(self, mailbox: str, values: Sequence[tuple[str, bytes | None]]) -> None:
        """METADATA line (RFC 5464 §4.4.1): entries with values or NIL; one at least."""
    def untagged_quota(self, root: str, resources: Sequence[tuple[str, int, int]]) -> None:
        """QUOTA line (RFC 9208 §4.2.1): name, usage and limit of each resource; one at least."""
    def untagged_quota_root(self, mailbox: str, roots: Sequence[str]) -> None:
        """QUOTAROOT line (RFC 9208 §4.2.2)."""
    def untagged_id(self, fields: Sequence[tuple[str, str]]) -> None: ...
    def append_output(self, rendered: bytes) -> None:
        """Complete response lines that the store has rendered."""
    def continue_(self, text: str) -> None:
        """`+ text` (IDLE)."""
    def auth_challenge(self, data: bytes) -> None: ...
    def accept_literal(self) -> None: ...
    def refuse_literal(self, status: str, code: str, text: str) -> None:
        """NO or BAD (with code) to the APPEND; a non-synchronising literal is read and thrown away."""
    def feed_sink(self, sink: Sink) -> bool: ...
    def discard_body(self) -> None: ...
    def authenticated(self) -> None: ...
    def unauthenticated(self) -> None:
        """UNAUTHENTICATE (RFC 8437): before login again, nothing is enabled; the tagged OK is given apart."""
    def start_deflate(self) -> bool:
        """Both directions are compressed behind what is queued (RFC 4978). False when they are already."""
    def inflate(self) -> bool:
        """The core gets the next 32 KiB of what has come compressed; False when there is nothing and a read is due."""
    @property
    def compressed(self) -> bool: ...
    @property
    def deflate_broken(self) -> bool:
        """The peer has sent what is no DEFLATE; the core closes."""
    def selected(self, read_only: bool) -> None: ...
    def unselected(self) -> None: ...
    def begin_idle(self) -> None:
        """After continue_(): only DONE is accepted."""
    def logout(self) -> None: ...
    def start_tls(self, config: TlsServerConfig, tag: str, text: str) -> None: ...
    def enable_utf8(self) -> None:
        """UTF8=ACCEPT or IMAP4rev2 enabled: names go out as UTF-8."""
    def enable_rev2(self) -> None: ...

# ---- IMAP client -------------------------------------------------------------------------------------------------------

@final
class ImapGreeting:
    """The first line: `status` OK, PREAUTH or BYE; `code` in upper case, "" when there is none."""

    __match_args__ = ("status", "code", "arguments", "text")
    status: str
    code: str
    arguments: str
    text: str

@final
class ImapDone:
    """A command is complete; `tag` is the number that its call gave. `status` OK, NO or BAD."""

    __match_args__ = ("tag", "command", "status", "code", "arguments", "text")
    tag: int
    command: str
    status: str
    code: str
    arguments: str
    text: str

@final
class ImapNotice:
    """A condition that belongs to no command: a warning, an alert, BYE."""

    __match_args__ = ("status", "code", "arguments", "text")
    status: str
    code: str
    arguments: str
    text: str

@final
class ImapList:
    __match_args__ = ("kind", "attributes", "separator", "wire", "name")
    kind: str  # "LIST", "LSUB" or "XLIST"
    attributes: tuple[str, ...]
    separator: str | None  # None: a flat name
    wire: bytes  # what commands must use
    name: str  # decoded; as it is when it is neither modified UTF-7 nor UTF-8

@final
class ImapStatus:
    __match_args__ = ("wire", "items")
    wire: bytes
    items: list[tuple[str, int]]  # names in upper case

@final
class ImapNamespaces:
    __match_args__ = ("personal", "others")
    personal: list[tuple[str, str | None]]  # prefix, separator
    others: list[tuple[str, str | None]]  # of other users, and shared

@final
class ImapFetchBegin:
    """The octets of a message follow: BodyReady*, ImapBodyEnd, then its ImapFetch."""

    __match_args__ = ("number", "size")
    number: int
    size: int

@final
class ImapBodyEnd:
    __match_args__ = ("size", "digest")
    size: int
    digest: bytes  # BLAKE3 of the octets as they passed

@final
class ImapFetch:
    __match_args__ = ("number", "uid", "flags", "internal_date", "size", "modseq", "labels", "streamed", "body")
    number: int
    uid: int | None
    flags: tuple[str, ...] | None
    internal_date: tuple[int, int] | None  # Unix seconds, zone offset in minutes
    size: int | None
    modseq: int | None
    labels: tuple[bytes, ...] | None  # X-GM-LABELS
    streamed: bool  # the message has gone to the sink
    body: bytes | None  # a short one in quotes instead

@final
class ImapExpunge:
    __match_args__ = ("number",)
    number: int

@final
class ImapSearch:
    __match_args__ = ("ranges", "count")
    ranges: list[tuple[int, int]]
    count: int | None

@final
class ImapOdd:
    """A response that cannot be understood; its beginning."""

    __match_args__ = ("text",)
    text: str

@final
class ImapSelected:
    """What the server has told of the mailbox that is open."""

    exists: int
    uid_validity: int | None
    uid_next: int | None
    highest_modseq: int | None
    flags: tuple[str, ...]
    permanent_flags: tuple[str, ...]
    read_only: bool

class ImapClient(Wire):
    """Commands may be called ahead of answers: they go out at once, but for those that must go alone (LOGIN,
    AUTHENTICATE, STARTTLS, EXAMINE, whatever needs a literal). Each gives the tag of its ImapDone.

    Tolerant of what servers do differently; of one response at most `response_octets_max` are kept, messages not
    counted. Mailboxes are named by their octets on the wire.
    """

    def __new__(
        cls, *, tls: TlsClientConfig | None = None, server_name: str = "", response_octets_max: int = 1048576
    ) -> ImapClient: ...
    def next_event(
        self,
    ) -> (
        ImapGreeting
        | ImapDone
        | ImapNotice
        | ImapList
        | ImapStatus
        | ImapNamespaces
        | ImapFetchBegin
        | BodyReady
        | ImapBodyEnd
        | ImapFetch
        | ImapExpunge
        | ImapSearch
        | ImapOdd
        | Closed
        | Signal
    ):
        """Only BodyReady wants something: feed_sink() or discard_body()."""
    @property
    def capabilities(self) -> tuple[str, ...]:
        """In upper case, as told last; empty after begin_tls."""
    @property
    def selected(self) -> ImapSelected: ...
    def feed_sink(self, sink: Sink) -> bool:
        """Moves what waits into the sink. False: the sink is full, await it and call again."""
    def discard_body(self) -> None: ...
    def capability(self) -> int: ...
    def noop(self) -> int: ...
    def namespace(self) -> int: ...
    def logout(self) -> int: ...
    def id(self, name: str, version: str) -> int: ...
    def start_tls(self) -> int: ...
    def begin_tls(self, config: TlsClientConfig, server_name: str) -> None:
        """After the OK: handshake; capabilities are forgotten."""
    def login(self, user: str, password: str) -> int: ...
    def authenticate(self, mechanism: str, response: bytes, farewell: bytes) -> int:
        """One response, with the command (SASL-IR) or when asked; to anything further `farewell` is sent as it is."""
    def list(self, kind: str) -> int:
        """All names: "LIST", "SPECIAL-USE" (LIST with RETURN), "XLIST" or "LSUB"."""
    def status(self, wire: bytes, items: str) -> int: ...
    def examine(self, wire: bytes) -> int: ...
    def fetch(self, set: str, items: str) -> int:
        """By message numbers."""
    def uid_fetch(self, set: str, items: str) -> int: ...
    def uid_search(self, keys: str) -> int: ...

def modified_utf7(octets: bytes) -> str | None:
    """A name in modified UTF-7 as text (RFC 3501 §5.1.3); None when it is none."""

@final
class Digest:
    """BLAKE3 over what is given piece by piece."""

    def __new__(cls) -> Digest: ...
    def update(self, data: bytes) -> None: ...
    def digest(self) -> bytes: ...

# ---- store -------------------------------------------------------------------------------------------------------------

@final
class Sink:
    """Gathers one message. Small ones stay in memory; a larger one goes to a file of its own in threads of the store."""

    @property
    def size(self) -> int: ...
    @property
    def full(self) -> bool: ...
    @property
    def failed(self) -> bool:
        """A write failed (disk full): feed_sink takes and drops the rest; submitting raises StoreFull."""
    def header(self) -> bytes:
        """The header section as received so far, at most 1 MiB; empty line not included."""
    def hops(self) -> int:
        """Number of Received fields in it (mail loops)."""
    def write(self, data: bytes) -> bool:
        """For messages that we originate. False: full."""
    def discard(self) -> None:
        """Gives up what was gathered; also happens when the object is dropped unsubmitted."""

@final
class MailboxInfo:
    id: int  # 0: subscribed name without a mailbox
    name: str
    special_use: str  # "" or e.g. "\\Sent"
    subscribed: bool
    uid_validity: int
    uid_next: int
    messages: int
    unseen: int
    deleted: int
    recent: int
    size: int  # octets
    highest_modseq: int

@final
class MailboxView:
    """One session's picture of one mailbox: what the client has been told. Held in memory, no transaction."""

    account: int
    mailbox: int
    read_only: bool
    exists: int
    recent: int
    uid_validity: int
    uid_next: int
    first_unseen: int  # message number, 0 when all are seen
    highest_modseq: int
    keywords: tuple[str, ...]
    def stale(self) -> bool:
        """Instant: may there be anything new? False is certain (compares the environment's last transaction)."""
    @property
    def search_progress(self) -> tuple[int, int]:
        """Messages that the search under way, or the last one, has looked at, and all that it has to look at."""
    def forget_saved(self) -> None:
        """Empties the saved search result, `$`."""

    def is_updated(self, tag: str) -> bool:
        """The results of the command with that tag are kept up to date (RFC 5267 §4.3): each refresh tells what changes."""
    def cancel_updates(self, tags: list[str]) -> None:
        """No more of these."""
    def tell_modseqs(self) -> None:
        """Tells modseqs with flags from now on (CONDSTORE)."""
    def tell_vanished(self) -> None:
        """And VANISHED in place of EXPUNGE, UIDs with flags (QRESYNC)."""
    def use_uids_only(self) -> None:
        """UIDFETCH in place of FETCH and VANISHED in place of EXPUNGE (UIDONLY)."""
    def permit(self, rights: str) -> None:
        """Flags that this session may change, by the rights `s`, `t` and `w` (RFC 4314 §4): PERMANENTFLAGS tells it."""
    def hide_recent(self) -> None:
        """Shows no message as recent from now on (IMAP4rev2)."""
    def uid_of(self, messages: SequenceSet, uid: bool) -> int | None:
        """The UID of the first message that is meant and there."""
    def uid_batches(self, size: int, first: int = 1, last: int = 4294967295) -> list[tuple[int, int]]:
        """The UID ranges, highest UID first, of batches number `first` to `last` of `size` messages (RFC 10022)."""
    def message(self, number: int) -> tuple[int, int] | None:
        """(uid, size in octets) of a message number; POP3's listing comes from messages()."""

@final
class FetchCursor:
    """A FETCH in progress. `done` when nothing is left."""

    done: bool

@final
class StoredMessage:
    account: int
    mailbox: int
    uid_validity: int
    uid: int

@final
class Quota:
    """What an account and its quota group hold and may hold; a limit of 0 is none."""

    messages: int
    octets: int
    limit_messages: int
    limit_octets: int
    group: str
    group_messages: int
    group_octets: int
    group_limit_messages: int
    group_limit_octets: int

@final
class Retained:
    """A message that was expunged and can still be recovered."""

    expunged: int  # Unix seconds
    mailbox: int
    name: str  # of the mailbox then
    uid: int
    size: int
    internal_date: int

@final
class QueueItem:
    id: int
    due: float  # Unix seconds
    created: float
    size: int  # octets of prefix and body
    state: bytes  # msgpack, the relay's own; opaque here

@final
class CheckReport:
    problems: tuple[str, ...]  # empty: clean
    accounts: int
    mailboxes: int
    messages: int
    blobs: int
    packs: int
    queue: int

@final
class Store:
    """One volume. Methods that return `int` give a ticket; its outcome comes from `completions`. They raise StoreBusy when
    the queue is full and never block. Results are written as `-> ticket: T` in the comments."""

    @staticmethod
    def open(
        path: str,
        *,
        map_size: int = 64 << 30,
        min_free: int = 64 << 20,
        readers: int = 2,
        sync: bool = True,
        retention: int = 0,
        search_index: bool = True,
    ) -> Store:
        """Opens or creates; runs recovery; blocks. Raises StoreError. `sync` False is for tests of logic only.

        `retention` is how long expunged messages can be recovered, in seconds; 0: not at all. Without `search_index`
        text searches read all messages, and nothing is built.
        """
    @property
    def eventfd(self) -> int:
        """Becomes readable when completions wait."""
    @property
    def recovery(self) -> str:
        """One line on what recovery found at open."""
    def completions(self, limit: int = 256) -> list[tuple[int, object]]:
        """Clears the eventfd and takes finished tickets: (ticket, result or StoreError instance)."""
    def take_dirty(self) -> list[tuple[int, int]]:
        """(account, mailbox) pairs changed by commits of this process since the last call: change hints."""
    def cancel(self, ticket: int) -> None:
        """The result is not wanted any more. A write still happens."""
    def failed(self) -> str | None:
        """Why the volume has failed, if it has."""
    def oldest_commit_age(self) -> float:
        """Seconds that the batch now being committed has taken; 0.0 when none."""
    def free_bytes(self) -> int: ...
    def metrics(self) -> dict[str, int]:
        """Counters: batches, ops, pack_syncs, commits, bytes_appended, queued, readers_in_use ... Of the search index, in the
        process that builds it: search_documents, search_waiting, search_octets."""
    def clear_dead_readers(self) -> int: ...
    def index_step(self) -> int:  # -> ticket: tuple[int, int, bool]
        """One bounded step of building the search index, on a low-priority thread; nothing while another step runs.

        The ticket's tuple: documents covered, segments merged, whether there is more to do now.
        """
    def close(self) -> None:
        """Finishes what is queued, stops the threads, closes the environment. Blocks."""

    # -- writing
    def sink(self, *, size_hint: int = 0) -> Sink: ...
    def wait_sink(self, sink: Sink) -> int:  # -> ticket: None, when the sink has room again
        ...
    def submit(
        self,
        sink: Sink | None,
        *,
        deliveries: Sequence[tuple[int, str, bytes, tuple[str, ...]]] = (),
        # (account, mailbox name, prefix: trace header octets ending in CRLF or b"", flags)
        # an unknown account id makes the account with INBOX and the usual folders; an unknown mailbox name is created
        internal_date: float | None = None,
        enqueue: Sequence[tuple[float, bytes, bytes]] = (),  # (due, prefix, state)
        dequeue: Sequence[int] = (),
        requeue: Sequence[tuple[int, float, bytes]] = (),  # (id, due, state)
        partial: bool = False,
    ) -> int:  # -> ticket: tuple[list[StoredMessage | None], list[int]]  (deliveries, new queue ids)
        """One transaction, on disk when the ticket completes. All or nothing, except that with `partial` deliveries beyond
        a quota are left out (None in their place); without it they refuse the whole with OverQuota."""
    def append(
        self,
        account: int,
        mailbox: str,
        sink: Sink,
        flags: Sequence[str],
        internal_date: float | None,
        internal_zone: int = 0,
    ) -> int:  # -> ticket: StoredMessage; NotFound when there is no such mailbox
        ...
    def append_all(
        self, account: int, mailbox: str, messages: Sequence[tuple[Sink, Sequence[str], float | None, int]]
    ) -> int:  # -> ticket: StoredMessage of the first, the others have the UIDs behind it
        """APPEND of several: (sink, flags, internal date, zone) each. All of them or none, in one transaction."""
    def replace(
        self,
        account: int,
        mailbox: str,
        message: tuple[Sink, Sequence[str], float | None, int],
        view: MailboxView,
        uid: int,
    ) -> int:  # -> ticket: StoredMessage
        """APPEND of one message and removal of another, both or neither. Refused when the other is gone."""
    def create_mailbox(self, account: int, name: str, special_use: str = "") -> int: ...  # -> ticket: MailboxInfo
    def delete_mailbox(self, account: int, name: str) -> int: ...  # -> ticket: None
    def rename_mailbox(self, account: int, old: str, new: str) -> int: ...  # -> ticket: None; INBOX moves its messages
    def subscribe(self, account: int, name: str, subscribed: bool) -> int: ...  # -> ticket: None
    def store_flags(
        self,
        view: MailboxView,
        messages: SequenceSet,
        uid: bool,
        mode: str,
        flags: Sequence[str],
        silent: bool,
        unchanged_since: int | None = None,
    ) -> int:
        # -> ticket: tuple[bytes, str], the untagged FETCH lines and the set of those with a modseq above unchanged_since,
        # which were left alone
        ...
    def mark_seen(
        self, view: MailboxView, messages: SequenceSet, uid: bool, items: FetchItems
    ) -> int: ...  # -> ticket: None; no write when all are seen. Only those that the modifiers of `items` leave
    def copy(self, view: MailboxView, messages: SequenceSet, uid: bool, target: str, move: bool) -> int:
        # -> ticket: tuple[int, str, str] (uid_validity, source uids, target uids) in sequence-set form; ("" when none)
        ...
    def replace_some_flags(
        self,
        view: MailboxView,
        messages: SequenceSet,
        uid: bool,
        rights: str,
        flags: Sequence[str],
        silent: bool,
        unchanged_since: int | None,
    ) -> int:
        # -> ticket: as store_flags "="; of the flags only those change that the rights `s`, `t`, `w` cover
        ...
    def copy_across(
        self, view: MailboxView, messages: SequenceSet, uid: bool, to: int, target: str, move: bool, rights: str
    ) -> int:
        # -> ticket: as copy, into a mailbox of the account `to`; the copies get the flags that the rights `s`, `t`, `w` cover
        ...
    def expunge(self, view: MailboxView, messages: SequenceSet | None) -> int: ...  # UIDs; -> ticket: int, how many
    def expunge_uids(
        self, view: MailboxView, uids: Sequence[int]
    ) -> int: ...  # whatever their flags (POP3); -> ticket: int
    def remove_account(self, account: int) -> int: ...  # -> ticket: None; purge in bounded steps

    # -- moving in, quotas, second chances, leases
    def import_message(
        self,
        account: int,
        mailbox: str,
        sink: Sink,
        flags: Sequence[str],
        internal_date: float | None,
        internal_zone: int = 0,
        *,
        uid: int | None = None,
        saved: float | None = None,
        quota: bool = False,
    ) -> int:  # -> ticket: StoredMessage; NotFound without the mailbox
        """A message from elsewhere with the numbers and dates that it had. Refused when `uid` is below UIDNEXT. Limits count
        only with `quota`."""
    def adopt_mailbox(
        self,
        account: int,
        name: str,
        special_use: str = "",
        subscribed: bool | None = None,
        uid_validity: int | None = None,
        uid_next: int | None = None,
    ) -> int:  # -> ticket: MailboxInfo
        """Makes a mailbox from elsewhere, or takes the one of that name. UIDVALIDITY is taken over when the mailbox has never
        held a message and no other of the account has it; UIDNEXT becomes `uid_next` at least."""
    def set_quota(
        self, account: int, *, group: str | None = None, messages: int | None = None, octets: int | None = None
    ) -> int:  # -> ticket: None
        """Limits of an account, and its quota group ("": none). None: as it is; 0: no limit."""
    def set_group_quota(
        self, group: str, *, messages: int | None = None, octets: int | None = None
    ) -> int: ...  # -> ticket: None
    def quota(self, account: int) -> Quota | None:
        """Instant. None: the store has not seen the account."""
    def group_quota(self, group: str) -> tuple[int, int, int, int]:
        """Instant: messages, octets, limit_messages, limit_octets."""
    def expire(self, account: int, mailbox: int, before: float) -> int:  # -> ticket: int, how many
        """Expunges messages that came into the mailbox before a Unix time."""
    def expirable(self, mailbox: int, before: float) -> int:  # -> ticket: int
        """How many `expire` would find now: the whole mailbox, read by a reader, to ask before a write."""
    def purge_retained(self, account: int, before: float) -> int:  # -> ticket: int, how many
        """Lets go of messages that were expunged before a Unix time."""
    def recover(
        self,
        account: int,
        *,
        mailbox: str | None = None,
        since: float | None = None,
        uids: Sequence[tuple[int, int]] = (),
        into: str | None = None,
    ) -> int:  # -> ticket: int, how many
        """Puts retained messages back as new ones: those of one former mailbox, expunged since a time, with these UIDs; each
        into the mailbox of its former name, made again when missing, or all `into` one."""
    def retained(
        self, account: int, after: tuple[int, int, int] | None = None, limit: int = 1000
    ) -> int:  # -> ticket: list[Retained]
        """By time, behind `after` (expunged, mailbox, uid)."""
    def lease(self, name: str, seconds: int) -> int:  # -> ticket: None; Refused while another process holds it
        """Takes or renews a lease. One that begins with "pin:" keeps every process from unlinking packs."""
    def release(self, name: str) -> int: ...  # -> ticket: None
    def seal(self) -> int:  # -> ticket: None
        """Seals this process's active pack."""

    # -- reading
    def list_mailboxes(
        self, account: int
    ) -> int: ...  # -> ticket: list[MailboxInfo]; makes the account's INBOX when new
    def mailbox(self, account: int, name: str) -> int: ...  # -> ticket: MailboxInfo or NotFound
    def deleted_octets(self, mailbox: int) -> int: ...  # by id; -> ticket: int, octets of its \\Deleted messages
    def open_view(self, account: int, name: str, read_only: bool) -> int:  # -> ticket: MailboxView
        """Not read_only claims \\Recent."""
    def refresh(self, view: MailboxView, *, expunges: bool, flags: bool = True, uids: bool = False) -> int:
        # -> ticket: bytes, untagged EXPUNGE/EXISTS/RECENT/FETCH lines that bring the client up to date; b"" when nothing.
        # expunges False keeps removed messages in the view until a later call, flags False what FETCH lines would tell.
        # NotFound: the mailbox has been deleted.
        ...
    def vanished(
        self,
        view: MailboxView,
        since: int,
        known: SequenceSet | None,
        matches: tuple[SequenceSet, SequenceSet] | None,
    ) -> int: ...  # -> ticket: bytes, the line VANISHED (EARLIER) of what went after a modseq, or b""
    def fetch_cursor(self, view: MailboxView, messages: SequenceSet, uid: bool, items: FetchItems) -> FetchCursor: ...
    def fetch(self, cursor: FetchCursor, limit: int = 131072) -> int:
        # -> ticket: bytes, response octets, about `limit` at most; cursor.done tells the end. A body larger than the
        # limit comes in pieces. A message that is gone is left out; a damaged one raises StoreCorrupt after the others.
        ...
    def fetch_now(self, cursor: FetchCursor) -> bytes | None:
        """The whole answer at once when it is small and lies in memory; None: ask for a ticket by `fetch`."""
    def search(
        self, view: MailboxView, program: SearchProgram, uid: bool, tag: str
    ) -> int: ...  # -> ticket: bytes (SEARCH/ESEARCH line)
    def search_data(
        self, view: MailboxView, program: SearchProgram
    ) -> (
        int
    ): ...  # -> ticket: bytes, what an ESEARCH line says of UIDs behind its correlator; b"" when nothing was found
    def messages(self, view: MailboxView) -> int: ...  # -> ticket: list[tuple[int, int]] (uid, size) in order
    def facts(
        self, view: MailboxView, after: int = 0, limit: int = 10_000
    ) -> int:  # -> ticket: list[tuple[int, int, bytes, tuple[str, ...], int]]
        """(uid, size, first 16 octets of the BLAKE3, flags, internal date) of messages behind the UID `after`. The digest is
        zeros where the index does not know it."""
    def read_message(self, view: MailboxView, uid: int, offset: int, length: int) -> int: ...  # -> ticket: bytes
    def locate(self, view: MailboxView, url: ImapUrl) -> int:  # -> ticket: tuple[int, int] | bytes | None
        """What a URL names of a message: octets from, to (read_message), chosen header fields, or no such part. NotFound
        when the message is gone."""
    def message_rows(
        self, view: MailboxView, after: int = 0, limit: int = 1000
    ) -> int:  # -> ticket: list[tuple[int, int, int, int, tuple[str, ...]]]
        """(uid, size, internal date, zone, flags) of messages with UIDs above `after`, ascending; at most 10,000."""
    def whole_messages(self, view: MailboxView, uids: Sequence[int], limit: int = 1 << 20) -> int:
        # -> ticket: list[tuple[int, bytes | str | None]], the first of `uids` until about `limit` octets are together, at
        # least one. A text says why a message can't be read; None: it is gone. Above 8 MiB: read_message.
        ...
    def fingerprints(self, view: MailboxView, uids: Sequence[int]) -> int:
        # -> ticket: list[bytes | None], as Fingerprint gives them; None: gone or damaged
        ...
    def top_octets(
        self, view: MailboxView, uid: int, lines: int
    ) -> int: ...  # -> ticket: int: octets of header, blank line and n lines, to be read by read_message

    # -- queue
    def queue_due(self, now: float, limit: int) -> int: ...  # -> ticket: list[QueueItem] by due time, due <= now
    def queue_next_due(self) -> int: ...  # -> ticket: float | None
    def queue_list(self, after: int, limit: int) -> int: ...  # -> ticket: list[QueueItem] by id
    def queue_read(self, id: int, offset: int, length: int) -> int: ...  # -> ticket: bytes of prefix + body
    def queue_size(self) -> int: ...  # -> ticket: int

    # -- health and upkeep
    def check(self, full: bool) -> int: ...  # -> ticket: CheckReport
    def check_sample(
        self,
    ) -> int: ...  # -> ticket: CheckReport of a few mailboxes and blobs, counting what was looked at
    def scrub(self, after: int = 0, octets: int = 8 << 20) -> int:
        # -> ticket: dict of after (0: all has been read), blobs, octets, problems
        """Reads about so many octets of records behind a blob and compares them with their digests."""
    def compact(
        self,
        *,
        dead_percent: int = 50,
        small_octets: int = 16 << 20,
        small_count: int = 16,
        age: int = 3600,
        rate: int = 32 << 20,
        budget: int = 0,
    ) -> int:  # -> ticket: dict of packs, blobs, copied, freed, damaged
        """Copies the living out of packs of which `dead_percent` is dead, and of small ones when there are `small_count`; none
        sealed in the last `age` seconds; at most `rate` octets a second (0: no limit) and about `budget` in all (0: no limit).
        StoreBusy while this process compacts already; the ticket is Refused while another does."""
    @staticmethod
    def rebuild(
        path: str, *, map_size: int = 64 << 30, watch: Callable[[int, int], object] | None = None
    ) -> dict[str, Any]:
        """Makes the index of a volume that nobody has open anew from its packs; blocks. `watch` is called with packs done and
        packs in all. Keys: accounts, mailboxes, messages, found, lost, retained, queue, packs, damaged (list). StoreError when
        somebody has it open."""
    def accounts(self) -> int: ...  # -> ticket: list[int]

@final
class Fingerprint:
    """First 16 octets of the BLAKE3 of a message, gathered in pieces."""

    def __new__(cls, data: bytes | None = None) -> Fingerprint: ...
    def update(self, data: bytes) -> None: ...
    def digest(self) -> bytes: ...

@final
class Rewriter:
    """One message of another format becomes ours, or the reverse, in pieces.

    `ending`: "keep"; "crlf" and "lf" make all line ends so; "auto" is "crlf" when the first line ends in a bare LF, else
    "keep".
    `quoting` of lines that look like an mbox's separator: "keep", "unquote" and "quote" (mboxrd), "unquote-once" (mboxo).
    """

    def __new__(cls, ending: str, quoting: str) -> Rewriter: ...
    def feed(self, data: bytes, last: bool = False) -> bytes: ...
    @property
    def nul(self) -> bool: ...
    @property
    def bare_cr(self) -> bool: ...
    @property
    def bare_lf(self) -> bool: ...

@final
class FromLines:
    """Offsets of lines that begin with "From ", in pieces; an mbox reader looks at each."""

    def __new__(cls) -> FromLines: ...
    def feed(self, data: bytes) -> list[int]: ...

class mime:
    @staticmethod
    def envelope(message: bytes) -> bytes: ...
    @staticmethod
    def bodystructure(message: bytes, extended: bool) -> bytes: ...
    @staticmethod
    def section(message: bytes, path: Sequence[int], text: str) -> bytes | None: ...

# ---- long work of the store ----------------------------------------------------------------------------------------

@final
class StoreTask:
    """A backup, an export, an import: work on a thread of its own, which opens the volume itself, beside other
    processes. Not for a process that has the volume open. `map_size` as the volume's. Raises StoreError by `result`.

    Whoever starts one calls `wait` until it is true, answers `question`s, then takes `result`.
    """

    @staticmethod
    def backup(
        store: str,
        packs: str,
        snapshot: str,
        lists: Sequence[str],
        *,
        map_size: int,
        copy: bool = False,
        rate: int | None = None,
    ) -> StoreTask:
        """Index and list of packs into the folder `snapshot`, packs into `packs`; `lists` are those of whole snapshots.

        Numbers: accounts, mailboxes, messages, octets, packs, pack_octets, packs_kept, packs_linked, octets_copied.
        Texts: the volume's identity.
        """
    @staticmethod
    def volume_of(store: str, *, map_size: int) -> str:
        """A volume's identity. Opens it; blocks."""
    @staticmethod
    def verify_packs(list: str, packs: str) -> StoreTask:
        """Every pack against its digest; `problems` counts the wrong ones, notes name them."""
    @staticmethod
    def check_snapshot(index: str, list: str, packs: str, scratch: str, full: bool) -> StoreTask:
        """The store's check over a snapshot; `scratch` is an empty folder. Numbers of the report; texts: its problems."""
    @staticmethod
    def digest(path: str) -> StoreTask:
        """BLAKE3 of a file. Numbers: octets. Texts: the digest."""
    @staticmethod
    def restore_packs(list: str, source: str, target: str) -> StoreTask:
        """Copies packs and compares them; `problems` counts the damaged ones, which are copied all the same."""
    @staticmethod
    def export(
        store: str,
        path: str | None,
        *,
        begin: Sequence[tuple[str, str]],
        front: Sequence[tuple[str, Sequence[tuple[str, str]]]],
        accounts: Sequence[tuple[int, Sequence[tuple[str, str]]]],
        unknown_accounts: bool,
        mailbox: str | None = None,
        queue: bool = True,
        retained: bool = True,
        map_size: int,
        snapshot_packs: str | None = None,
    ) -> StoreTask:
        """The neutral stream to a file, or to standard output. With `snapshot_packs`, `store` is a snapshot's index.

        Numbers: accounts, mailboxes, messages, retained, queue, bodies, octets, damaged.
        """
    @staticmethod
    def import_(
        store: str,
        path: str | None,
        *,
        map_size: int,
        prefix: str = "",
        queue: bool = False,
        retained: bool = True,
    ) -> StoreTask:
        """The neutral stream from a file, or from standard input. Asks for domains, aliases, accounts, lists, annotations.

        Numbers: as `export`, and present (were there already), passed (not wanted).
        """
    @staticmethod
    def restore_accounts(
        store: str,
        index: str,
        packs: str,
        accounts: Sequence[tuple[int, Sequence[tuple[str, str]]]],
        *,
        map_size: int,
        mailbox: str | None = None,
        prefix: str = "",
        retained: bool = False,
    ) -> StoreTask:
        """Accounts of a snapshot into a volume: `export` and `import_` in one."""
    def wait(self, seconds: float) -> bool:
        """True when it has ended or asks; blocks for so long at most."""
    def progress(self) -> tuple[int, int, int]:
        """(done, octets, total; 0: unknown)."""
    @property
    def problems(self) -> int: ...
    def notes(self) -> list[str]:
        """Takes the lines about problems told since."""
    def question(self) -> list[tuple[str, str]] | None:
        """A record that is the directory's affair: ("Kind", kind), then its fields."""
    def answer(self, account: int | None) -> None:
        """Where the mail of the account goes; None: nowhere, or the record is no account."""
    def cancel(self) -> None:
        """Ends it at its next step."""
    def result(self) -> tuple[dict[str, int], list[str]]:
        """Joins the thread; numbers and texts."""
