//! The states of an IMAP connection, and the only place where they change (RFC 9051 §3).
//!
//! Two things are kept apart: the *phase*, which the RFC draws, and the *step*, which says what the grammar waits for
//! within it: the peer's next line, or a decision of ours.

use super::append::{AppendTarget, Resume};
use crate::error::LocalMisuse;

/// The states of RFC 9051 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// §3.1.
    NotAuthenticated,
    /// §3.2.
    Authenticated,
    /// §3.3.
    Selected,
    /// §3.4.
    Logout,
}

/// In which phases a command is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Everywhere (RFC 9051 §6.1).
    Always,
    /// Before login only (§6.2).
    NotAuthenticated,
    /// After login, with or without a selected mailbox (§6.3).
    Authenticated,
    /// With a selected mailbox (§6.4).
    Selected,
}

impl Allowed {
    /// Does `phase` let the command through?
    #[must_use]
    pub fn allows(self, phase: Phase) -> bool {
        match self {
            Self::Always => phase != Phase::Logout,
            Self::NotAuthenticated => phase == Phase::NotAuthenticated,
            Self::Authenticated => matches!(phase, Phase::Authenticated | Phase::Selected),
            Self::Selected => phase == Phase::Selected,
        }
    }
}

/// An APPEND or REPLACE of which a literal has been announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Append {
    pub(super) tag: String,
    /// The command: APPEND, REPLACE or UID REPLACE.
    pub(super) name: &'static str,
    /// Where to; all messages of one command go there.
    pub(super) target: AppendTarget,
    /// Octets of the literal not read yet.
    pub(super) remaining: u64,
    pub(super) synchronising: bool,
    /// How the line goes on behind it.
    pub(super) resume: Resume,
}

/// What the grammar waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Our greeting.
    Greeting,
    /// The peer's next command.
    Command,
    /// Our tagged answer to this command.
    Answer { tag: String, name: &'static str },
    /// Our answer to something malformed.
    BadAnswer { tag: Option<String> },
    /// Our next challenge, or the tagged answer to AUTHENTICATE.
    AuthDecision { tag: String },
    /// The peer's next base64 line.
    AuthLine { tag: String },
    /// Our consent to a message literal.
    AppendDecision(Append),
    /// Octets of a message literal.
    AppendBody(Append),
    /// The end of the line behind it.
    AppendTail(Append),
    /// DONE.
    Idle { tag: String },
    /// Nothing any more; told again and again.
    Closed(&'static str),
}

/// Phase and step of one connection.
#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    step: Step,
}

impl State {
    /// Before the greeting.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::NotAuthenticated,
            step: Step::Greeting,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn step(&self) -> &Step {
        &self.step
    }

    /// For counting down a literal; the step itself changes only here.
    pub(super) fn append_body(&mut self) -> Option<&mut Append> {
        match &mut self.step {
            Step::AppendBody(append) => Some(append),
            _ => None,
        }
    }

