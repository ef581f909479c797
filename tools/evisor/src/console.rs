//! Drives a program through a terminal of its own: a script types into it, or a
//! person does.
//!
//! The program dies with this command, however that ends: when the terminal's
//! other side is closed, the kernel sends it SIGHUP.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rexpect::process::{PtyProcess, WaitStatus};

use crate::consoles::Consoles;
use crate::process::capture;
use crate::script::{Next, On, Script, Send, Typist};
use crate::verdict::LastLine;

/// How long a program that was told to end may take before it is killed.
const GRACE_MS: u64 = 2000;

/// How a console session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The script came to its end, and the program was ended.
    Matched,
    /// The time was over, and the program was ended.
    TimedOut,
    /// The program ended by itself, with success; what eVisor said last.
    Exited(Option<u8>),
    /// The program failed.
    Failed(String),
}

/// A program on a terminal.
pub struct Console {
    process: PtyProcess,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// The VMs' own consoles, where the line has frames.
    consoles: Option<Consoles>,
}

impl Console {
    pub fn start(command: Command) -> Result<Self> {
        let mut process = PtyProcess::new(command).context("cannot open a terminal")?;
        process.set_kill_timeout(Some(GRACE_MS));
        let keyboard = process.get_file_handle().context("cannot write to the terminal")?;
        let screen = read(process.get_file_handle().context("cannot read the terminal")?);
        Ok(Self { process, keyboard, screen, consoles: None })
    }

    /// Splits the line into the VMs' own consoles.
    pub fn split(mut self, consoles: Consoles) -> Self {
        self.consoles = Some(consoles);
        self
    }

