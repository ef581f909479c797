//! What to wait for on a console and what to type.
//!
//! With a console for each VM a step names its own: `@NAME REGEX=TEXT`.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Result;
use rexpect::reader::Regex;

/// How much text that nothing matched is kept. A guest may print without end.
const KEPT: usize = 1 << 18;

/// Which console: a VM's, or the one that there is.
pub type On = Option<String>;

/// Something that a console prints.
#[derive(Clone, Debug)]
pub struct Print {
    pub on: On,
    pub what: Regex,
}

/// `REGEX`, or `@NAME REGEX`.
impl FromStr for Print {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let named = argument.strip_prefix('@').and_then(|rest| rest.split_once(' '));
        let (on, what) = match named {
            Some((name, what)) => (Some(name.to_owned()), what),
            None => (None, argument),
        };
        Ok(Self { on, what: pattern(what)? })
    }
}

/// Types `text` and Return after `after` was printed.
#[derive(Clone, Debug)]
pub struct Send {
    pub after: Print,
    pub text: String,
}

/// `REGEX=TEXT` or `@NAME REGEX=TEXT`, split at the first `=`.
impl FromStr for Send {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (after, text) =
            argument.split_once('=').ok_or_else(|| "it has no '=': write REGEX=TEXT".to_owned())?;
        Ok(Self { after: after.parse()?, text: text.to_owned() })
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
    Type(On, String),
    Done,
}

/// Who hears what consoles print, and types.
pub trait Typist {
    /// Adds what was printed.
    fn hear(&mut self, on: On, printed: &str);

    /// To be called until it says `Wait`.
    fn next(&mut self) -> Result<Next>;
}

/// Follows what a console prints. The match that starts first counts; where two
/// start together, typing comes before ending, so that one prompt can serve both.
/// Text is matched once: what a `Send` matched, nothing later matches.
pub struct Script {
    sends: std::vec::IntoIter<Send>,
    next: Option<Send>,
    until: Option<Print>,
    texts: BTreeMap<On, Text>,
}

/// What a console printed and nothing matched.
#[derive(Default)]
struct Text {
    text: String,
    escape: Escape,
}

/// How far into a control sequence of the terminal the text is (ECMA-48 §5.4).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Escape {
    #[default]
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

impl Text {
    fn hear(&mut self, printed: &str) {
        let escape = &mut self.escape;
        self.text.extend(printed.chars().filter(|&c| escape.shows(c)));
        if self.text.len() > KEPT {
            let cut = self.text.len() - KEPT / 2;
            let cut = (cut..self.text.len()).find(|&at| self.text.is_char_boundary(at));
            self.text.drain(..cut.unwrap_or_default());
        }
    }
}

impl Script {
    pub fn new(sends: Vec<Send>, until: Option<Regex>) -> Self {
        Self::ending(sends, until.map(|what| Print { on: None, what }))
    }

    pub fn ending(sends: Vec<Send>, until: Option<Print>) -> Self {
        let mut sends = sends.into_iter();
        let next = sends.next();
        Self { sends, next, until, texts: BTreeMap::new() }
    }

    /// Where a console printed it.
    fn find(&self, print: &Print) -> Option<(usize, usize)> {
        let text = self.texts.get(&print.on).map_or("", |text| text.text.as_str());
        print.what.find(text).map(|m| (m.start(), m.end()))
    }

    fn step(&mut self) -> Next {
        let until = self.until.as_ref().and_then(|until| Some((&until.on, self.find(until)?.0)));
        let send =
            self.next.as_ref().and_then(|send| Some((&send.after.on, self.find(&send.after)?)));
        match (send, until) {
            (Some((on, (start, end))), until)
                if until.is_none_or(|(other, until)| other != on || start <= until) =>
            {
                let on = on.clone();
                if let Some(text) = self.texts.get_mut(&on) {
                    text.text.drain(..end);
                }
                let send = std::mem::replace(&mut self.next, self.sends.next());
                send.map_or(Next::Wait, |send| Next::Type(on, send.text))
            }
            (_, Some(_)) => Next::Done,
            _ => Next::Wait,
        }
    }

