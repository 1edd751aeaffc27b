//! The lines of an AUTH exchange (RFC 4954 §4): base64 both ways, `=` and `*`. No mechanism is known here.

use super::event::Bad;
use crate::error::PeerMisbehaved;
use crate::sasl;

/// Octets of a mechanism's name (RFC 4422 §3.1).
pub const MECHANISM_OCTETS_MAX: usize = 20;

const BAD_BASE64: Bad = Bad::new(PeerMisbehaved::Base64, 501, "5.5.2", "Cannot decode the response");

/// Decodes an initial response; `=` stands for an empty one.
pub fn initial(word: &[u8]) -> Result<Vec<u8>, Bad> {
    if word == b"=" {
        return Ok(Vec::new());
    }
    sasl::decode(word).ok_or(BAD_BASE64)
}

/// Decodes a response line; `None` when the client gave up. An empty line is an empty response.
pub fn response(line: &[u8]) -> Result<Option<Vec<u8>>, Bad> {
    if line == b"*" {
        return Ok(None);
    }
    sasl::decode(line).map(Some).ok_or(BAD_BASE64)
}

/// Writes a challenge.
pub fn challenge(data: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(b"334 ");
    sasl::encode(data, output);
    output.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_exchange() {
        assert_eq!(initial(b"="), Ok(Vec::new()));
        assert_eq!(initial(b"YQ=="), Ok(b"a".to_vec()));
        assert_eq!(response(b"*"), Ok(None));
        assert_eq!(response(b""), Ok(Some(Vec::new())));
        assert_eq!(response(b"=").map_err(|bad| bad.code), Err(501));
        assert_eq!(response(b"YQ").map_err(|bad| bad.kind), Err(PeerMisbehaved::Base64));
        let mut output = Vec::new();
        challenge(b"User Name\0", &mut output);
        challenge(b"", &mut output);
        assert_eq!(output, b"334 VXNlciBOYW1lAA==\r\n334 \r\n");
    }
}
