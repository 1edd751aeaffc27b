//! Part trees and decoded bodies against what the mime4j corpus expects.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use ironpost_mime::{Limits, PartKind, Structure, transfer};

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
const DIFFERENT: [(&str, &str); 0] = [];

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
