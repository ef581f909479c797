//! The VMs' own consoles: what comes in frames on the one line (`framework/frames`), on a
//! pseudo-terminal for each VM.
//!
//! What nobody reads there is kept, the newest of it, and waits for whoever comes; nobody
//! who does not read holds up the others.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use evisor_frames::{CONTROL, Control, Decoder, Step, VERSION, write};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::ttyname;

use crate::process::say;
use crate::script::On;

/// What eVisor begins with: until then nobody listens.
const BANNER: &str = "evisor: eVisor ";

/// What was asked for may be lost: eVisor takes the beginning of it for keys if the rest
/// comes late, as it does where the host has much else to do.
const AGAIN: Duration = Duration::from_secs(2);

/// How much is kept of what nobody reads.
const KEPT: usize = 1 << 20;

/// As many bytes as a frame has room for at once, as the hypervisor hands them on.
const PIECE: usize = 32;

/// The consoles that there are.
pub struct Consoles {
    folder: Option<PathBuf>,
    /// Lines are shown here too, behind names.
    lines: bool,
    decoder: Decoder,
    /// The beginning of eVisor's current line.
    own_line: Vec<u8>,
    /// When eVisor was last asked for frames.
    asked: Option<Instant>,
    ports: BTreeMap<u8, Outlet>,
}

/// One VM's console.
struct Outlet {
    name: String,
    terminal: Arc<Terminal>,
    log: Option<File>,
    /// What is not shown as a line yet.
    unshown: Vec<u8>,
}

impl Consoles {
    /// None yet. Files and links go to `folder`.
    pub fn new(folder: Option<PathBuf>, lines: bool) -> Result<Self> {
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let (decoder, own_line, ports) = (Decoder::new(), Vec::new(), BTreeMap::new());
        Ok(Self { folder, lines, decoder, own_line, asked: None, ports })
    }

    /// Takes bytes from the line apart: who said what, nobody being eVisor itself.
    pub fn hear(&mut self, line: &[u8], keyboard: &File) -> Result<Vec<(On, Vec<u8>)>> {
        let mut heard: Vec<(On, Vec<u8>)> = Vec::new();
        for byte in line {
            match self.decoder.take(*byte) {
                Step::Nothing => {}
                Step::Stray(bytes) => {
                    let bytes = bytes.to_vec();
                    if self.own_line_is_banner(&bytes) || self.was_not_heard() {
                        ask(keyboard)?;
                        self.asked = Some(Instant::now());
                    }
                    add(&mut heard, None, &bytes);
                }
                Step::Frame { port: CONTROL, payload } => {
                    let control = payload.to_vec();
                    self.control(&control, keyboard)?;
                }
                Step::Frame { port, payload } => {
                    if let Some(outlet) = self.ports.get_mut(&port) {
                        outlet.print(payload)?;
                        add(&mut heard, Some(outlet.name.clone()), payload);
                    }
                }
            }
        }
        Ok(heard)
    }

    /// Whether it was asked some time ago, and has named no console.
    fn was_not_heard(&self) -> bool {
        self.ports.is_empty() && self.asked.is_some_and(|asked| asked.elapsed() > AGAIN)
    }

    /// Whether eVisor's line becomes its first one with the last of `bytes`.
    fn own_line_is_banner(&mut self, bytes: &[u8]) -> bool {
        let mut begins = false;
        for byte in bytes {
            match byte {
                // Not the carriage return before it, behind which a guest's line may be due.
                b'\n' => self.own_line.clear(),
                _ if self.own_line.len() < BANNER.len() => {
                    self.own_line.push(*byte);
                    begins |= self.own_line == BANNER.as_bytes();
                }
                _ => {}
            }
        }
        begins
    }

