//! Arguments of LOGIN, AUTHENTICATE, ENABLE, LANGUAGE and ID (RFC 9051 §6.1-§6.3.1, RFC 4959, RFC 5161, RFC 5255,
//! RFC 2971).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::command::{Arguments, Context};
use super::fault::{BadKind, Fault};
use super::lexer::{Lexer, utf8};

/// `login = "LOGIN" SP userid SP password`
pub(super) fn login(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    let user = utf8(lexer.astring()?)?;
    lexer.space()?;
    let password = utf8(lexer.astring()?)?;
    Ok(Arguments::Login { user, password })
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]`, `initial-resp = (base64 / "=")`
pub(super) fn authenticate(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    let mechanism = lexer.atom()?.to_ascii_uppercase();
    let mut initial = None;
    if lexer.eat(b' ') {
        let text = lexer.take_while(|octet| octet != b'\r');
        initial = Some(if text == b"=" { Vec::new() } else { decode_base64(text)? });
    }
    Ok(Arguments::Authenticate { mechanism, initial })
}

/// Base64 of a SASL exchange, padding required (RFC 4648 §4).
pub(super) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, Fault> {
    STANDARD
        .decode(text)
        .map_err(|_| Fault::new(BadKind::Base64, "malformed base64"))
}

/// `language-cmd = "LANGUAGE" *(SP lang-range-quoted)` (RFC 5255 §3.5)
pub(super) fn language(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    const RANGES_MAX: usize = 32;
    let mut ranges = Vec::new();
    while !lexer.at_end() {
        if ranges.len() == RANGES_MAX {
            return Err(Fault::new(BadKind::Limit, "too many languages"));
        }
        lexer.space()?;
        ranges.push(utf8(lexer.astring()?)?);
    }
    Ok(Arguments::Language(ranges))
}

/// `enable = "ENABLE" 1*(SP capability)`
pub(super) fn enable(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    /// More than there are extensions to enable.
    const NAMES_MAX: usize = 64;
    let mut names = Vec::new();
    lexer.space()?;
    loop {
        if names.len() >= NAMES_MAX {
            return Err(Fault::new(BadKind::Limit, "too many capabilities"));
        }
        names.push(lexer.atom()?.to_ascii_uppercase());
        if !lexer.eat(b' ') {
            return Ok(Arguments::Enable(names));
        }
    }
}

/// `compress = "COMPRESS" SP algorithm` (RFC 4978 §5)
pub(super) fn compress(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    Ok(Arguments::Compress(lexer.atom()?.to_ascii_uppercase()))
}

/// `id = "ID" SP id_params_list`, `id_params_list = "(" #(string SP nstring) ")" / nil` (RFC 2971 §4)
pub(super) fn id(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    /// RFC 2971 §3.3.
    const FIELDS_MAX: usize = 30;
    lexer.space()?;
    if !lexer.eat(b'(') {
        return match lexer.nstring()? {
            None => Ok(Arguments::Id(None)),
            Some(_) => Err(Fault::syntax("expected a list or NIL")),
        };
    }
    let mut fields = Vec::new();
    if lexer.eat(b')') {
        return Ok(Arguments::Id(Some(fields)));
    }
    loop {
        if fields.len() >= FIELDS_MAX {
            return Err(Fault::new(BadKind::Limit, "too many ID fields"));
        }
        let name = utf8(lexer.string()?)?;
        lexer.space()?;
        let value = lexer.nstring()?.map(utf8).transpose()?;
        fields.push((name, value));
        if !lexer.another()? {
            return Ok(Arguments::Id(Some(fields)));
        }
    }
}
