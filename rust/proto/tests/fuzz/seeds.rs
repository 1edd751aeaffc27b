//! Where campaigns begin: whole dialogues of the peer, each behind eight octets that steer our own side.

const SMTP_SERVER: &[&str] = &[
    "EHLO client.example\r\nMAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME\r\nRCPT TO:<c@d.example>\r\nDATA\r\n\
     Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n",
    "EHLO [192.0.2.1]\r\nMAIL FROM:<> RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY \
     ORCPT=rfc822;c@d.example\r\nRCPT TO:<\"a b\"@[IPv6:2001:db8::1]>\r\nBDAT 5\r\nabc\r\nBDAT 3 LAST\r\n\r\n.RSET\r\n",
    "LHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n\
     x\r\n.\r\nNOOP\r\nQUIT\r\n",
    "EHLO c\r\nAUTH PLAIN AHVzZXIAcGFzc3dvcmQ=\r\nAUTH LOGIN\r\ndXNlcg==\r\n*\r\nAUTH PLAIN =\r\nVRFY a\r\nHELP\r\n",
    "HELO c\r\nMAIL FROM:<@x,@y:a@b>\r\nRCPT TO:<postmaster>\r\nDATA\r\nbare\nlf and \rcr\r\n.\n.\r\r\n.\r\nEXPN x\r\n",
    "EHLO c\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n",
    "EHLO c\r\nMAIL FROM:<\u{e4}@\u{f6}.example> SMTPUTF8 AUTH=<>\r\nRCPT TO:<\u{fc}@x.example>\r\nBDAT 0 LAST\r\nQUIT\r\n",
];

const SMTP_CLIENT: &[&str] = &[
    "220 hello\r\n250-server\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 AUTH PLAIN LOGIN\r\n235 2.7.0 ok\r\n250 2.1.0 ok\r\n\
     250 2.1.5 ok\r\n354 go\r\n250 2.0.0 queued\r\n250 reset\r\n221 bye\r\n",
    "220-a\r\n220 b\r\n250 server\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 5.7.8 no\r\n550 no\r\n503 no\r\n503\r\n",
    "220 x\r\n500 what\r\n421 4.3.2 down\r\n",
    "554 no\r\n221 bye\r\n",
    "220 x\r\n250-y\r\n250 STARTTLS\r\n235 ok\r\n220 go\r\n",
    "220 x\r\n250 y\r\n334 \r\n334 \r\n334 \r\n",
];

