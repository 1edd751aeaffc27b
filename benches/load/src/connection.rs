//! A non-blocking connection to a loopback port and the epoll loop over many of them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll;

/// One peer: output not yet written, input not yet understood.
pub(crate) struct Connection {
    stream: TcpStream,
    output: Vec<u8>,
    written: usize,
    /// Octets received and not yet taken by the protocol.
    pub(crate) input: Vec<u8>,
    /// Octets received in all.
    pub(crate) received: u64,
    /// The peer has closed.
    pub(crate) closed: bool,
}

impl Connection {
    /// Connects to 127.0.0.1 (blocking: the peer's backlog answers at once) and goes non-blocking.
    pub(crate) fn open(port: usize) -> io::Result<Self> {
        let port = u16::try_from(port).map_err(|_| io::Error::other("port out of range"))?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            output: Vec::new(),
            written: 0,
            input: Vec::new(),
            received: 0,
            closed: false,
        })
    }

    /// Queues octets and writes as much as the socket takes.
    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.output.extend_from_slice(octets);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    fn fill(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => {
                    self.closed = true;
                    return Ok(());
                }
                Ok(count) => {
                    self.received += count as u64;
                    self.input.extend_from_slice(&scratch[..count]);
                    if count < scratch.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    self.closed = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Watches connections by an index of the caller's.
pub(crate) struct Poll {
    descriptor: OwnedFd,
    scratch: Vec<u8>,
}

impl Poll {
    /// A new, empty set.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            descriptor: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            scratch: vec![0; 1 << 18],
        })
    }

    /// Adds a connection, edge-triggered: it is always read and written until it would block.
    pub(crate) fn add(&self, connection: &Connection, index: usize) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(
            &self.descriptor,
            &connection.stream,
            epoll::EventData::new_u64(index as u64),
            flags,
        )?;
        Ok(())
    }

    /// Waits for at most `wait`, moves octets both ways, and calls `ready` for each connection with news.
    pub(crate) fn turn(
        &mut self,
        connections: &mut [Option<Connection>],
        wait: Duration,
        mut ready: impl FnMut(usize, &mut [Option<Connection>]) -> io::Result<()>,
    ) -> io::Result<usize> {
        let mut events = Vec::with_capacity(512);
        let timeout = rustix::time::Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        epoll::wait(
            &self.descriptor,
            rustix::buffer::spare_capacity(&mut events),
            Some(&timeout),
        )?;
        let count = events.len();
        for event in events {
            // The kernel's record is packed: copy its fields before looking at them.
            let (flags, data) = (event.flags, event.data);
            let index = data.u64() as usize;
            let Some(connection) = connections.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                connection.fill(&mut self.scratch)?;
            }
            connection.flush()?;
            ready(index, connections)?;
        }
        Ok(count)
    }
}

/// Ends a run that makes no progress: a benchmark must stop by itself.
pub(crate) struct Patience {
    last: Instant,
}

impl Patience {
    const LIMIT: Duration = Duration::from_secs(60);

    /// Progress was made just now.
    pub(crate) fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Notes progress, or fails when there has been none for a minute.
    pub(crate) fn check(&mut self, progress: bool) -> io::Result<()> {
        if progress {
            self.last = Instant::now();
        }
        if self.last.elapsed() > Self::LIMIT {
            return Err(io::Error::other("no progress for a minute"));
        }
        Ok(())
    }
}
