//! Every rule by an example, and every way to cut the input.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{Ending, FromLines, Quoting, Rewriter};

fn rewrite(input: &[u8], ending: Ending, quoting: Quoting) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rewriter = Rewriter::new(ending, quoting);
    rewriter.feed(input, &mut out);
    rewriter.finish(&mut out);
    out
}

fn text(input: &[u8], ending: Ending, quoting: Quoting) -> String {
    String::from_utf8(rewrite(input, ending, quoting)).unwrap()
}

#[test]
fn bare_lf_becomes_crlf() {
    assert_eq!(text(b"a\nb\r\nc\n", Ending::Crlf, Quoting::Keep), "a\r\nb\r\nc\r\n");
    assert_eq!(text(b"\n\n", Ending::Crlf, Quoting::Keep), "\r\n\r\n");
    assert_eq!(text(b"a\rb\n", Ending::Crlf, Quoting::Keep), "a\rb\r\n");
    assert_eq!(text(b"no end", Ending::Crlf, Quoting::Keep), "no end");
}

#[test]
fn the_first_line_decides() {
    assert_eq!(text(b"a\r\nb\nc\r\n", Ending::Auto, Quoting::Keep), "a\r\nb\nc\r\n");
    assert_eq!(text(b"a\nb\r\nc\n", Ending::Auto, Quoting::Keep), "a\r\nb\r\nc\r\n");
}

#[test]
fn crlf_becomes_lf() {
    assert_eq!(text(b"a\r\nb\rc\r\r\n\r", Ending::Lf, Quoting::Keep), "a\nb\rc\r\n\r");
}

#[test]
fn mboxrd_quotes_every_level() {
    let plain = "From a\n>From b\n>>From c\nfrom d\n>Fro\n> From e\nx From f\n";
    let quoted = ">From a\n>>From b\n>>>From c\nfrom d\n>Fro\n> From e\nx From f\n";
    assert_eq!(text(plain.as_bytes(), Ending::Keep, Quoting::Quote), quoted);
    assert_eq!(text(quoted.as_bytes(), Ending::Keep, Quoting::Unquote), plain);
}

#[test]
fn mboxo_knows_one_level() {
    assert_eq!(
        text(b">From a\n>>From b\n", Ending::Keep, Quoting::UnquoteOnce),
        "From a\n>>From b\n"
    );
}

#[test]
fn what_is_held_back_comes_at_the_end() {
    assert_eq!(text(b">>Fro", Ending::Keep, Quoting::Unquote), ">>Fro");
    assert_eq!(text(b">From ", Ending::Keep, Quoting::Unquote), "From ");
    assert_eq!(text(b">", Ending::Keep, Quoting::Quote), ">");
}

#[test]
fn faults_are_noticed() {
    let mut out = Vec::new();
    let mut rewriter = Rewriter::new(Ending::Keep, Quoting::Keep);
    rewriter.feed(b"clean\r\nclean\r", &mut out);
    rewriter.feed(b"\n", &mut out);
    assert!(!rewriter.nul && !rewriter.bare_cr && !rewriter.bare_lf);
    rewriter.feed(b"x\ny\0", &mut out);
    assert!(rewriter.nul && !rewriter.bare_cr && rewriter.bare_lf);
    rewriter.feed(b"\r", &mut out);
    rewriter.feed(b"z", &mut out);
    assert!(rewriter.bare_cr);
}

#[test]
fn from_lines_are_found() {
    let mut lines = FromLines::new();
    assert_eq!(
        lines.feed(b"From a\nx\nFrom b\n\nFromage\n>From c\n\nFrom d"),
        [0, 9, 34]
    );
    assert!(FromLines::new().feed(b"x From a\nFrom").is_empty());
}

fn mail() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"\n"[..],
        b"\r\n",
        b"\r",
        b"From ",
        b">",
        b">>From x",
        b"Fro",
        b"a",
        b"\0",
        b"text ",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cuts_change_nothing(input in mail(), cuts in prop::collection::vec(0usize..400, 0..6), ending in 0..4usize, quoting in 0..4usize) {
        let ending = [Ending::Keep, Ending::Auto, Ending::Crlf, Ending::Lf][ending];
        let quoting = [Quoting::Keep, Quoting::Unquote, Quoting::UnquoteOnce, Quoting::Quote][quoting];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.sort_unstable();
        cuts.push(input.len());
        let (mut rewriter, mut out, mut lines, mut found) =
            (Rewriter::new(ending, quoting), Vec::new(), FromLines::new(), Vec::new());
        let mut start = 0;
        for cut in cuts {
            rewriter.feed(&input[start..cut], &mut out);
            found.extend(lines.feed(&input[start..cut]));
            start = cut;
        }
        rewriter.finish(&mut out);
        prop_assert_eq!(out, rewrite(&input, ending, quoting));
        let mut whole = FromLines::new();
        prop_assert_eq!(&found, &whole.feed(&input));
        let expected: Vec<u64> = (0..input.len())
            .filter(|&at| input[at..].starts_with(b"From ") && (at == 0 || input[at - 1] == b'\n'))
            .map(|at| at as u64)
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn mboxrd_loses_nothing(input in mail()) {
        let quoted = rewrite(&input, Ending::Keep, Quoting::Quote);
        prop_assert!(!quoted.starts_with(b"From ") && !quoted.windows(6).any(|six| six == b"\nFrom "));
        prop_assert_eq!(rewrite(&quoted, Ending::Keep, Quoting::Unquote), input);
    }

    #[test]
    fn clean_endings_come_back(input in mail()) {
        let clean = rewrite(&input, Ending::Crlf, Quoting::Keep);
        if !clean.windows(3).any(|three| three == b"\r\r\n") {
            let unix = rewrite(&clean, Ending::Lf, Quoting::Keep);
            prop_assert_eq!(rewrite(&unix, Ending::Crlf, Quoting::Keep), clean);
        }
    }
}
