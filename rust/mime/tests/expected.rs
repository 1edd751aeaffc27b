//! Part trees and decoded bodies against what the corpora of mime4j and mail-parser expect.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use ironpost_mime::{Limits, PartKind, Structure, transfer};

#[path = "support/json.rs"]
mod json;
mod support;

/// A part as an expectation describes it.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Leaf,
    Message(Box<Shape>),
    Multipart(Vec<Shape>),
}

/// An expected leaf: the file with its decoded octets and whether line ends may differ.
struct Body {
    file: String,
    is_text: bool,
}

/// Reads the expectation's elements: message, multipart, body-part, text-body, binary-body.
struct Expectation<'a> {
    rest: &'a str,
    bodies: Vec<Body>,
}

impl<'a> Expectation<'a> {
    /// The next tag, without its brackets; texts between tags are passed over.
    fn tag(&mut self) -> &'a str {
        let start = self.rest.find('<').unwrap();
        let end = start + self.rest[start..].find('>').unwrap();
        let tag = &self.rest[start + 1..end];
        self.rest = &self.rest[end + 1..];
        tag
    }

    /// The content of an entity, up to its end tag.
    fn entity(&mut self) -> Shape {
        let mut shape = None;
        loop {
            let tag = self.tag();
            match tag.split([' ', '/']).next().unwrap() {
                "message" => shape = Some(Shape::Message(Box::new(self.entity()))),
                "multipart" => shape = Some(Shape::Multipart(self.multipart())),
                kind @ ("text-body" | "binary-body") => {
                    let file = tag.split('"').nth(1).unwrap().to_owned();
                    self.bodies.push(Body {
                        file,
                        is_text: kind == "text-body",
                    });
                    shape = Some(Shape::Leaf);
                }
                "" => match tag {
                    "/message" | "/body-part" => return shape.unwrap_or(Shape::Leaf),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    fn multipart(&mut self) -> Vec<Shape> {
        let mut parts = Vec::new();
        loop {
            match self.tag() {
                "body-part" => parts.push(self.entity()),
                "/multipart" => return parts,
                _ => {}
            }
        }
    }
}

fn shape(structure: &Structure, index: usize) -> Shape {
    match structure.parts()[index].kind {
        PartKind::Leaf | PartKind::Opaque => Shape::Leaf,
        PartKind::Message => Shape::Message(Box::new(shape(structure, index + 1))),
        PartKind::Multipart => {
            Shape::Multipart(structure.children(index).map(|child| shape(structure, child)).collect())
        }
    }
}

/// Messages where that corpus expects what IMAP does not, and why.
const DIFFERENT: [(&str, &str); 8] = [
    ("frag", "the octets of a torn last base64 group count"),
    ("multi-frag", "the octets of a torn last base64 group count"),
    ("multi-2gifs-base64", "an encoded message/rfc822 is shown as it stands"),
    (
        "bad-newlines-multiple-parts-base64",
        "an encoded message/rfc822 is shown as it stands",
    ),
    (
        "base64encoded-rfc822message-nested",
        "an encoded message/rfc822 is shown as it stands",
    ),
    (
        "base64encoded-rfc822message",
        "an encoded message/rfc822 is shown as it stands",
    ),
    (
        "malformedHeaderStartsBody-nocrlfcrlf",
        "only an empty line ends a header",
    ),
    ("malformedHeaderStartsBody-noheader", "only an empty line ends a header"),
];

fn without_cr(octets: &[u8]) -> Vec<u8> {
    octets.iter().copied().filter(|&octet| octet != b'\r').collect()
}

fn compare(message: &Path, expectation: &Path) -> Result<(), String> {
    let octets = std::fs::read(message).unwrap();
    let structure = Structure::parse(&octets, &Limits::default());
    let text = String::from_utf8_lossy(&std::fs::read(expectation).unwrap()).into_owned();
    let mut reader = Expectation {
        rest: &text,
        bodies: Vec::new(),
    };
    assert_eq!(reader.tag(), "message");
    let expected = reader.entity();
    let found = shape(&structure, 0);
    if found != expected {
        return Err(format!("tree {found:?}, expected {expected:?}"));
    }
    let leaves = structure.parts().iter().filter(|part| part.kind == PartKind::Leaf);
    for (leaf, body) in leaves.zip(&reader.bodies) {
        let mut decoded = Vec::new();
        transfer::decode(leaf.encoding, &octets[leaf.body.clone()], &mut decoded);
        let expected = std::fs::read(expectation.with_file_name(&body.file)).unwrap();
        let is_same = if body.is_text {
            without_cr(&decoded) == without_cr(&expected)
        } else {
            decoded == expected
        };
        if !is_same {
            let at = decoded.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            return Err(format!(
                "{}: {} octets, expected {}, differ at {at}",
                body.file,
                decoded.len(),
                expected.len()
            ));
        }
    }
    Ok(())
}

#[test]
fn mime4j() {
    let Some(corpora) = support::corpora() else { return };
    let (mut same, mut faults) = (0, Vec::new());
    for file in support::files(&corpora.join("mime4j-testmsgs")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix("_decoded.xml") else {
            continue;
        };
        let is_known = DIFFERENT.iter().any(|(known, _)| *known == stem);
        match compare(&file.with_file_name(format!("{stem}.msg")), &file) {
            Ok(()) if is_known => faults.push(format!("{stem}: no longer different")),
            Ok(()) => same += 1,
            Err(_) if is_known => {}
            Err(fault) => faults.push(format!("{stem}: {fault}")),
        }
    }
    println!("{same} as expected, {} known to differ", DIFFERENT.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(same > 50, "{same}");
}

/// Header start, body start, end and kind of each part, as the other corpus writes them down.
type Row = (usize, usize, usize, &'static str);

fn expected_rows(message: &json::Json, rows: &mut Vec<Row>) {
    for part in message.get("parts").list() {
        let offset = |name: &str| part.get(name).number();
        let kind = match part.get("body") {
            json::Json::Object(members) => match members[0].0.as_str() {
                "Multipart" => "multipart",
                "Message" => "message",
                _ => "leaf",
            },
            _ => "leaf",
        };
        rows.push((
            offset("offset_header"),
            offset("offset_body"),
            offset("offset_end"),
            kind,
        ));
        expected_rows(part.get("body").get("Message"), rows);
    }
}

fn found_rows(message: &[u8]) -> Vec<Row> {
    let structure = Structure::parse(message, &Limits::default());
    let row = |part: &ironpost_mime::Part| {
        let kind = match part.kind {
            PartKind::Multipart => "multipart",
            PartKind::Message => "message",
            PartKind::Leaf | PartKind::Opaque => "leaf",
        };
        (part.header.start, part.body.start, part.body.end, kind)
    };
    structure.parts().iter().map(row).collect()
}

/// Messages of mail-parser where we differ, and why.
const DIFFERENT_OFFSETS: [(&str, &str); 21] = [
    ("malformed/000", "a boundary line ends a header"),
    ("malformed/001", "RFC 2046 §5.1.1 compares only the beginning of a line"),
    ("malformed/002", "a multipart without parts stays one"),
    ("malformed/004", "RFC 2046 §5.1.1 compares only the beginning of a line"),
    ("malformed/007", "a boundary line ends a header"),
    ("malformed/008", "an outer boundary ends inner parts"),
    ("malformed/009", "an outer boundary ends inner parts"),
    ("malformed/011", "an outer boundary ends inner parts"),
    ("malformed/012", "an outer boundary ends inner parts"),
    ("malformed/013", "a boundary opens a part, even an empty one"),
    ("malformed/014", "a boundary opens a part, even an empty one"),
    ("malformed/016", "boundaries longer than 70 octets are compared whole"),
    ("malformed/017", "without its semicolon the boundary is no parameter"),
    ("malformed/019", "an inner multipart reaches to the outer boundary"),
    ("malformed/020", "a multipart is one with an encoding too"),
    ("malformed/021", "a multipart is one with an encoding too"),
    ("malformed/022", "a message/rfc822 part is one whatever it holds"),
    ("rfc/008", "an encoded message/rfc822 is shown as it stands"),
    ("thirdparty/005", "a boundary stands at the beginning of a line"),
    (
        "thirdparty/011",
        "the empty line directly before a boundary is the boundary's",
    ),
    ("thirdparty/015", "an outer boundary ends inner messages"),
];

#[test]
fn mail_parser() {
    let Some(corpora) = support::corpora() else { return };
    let (mut same, mut faults) = (0, Vec::new());
    for file in support::files(&corpora.join("mail-parser-eml")) {
        let name = file.to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".json") else {
            continue;
        };
        let (stem, is_crlf) = stem.strip_suffix(".crlf").map_or((stem, false), |stem| (stem, true));
        let mut message = without_cr(&std::fs::read(format!("{stem}.eml")).unwrap());
        if is_crlf {
            message = support::with_crlf(&message);
        }
        let mut expected = Vec::new();
        expected_rows(&json::parse(&std::fs::read_to_string(&file).unwrap()), &mut expected);
        let found = found_rows(&message);
        let is_known = DIFFERENT_OFFSETS.iter().any(|(known, _)| stem.ends_with(known));
        if found == expected {
            same += 1;
            if is_known {
                faults.push(format!("{name}: no longer different"));
            }
        } else if !is_known {
            faults.push(format!("{name}:\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    println!("{same} as expected, {} pairs known to differ", DIFFERENT_OFFSETS.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(same > 60, "{same}");
}
