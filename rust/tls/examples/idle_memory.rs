//! Prints what an idle TLS connection costs: `cargo run --release -p ironpost-tls --example idle_memory`.
//!
//! Counts live heap octets by a counting allocator over pairs of wires that have finished their handshake.
#![expect(clippy::unwrap_used, reason = "an example")]

use ironpost_proto::Core;
use ironpost_tls::{ClientConfig, ServerConfig, Verification, Wire};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is handed to the system's allocator unchanged; the counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Silent(Vec<u8>);

impl Core for Silent {
    fn receive(&mut self, _data: &[u8]) {}
    fn receive_eof(&mut self) {}
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// Resident set of this process; the crypto library allocates beside Rust's allocator.
fn resident() -> isize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<isize>().unwrap() * 4096
}

const PAIRS: usize = 1000;

fn main() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let read = |name: &str| std::fs::read(data.join(name)).unwrap();
    let server_config = ServerConfig::from_pem(&read("mail.pem"), &read("mail.key"), &[], None).unwrap();
    let client_config = ClientConfig::new(Verification::Required, Some(&read("root.pem"))).unwrap();
    let handshake = || {
        let mut server = Wire::server(Silent::default(), &server_config).unwrap();
        let mut client = Wire::client(Silent::default(), &client_config, "mail.example.org").unwrap();
        for _ in 0..3 {
            let mut out = Vec::new();
            client.take_output(usize::MAX, &mut out);
            server.receive(&out).unwrap();
            let mut out = Vec::new();
            server.take_output(usize::MAX, &mut out);
            client.receive(&out).unwrap();
        }
        assert!(server.secure() && client.secure());
        (server, client)
    };
    drop(handshake());
    let mut servers = Vec::with_capacity(PAIRS);
    let (heap, rss) = (LIVE.load(Ordering::Relaxed), resident());
    let begin = std::time::Instant::now();
    for _ in 0..PAIRS {
        // The clients go, so that what is left is the server side alone.
        servers.push(handshake().0);
    }
    let each = |total: isize| total / PAIRS as isize;
    println!(
        "{PAIRS} idle server wires: {} octets of Rust heap each, {} octets resident each, {} us per pair of handshakes",
        each(LIVE.load(Ordering::Relaxed) - heap),
        each(resident() - rss),
        begin.elapsed().as_micros() / PAIRS as u128,
    );
}
