//! LOGIN: never standardised (draft-murchison-sasl-login-00), still spoken by old clients: user, then password.

use super::Credentials;

/// Prompt for the user's name.
pub const USER_PROMPT: &[u8] = b"Username:";
/// Prompt for the password.
pub const PASSWORD_PROMPT: &[u8] = b"Password:";

/// Octets of each answer, as in PLAIN.
const PART_OCTETS_MAX: usize = super::plain::PART_OCTETS_MAX;

/// What the server does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this prompt.
    Challenge(&'static [u8]),
    /// The exchange is complete.
    Done(Credentials),
    /// Not UTF-8, empty, too long, or holding NUL; the exchange is over.
    Malformed,
}

/// A LOGIN exchange at the server.
#[derive(Default, Clone)]
pub struct Login {
    user: Option<String>,
}

impl Login {
    /// Begins; an initial response is the user's name.
    pub fn start(&mut self, initial: Option<&[u8]>) -> Step {
        match initial {
            None => Step::Challenge(USER_PROMPT),
            Some(answer) => self.step(answer),
        }
    }

    /// Takes the next answer.
    pub fn step(&mut self, answer: &[u8]) -> Step {
        let fits = |text: &&str| !text.is_empty() && text.len() <= PART_OCTETS_MAX && !text.contains('\0');
        let Some(text) = std::str::from_utf8(answer).ok().filter(fits) else {
            return Step::Malformed;
        };
        match self.user.take() {
            None => {
                self.user = Some(text.to_string());
                Step::Challenge(PASSWORD_PROMPT)
            }
            Some(user) => Step::Done(Credentials {
                authorization: String::new(),
                user,
                password: text.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done() -> Step {
        Step::Done(Credentials {
            authorization: String::new(),
            user: "joe".into(),
            password: "pw".into(),
        })
    }

    #[test]
    fn with_and_without_initial_response() {
        let mut login = Login::default();
        assert_eq!(login.start(None), Step::Challenge(USER_PROMPT));
        assert_eq!(login.step(b"joe"), Step::Challenge(PASSWORD_PROMPT));
        assert_eq!(login.step(b"pw"), done());
        let mut login = Login::default();
        assert_eq!(login.start(Some(b"joe")), Step::Challenge(PASSWORD_PROMPT));
        assert_eq!(login.step(b"pw"), done());
    }

    #[test]
    fn malformed_answers() {
        for answer in [&b""[..], b"\xff", b"a\0b", &[b'u'; 256]] {
            assert_eq!(Login::default().step(answer), Step::Malformed);
        }
    }
}