const IMAP_SERVER: &[&str] = &[
    "a CAPABILITY\r\nb LOGIN user password\r\nc SELECT INBOX\r\nd FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (From \
     To)]<0.100>)\r\ne LOGOUT\r\n",
    "a LOGIN {4}\r\nuser {8+}\r\npassword\r\nb EXAMINE \"a b\"\r\nc UID SEARCH RETURN (MIN COUNT) OR SEEN NOT (FROM \"x\" \
     SINCE 1-Feb-1994)\r\n",
    "a APPEND INBOX (\\Seen $Label) \"17-Jul-1996 02:44:25 -0700\" {12}\r\nSubject: x\r\n\r\n\r\nb NOOP\r\n",
    "a APPEND x CATENATE (URL {2+}\r\n/a TEXT {3+}\r\nabc URL \"/INBOX/;uid=1\" UTF8 (~{1+}\r\nx)) {1+}\r\ny\r\n",
    "a SELECT x\r\nb SORT RETURN (MIN) (REVERSE DATE DISPLAYFROM) UTF-8 ALL\r\nc UID THREAD REFS \"utf-8\" NOT SEEN\r\n",
    "a SELECT x\r\nb UID REPLACE 4 Drafts (\\Draft) {3+}\r\nabc\r\nc REPLACE * x CATENATE (URL /a)\r\n",
    "a APPEND x {5+}\r\nhello\r\nb APPEND y UTF8 (~{3+}\r\n\0\r\n)\r\nc APPEND z {99999999}\r\nd CHECK\r\n",
    "a AUTHENTICATE PLAIN\r\nAHVzZXIAcGFzc3dvcmQ=\r\nb AUTHENTICATE PLAIN =\r\n*\r\nc STARTTLS\r\nd NOOP\r\n",
    "a IDLE\r\nDONE\r\nb IDLE\r\nnot done\r\nc ENABLE IMAP4rev2 CONDSTORE\r\nd NAMESPACE\r\ne ID (\"name\" NIL)\r\n",
    "a LIST (SUBSCRIBED) \"\" (\"*\" \"%\") RETURN (CHILDREN STATUS (MESSAGES UIDNEXT))\r\nb LSUB \"\" %\r\nc STATUS &AOQ- \
     (MESSAGES UNSEEN SIZE)\r\nd CREATE x (USE (\\Drafts))\r\ne RENAME x y\r\nf DELETE y\r\ng SUBSCRIBE INBOX\r\n",
    "a GETMETADATA \"\" (MAXSIZE 10 DEPTH infinity) (/shared/comment /private)\r\nb SETMETADATA x (/private/comment ~{2+}\r\n\0a \
     /shared/x NIL)\r\nb NOTIFY SET STATUS (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (From)]) MessageExpunge)) (subtree (a \"b\") \
     (MailboxName)) (personal NONE)\r\nb NOTIFY NONE\r\nc LIST \"\" % RETURN (MYRIGHTS METADATA (/shared/comment))\r\nd XLIST \"\" *\r\n",
    "a GETACL x\r\nb SETACL x -bob@d.example +lrswipkxtea\r\nc SETACL {1+}\r\nx anyone \"\"\r\nd DELETEACL x {3}\r\nbob\r\ne \
     LISTRIGHTS x anyone\r\nf MYRIGHTS &AOQ-\r\n",
    "a ESEARCH IN (mailboxes (x \"y z\") subtree-one &AOQ- personal) RETURN (MIN COUNT) SUBJECT {1+}\r\nx\r\nb ESEARCH \
     ALL\r\n",
    "a SELECT x\r\nb UIDBATCHES 2000\r\nc UIDBATCHES 500 10:20\r\nd UIDBATCHES 4294967295 1:1\r\n",
    "a STORE 1:5,7 +FLAGS.SILENT (\\Deleted)\r\nb UID MOVE 1,2 Trash\r\nc COPY * x\r\nd UID EXPUNGE 1:*\r\ne UNSELECT\r\nf \
     CLOSE\r\n",
    "a FETCH 1 FULL\r\nb FETCH 1 (BINARY[1.2]<1.5> BINARY.SIZE[] BODY[1.MIME] BODY[2.HEADER] RFC822.TEXT)\r\n",
];

const IMAP_SEARCH_KEY: &[&str] = &[
    "ALL",
    "CHARSET UTF-8 TEXT {3}\r\nabc",
    "RETURN (MIN MAX ALL COUNT) 1:5,9,*:3 UID 1:* LARGER 10 SMALLER 4294967296",
    "RETURN (SAVE PARTIAL -1:-100) OLDER 5 YOUNGER 6 SAVEDON 1-Jan-2000 SAVEDBEFORE 1-Jan-2000 SAVEDATESUPPORTED",
    "OR (SEEN UNSEEN) NOT OR NEW (OLD RECENT)",
    "HEADER X-Y \"a \\\" b\" SUBJECT {0}\r\n FROM x TO y CC z BCC w BODY v",
    "KEYWORD $Forwarded UNKEYWORD x BEFORE 1-Jan-2000 SENTSINCE \"29-Feb-2000\" ON 31-Dec-0000",
];