    /// A name for logs and tests.
    pub(super) fn name(&self) -> &'static str {
        match (&self.step, self.phase) {
            (Step::Greeting, _) => "greeting",
            (Step::AuthDecision { .. } | Step::AuthLine { .. }, _) => "authenticating",
            (Step::AppendDecision(_) | Step::AppendBody(_) | Step::AppendTail(_), _) => "append",
            (Step::Idle { .. }, _) => "idle",
            (Step::Closed(_), _) => "closed",
            (_, Phase::NotAuthenticated) => "not-authenticated",
            (_, Phase::Authenticated) => "authenticated",
            (_, Phase::Selected) => "selected",
            (_, Phase::Logout) => "logout",
        }
    }

    /// The tag of the AUTHENTICATE under way.
    pub(super) fn auth_tag(&self) -> Option<&str> {
        match &self.step {
            Step::AuthDecision { tag } | Step::AuthLine { tag } => Some(tag),
            _ => None,
        }
    }

    fn misuse<T>(&self, call: &'static str) -> Result<T, LocalMisuse> {
        Err(LocalMisuse::WrongState {
            call,
            state: self.name(),
        })
    }

    // ---- what the peer does -------------------------------------------------------------------------------------

    /// A complete command goes out as an event.
    pub(super) fn command_given(&mut self, tag: String, name: &'static str) {
        self.step = Step::Answer { tag, name };
    }

    /// Something malformed goes out as an event.
    pub(super) fn bad_given(&mut self, tag: Option<String>) {
        self.step = Step::BadAnswer { tag };
    }

    /// AUTHENTICATE, or a line of its exchange, goes out as an event.
    pub(super) fn auth_given(&mut self, tag: String) {
        self.step = Step::AuthDecision { tag };
    }

    /// A message literal is announced.
    pub(super) fn append_given(&mut self, append: Append) {
        self.step = Step::AppendDecision(append);
    }

    /// The last octet of the message literal has passed.
    pub(super) fn append_body_given(&mut self) {
        if let Step::AppendBody(append) = &self.step {
            self.step = Step::AppendTail(append.clone());
        }
    }

    /// DONE goes out as an event; what is owed is the tagged answer to IDLE.
    pub(super) fn idle_done_given(&mut self) {
        if let Step::Idle { tag } = &self.step {
            self.step = Step::Answer {
                tag: tag.clone(),
                name: "IDLE",
            };
        }
    }

    /// Nothing more comes.
    pub(super) fn close(&mut self, reason: &'static str) {
        if !matches!(self.step, Step::Closed(_)) {
            self.step = Step::Closed(reason);
        }
    }

    // ---- what we decide -----------------------------------------------------------------------------------------

    /// The greeting was sent; `phase` is where the connection starts.
    pub(super) fn greeted(&mut self, phase: Phase) -> Result<(), LocalMisuse> {
        if self.step != Step::Greeting {
            return self.misuse("greet");
        }
        self.phase = phase;
        self.step = if phase == Phase::Logout {
            Step::Closed("logout")
        } else {
            Step::Command
        };
        Ok(())
    }

    /// May a response with this tag (`None`: untagged) go out now?
    pub(super) fn check_answer(&self, tag: Option<&str>) -> Result<(), LocalMisuse> {
        let Some(tag) = tag else {
            return if self.step == Step::Greeting {
                self.misuse("respond")
            } else {
                Ok(())
            };
        };
        let owed = match &self.step {
            Step::Answer { tag, .. } | Step::AuthDecision { tag } => Some(tag),
            Step::BadAnswer { tag } => tag.as_ref(),
            Step::AppendDecision(append) => Some(&append.tag),
            _ => None,
        };
        if owed.is_some_and(|owed| owed == tag) {
            Ok(())
        } else {
            self.misuse("respond")
        }
    }

    /// A response has gone out; when it was the one owed the next command may come.
    ///
    /// Returns the APPEND whose literal has thereby been refused, if it was one.
    pub(super) fn answered(&mut self, tag: Option<&str>) -> Option<Append> {
        let owed = match (&self.step, tag) {
            (Step::BadAnswer { .. }, None) => true,
            (_, None) => false,
            _ => self.check_answer(tag).is_ok(),
        };
        if !owed {
            return None;
        }
        match std::mem::replace(&mut self.step, Step::Command) {
            Step::AppendDecision(append) => Some(append),
            _ => None,
        }
    }

    /// `auth_challenge`: a base64 line may come.
    pub(super) fn challenged(&mut self) -> Result<(), LocalMisuse> {
        let Step::AuthDecision { tag } = &self.step else {
            return self.misuse("auth_challenge");
        };
        self.step = Step::AuthLine { tag: tag.clone() };
        Ok(())
    }

    /// `accept_literal`: the octets may come. True when the client waits for the continuation.
    pub(super) fn literal_accepted(&mut self) -> Result<bool, LocalMisuse> {
        let Step::AppendDecision(append) = &self.step else {
            return self.misuse("accept_literal");
        };
        let synchronising = append.synchronising;
        self.step = Step::AppendBody(append.clone());
        Ok(synchronising)
    }

    /// `begin_idle`: only DONE may come.
    pub(super) fn idle_begun(&mut self) -> Result<(), LocalMisuse> {
        match &self.step {
            Step::Answer { tag, name: "IDLE" } => self.step = Step::Idle { tag: tag.clone() },
            _ => return self.misuse("begin_idle"),
        }
        Ok(())
    }

    /// `continue_`: only a command that has an answer of its own may be continued.
    pub(super) fn check_continue(&self) -> Result<(), LocalMisuse> {
        if matches!(
            self.step,
            Step::Answer { .. } | Step::AuthDecision { .. } | Step::Idle { .. }
        ) {
            Ok(())
        } else {
            self.misuse("continue_")
        }
    }

    /// Login succeeded.
    pub(super) fn authenticated(&mut self) -> Result<(), LocalMisuse> {
        let owed = matches!(self.step, Step::Answer { .. } | Step::AuthDecision { .. });
        if self.phase != Phase::NotAuthenticated || !owed {
            return self.misuse("authenticated");
        }
        self.phase = Phase::Authenticated;
        Ok(())
    }

    /// UNAUTHENTICATE: back to before login, from wherever after it.
    pub(super) fn unauthenticated(&mut self) -> Result<(), LocalMisuse> {
        if !matches!(
            self.step,
            Step::Answer {
                name: "UNAUTHENTICATE",
                ..
            }
        ) {
            return self.misuse("unauthenticated");
        }
        self.phase = Phase::NotAuthenticated;
        Ok(())
    }

    /// A mailbox is selected.
    pub(super) fn selected(&mut self) -> Result<(), LocalMisuse> {
        if !Allowed::Authenticated.allows(self.phase) {
            return self.misuse("selected");
        }
        self.phase = Phase::Selected;
        Ok(())
    }

    /// No mailbox is selected any more.
    pub(super) fn unselected(&mut self) -> Result<(), LocalMisuse> {
        if !Allowed::Authenticated.allows(self.phase) {
            return self.misuse("unselected");
        }
        self.phase = Phase::Authenticated;
        Ok(())
    }

    /// The session ends the connection.
    pub(super) fn logged_out(&mut self) {
        self.phase = Phase::Logout;
        self.close("logout");
    }

    /// May TLS start now? Returns the tag of the STARTTLS.
    pub(super) fn check_start_tls(&self) -> Result<&str, LocalMisuse> {
        match &self.step {
            Step::Answer { tag, name: "STARTTLS" } => Ok(tag),
            _ => self.misuse("start_tls"),
        }
    }

    /// TLS begins: everything from before is forgotten, and no greeting comes (RFC 9051 §6.2.1).
    pub(super) fn tls_started(&mut self) {
        self.phase = Phase::NotAuthenticated;
        self.step = Step::Command;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn after_greeting() -> State {
        let mut state = State::new();
        state.greeted(Phase::NotAuthenticated).unwrap();
        state
    }

    #[test]
    fn phases_follow_the_rfc() {
        let mut state = after_greeting();
        assert!(state.authenticated().is_err());
        assert!(state.selected().is_err());
        state.command_given("a".into(), "LOGIN");
        state.authenticated().unwrap();
        assert!(state.authenticated().is_err());
        assert!(state.check_answer(Some("b")).is_err());
        state.answered(Some("a"));
        assert_eq!(state.step(), &Step::Command);
        state.selected().unwrap();
        state.unselected().unwrap();
        state.unselected().unwrap();
        assert_eq!(state.name(), "authenticated");
        state.logged_out();
        assert_eq!(state.step(), &Step::Closed("logout"));
        state.close("other");
        assert_eq!(state.step(), &Step::Closed("logout"));
    }

    #[test]
    fn decisions_only_when_owed() {
        let mut state = State::new();
        assert!(state.check_answer(None).is_err());
        state.greeted(Phase::Authenticated).unwrap();
        assert!(state.greeted(Phase::Authenticated).is_err());
        assert!(state.idle_begun().is_err());
        assert!(state.literal_accepted().is_err());
        assert!(state.challenged().is_err());
        assert!(state.check_start_tls().is_err());
        assert!(state.check_continue().is_err());
        state.command_given("a".into(), "IDLE");
        state.idle_begun().unwrap();
        assert!(state.check_answer(Some("a")).is_err());
        state.idle_done_given();
        state.check_answer(Some("a")).unwrap();
    }

    #[test]
    fn which_phase_allows_what() {
        use Phase::{Authenticated, Logout, NotAuthenticated, Selected};
        for (allowed, expected) in [
            (Allowed::Always, [true, true, true, false]),
            (Allowed::NotAuthenticated, [true, false, false, false]),
            (Allowed::Authenticated, [false, true, true, false]),
            (Allowed::Selected, [false, false, true, false]),
        ] {
            let found = [NotAuthenticated, Authenticated, Selected, Logout].map(|phase| allowed.allows(phase));
            assert_eq!(found, expected, "{allowed:?}");
        }
    }
}
