//! What to wait for on a console and what to type.

use std::str::FromStr;

use rexpect::reader::Regex;

/// How much text that nothing matched is kept. A guest may print without end.
const KEPT: usize = 1 << 18;

/// Types `text` and Return after `after` was printed.
#[derive(Clone, Debug)]
pub struct Send {
    pub after: Regex,
    pub text: String,
}

/// `REGEX=TEXT`, split at the first `=`.
impl FromStr for Send {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (after, text) =
            argument.split_once('=').ok_or_else(|| "it has no '=': write REGEX=TEXT".to_owned())?;
        Ok(Self { after: pattern(after)?, text: text.to_owned() })
    }
}

/// A pattern for a console: `^` and `$` match at every line.
pub fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(&format!("(?m){text}")).map_err(|e| e.to_string())
}

/// What happens next on a console.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Wait,
    Type(String),
    Done,
}

/// Follows what a console prints. The match that starts first counts; where two
/// start together, typing comes before ending, so that one prompt can serve both.
/// Text is matched once: what a `Send` matched, nothing later matches.
pub struct Script {
    sends: std::vec::IntoIter<Send>,
    next: Option<Send>,
    until: Option<Regex>,
    text: String,
    escape: Escape,
}

/// How far into a control sequence of the terminal the text is (ECMA-48 §5.4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    Outside,
    Started,
    Parameters,
}

impl Escape {
    /// Whether the character is text that a person sees.
    fn shows(&mut self, c: char) -> bool {
        let (next, shown) = match (*self, c) {
            (_, '\x1b') => (Self::Started, false),
            (Self::Started, '[') => (Self::Parameters, false),
            (Self::Parameters, c) if !('@'..='~').contains(&c) => (Self::Parameters, false),
            (Self::Started | Self::Parameters, _) => (Self::Outside, false),
            // Carriage returns are the terminal's affair.
            (Self::Outside, c) => (Self::Outside, c != '\r'),
        };
        *self = next;
        shown
    }
}

impl Script {
    pub fn new(sends: Vec<Send>, until: Option<Regex>) -> Self {
        let mut sends = sends.into_iter();
        let next = sends.next();
        Self { sends, next, until, text: String::new(), escape: Escape::Outside }
    }

    /// Adds what was printed.
    pub fn hear(&mut self, printed: &str) {
        let escape = &mut self.escape;
        self.text.extend(printed.chars().filter(|&c| escape.shows(c)));
        if self.text.len() > KEPT {
            let cut = self.text.len() - KEPT / 2;
            let cut = (cut..self.text.len()).find(|&at| self.text.is_char_boundary(at));
            self.text.drain(..cut.unwrap_or_default());
        }
    }

    /// To be called until it says `Wait`.
    pub fn next(&mut self) -> Next {
        let until = self.until.as_ref().and_then(|u| u.find(&self.text)).map(|m| m.start());
        let send =
            self.next.as_ref().and_then(|s| s.after.find(&self.text)).map(|m| (m.start(), m.end()));
        match (send, until) {
            (Some((start, end)), until) if until.is_none_or(|until| start <= until) => {
                self.text.drain(..end);
                let send = std::mem::replace(&mut self.next, self.sends.next());
                send.map_or(Next::Wait, |s| Next::Type(s.text))
            }
            (_, Some(_)) => Next::Done,
            _ => Next::Wait,
        }
    }

    /// What it waits for, for a message.
    pub fn awaited(&self) -> String {
        let send = self.next.as_ref().map(|s| s.after.to_string());
        let until = self.until.as_ref().map(Regex::to_string);
        let awaited: Vec<_> = [send, until].into_iter().flatten().collect();
        awaited.join("' or '").replace("(?m)", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(sends: &[&str], until: &str) -> Script {
        let sends = sends.iter().map(|s| s.parse().unwrap()).collect();
        Script::new(sends, Some(pattern(until).unwrap()))
    }

    #[test]
    fn a_send_is_split_at_the_first_equals_sign() {
        let send: Send = "# =echo a=b".parse().unwrap();
        assert_eq!((send.after.as_str(), send.text.as_str()), ("(?m)# ", "echo a=b"));
        assert!("no sign".parse::<Send>().is_err());
        assert!("(=x".parse::<Send>().is_err());
        assert_eq!("x=".parse::<Send>().unwrap().text, "");
    }

    #[test]
    fn sends_are_used_in_order_and_once() {
        let mut script = script(&["# =one", "# =two"], "never");
        script.hear("# ");
        assert_eq!(script.next(), Next::Type("one".to_owned()));
        assert_eq!(script.next(), Next::Wait);
        script.hear("one\r\n# ");
        assert_eq!(script.next(), Next::Type("two".to_owned()));
        script.hear("# # ");
        assert_eq!(script.next(), Next::Wait);
    }

    #[test]
    fn the_end_does_not_wait_for_sends() {
        let mut script = script(&["never=x"], "PASS$");
        script.hear("PA");
        assert_eq!(script.next(), Next::Wait);
        script.hear("SS\r\nmore");
        assert_eq!(script.next(), Next::Done);
    }

    #[test]
    fn one_prompt_serves_typing_and_ending() {
        let mut script = script(&["# =ls"], "# ");
        script.hear("# ");
        assert_eq!(script.next(), Next::Type("ls".to_owned()));
        assert_eq!(script.next(), Next::Wait);
        script.hear("bin\n# ");
        assert_eq!(script.next(), Next::Done);
    }

    #[test]
    fn what_steers_the_terminal_is_not_text() {
        let mut script = script(&[], "^~ # $");
        script.hear("\x1b[1;32mx\r\n~ # \x1b[6");
        script.hear("n");
        assert_eq!(script.text, "x\n~ # ");
        assert_eq!(script.next(), Next::Done);
    }

    #[test]
    fn a_flood_is_not_kept() {
        let mut script = script(&[], "end");
        for _ in 0..100 {
            script.hear(&"é".repeat(10_000));
            assert!(script.text.len() <= KEPT);
        }
        script.hear("end");
        assert_eq!(script.next(), Next::Done);
    }
}
