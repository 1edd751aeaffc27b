//! IMAP load: a command repeated on each of many logged-in connections, or whole logins.

use std::io;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::connection::{Connection, Patience, Poll};
use crate::report::{self, Latencies};

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Greeting,
    Login,
    Setup,
    Command,
    Logout,
}

struct Session {
    user: usize,
    step: Step,
    done: usize,
    since: Instant,
}

/// Repeats one command; `%n` in it counts from 1 to `--modulo` and round again.
pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let repeat = arguments.number("repeat", 1);
    let setup = arguments.text("setup", "SELECT INBOX");
    let command = arguments.text("command", "NOOP");
    let modulo = arguments.number("modulo", 1).max(1);
    drive(arguments, false, repeat, &setup, &|number| {
        command.replace("%n", &(number % modulo + 1).to_string())
    })
}

/// Connect, log in, log out, again and again.
pub(crate) fn run_logins(arguments: &Arguments) -> io::Result<()> {
    drive(arguments, true, arguments.number("repeat", 100), "", &|_| String::new())
}

fn drive(
    arguments: &Arguments,
    logins: bool,
    repeat: usize,
    setup: &str,
    command: &dyn Fn(usize) -> String,
) -> io::Result<()> {
    let port = arguments.number("port", 143);
    let users = arguments.number("users", 100).max(1);
    let width = arguments.number("connections", 10).max(1);
    let mut poll = Poll::new()?;
    let mut connections: Vec<Option<Connection>> = (0..width).map(|_| None).collect();
    let mut sessions: Vec<Session> = (0..width)
        .map(|index| Session {
            user: index % users,
            step: Step::Greeting,
            done: 0,
            since: Instant::now(),
        })
        .collect();
    for (index, place) in connections.iter_mut().enumerate() {
        let connection = Connection::open(port)?;
        poll.add(&connection, index)?;
        *place = Some(connection);
    }
    let mut latencies = Latencies::default();
    let mut errors = 0;
    let mut octets = 0;
    let mut live = width;
    let mut begun = Instant::now();
    let mut ready_count = 0;
    let mut patience = Patience::new();
    while live > 0 {
        let mut reopen = Vec::new();
        let mut ended = Vec::new();
        let moved = poll.turn(&mut connections, Duration::from_millis(500), |index, connections| {
            let (Some(connection), session) = (connections[index].as_mut(), &mut sessions[index]) else {
                return Ok(());
            };
            while let Some(good) = answered(connection, session.step == Step::Greeting) {
                if !good {
                    errors += 1;
                    ended.push(index);
                    return Ok(());
                }
                match session.step {
                    Step::Greeting => {
                        let user = session.user;
                        connection.send(format!("A LOGIN user{user}@example.test secret{user}\r\n").as_bytes())?;
                        session.step = Step::Login;
                    }
                    Step::Login if logins => {
                        connection.send(b"A LOGOUT\r\n")?;
                        session.step = Step::Logout;
                    }
                    Step::Login => {
                        connection.send(format!("A {setup}\r\n").as_bytes())?;
                        session.step = Step::Setup;
                    }
                    Step::Setup => {
                        ready_count += 1;
                        session.step = Step::Command;
                        if ready_count == width {
                            // Everybody is set up: the clock starts, and so do the commands.
                            begun = Instant::now();
                            for (other, session) in connections.iter_mut().zip(sessions.iter_mut()) {
                                if let Some(connection) = other {
                                    session.since = Instant::now();
                                    connection.received = 0;
                                    connection.send(format!("A {}\r\n", command(0)).as_bytes())?;
                                }
                            }
                        }
                        return Ok(());
                    }
                    Step::Command | Step::Logout => {
                        latencies.add(session.since.elapsed());
                        session.done += 1;
                        if session.done == repeat {
                            octets += connection.received;
                            ended.push(index);
                            return Ok(());
                        }
                        session.since = Instant::now();
                        if logins {
                            reopen.push(index);
                            return Ok(());
                        }
                        connection.send(format!("A {}\r\n", command(session.done)).as_bytes())?;
                    }
                }
            }
            if connection.closed {
                errors += 1;
                ended.push(index);
            }
            Ok(())
        })?;
        patience.check(moved > 0)?;
        for index in ended {
            if connections[index].take().is_some() {
                live -= 1;
            }
        }
        for index in reopen {
            let connection = Connection::open(port)?;
            poll.add(&connection, index)?;
            connections[index] = Some(connection);
            sessions[index].step = Step::Greeting;
            sessions[index].user = (sessions[index].user + width) % users;
        }
    }
    report::print(latencies.count(), errors, octets, begun.elapsed(), &mut latencies);
    Ok(())
}

/// Whether the answer is complete (its last line tagged `A`, or any line for the greeting), and whether it is OK.
///
/// Only the tail is kept: a body of any size costs no memory here.
pub(crate) fn answered(connection: &mut Connection, greeting: bool) -> Option<bool> {
    const TAIL_OCTETS: usize = 1024;
    let input = &mut connection.input;
    let complete = input.ends_with(b"\r\n");
    let start = input[..input.len().saturating_sub(2)]
        .iter()
        .rposition(|&octet| octet == b'\n')
        .map_or(0, |at| at + 1);
    let last = &input[start..];
    if complete && (last.starts_with(b"A ") || (greeting && last.starts_with(b"* "))) {
        let good = last.starts_with(b"A OK") || greeting;
        input.clear();
        return Some(good);
    }
    if input.len() > TAIL_OCTETS {
        let excess = input.len() - TAIL_OCTETS;
        input.drain(..excess);
    }
    None
}