    fn control(&mut self, payload: &[u8], keyboard: &File) -> Result<()> {
        match Control::read(payload) {
            Some(Control::Refused(version)) => bail!(
                "eVisor has console frames of version {version}, and this command of version \
                 {VERSION}: build both from one tree"
            ),
            Some(Control::Name(port, name)) => {
                self.named(port, &String::from_utf8_lossy(name), keyboard)?;
            }
            Some(Control::Lost(port, count)) => {
                if let Some(outlet) = self.ports.get_mut(&port) {
                    say(&format!("{}: {count} bytes were lost", outlet.name));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives a port a terminal, if it has none by that name.
    fn named(&mut self, port: u8, name: &str, keyboard: &File) -> Result<()> {
        if self.ports.get(&port).is_some_and(|outlet| outlet.name == name) {
            return Ok(());
        }
        let safe = |c: char| c.is_ascii_alphanumeric() || ",._+-".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(safe) {
            bail!("a console is called '{name}', which is no name of a VM");
        }
        let terminal = Terminal::open(port, keyboard)?;
        let path = terminal.path.display();
        let log = match &self.folder {
            Some(folder) => {
                link(&terminal.path, &folder.join(format!("{name}.pty")))?;
                let log = folder.join(format!("{name}.log"));
                Some(File::create(&log).with_context(|| format!("cannot make {}", log.display()))?)
            }
            None => None,
        };
        say(&format!("{name}: its console is {path}"));
        let outlet = Outlet { name: name.to_owned(), terminal, log, unshown: Vec::new() };
        self.ports.insert(port, outlet);
        Ok(())
    }

    /// Writes the lines that ended, if they are shown; not into one of eVisor's.
    pub fn show_lines(&mut self, to: &mut dyn Write) -> Result<()> {
        if !self.own_line.is_empty() {
            return Ok(());
        }
        for outlet in self.ports.values_mut() {
            let end = outlet.unshown.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = outlet.unshown.drain(..end).collect();
            for line in lines.split_inclusive(|byte| *byte == b'\n').filter(|_| self.lines) {
                write!(to, "{}| ", outlet.name)
                    .and_then(|()| to.write_all(line))
                    .context("cannot write the console's output")?;
            }
        }
        Ok(())
    }

    /// What to write to the line so that `bytes` are typed on the console of `name`.
    pub fn type_on(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let port = self.ports.iter().find(|(_, outlet)| outlet.name == name);
        let (port, _) = port.with_context(|| format!("no VM called {name} has a console"))?;
        Ok(typed(*port, bytes))
    }
}

fn typed(port: u8, bytes: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    bytes.chunks(PIECE).for_each(|piece| write(port, piece, &mut |byte| line.push(byte)));
    line
}

fn ask(mut keyboard: &File) -> Result<()> {
    let mut line = Vec::new();
    Control::Ask(VERSION).write(&mut |byte| line.push(byte));
    keyboard.write_all(&line).context("cannot ask for frames")
}

/// Adds bytes to what the last one said, if it is the same.
fn add(heard: &mut Vec<(On, Vec<u8>)>, who: On, bytes: &[u8]) {
    match heard.last_mut() {
        Some((last, said)) if *last == who => said.extend(bytes),
        _ => heard.push((who, bytes.to_vec())),
    }
}

fn link(terminal: &Path, name: &Path) -> Result<()> {
    // That of an earlier run.
    let _ = fs::remove_file(name);
    symlink(terminal, name).with_context(|| format!("cannot make {}", name.display()))
}

impl Outlet {
    fn print(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(log) = &mut self.log {
            log.write_all(bytes).context("cannot write what a console prints")?;
        }
        self.unshown.extend(bytes);
        self.terminal.print(bytes);
        Ok(())
    }
}

/// A pseudo-terminal.
struct Terminal {
    path: PathBuf,
    unread: Mutex<Unread>,
    more: Condvar,
    /// Kept open: without anybody at it, reading would fail.
    _other_side: File,
}

#[derive(Default)]
struct Unread {
    bytes: VecDeque<u8>,
    lost: usize,
}

impl Terminal {
    fn open(port: u8, keyboard: &File) -> Result<Arc<Self>> {
        let pair = openpty(None, None).context("cannot open a pseudo-terminal")?;
        let mut settings = tcgetattr(&pair.slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &settings)?;
        let terminal = Arc::new(Self {
            path: ttyname(&pair.slave)?,
            unread: Mutex::default(),
            more: Condvar::new(),
            _other_side: File::from(pair.slave),
        });
        let screen = File::from(pair.master);
        let keys = screen.try_clone()?;
        let keyboard = keyboard.try_clone()?;
        thread::spawn(move || pass_keys(port, keys, keyboard));
        let shown = Arc::clone(&terminal);
        thread::spawn(move || shown.pass_output(screen));
        Ok(terminal)
    }

    fn unread(&self) -> MutexGuard<'_, Unread> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, bytes: &[u8]) {
        let mut unread = self.unread();
        unread.bytes.extend(bytes);
        let over = unread.bytes.len().saturating_sub(KEPT);
        unread.bytes.drain(..over);
        unread.lost += over;
        self.more.notify_one();
    }

    /// Writes what is printed, as fast as somebody reads.
    fn pass_output(&self, mut screen: File) {
        loop {
            let waits = |unread: &mut Unread| unread.bytes.is_empty();
            let mut unread =
                self.more.wait_while(self.unread(), waits).unwrap_or_else(PoisonError::into_inner);
            let lost = std::mem::take(&mut unread.lost);
            let count = unread.bytes.len().min(512);
            let piece: Vec<u8> = unread.bytes.drain(..count).collect();
            drop(unread);
            if lost > 0 && write!(screen, "\r\nevisor: {lost} bytes were lost here\r\n").is_err() {
                return;
            }
            if screen.write_all(&piece).is_err() {
                return;
            }
        }
    }
}

/// Passes on what is typed on a terminal, in one write a frame.
fn pass_keys(port: u8, mut keys: File, mut keyboard: File) {
    let mut buffer = [0; PIECE];
    while let Ok(count @ 1..) = keys.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default();
        if keyboard.write_all(&typed(port, bytes)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(parts: &[(Option<u8>, &[u8])]) -> Vec<u8> {
        let mut line = Vec::new();
        for (port, bytes) in parts {
            match port {
                Some(port) => write(*port, bytes, &mut |byte| line.push(byte)),
                None => line.extend(*bytes),
            }
        }
        line
    }

    /// Consoles, and what they write to the keyboard.
    fn consoles(name: &str) -> (Consoles, PathBuf, File) {
        let folder = std::env::temp_dir().join(format!("evisor-{name}-{}", std::process::id()));
        let consoles = Consoles::new(Some(folder.clone()), true).unwrap();
        let keyboard = File::create(folder.join("keyboard")).unwrap();
        (consoles, folder, keyboard)
    }

    #[test]
    fn the_line_is_taken_apart() {
        let (mut consoles, folder, keyboard) = consoles("split");
        let mut names = Vec::new();
        Control::Name(0, b"first").write(&mut |byte| names.push(byte));
        Control::Name(1, b"second").write(&mut |byte| names.push(byte));
        let mut all = line(&[(None, b"evisor: eVisor 0.1.0 on x\r\n")]);
        all.extend(names);
        all.extend(line(&[(Some(1), b"b\n"), (None, b"evisor: x\r\n"), (Some(0), b"a\n")]));
        let mut heard = Vec::new();
        for piece in all.chunks(5) {
            for (who, bytes) in consoles.hear(piece, &keyboard).unwrap() {
                add(&mut heard, who, &bytes);
            }
        }
        let said = |name: &str| Some(name.to_owned());
        let wanted = [
            (None, &b"evisor: eVisor 0.1.0 on x\r\n"[..]),
            (said("second"), b"b\n"),
            (None, b"evisor: x\r\n"),
            (said("first"), b"a\n"),
        ];
        assert_eq!(heard, wanted.map(|(who, bytes)| (who, bytes.to_vec())));
        assert_eq!(fs::read(folder.join("second.log")).unwrap(), b"b\n");
        let mut shown = Vec::new();
        consoles.show_lines(&mut shown).unwrap();
        assert_eq!(shown, b"first| a\nsecond| b\n");
        let mut asked = Vec::new();
        Control::Ask(VERSION).write(&mut |byte| asked.push(byte));
        assert_eq!(fs::read(folder.join("keyboard")).unwrap(), asked, "asked once");
        assert_eq!(consoles.type_on("second", b"x").unwrap(), line(&[(Some(1), b"x")]));
        assert!(consoles.type_on("third", b"x").is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_guests_line_does_not_come_between_a_return_and_its_line_feed() {
        let (mut consoles, folder, keyboard) = consoles("between");
        let mut all = Vec::new();
        Control::Name(0, b"guest").write(&mut |byte| all.push(byte));
        all.extend(line(&[(Some(0), b"a\r\n"), (None, b"evisor: x: starts\r")]));
        consoles.hear(&all, &keyboard).unwrap();
        let mut shown = Vec::new();
        consoles.show_lines(&mut shown).unwrap();
        assert_eq!(shown, b"");
        consoles.hear(b"\n", &keyboard).unwrap();
        consoles.show_lines(&mut shown).unwrap();
        assert_eq!(shown, b"guest| a\r\n");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn it_is_asked_again_if_no_console_was_named() {
        let (mut consoles, folder, keyboard) = consoles("again");
        let mut asked = Vec::new();
        Control::Ask(VERSION).write(&mut |byte| asked.push(byte));
        let _ = consoles.hear(b"evisor: eVisor 0.1.0 on x\r\n", &keyboard).unwrap();
        let _ = consoles.hear(b"first| a\r\n", &keyboard).unwrap();
        assert_eq!(fs::read(folder.join("keyboard")).unwrap(), asked, "it may be on its way");
        consoles.asked = Instant::now().checked_sub(2 * AGAIN);
        let _ = consoles.hear(b"first| b\r\n", &keyboard).unwrap();
        assert_eq!(fs::read(folder.join("keyboard")).unwrap(), asked.repeat(2));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_version_and_a_name_that_leaves_the_folder_are_refused() {
        let (mut consoles, folder, keyboard) = consoles("refused");
        let mut refuses = |control: Control<'_>| {
            let mut line = Vec::new();
            control.write(&mut |byte| line.push(byte));
            consoles.hear(&line, &keyboard).unwrap_err().to_string()
        };
        assert!(refuses(Control::Refused(7)).contains("version 7"));
        assert!(refuses(Control::Name(0, b"../x")).contains("no name"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_printed_waits_on_the_terminal_and_keys_go_to_the_line() {
        let (mut consoles, folder, keyboard) = consoles("terminal");
        let mut names = Vec::new();
        Control::Name(3, b"vm").write(&mut |byte| names.push(byte));
        names.extend(line(&[(Some(3), b"login: ")]));
        consoles.hear(&names, &keyboard).unwrap();
        let mut terminal =
            File::options().read(true).write(true).open(folder.join("vm.pty")).unwrap();
        let mut shown = [0; 7];
        terminal.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"login: ");
        terminal.write_all(b"me\r").unwrap();
        let wanted = line(&[(Some(3), b"me\r")]);
        for _ in 0..200 {
            if fs::read(folder.join("keyboard")).unwrap() == wanted {
                return fs::remove_dir_all(folder).unwrap();
            }
            thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the keys did not come");
    }
}
