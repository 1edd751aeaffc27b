//! GENURLAUTH, URLFETCH and RESETKEY (RFC 4467 §7): their arguments, and the answers to the first two.

use super::command::{Arguments, Context};

use super::fault::{BadKind, Fault};
use super::lexer::{Lexer, utf8};
use super::mailbox_name::decode_name;
use super::quoting::write_string;
use super::url::URL_OCTETS_MAX;
use crate::error::{LocalMisuse, one_line};

/// URLs or mechanisms of one command.
const ENTRIES_MAX: usize = 100;

const TOO_MANY: Fault = Fault::new(BadKind::Limit, "too many URLs");

fn url(lexer: &mut Lexer<'_>) -> Result<String, Fault> {
    lexer.space()?;
    let url = utf8(lexer.astring()?)?;
    if url.len() > URL_OCTETS_MAX {
        return Err(Fault::new(BadKind::Limit, "the URL is too long"));
    }
    Ok(url)
}

/// `genurlauth = "GENURLAUTH" 1*(SP url-rump SP uauth-mechanism)`
pub(super) fn gen_url_auth(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    let mut wanted = Vec::new();
    while wanted.is_empty() || !lexer.at_end() {
        if wanted.len() == ENTRIES_MAX {
            return Err(TOO_MANY);
        }
        let url = url(lexer)?;
        lexer.space()?;
        wanted.push((url, lexer.atom()?.to_ascii_uppercase()));
    }
    Ok(Arguments::GenUrlAuth(wanted))
}

/// `urlfetch = "URLFETCH" 1*(SP url-full)`
pub(super) fn url_fetch(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    let mut urls = vec![url(lexer)?];
    while !lexer.at_end() {
        if urls.len() == ENTRIES_MAX {
            return Err(TOO_MANY);
        }
        urls.push(url(lexer)?);
    }
    Ok(Arguments::UrlFetch(urls))
}

/// `resetkey = "RESETKEY" [SP mailbox *(SP uauth-mechanism)]`
pub(super) fn reset_key(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    if lexer.at_end() {
        return Ok(Arguments::ResetKey {
            mailbox: None,
            mechanisms: Vec::new(),
        });
    }
    lexer.space()?;
    let mailbox = Some(decode_name(&lexer.astring()?, context.encoding)?);
    let mut mechanisms = Vec::new();
    while !lexer.at_end() {
        if mechanisms.len() == ENTRIES_MAX {
            return Err(TOO_MANY);
        }
        lexer.space()?;
        mechanisms.push(lexer.atom()?.to_ascii_uppercase());
    }
    Ok(Arguments::ResetKey { mailbox, mechanisms })
}

/// `genurlauth-data = "*" SP "GENURLAUTH" 1*(SP url-full)`
pub(super) fn write_urls<Url: AsRef<str>>(out: &mut Vec<u8>, urls: &[Url]) -> Result<(), LocalMisuse> {
    for url in urls {
        one_line(url.as_ref(), "url")?;
    }
    out.extend_from_slice(b"* GENURLAUTH");
    for url in urls {
        out.push(b' ');
        write_string(out, url.as_ref().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The beginning of `urlfetch-data = "*" SP "URLFETCH" SP url-full SP nstring`: the octets and CRLF follow, or nothing when there
/// are none to follow (`None`).
pub(super) fn write_fetched(out: &mut Vec<u8>, url: &str, octets: Option<u64>) -> Result<(), LocalMisuse> {
    one_line(url, "url")?;
    out.extend_from_slice(b"* URLFETCH ");
    write_string(out, url.as_bytes());
    let rest = octets.map_or_else(|| " NIL\r\n".to_owned(), |octets| format!(" {{{octets}}}\r\n"));
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}