    /// Has `typist` hear what the program prints and type, copying it to `copy`, until
    /// either ends or the time is over.
    pub fn follow(
        mut self,
        typist: &mut dyn Typist,
        limit: Option<Duration>,
        copy: &mut dyn Write,
    ) -> Result<End> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut last = LastLine::default();
        let mut texts: BTreeMap<On, Utf8> = BTreeMap::new();
        loop {
            let printed = match self.await_output(deadline) {
                Ok(printed) => printed,
                Err(RecvTimeoutError::Disconnected) => return self.ended(last),
                Err(RecvTimeoutError::Timeout) => return self.stop(End::TimedOut),
            };
            let heard = match &mut self.consoles {
                Some(consoles) => consoles.hear(&printed, &self.keyboard)?,
                None => vec![(None, printed)],
            };
            for (on, printed) in heard {
                if self.consoles.is_none() || on.is_none() {
                    copy.write_all(&printed).context("cannot write the console's output")?;
                    last.hear(&printed);
                }
                let text: &mut Utf8 = texts.entry(on.clone()).or_default();
                typist.hear(on, &text.add(&printed));
            }
            if let Some(consoles) = &mut self.consoles {
                consoles.show_lines(copy)?;
            }
            copy.flush().context("cannot write the console's output")?;
            loop {
                match typist.next()? {
                    Next::Wait => break,
                    Next::Type(on, line) => self.type_line(on, &line)?,
                    Next::Done => return self.stop(End::Matched),
                }
            }
        }
    }

    /// Types what it has to and follows it to its end; gives what it printed.
    pub fn watch(self, sends: Vec<Send>, limit: Duration) -> Result<(End, String)> {
        let mut printed = io::Cursor::new(Vec::new());
        let mut script = Script::new(sends, None);
        let end = self.follow(&mut script, Some(limit), &mut printed)?;
        Ok((end, String::from_utf8_lossy(printed.get_ref()).into_owned()))
    }

    /// Gives the console to the person at this command's own terminal.
    pub fn hand_over(self, limit: Option<Duration>) -> Result<End> {
        let _raw = RawTerminal::enter()?;
        let mut keyboard = self.keyboard.try_clone().context("cannot write to the terminal")?;
        // It ends with the process: reading a terminal cannot be called off.
        thread::spawn(move || io::copy(&mut io::stdin(), &mut keyboard));
        self.follow(&mut Script::new(Vec::new(), None), limit, &mut io::stdout())
    }

    fn await_output(&self, deadline: Option<Instant>) -> Result<Vec<u8>, RecvTimeoutError> {
        match deadline {
            // A program that never stops printing must not outrun its time.
            Some(deadline) if deadline <= Instant::now() => Err(RecvTimeoutError::Timeout),
            Some(deadline) => self.screen.recv_timeout(deadline - Instant::now()),
            None => self.screen.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn type_line(&mut self, on: On, line: &str) -> Result<()> {
        // What a terminal's Return key sends.
        let line = format!("{line}\r");
        let typed = match (&self.consoles, on) {
            (Some(consoles), Some(name)) => consoles.type_on(&name, line.as_bytes())?,
            (None, Some(name)) => bail!("@{name}: --consoles gives each VM a console of its own"),
            (_, None) => line.into_bytes(),
        };
        self.keyboard.write_all(&typed).context("cannot type on the console")
    }

    fn stop(mut self, end: End) -> Result<End> {
        self.process.exit().context("cannot end the program")?;
        Ok(end)
    }

    fn ended(self, last: LastLine) -> Result<End> {
        Ok(match self.process.wait().context("lost sight of the program")? {
            WaitStatus::Exited(_, 0) => End::Exited(last.verdict()),
            WaitStatus::Exited(_, status) => End::Failed(format!("ended with status {status}")),
            WaitStatus::Signaled(_, signal, _) => End::Failed(format!("was ended by {signal}")),
            other => End::Failed(format!("is in an unknown state: {other:?}")),
        })
    }
}

/// Reads until the program closes the terminal, which is an error to the reader.
fn read(mut from: File) -> Receiver<Vec<u8>> {
    // Bounded: what prints faster than it is shown has to wait.
    let (sender, receiver) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if sender.send(buffer.iter().take(count).copied().collect()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Text from bytes that may be cut within a character.
#[derive(Default)]
struct Utf8 {
    rest: Vec<u8>,
}

impl Utf8 {
    fn add(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let complete = match std::str::from_utf8(&self.rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.rest.len(),
        };
        let cut = self.rest.split_off(complete);
        let whole = std::mem::replace(&mut self.rest, cut);
        String::from_utf8_lossy(&whole).into_owned()
    }
}

/// The user's terminal, passing every key on, until it is dropped.
struct RawTerminal {
    before: String,
}

impl RawTerminal {
    fn enter() -> Result<Self> {
        let before = stty(&["-g"])?.trim().to_owned();
        stty(&["raw", "-echo"])?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = stty(&[&self.before]);
    }
}

fn stty(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("stty");
    // By name: programs that are captured have no standard input.
    command.args(["-F", "/dev/tty"]).args(arguments);
    Ok(String::from_utf8_lossy(&capture(&mut command)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::pattern;

    fn run(shell: &str, sends: &[&str], until: Option<&str>, ms: u64) -> (End, String) {
        let mut command = Command::new("sh");
        command.args(["-c", shell]);
        let sends = sends.iter().map(|s| s.parse().unwrap()).collect();
        let mut script = Script::new(sends, until.map(|u| pattern(u).unwrap()));
        let mut output = Vec::new();
        let limit = Some(Duration::from_millis(ms));
        let end = Console::start(command).unwrap().follow(&mut script, limit, &mut output).unwrap();
        (end, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_script_types_and_ends() {
        let shell = "printf 'name: '; read name; echo \"hello $name\"; sleep 30";
        let (end, output) = run(shell, &["name: =you"], Some("hello you$"), 10_000);
        assert_eq!(end, End::Matched, "{output}");
    }

    #[test]
    fn the_verdict_counts_when_the_program_ends_by_itself() {
        let line = "evisor: all VMs stopped, status 3";
        assert_eq!(run(&format!("echo '{line}'"), &[], None, 10_000).0, End::Exited(Some(3)));
        assert_eq!(run("echo bye", &[], None, 10_000).0, End::Exited(None));
        let failed = run(&format!("echo '{line}'; exit 1"), &[], None, 10_000).0;
        assert!(matches!(failed, End::Failed(_)), "{failed:?}");
    }

    #[test]
    fn time_runs_out_for_the_silent_and_for_the_talkative() {
        for shell in ["sleep 30", "yes"] {
            let start = Instant::now();
            assert_eq!(run(shell, &[], Some("never"), 300).0, End::TimedOut);
            assert!(start.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn characters_that_arrive_in_pieces_are_put_together() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.add(b"a\xc3"), "a");
        assert_eq!(utf8.add(b"\xa9b\xff"), "éb\u{fffd}");
    }
}
