//! Conventions: a core is tested at every split point of its input and one octet at a time.

use super::driver::{Driver, Record};
use ironpost_proto::smtp::Limits;

const SMTP: &[u8] = b"EHLO client.example\r\n\
MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME\r\n\
RCPT TO:<c@d.example> NOTIFY=NEVER\r\n\
RCPT TO:<e@f.example>\r\n\
DATA\r\n\
..first\r\n\
.second\r\n\
\r\n\
bare\rcr and bare\nlf\r\n\
\n.\r\n\
\r\n\
.\r\n\
RSET\r\n\
NOOP x\r\n\
MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 7\r\n.\r\n\r\n\r\rBDAT 0\r\nBDAT 4 LAST\r\n\n.\r\n\
BDAT 3 LAST\r\nabc\
AUTH PLAIN\r\nYWJj\r\n\
AUTH PLAIN YWJj\r\n\
STARTTLS\r\n\
bad\nline\r\n\
VRFY someone\r\n\
QUIT\r\nNOOP\r\n";

const LMTP: &[u8] = b"LHLO client.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n.\r\n\
MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nRCPT TO:<g@h>\r\nBDAT 2\r\nhiBDAT 2 LAST\r\n\r\nHELO x\r\nQUIT\r\n";

fn record(lmtp: bool, limits: Limits, chunks: &[&[u8]]) -> Record {
    let mut driver = Driver::new(lmtp, limits);
    for chunk in chunks {
        driver.send(chunk);
    }
    driver.record
}

fn same_at_every_split(lmtp: bool, limits: Limits, input: &[u8]) -> Record {
    let whole = record(lmtp, limits, &[input]);
    for at in 0..=input.len() {
        let (left, right) = input.split_at(at);
        assert_eq!(record(lmtp, limits, &[left, right]), whole, "split at {at}");
    }
    for size in [1, 2, 3, 7] {
        let chunks: Vec<&[u8]> = input.chunks(size).collect();
        assert_eq!(record(lmtp, limits, &chunks), whole, "chunks of {size}");
    }
    whole
}

#[test]
fn an_smtp_dialogue() {
    let whole = same_at_every_split(false, Limits::default(), SMTP);
    assert_eq!(
        whole.bodies,
        [
            b".first\r\nsecond\r\n\r\nbare\rcr and bare\nlf\r\n\n.\r\n\r\n".to_vec(),
            b".\r\n\r\n\r\r\n.\r\n".to_vec(),
        ]
    );
    let events: Vec<String> = whole.events.iter().map(|event| format!("{event:?}")).collect();
    assert!(
        events
            .iter()
            .any(|event| event == "BodyEnd { size: 45, bare_cr: true, bare_lf: true, nul: false }"),
        "{events:#?}"
    );
    assert!(
        events
            .iter()
            .any(|event| event == "BodyEnd { size: 11, bare_cr: true, bare_lf: false, nul: false }"),
        "{events:#?}"
    );
    assert_eq!(events.last().unwrap(), "Closed(\"quit\")");
    assert_eq!(
        whole.output.matches("503 ").count(),
        2,
        "BDAT without recipients and the second AUTH: {}",
        whole.output
    );
}

#[test]
fn an_lmtp_dialogue() {
    let whole = same_at_every_split(true, Limits::default(), LMTP);
    assert_eq!(whole.bodies, [b"".to_vec(), b"hi\r\n".to_vec()]);
    assert_eq!(whole.output.matches("250 2.0.0 stored").count(), 5);
}

#[test]
fn small_limits() {
    let limits = Limits {
        message_octets_max: 5,
        recipients_max: 1,
        line_octets_max: 47,
        auth_line_octets_max: 60,
    };
    let whole = same_at_every_split(false, limits, SMTP);
    assert!(whole.bodies.len() == 2 && whole.bodies.iter().all(|body| body.len() <= 5));
    assert!(whole.output.contains("452 4.5.3"));
    let whole = same_at_every_split(
        false,
        Limits {
            line_octets_max: 46,
            ..limits
        },
        SMTP,
    );
    assert!(whole.output.contains("500 5.5.2 Line too long"));
}
