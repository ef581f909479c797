//! QEMU's gdbstub: stops the machine where a guest is, and changes what it finds there
//! (GDB manual, appendix E "Remote Serial Protocol"). All cores stand still while it does.
//! The crates that there are for it serve, or are debuggers.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long QEMU may take to open the socket, or to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// What stops the machine, where packets stand otherwise.
const INTERRUPT: u8 = 3;

/// Registers by QEMU's numbers (its `gdb-xml/aarch64-core.xml`).
const PC: usize = 32;
const CPSR: usize = 33;

/// PSTATE's exception level, and that at which an operating system runs.
const EL: u64 = 0b1100;
const EL1: u64 = 0b0100;

/// A machine that is stopped, or goes on.
pub struct Stub {
    stream: UnixStream,
}

/// A core of a machine that is stopped, by the stub's name for it.
#[derive(Clone, Debug)]
pub struct Core(String);

impl Stub {
    /// Waits for QEMU to be there, which stops.
    pub fn connect(socket: &Path) -> Result<Self> {
        let end = Instant::now() + LIMIT;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => {
                    return Err(error).context("QEMU's gdbstub is not there");
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream })
    }

    /// Lets all cores go on.
    pub fn go_on(&mut self) -> Result<()> {
        self.send("vCont;c")
    }

    /// Stops all cores.
    pub fn stop(&mut self) -> Result<()> {
        self.stream.write_all(&[INTERRUPT]).context("the gdbstub is gone")?;
        self.stopped().map(drop)
    }

    /// Waits until a core has come to a breakpoint, or stopped otherwise; gives which.
    pub fn stopped(&mut self) -> Result<Core> {
        let why = self.receive()?;
        let thread = why.split_once("thread:").and_then(|(_, rest)| rest.split(';').next());
        ensure!(why.starts_with('T'), "the machine did not stop: {why}");
        Ok(Core(thread.context("no core is named")?.to_owned()))
    }

    pub fn cores(&mut self) -> Result<Vec<Core>> {
        let mut cores = Vec::new();
        let mut answer = self.ask("qfThreadInfo")?;
        while let Some(some) = answer.strip_prefix('m') {
            cores.extend(some.split(',').map(|name| Core(name.to_owned())));
            answer = self.ask("qsThreadInfo")?;
        }
        Ok(cores)
    }

    /// Has every core stop before this address, whoever runs there; or no more.
    pub fn set_breakpoint(&mut self, address: u64, is_set: bool) -> Result<()> {
        let kind = if is_set { 'Z' } else { 'z' };
        self.do_it(&format!("{kind}1,{address:x},4"))
    }

    /// Lets this core alone do one instruction.
    pub fn step(&mut self, core: &Core) -> Result<()> {
        self.send(&format!("vCont;s:{}", core.0))?;
        self.stopped().map(drop)
    }

    pub fn is_at_el1(&mut self, core: &Core) -> Result<bool> {
        self.choose(core)?;
        Ok(self.register(CPSR)? & EL == EL1)
    }

    pub fn pc(&mut self, core: &Core) -> Result<u64> {
        self.choose(core)?;
        self.register(PC)
    }

    pub fn set_pc(&mut self, core: &Core, address: u64) -> Result<()> {
        self.set_register(core, PC, address)
    }

    /// Sets a general register, x0 to x30.
    pub fn set_register(&mut self, core: &Core, number: usize, value: u64) -> Result<()> {
        self.choose(core)?;
        self.do_it(&format!("P{number:x}={}", hex(&value.to_le_bytes())))
    }

    /// What this core sees at an address now; nothing, if it sees none of it.
    pub fn read(&mut self, core: &Core, address: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.choose(core)?;
        let answer = self.ask(&format!("m{address:x},{length:x}"))?;
        Ok(bytes(&answer).filter(|bytes| bytes.len() == length))
    }

    pub fn write(&mut self, core: &Core, address: u64, data: &[u8]) -> Result<()> {
        self.choose(core)?;
        self.do_it(&format!("M{address:x},{:x}:{}", data.len(), hex(data)))
    }

    fn register(&mut self, number: usize) -> Result<u64> {
        let answer = self.ask(&format!("p{number:x}"))?;
        let bytes = bytes(&answer).with_context(|| format!("register {number} is '{answer}'"))?;
        Ok(bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    /// What follows is for this core.
    fn choose(&mut self, core: &Core) -> Result<()> {
        self.do_it(&format!("Hg{}", core.0))
    }

    fn do_it(&mut self, packet: &str) -> Result<()> {
        let answer = self.ask(packet)?;
        ensure!(answer == "OK", "'{packet}' was answered '{answer}'");
        Ok(())
    }

    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        self.receive()
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let text = format!("${packet}#{:02x}", sum(packet.as_bytes()));
        self.stream.write_all(text.as_bytes()).context("the gdbstub is gone")
    }

    /// The next packet, which is acknowledged. What QEMU sends here needs no escapes and no
    /// runs.
    fn receive(&mut self) -> Result<String> {
        while self.byte()? != b'$' {}
        let mut packet = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => packet.push(byte),
            }
        }
        let check = [self.byte()?, self.byte()?];
        let right = format!("{:02x}", sum(&packet));
        ensure!(check == right.as_bytes(), "a packet of the gdbstub is not whole");
        self.stream.write_all(b"+").context("the gdbstub is gone")?;
        String::from_utf8(packet).context("a packet of the gdbstub is no text")
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        match self.stream.read_exact(&mut byte) {
            Ok(()) => Ok(u8::from_le_bytes(byte)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("the machine does not stop there")
            }
            Err(error) => Err(error).context("the gdbstub is gone"),
        }
    }
}

