//! Arguments of NOTIFY (RFC 5465 §8).

use super::command::{Arguments, Context};
use super::fault::{BadKind, Fault};
use super::fetch_att::FetchAttribute;
use super::lexer::Lexer;
use super::mailbox_filter::MailboxFilter;

/// Event groups in one command.
const GROUPS_MAX: usize = 64;
/// Events in one group.
const EVENTS_MAX: usize = 32;

/// What NOTIFY SET asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySet {
    /// STATUS responses are wanted before the answer.
    pub status: bool,
    /// In the client's order; one at least.
    pub groups: Vec<EventGroup>,
}

/// Events that are wanted of some mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub filter: MailboxFilter,
    /// In upper case; also such as nobody knows. Empty for NONE.
    pub events: Vec<String>,
    /// What is wanted of new messages; empty for nothing.
    pub fetch: Vec<FetchAttribute>,
}

/// `notify = "NOTIFY" SP (notify-set / "NONE")`, `notify-set = "SET" [SP "STATUS"] SP event-group *(SP event-group)`
pub(super) fn notify(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    let word = lexer.atom()?;
    if word.eq_ignore_ascii_case("NONE") {
        return Ok(Arguments::Notify(None));
    }
    if !word.eq_ignore_ascii_case("SET") {
        return Err(Fault::syntax("SET or NONE expected"));
    }
    lexer.space()?;
    let status = lexer.peek() != Some(b'(');
    if status {
        if !lexer.atom()?.eq_ignore_ascii_case("STATUS") {
            return Err(Fault::syntax("STATUS or an event group expected"));
        }
        lexer.space()?;
    }
    let mut groups: Vec<EventGroup> = Vec::new();
    loop {
        if groups.len() >= GROUPS_MAX {
            return Err(Fault::new(BadKind::Limit, "too many event groups"));
        }
        let group = group(lexer, context)?;
        if group.filter.of_selected() && groups.iter().any(|other| other.filter.of_selected()) {
            return Err(Fault::syntax("the selected mailbox has two groups"));
        }
        groups.push(group);
        if lexer.peek() != Some(b' ') {
            return Ok(Arguments::Notify(Some(NotifySet { status, groups })));
        }
        lexer.space()?;
    }
}

/// `event-group = "(" filter-mailboxes SP events ")"`, `events = ( "(" event *(SP event) ")" ) / "NONE"`
fn group(lexer: &mut Lexer<'_>, context: &Context) -> Result<EventGroup, Fault> {
    lexer.open()?;
    let mut group = EventGroup {
        filter: MailboxFilter::parse(lexer, context.encoding)?,
        events: Vec::new(),
        fetch: Vec::new(),
    };
    lexer.space()?;
    if lexer.eat(b'(') {
        loop {
            event(lexer, &mut group)?;
            if !lexer.another()? {
                break;
            }
        }
    } else if !lexer.atom()?.eq_ignore_ascii_case("NONE") {
        return Err(Fault::syntax("events or NONE expected"));
    }
    lexer.expect(b')', "the end of the event group expected")?;
    check(&group)?;
    Ok(group)
}

/// `event = ( "MessageNew" [SP "(" fetch-att *(SP fetch-att) ")" ] ) / atom`
fn event(lexer: &mut Lexer<'_>, group: &mut EventGroup) -> Result<(), Fault> {
    let event = lexer.atom()?.to_ascii_uppercase();
    if group.events.len() >= EVENTS_MAX {
        return Err(Fault::new(BadKind::Limit, "too many events"));
    }
    if event == "MESSAGENEW" && lexer.rest().starts_with(b" (") {
        lexer.space()?;
        group.fetch = FetchAttribute::parse_list(lexer)?;
    }
    if !group.events.contains(&event) {
        group.events.push(event);
    }
    Ok(())
}

/// Which events go together (RFC 5465 §5, §6.1).
fn check(group: &EventGroup) -> Result<(), Fault> {
    let has = |name: &str| group.events.iter().any(|event| event == name);
    let (new, expunge) = (has("MESSAGENEW"), has("MESSAGEEXPUNGE"));
    if new != expunge {
        return Err(Fault::syntax("MessageNew and MessageExpunge go together"));
    }
    if !new && (has("FLAGCHANGE") || has("ANNOTATIONCHANGE")) {
        return Err(Fault::syntax("FlagChange needs MessageNew and MessageExpunge"));
    }
    let of_mailboxes = [
        "MAILBOXNAME",
        "SUBSCRIPTIONCHANGE",
        "MAILBOXMETADATACHANGE",
        "SERVERMETADATACHANGE",
    ];
    if group.filter.of_selected() && of_mailboxes.iter().any(|event| has(event)) {
        return Err(Fault::syntax(
            "of the selected mailbox only events of messages are told",
        ));
    }
    Ok(())
}
