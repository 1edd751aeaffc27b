//! Counts the steps of the readers in tests, so that linear work is proved by counting and not by a clock.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Notes steps; nothing outside of tests.
#[inline]
pub(crate) fn note(steps: usize) {
    #[cfg(test)]
    STEPS.with(|cell| cell.set(cell.get() + steps));
    #[cfg(not(test))]
    let _ = steps;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Structure};

    fn steps_of(call: impl FnOnce()) -> usize {
        STEPS.with(|cell| cell.set(0));
        call();
        STEPS.with(std::cell::Cell::get)
    }

    fn read(message: &[u8]) {
        let structure = Structure::parse(message, &Limits::default());
        crate::bodystructure(message, &structure, true, &mut Vec::new());
        crate::envelope(message, &mut Vec::new());
        if let Some(subject) = crate::headers::first(message, b"Subject") {
            let _ = crate::subject::base_subject(subject);
        }
    }

    #[test]
    fn twice_the_input_is_at_most_twice_the_work() {
        let multipart = "Content-Type: multipart/mixed; boundary=a\r\n\r\n";
        for (start, unit) in [
            ("", "a: b\r\n"),
            ("From: ", "a@b, "),
            ("From: ", "a <b"),
            ("From: ", "("),
            ("From: ", "a("),
            ("From: ", "\"a"),
            ("From: ", "a:;,"),
            ("From: ", "<@a,"),
            ("From: ", "a b "),
            ("Subject: ", "=?a?q?"),
            ("Subject: ", "=?a?q?b?= "),
            ("Subject: ", "=?a?q?b"),
            ("Subject: ", "[a]"),
            ("Subject: ", "re[a]: [b]"),
            ("Subject: ", "[fwd: "),
            ("Content-Type: a/b", "; c*0=d"),
            ("Content-Type: a/b", "; c=\"d"),
            ("Content-Type: a/b", "; (c"),
            ("Content-Type: a/b", ";;"),
            (multipart, "--"),
            (multipart, "--b\r\n"),
            (multipart, "--a\r\n"),
            (multipart, "--a\r\n\r\nx\r\n"),
            (multipart, "--a\r\nContent-Type: message/rfc822\r\n\r\n"),
            (multipart, "--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"),
        ] {
            let work = |count: usize| {
                let message = format!("{start}{}", unit.repeat(count));
                steps_of(|| read(message.as_bytes()))
            };
            // Large enough that the limits on parts and depth have their full effect in both.
            let (once, twice) = (work(20_000), work(40_000));
            assert!(
                twice <= once * 2 + once / 10 + 10_000,
                "{start:?} {unit:?}: {once} then {twice}"
            );
            assert!(once > 0, "{start:?} {unit:?} is counted");
        }
    }
}
