//! A core that keeps what it gets, certificates, and a way to run two wires against each other.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use ironpost_proto::Core;
use ironpost_tls::{ClientConfig, ServerConfig, TlsFault, Verification, Wire};

pub const ROOT: &[u8] = include_bytes!("../data/root.pem");
pub const MAIL: (&[u8], &[u8]) = (include_bytes!("../data/mail.pem"), include_bytes!("../data/mail.key"));
pub const RSA: (&[u8], &[u8]) = (include_bytes!("../data/rsa.pem"), include_bytes!("../data/rsa.key"));
pub const WILD: (&[u8], &[u8]) = (include_bytes!("../data/wild.pem"), include_bytes!("../data/wild.key"));

/// Keeps what it receives; what is to be sent is put into `output` by the test.
#[derive(Default)]
pub struct Keep {
    pub received: Vec<u8>,
    pub output: Vec<u8>,
    pub eof: bool,
}

impl Core for Keep {
    fn receive(&mut self, data: &[u8]) {
        self.received.extend_from_slice(data);
    }

    fn receive_eof(&mut self) {
        self.eof = true;
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }
}

pub fn server_config() -> ServerConfig {
    ServerConfig::from_pem(MAIL.0, MAIL.1, &[], None).unwrap()
}

pub fn client_config() -> ClientConfig {
    ClientConfig::new(Verification::Required, Some(ROOT)).unwrap()
}

pub fn pair() -> (Wire<Keep>, Wire<Keep>) {
    let server = Wire::server(Keep::default(), &server_config()).unwrap();
    let client = Wire::client(Keep::default(), &client_config(), "mail.example.org").unwrap();
    (server, client)
}

/// All that waits, in takes of at most `limit`.
pub fn drain(wire: &mut Wire<Keep>, limit: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let pending = wire.output_pending();
        let mut out = Vec::new();
        wire.take_output(limit, &mut out);
        assert!(out.len() <= limit);
        assert_eq!(
            pending == 0,
            out.is_empty(),
            "output_pending tells whether there is output"
        );
        if out.is_empty() {
            return all;
        }
        all.extend_from_slice(&out);
    }
}

/// Carries octets both ways in pieces of `size` until both are silent.
pub fn run(one: &mut Wire<Keep>, other: &mut Wire<Keep>, size: usize) -> Result<(), TlsFault> {
    for _ in 0..100 {
        let there = drain(one, 65_536);
        for piece in there.chunks(size) {
            other.receive(piece)?;
        }
        let back = drain(other, 65_536);
        for piece in back.chunks(size) {
            one.receive(piece)?;
        }
        if there.is_empty() && back.is_empty() {
            return Ok(());
        }
    }
    panic!("the two never fall silent");
}