const POP3_SERVER: &[&str] = &[
    "CAPA\r\nUSER alice\r\nPASS two words\r\nSTAT\r\nLIST\r\nUIDL 1\r\nRETR 1\r\nTOP 1 10\r\nDELE 1\r\nRSET\r\nQUIT\r\n",
    "AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=\r\nNOOP\r\nLIST 4294967295\r\nRETR 0\r\n",
    "UTF8\r\nLANG\r\nLANG en\r\nLANG *\r\nUSER alice\r\nPASS x\r\nLANG\r\nUTF8\r\nQUIT\r\n",
    "AUTH\r\nAUTH LOGIN\r\ndXNlcg==\r\n*\r\nAUTH PLAIN =\r\nSTLS\r\nQUIT\r\n",
];

const ADDRESS: &[&str] = &[
    "<a@b.example>",
    "<@x.example,@y.example:a@b.example>",
    "<\"quo\\\"ted \\\\\"@[192.0.2.1]>",
    "<a.b@[IPv6:2001:db8::1]>",
    "<>",
    "<Postmaster>",
    "a@b.example",
    "\"\"@\u{e4}.example",
    "\u{fc}@[IPv6:::ffff:192.0.2.1]",
];

const MAILBOX_NAME: &[&str] = &[
    "INBOX/a",
    "&AOQ-",
    "a&-b",
    "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
    "\u{1f4ec}%*",
    "\"\\",
];

/// What servers say to the client of `imap_client`.
const IMAP_CLIENT: &[&str] = &[
    "* OK [CAPABILITY IMAP4rev1 SASL-IR] hi\r\n+ go\r\nA1 OK in\r\n* LIST (\\Sent) \"/\" \"a b\"\r\nA2 OK x\r\n\
      * STATUS INBOX (MESSAGES 2)\r\nA3 OK x\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nA4 OK [READ-ONLY] x\r\n\
      * 1 FETCH (UID 4 FLAGS (\\Seen $x))\r\nA5 OK x\r\n* 1 FETCH (UID 4 BODY[] {5}\r\na\r\nbc FLAGS ())\r\n\
      * 2 FETCH (BODY[] \"q\\\"\" UID 5 X-GM-LABELS (\"a\"))\r\n* 1 EXPUNGE\r\nA6 OK x\r\nA7 NO no\r\n* BYE x\r\n",
    "* PREAUTH x\n* LIST () NIL {3}\r\na b\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n* SEARCH 1 2 5\r\n\
      * ESEARCH (TAG \"A1\") UID ALL 1:5,7\r\n* 1 FETCH (ENVELOPE ((NIL) {2}\r\nab) MODSEQ (5))\r\n",
];

fn plain(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

/// Each dialogue under several steerings.
fn steered(seeds: &[&str]) -> Vec<Vec<u8>> {
    let behind = |steering: u64| {
        seeds.iter().map(move |seed| {
            let mut input = steering.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
            input.extend_from_slice(seed.as_bytes());
            input
        })
    };
    (0..4).flat_map(behind).collect()
}

/// For `smtp_server`.
pub fn smtp_server() -> Vec<Vec<u8>> {
    steered(SMTP_SERVER)
}

/// For `smtp_client`.
pub fn smtp_client() -> Vec<Vec<u8>> {
    steered(SMTP_CLIENT)
}

/// For `imap_server`.
pub fn imap_server() -> Vec<Vec<u8>> {
    steered(IMAP_SERVER)
}

/// For `imap_client`.
pub fn imap_client() -> Vec<Vec<u8>> {
    steered(IMAP_CLIENT)
}

/// For `imap_search_key`.
pub fn imap_search_key() -> Vec<Vec<u8>> {
    plain(IMAP_SEARCH_KEY)
}

/// For `pop3_server`.
pub fn pop3_server() -> Vec<Vec<u8>> {
    steered(POP3_SERVER)
}

/// For `address`.
pub fn address() -> Vec<Vec<u8>> {
    plain(ADDRESS)
}

/// For `mailbox_name`.
pub fn mailbox_name() -> Vec<Vec<u8>> {
    plain(MAILBOX_NAME)
}
