//! Runs a machine until it turns itself off, and asks QEMU how many instructions
//! it has executed.
//!
//! QEMU's own count (`query-replay`) holds what was executed and nothing else:
//! the counters that a guest can read also go on while all cores wait.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

const POLL: Duration = Duration::from_millis(20);
const START: Duration = Duration::from_secs(30);

/// Instructions from reset to the end, which has to come within `limit`. Its
/// console goes to `NAME.console` in the folder; on it a line has to be `wanted`.
pub fn run(
    mut qemu: Command,
    folder: &Path,
    name: &str,
    wanted: Option<&str>,
    limit: Duration,
) -> Result<u64> {
    let (socket, console) = (folder.join("qmp"), folder.join(format!("{name}.console")));
    // What a run that was killed left behind.
    let _ = fs::remove_file(&socket);
    // It waits to be told to start, and stays when the machine is off.
    qemu.args(["-S", "-action", "shutdown=pause", "-qmp"]);
    qemu.arg(format!("unix:{},server=on,wait=off", socket.display()));
    let output = File::create(&console)?;
    let mut machine = Running(qemu.stdin(Stdio::null()).stdout(output).spawn()?);
    let count = Monitor::connect(&socket, &mut machine.0, limit).and_then(Monitor::count);
    let said = fs::read(&console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?;
    let count = count.with_context(|| format!("{name}; its console said:\n{said}"))?;
    let shown = wanted.is_none_or(|wanted| said.lines().any(|line| line.trim() == wanted));
    ensure!(shown, "{name} did not come to its end; its console said:\n{said}");
    Ok(count)
}

/// Ends with whoever started it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// QEMU's monitor, QMP: a line of JSON for each command, reply and event.
struct Monitor {
    to: UnixStream,
    from: BufReader<UnixStream>,
    deadline: Instant,
}

impl Monitor {
    fn connect(socket: &PathBuf, machine: &mut Child, limit: Duration) -> Result<Self> {
        let start = Instant::now();
        let to = loop {
            match UnixStream::connect(socket) {
                Ok(to) => break to,
                Err(error) if start.elapsed() > START => {
                    return Err(error).context("QEMU's monitor");
                }
                Err(_) => thread::sleep(POLL),
            }
            if let Some(status) = machine.try_wait()? {
                bail!("QEMU ended with {status}");
            }
        };
        let from = BufReader::new(to.try_clone()?);
        Ok(Self { to, from, deadline: Instant::now() + limit })
    }

    fn count(mut self) -> Result<u64> {
        self.execute("qmp_capabilities")?;
        self.execute("cont")?;
        self.await_message(|message| message.get("event") == Some(&json!("STOP")))?;
        let reply = self.execute("query-replay")?;
        reply.pointer("/return/icount").and_then(Value::as_u64).context("QEMU gives no count")
    }

    fn execute(&mut self, command: &str) -> Result<Value> {
        writeln!(self.to, "{}", json!({ "execute": command }))?;
        let reply =
            self.await_message(|m| m.get("return").is_some() || m.get("error").is_some())?;
        ensure!(reply.get("error").is_none(), "QEMU refuses {command}: {reply}");
        Ok(reply)
    }

    fn await_message(&mut self, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "the time is over");
            self.to.set_read_timeout(Some(left))?;
            let mut line = String::new();
            let length = self.from.read_line(&mut line).context("no word from QEMU in time")?;
            ensure!(length > 0, "QEMU ended");
            let message = serde_json::from_str(&line).context("QEMU said what is not JSON")?;
            if is_it(&message) {
                return Ok(message);
            }
        }
    }
}
