use super::*;
use crate::structure::Limits;

fn shown(message: &[u8], extended: bool) -> String {
    let structure = Structure::parse(message, &Limits::default());
    let mut out = Vec::new();
    bodystructure(message, &structure, extended, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn defaults() {
    let plain = "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 6 1)";
    assert_eq!(shown(b"Subject: x\r\n\r\nbody\r\n", false), plain);
    for broken in ["", " nonsense", " text/", " =?utf-8?q?x?="] {
        assert_eq!(
            shown(format!("Content-Type:{broken}\r\n\r\nbody\r\n").as_bytes(), false),
            plain,
            "{broken}"
        );
    }
    assert_eq!(
        shown(b"Content-Transfer-Encoding: base64\r\n\r\n", true),
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)"
    );
}

#[test]
fn every_field_of_a_leaf() {
    let message = b"MIME-Version: 1.0\r\nContent-Type: Text/HTML; format=\"a \\\"b\"\r\nContent-ID: <i@d>\r\n\
Content-Description: some\r\n text\r\nContent-Transfer-Encoding: Quoted-Printable\r\nContent-MD5: abc==\r\n\
Content-Disposition: attachment; filename*0=\"a\"; filename*1=\"b.html\"\r\nContent-Language: en, de\r\n\
Content-Location: http://x/\r\n\r\n<p>=\r\n\r\n";
    assert_eq!(
        shown(message, true),
        "(\"Text\" \"HTML\" (\"format\" \"a \\\"b\" \"charset\" \"us-ascii\") \"<i@d>\" \"some text\" \
\"Quoted-Printable\" 8 2 \"abc==\" (\"attachment\" (\"filename\" \"ab.html\")) (\"en\" \"de\") \"http://x/\")"
    );
    assert_eq!(
        shown(b"Content-Type: application/pdf\r\n\r\nx", true),
        "(\"application\" \"pdf\" NIL NIL NIL \"7bit\" 1 NIL NIL NIL NIL)"
    );
}

#[test]
fn multiparts_and_messages() {
    let message = b"Content-Type: multipart/mixed; boundary=b\r\nContent-Language: en\r\n\r\n--b\r\n\r\none\r\n--b\r\n\
Content-Type: message/rfc822; x=y\r\nContent-Disposition: inline\r\n\r\nSubject: in\r\n\r\nbody\r\n\r\n--b--\r\n";
    let envelope = "(NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL)";
    let text = |octets: u32, lines: u32, end: &str| {
        format!("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" {octets} {lines}{end})")
    };
    let nil = " NIL NIL NIL NIL";
    assert_eq!(
        shown(message, false),
        format!(
            "({}(\"message\" \"rfc822\" (\"x\" \"y\") NIL NIL \"7bit\" 21 {envelope} {} 3) \"mixed\")",
            text(3, 0, ""),
            text(6, 1, "")
        )
    );
    assert_eq!(
        shown(message, true),
        format!(
            "({}(\"message\" \"rfc822\" (\"x\" \"y\") NIL NIL \"7bit\" 21 {envelope} {} 3 NIL (\"inline\" NIL) NIL NIL) \
\"mixed\" (\"boundary\" \"b\") NIL (\"en\") NIL)",
            text(3, 0, nil),
            text(6, 1, nil)
        )
    );
}

#[test]
fn empty_multiparts_and_opaque_parts() {
    assert_eq!(
        shown(b"Content-Type: multipart/x; boundary=b\r\n\r\nnothing", true),
        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) \"x\" \
(\"boundary\" \"b\") NIL NIL NIL)"
    );
    let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--";
    let structure = Structure::parse(
        message,
        &Limits {
            depth_max: 1,
            ..Limits::default()
        },
    );
    let mut out = Vec::new();
    bodystructure(message, &structure, false, &mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 15)"
    );
}

#[test]
fn a_type_beyond_the_limit_is_no_type() {
    let message = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
    let structure = Structure::parse(
        message,
        &Limits {
            header_octets_max: 10,
            ..Limits::default()
        },
    );
    let mut out = Vec::new();
    bodystructure(message, &structure, false, &mut out);
    assert_eq!(
        out,
        b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1)"
    );
}

#[test]
fn a_message_shorter_than_its_table_is_harmless() {
    let message = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody";
    let structure = Structure::parse(message, &Limits::default());
    for length in 0..message.len() {
        bodystructure(&message[..length], &structure, true, &mut Vec::new());
    }
}
