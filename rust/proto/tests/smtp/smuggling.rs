//! SMTP smuggling (the class of CVE-2023-51764): nothing but CRLF.CRLF ends DATA, nothing but its count ends a chunk.

use super::driver::Driver;
use ironpost_proto::smtp::Event;

const SECOND: &str = "MAIL FROM:<evil@x>\r\nRCPT TO:<victim@y>\r\nDATA\r\nforged\r\n.\r\n";

fn begun() -> Driver {
    let mut driver = Driver::smtp();
    driver.send(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    driver
}

fn mails(driver: &Driver) -> usize {
    driver
        .record
        .events
        .iter()
        .filter(|event| matches!(event, Event::Mail(_)))
        .count()
}

#[test]
fn no_other_end_of_data_is_one() {
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\n.\r",
        "\r.\n",
        "\r\n.\r\r\n",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
        "\r\r\n.\n",
        "\n\r.\r\n",
        "\r\n. \r\n",
        "\r\n\x0b.\r\n",
        "\u{2028}.\r\n",
    ] {
        let attack = format!("DATA\r\nfirst{end}{SECOND}");
        for at in 0..=attack.len() {
            let mut driver = begun();
            let (left, right) = attack.as_bytes().split_at(at);
            driver.send(left).send(right);
            assert_eq!(
                (mails(&driver), driver.record.bodies.len()),
                (1, 1),
                "{end:?} split at {at}"
            );
            let body = String::from_utf8(driver.record.bodies[0].clone()).unwrap();
            assert!(body.contains("MAIL FROM:<evil@x>"), "{end:?}");
            let flawed = driver.record.events.iter().any(
                |event| matches!(event, Event::BodyEnd { bare_cr, bare_lf, nul, .. } if *bare_cr || *bare_lf || *nul),
            );
            assert_eq!(
                flawed,
                !matches!(end, "\r\n. \r\n" | "\r\n\x0b.\r\n" | "\u{2028}.\r\n"),
                "{end:?}"
            );
        }
    }
}

#[test]
fn the_true_end_is_one_whatever_went_before() {
    for before in ["", "x", "\r\n", "\n", "\r", ".", "..", "\r\n.\n", "\n.\n"] {
        let input = format!("DATA\r\n{before}\r\n.\r\n{SECOND}");
        for at in 0..=input.len() {
            let mut driver = begun();
            let (left, right) = input.as_bytes().split_at(at);
            driver.send(left).send(right);
            // "DATA\r\n" + "." is a body that ends at once only when the dot stands alone.
            assert!(driver.record.bodies.len() <= 3);
            assert_eq!(
                mails(&driver),
                2,
                "{before:?} split at {at}: {:?}",
                driver.record.events
            );
        }
    }
}

#[test]
fn an_end_of_data_within_a_chunk_is_content() {
    let inner = format!("first\r\n.\r\n{SECOND}");
    let attack = format!("BDAT {} LAST\r\n{inner}", inner.len());
    for at in 0..=attack.len() {
        let mut driver = begun();
        let (left, right) = attack.as_bytes().split_at(at);
        driver.send(left).send(right);
        assert_eq!(
            (mails(&driver), driver.record.bodies.as_slice()),
            (1, &[inner.clone().into_bytes()][..])
        );
    }
}

#[test]
fn commands_within_a_thrown_away_chunk_are_none() {
    let attack = format!("BDAT {} LAST\r\n{SECOND}NOOP\r\n", SECOND.len());
    for at in 0..=attack.len() {
        let mut driver = Driver::smtp();
        driver.send(b"EHLO c\r\n");
        let (left, right) = attack.as_bytes().split_at(at);
        driver.send(left).send(right);
        assert_eq!((mails(&driver), driver.codes()), (0, vec![250, 503, 250]));
    }
}

#[test]
fn a_bare_newline_makes_no_second_command() {
    for newline in ["\n", "\r", "\r\r", "\n\n"] {
        let mut driver = begun();
        driver.send(format!("RCPT TO:<e@f>{newline}RCPT TO:<g@h>\r\n").as_bytes());
        let recipients = driver
            .record
            .events
            .iter()
            .filter(|event| matches!(event, Event::Rcpt(_)))
            .count();
        assert_eq!((recipients, driver.codes().last()), (1, Some(&500)));
    }
}
