//! Running other programs: what is long shows that it lives, what may hang is
//! bounded in time, and a failure shows what the program said.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often a program is looked at while it is awaited.
const POLL: Duration = Duration::from_millis(20);

/// What takes less is not worth a line in a log.
const ANNOUNCE: Duration = Duration::from_secs(1);

/// The progress lines of all that runs.
static LINES: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A message of this command; standard output is the console's and the figures'.
pub fn say(text: &str) {
    LINES.suspend(|| eprintln!("evisor: {text}"));
}

/// A line on standard output, beside progress lines.
pub fn print(text: &str) {
    LINES.suspend(|| println!("{text}"));
}

/// Waits until no other case and no other run of this command holds the file at `path`,
/// and holds it until what is returned is dropped.
pub fn hold(path: &Path) -> Result<File> {
    let folder = path.parent().unwrap_or(path);
    let file = fs::create_dir_all(folder).and_then(|()| File::create(path));
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The first line of what a program prints, or nothing where it fails or is not
/// there.
pub fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

/// Runs a short program and returns what it printed; a failure is an error with
/// its complaint.
pub fn capture(command: &mut Command) -> Result<Vec<u8>> {
    let name = program_name(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}: is it installed?"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{name} failed ({}): {complaint}", output.status);
    }
    Ok(output.stdout)
}

/// Runs a program whose output is the user's to see; tells whether it succeeded.
pub fn show(command: &mut Command) -> Result<bool> {
    let name = program_name(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {name}: is it installed?"))?;
    Ok(status.success())
}

/// Runs a program behind a progress line and returns what it printed on standard
/// output. It is ended when `limit` has passed.
pub fn long(what: &str, command: &mut Command, limit: Duration) -> Result<String> {
    let name = program_name(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{what}: cannot run {name}: is it installed?"))?;
    let lines = listen(&mut child);
    let progress = Progress::start(what);
    let mut said = Said::default();
    let status = attend(&mut child, &lines, &progress, &mut said, limit)?;
    progress.end(status.is_some_and(|s| s.success()));
    match status {
        Some(status) if status.success() => Ok(said.out),
        Some(status) => bail!("{what}: {name} failed ({status})\n{}", said.all.trim_end()),
        None => bail!("{what}: {name} took longer than {} s and was ended", limit.as_secs()),
    }
}

fn program_name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

enum Line {
    Out(String),
    Err(String),
}

#[derive(Default)]
struct Said {
    out: String,
    all: String,
}

fn listen(child: &mut Child) -> Receiver<Line> {
    let (sender, receiver) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        forward(out, sender.clone(), Line::Out);
    }
    if let Some(err) = child.stderr.take() {
        forward(err, sender, Line::Err);
    }
    receiver
}

fn forward(from: impl Read + Send + 'static, to: Sender<Line>, kind: fn(String) -> Line) {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if to.send(kind(text)).is_err() {
                return;
            }
        }
    });
}

/// Collects lines until both pipes close; `None` where the time is over first.
fn attend(
    child: &mut Child,
    lines: &Receiver<Line>,
    progress: &Progress,
    said: &mut Said,
    limit: Duration,
) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => said.hear(line, progress),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Some(child.wait()?)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        progress.announce();
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
}

impl Said {
    fn hear(&mut self, line: Line, progress: &Progress) {
        let text = match line {
            Line::Out(text) => {
                self.out.push_str(&text);
                self.out.push('\n');
                text
            }
            Line::Err(text) => text,
        };
        // What cargo says on standard output is for programs, not for people.
        if !text.starts_with('{') {
            progress.detail(&text);
            self.all.push_str(&text);
            self.all.push('\n');
        }
    }
}

/// A line that shows a long step; without a terminal, one when it turns out long.
pub struct Progress {
    bar: ProgressBar,
    what: String,
    start: Instant,
    announced: Cell<bool>,
}

impl Progress {
    pub fn start(what: &str) -> Self {
        let bar = LINES.add(ProgressBar::new_spinner());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, what: what.to_owned(), start: Instant::now(), announced: Cell::new(false) }
    }

    /// To be called now and then.
    pub fn announce(&self) {
        let is_long = self.start.elapsed() > ANNOUNCE;
        if is_long && !self.announced.replace(true) && !std::io::stderr().is_terminal() {
            say(&self.what);
        }
    }

    pub fn detail(&self, text: &str) {
        self.bar.set_message(text.trim().to_owned());
    }

    /// Ends the line. What took no time to speak of leaves no trace.
    pub fn end(self, success: bool) {
        self.bar.finish_and_clear();
        LINES.remove(&self.bar);
        let seconds = self.start.elapsed().as_secs();
        if seconds >= 2 {
            let end = if success { "done" } else { "failed" };
            say(&format!("{}: {end} in {seconds} s", self.what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_complaints_are_kept_apart() {
        let limit = Duration::from_secs(10);
        assert_eq!(long("t", &mut shell("echo out; echo err >&2"), limit).unwrap(), "out\n");
        let error = long("t", &mut shell("echo bad >&2; exit 3"), limit).unwrap_err();
        assert!(error.to_string().contains("bad"), "{error}");
    }

    #[test]
    fn what_hangs_is_ended() {
        let start = Instant::now();
        let error = long("t", &mut shell("exec sleep 30"), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = capture(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("no-such-program"));
    }
}