fn sum(packet: &[u8]) -> u8 {
    packet.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nothing, if it is no hexadecimal text: an error's answer, say.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if text.len().is_multiple_of(2) { pairs.map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stub that is asked `packets` and answers.
    fn answering(packets: &'static [(&str, &str)]) -> (Stub, thread::JoinHandle<()>) {
        let (stream, mut other) = UnixStream::pair().unwrap();
        let answers = thread::spawn(move || {
            for (packet, answer) in packets {
                let mut asked = vec![0; packet.len()];
                other.read_exact(&mut asked).unwrap();
                assert_eq!(String::from_utf8(asked).unwrap(), *packet);
                other.write_all(format!("+{answer}").as_bytes()).unwrap();
                if !answer.ends_with("9b") {
                    other.read_exact(&mut [0]).unwrap();
                }
            }
        });
        (Stub { stream }, answers)
    }

    #[test]
    fn registers_are_read_of_a_core_and_set() {
        let (mut stub, answers) = answering(&[
            ("$Hg02#11", "$OK#9a"),
            ("$p21#d3", "$c5030000#bb"),
            ("$Hg02#11", "$OK#9a"),
            ("$P1e=0200000000000000#25", "$OK#9a"),
        ]);
        let core = Core("02".to_owned());
        assert!(stub.is_at_el1(&core).unwrap());
        stub.set_register(&core, 30, 2).unwrap();
        answers.join().unwrap();
    }

    #[test]
    fn a_broken_packet_and_an_error_are_seen() {
        let (mut stub, answers) = answering(&[
            ("$Hg1#e0", "$OK#9b"),
            ("$Hg1#e0", "$OK#9a"),
            ("$M10,1:7f#e2", "$E14#aa"),
            ("$Hg1#e0", "$OK#9a"),
            ("$m10,2#2c", "$E14#aa"),
        ]);
        let core = Core("1".to_owned());
        assert!(stub.write(&core, 16, &[0x7f]).is_err());
        assert!(stub.write(&core, 16, &[0x7f]).is_err());
        assert_eq!(stub.read(&core, 16, 2).unwrap(), None);
        answers.join().unwrap();
    }
}
