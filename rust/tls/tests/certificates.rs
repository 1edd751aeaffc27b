//! Which certificate is chosen, and what is said of those that can't be used.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
use common::*;
use ironpost_tls::{ClientConfig, ServerConfig, Verification, Wire};

fn owned(pair: (&[u8], &[u8])) -> (Vec<u8>, Vec<u8>) {
    (pair.0.to_vec(), pair.1.to_vec())
}

#[test]
fn server_name_chooses_exact_then_wildcard_then_the_first() {
    let config = ServerConfig::from_pem(MAIL.0, MAIL.1, &[owned(WILD), owned(RSA)], None).unwrap();
    let strict = ClientConfig::new(Verification::Required, Some(ROOT)).unwrap();
    let any = ClientConfig::new(Verification::Opportunistic, None).unwrap();
    for name in [
        "mail.example.org",
        "MAIL.Example.ORG",
        "rsa.example.org",
        "a.example.net",
    ] {
        let mut server = Wire::server(Keep::default(), &config).unwrap();
        let mut client = Wire::client(Keep::default(), &strict, name).unwrap();
        run(&mut client, &mut server, 65_536).unwrap();
        assert!(server.secure(), "{name}");
        assert_eq!(
            server.tls().unwrap().server_name.map(|name| name.to_ascii_lowercase()),
            Some(name.to_ascii_lowercase())
        );
    }
    for name in ["unknown.example", "example.net", "a.b.example.net"] {
        let mut server = Wire::server(Keep::default(), &config).unwrap();
        let mut client = Wire::client(Keep::default(), &strict, name).unwrap();
        assert!(run(&mut client, &mut server, 65_536).is_err(), "{name}");
        let mut server = Wire::server(Keep::default(), &config).unwrap();
        let mut client = Wire::client(Keep::default(), &any, name).unwrap();
        run(&mut client, &mut server, 65_536).unwrap();
    }
    let mut server = Wire::server(Keep::default(), &config).unwrap();
    let mut client = Wire::client(Keep::default(), &any, "").unwrap();
    run(&mut client, &mut server, 65_536).unwrap();
    assert_eq!(server.tls().unwrap().server_name, None);
}

#[test]
fn rsa_serves_alone() {
    let config = ServerConfig::from_pem(RSA.0, RSA.1, &[], None).unwrap();
    let mut server = Wire::server(Keep::default(), &config).unwrap();
    let mut client = Wire::client(Keep::default(), &client_config(), "rsa.example.org").unwrap();
    run(&mut client, &mut server, 1).unwrap();
    assert!(server.secure());
}

#[test]
fn what_is_wrong_is_said_clearly() {
    let encrypted = include_bytes!("data/encrypted.key");
    let cases: [(&[u8], &[u8], &str); 9] = [
        (MAIL.0, RSA.1, "private key does not fit the first certificate"),
        (ROOT, MAIL.1, "private key does not fit the first certificate"),
        (b"", MAIL.1, "certificate chain: the file is empty"),
        (b"\n \n", MAIL.1, "certificate chain: the file is empty"),
        (MAIL.1, MAIL.1, "certificate chain: no certificate in it"),
        (MAIL.0, b"", "private key: the file is empty"),
        (MAIL.0, ROOT, "private key: no private key in it"),
        (MAIL.0, encrypted, "private key: the key is encrypted"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            MAIL.1,
            "certificate chain: not usable",
        ),
    ];
    for (chain, key, expected) in cases {
        let text = ServerConfig::from_pem(chain, key, &[], None).err().unwrap().to_string();
        assert!(text.starts_with(expected), "{text:?} but {expected:?}");
    }
    let text = ServerConfig::from_pem(MAIL.0, MAIL.1, &[owned(WILD), (MAIL.0.to_vec(), Vec::new())], None)
        .err()
        .unwrap();
    assert_eq!(text.to_string(), "private key (further pair 2): the file is empty");
    let text = ClientConfig::new(Verification::Required, Some(b"")).err().unwrap();
    assert_eq!(text.to_string(), "roots: the file is empty");
}
