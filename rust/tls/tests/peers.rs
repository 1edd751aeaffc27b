//! Our wires against rustls' own buffered connections: TLS 1.2, key updates, and a server that lacks its key.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
use common::*;
use ironpost_tls::{ClientConfig, Verification, Wire};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, RootCertStore, ServerConnection, version};
use std::io::{Read, Write};
use std::sync::Arc;

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).map(Result::unwrap).collect()
}

fn peer_config(versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificates(ROOT).remove(0)).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn peer(config: &Arc<rustls::ClientConfig>) -> ClientConnection {
    ClientConnection::new(config.clone(), ServerName::try_from("mail.example.org").unwrap()).unwrap()
}

/// Carries octets until both are silent; gives what the client has read.
fn talk(client: &mut ClientConnection, server: &mut Wire<Keep>) -> Vec<u8> {
    let mut read = Vec::new();
    for _ in 0..20 {
        let mut there = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        server.receive(&there).unwrap();
        let back = drain(server, 65_536);
        let mut rest = back.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
            let mut piece = [0; 65_536];
            while let Ok(count @ 1..) = client.reader().read(&mut piece) {
                read.extend_from_slice(&piece[..count]);
            }
        }
        if there.is_empty() && back.is_empty() {
            return read;
        }
    }
    panic!("the two never fall silent");
}

#[test]
fn tls_1_2_works_and_resumes_by_ticket() {
    let (config, peer_config) = (server_config(), peer_config(&[&version::TLS12]));
    for round in 0..2 {
        let mut server = Wire::server(Keep::default(), &config).unwrap();
        server.core_mut().output.extend_from_slice(&vec![b'y'; 100_000]);
        let mut client = peer(&peer_config);
        client.writer().write_all(b"QUIT\r\n").unwrap();
        assert_eq!(talk(&mut client, &mut server).len(), 100_000);
        assert_eq!(server.core().received, b"QUIT\r\n");
        let info = server.tls().unwrap();
        assert_eq!((info.version, info.resumed), ("TLSv1.2", round > 0));
        assert!(info.cipher.starts_with("TLS_ECDHE_"), "{}", info.cipher);
        server.close_tls();
        talk(&mut client, &mut server);
        assert_eq!(client.reader().read(&mut [0]).unwrap(), 0, "a clean end");
    }
}

#[test]
fn key_updates_keep_the_order_of_records() {
    let mut server = Wire::server(Keep::default(), &server_config()).unwrap();
    let mut client = peer(&peer_config(&[&version::TLS13]));
    talk(&mut client, &mut server);
    for limit in [65_536, 100, 30] {
        client.refresh_traffic_keys().unwrap();
        client.writer().write_all(b"NOOP\r\n").unwrap();
        let mut there = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        server.receive(&there).unwrap();
        server
            .core_mut()
            .output
            .extend_from_slice(b"250 the update came first\r\n");
        let back = drain(&mut server, limit);
        client.read_tls(&mut back.as_slice()).unwrap();
        client.process_new_packets().unwrap();
        let mut read = [0; 64];
        let count = client.reader().read(&mut read).unwrap();
        assert_eq!(&read[..count], b"250 the update came first\r\n");
    }
    assert_eq!(server.core().received, b"NOOP\r\nNOOP\r\nNOOP\r\n");
}

/// Shows a certificate whose key it does not have.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[test]
fn a_server_without_the_key_is_refused_even_when_any_certificate_will_do() {
    let key = any_supported_type(&PrivateKeyDer::from_pem_slice(WILD.1).unwrap()).unwrap();
    let impostor = Impostor(Arc::new(CertifiedKey::new(certificates(MAIL.0), key)));
    for version in [&version::TLS12, &version::TLS13] {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Impostor(impostor.0.clone())));
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        let any = ClientConfig::new(Verification::Opportunistic, None).unwrap();
        let mut client = Wire::client(Keep::default(), &any, "mail.example.org").unwrap();
        server.read_tls(&mut drain(&mut client, 65_536).as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        let fault = client.receive(&flight).unwrap_err();
        assert!(fault.to_string().contains("BadSignature"), "{fault}");
        assert!(!client.secure());
    }
}
