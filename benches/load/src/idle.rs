//! Idle IMAP connections, held open so that a server's memory can be read.

use std::io::{self, Read, Write};
use std::time::Duration;

use crate::arguments::Arguments;
use crate::connection::{Connection, Patience, Poll};
use crate::imap::answered;

/// Opens the connections, logs in, selects INBOX, begins IDLE; says `open N`; holds them until standard input ends.
pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let port = arguments.number("port", 143);
    let users = arguments.number("users", 100).max(1);
    let width = arguments.number("connections", 100);
    let mut poll = Poll::new()?;
    let mut held = Vec::with_capacity(width);
    for index in 0..width {
        let mut one = [Some(Connection::open(port)?)];
        if let Some(connection) = &one[0] {
            poll.add(connection, 0)?;
        }
        let user = index % users;
        let lines = [
            format!("A LOGIN user{user}@example.test secret{user}\r\n"),
            "A SELECT INBOX\r\n".to_owned(),
            "A IDLE\r\n".to_owned(),
        ];
        let mut step = 0;
        let mut patience = Patience::new();
        while step <= lines.len() {
            poll.turn(&mut one, Duration::from_millis(500), |_, one| {
                let Some(connection) = one[0].as_mut() else {
                    return Ok(());
                };
                if connection.closed {
                    return Err(io::Error::other("the server closed a connection"));
                }
                let idling = step == lines.len() && connection.input.windows(2).any(|pair| pair == b"+ ");
                if idling || (step < lines.len() && answered(connection, step == 0) == Some(true)) {
                    if let Some(line) = lines.get(step) {
                        connection.send(line.as_bytes())?;
                    }
                    step += 1;
                }
                Ok(())
            })?;
            patience.check(false)?;
        }
        held.push(one);
    }
    println!("open {width}");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