    /// What it waits for, for a message.
    pub fn awaited(&self) -> String {
        let send = self.next.as_ref().map(|send| &send.after);
        let awaited = [send, self.until.as_ref()].into_iter().flatten();
        let awaited: Vec<_> = awaited.map(|print| print.what.to_string()).collect();
        awaited.join("' or '").replace("(?m)", "")
    }
}

impl Typist for Script {
    fn hear(&mut self, on: On, printed: &str) {
        self.texts.entry(on).or_default().hear(printed);
    }

    fn next(&mut self) -> Result<Next> {
        Ok(self.step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(sends: &[&str], until: &str) -> Script {
        let sends = sends.iter().map(|s| s.parse().unwrap()).collect();
        Script::new(sends, Some(pattern(until).unwrap()))
    }

    fn typed(text: &str) -> Next {
        Next::Type(None, text.to_owned())
    }

    fn text(script: &Script) -> &str {
        &script.texts[&None].text
    }

    #[test]
    fn a_step_can_name_its_console() {
        let send: Send = "@first # =a".parse().unwrap();
        assert_eq!((send.after.on.as_deref(), send.after.what.as_str()), (Some("first"), "(?m)# "));
        let mut script = Script::ending(vec![send], Some("@second end".parse().unwrap()));
        script.hear(None, "# end");
        script.hear(Some("second".to_owned()), "# ");
        assert_eq!(script.step(), Next::Wait);
        script.hear(Some("first".to_owned()), "# ");
        assert_eq!(script.step(), Next::Type(Some("first".to_owned()), "a".to_owned()));
        script.hear(Some("second".to_owned()), "end");
        assert_eq!(script.step(), Next::Done);
    }

    #[test]
    fn a_send_is_split_at_the_first_equals_sign() {
        let send: Send = "# =echo a=b".parse().unwrap();
        assert_eq!((send.after.what.as_str(), send.text.as_str()), ("(?m)# ", "echo a=b"));
        assert!("no sign".parse::<Send>().is_err());
        assert!("(=x".parse::<Send>().is_err());
        assert_eq!("x=".parse::<Send>().unwrap().text, "");
    }

    #[test]
    fn sends_are_used_in_order_and_once() {
        let mut script = script(&["# =one", "# =two"], "never");
        script.hear(None, "# ");
        assert_eq!(script.step(), typed("one"));
        assert_eq!(script.step(), Next::Wait);
        script.hear(None, "one\r\n# ");
        assert_eq!(script.step(), typed("two"));
        script.hear(None, "# # ");
        assert_eq!(script.step(), Next::Wait);
    }

    #[test]
    fn the_end_does_not_wait_for_sends() {
        let mut script = script(&["never=x"], "PASS$");
        script.hear(None, "PA");
        assert_eq!(script.step(), Next::Wait);
        script.hear(None, "SS\r\nmore");
        assert_eq!(script.step(), Next::Done);
    }

    #[test]
    fn one_prompt_serves_typing_and_ending() {
        let mut script = script(&["# =ls"], "# ");
        script.hear(None, "# ");
        assert_eq!(script.step(), typed("ls"));
        assert_eq!(script.step(), Next::Wait);
        script.hear(None, "bin\n# ");
        assert_eq!(script.step(), Next::Done);
    }

    #[test]
    fn what_steers_the_terminal_is_not_text() {
        let mut script = script(&[], "^~ # $");
        script.hear(None, "\x1b[1;32mx\r\n~ # \x1b[6");
        script.hear(None, "n");
        assert_eq!(text(&script), "x\n~ # ");
        assert_eq!(script.step(), Next::Done);
    }

    #[test]
    fn a_flood_is_not_kept() {
        let mut script = script(&[], "end");
        for _ in 0..100 {
            script.hear(None, &"é".repeat(10_000));
            assert!(text(&script).len() <= KEPT);
        }
        script.hear(None, "end");
        assert_eq!(script.step(), Next::Done);
    }
}
