//! Devices of the boards in guests' hands: somebody presses the power key of QEMU's
//! `virt`, another sits at the Pi's PL011, Linux has its SD card, and a device is not
//! there at all.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::case::Case;
use crate::image::write_whole;
use crate::machine::{Machine, Seat};
use crate::packages::administrators;
use crate::plan::Plan;
use crate::process::capture;
use crate::root_file_system::E2FSPROGS;
use crate::run;
use crate::workspace;

/// A guest with part of its page.
const FORWARDED: &str = "tools/evisor/tests/guests/gpio-forwarded.dts";

/// Two guests on a Raspberry Pi, one of them with its PL011.
const PI: Case = Case::new("a guest at the Pi's PL011", "tools/evisor/tests/guests/pi-serial.dts")
    // What eVisor says of the other guest can cut one of the two in half.
    .sends(&["it comes back; |ends it\r?\n=on the mini UART", "on the mini UART=exit"])
    .seconds(180)
    .shows(&["evisor: passed: off, verdict 0", "evisor: emulated: off, verdict 0"]);

const LIMIT: Duration = Duration::from_secs(540);

/// Has Linux ask for the interrupt of line 3, and wait until it has come twice.
const KEY: Case =
    Case::new("Linux has the board's PL061", "tools/evisor/tests/guests/gpio-linux.dts")
        .sends(&[
            "~ # =cd /sys/class/gpio; l=$(($(cat gpiochip*/base) + 3)); echo $l > export; \
     echo rising > gpio$l/edge",
            "~ # =n() { awk '/gpiolib/ { print $2 }' /proc/interrupts; }; \
     while test $(n) -lt 2; do sleep 1; done; echo the key 'came'; poweroff",
        ])
        .seconds(180)
        .shows(&["the key came", "linux: off, verdict 0"]);

pub fn cases(plan: &mut Plan) {
    for gic in [2, 3] {
        let name = format!("Linux drives the board's PL061, and its key interrupts: GICv{gic}");
        plan.case(name, move || power_key(gic));
    }
    plan.case("a guest has the Pi's PL011, eVisor its mini UART", pl011);
    plan.case("Linux keeps its files on the Pi's card by its own driver", sdhci);
    plan.case("what a device refuses is its guest's abort, and eVisor goes on", absent);
}

fn power_key(gic: u8) -> Result<()> {
    let monitor = folder()?.join(format!("monitor-{gic}"));
    let channel = format!("unix:{},server=on,wait=off", monitor.display());
    let machine = Machine { gic, ..with(Machine::for_tests(), "-monitor", &channel) };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| press_until(&over, &monitor));
        let booted = KEY.boot(&machine);
        over.store(true, Ordering::Relaxed);
        booted.map(drop)
    })
}

/// Presses the key each second, which does no harm while nobody listens.
fn press_until(over: &AtomicBool, monitor: &Path) {
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut stream) = UnixStream::connect(monitor) {
            // If the machine has ended, so will this.
            let _ = stream.write_all(b"system_powerdown\n");
            thread::sleep(Duration::from_millis(500));
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// One guest at the PL011, another at the console, which is on the mini UART.
fn pl011() -> Result<()> {
    let machine = Machine::raspi4();
    let files = run::prepare(Path::new(PI.manifest), &machine)?;
    let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
    let socket = folder()?.join("pl011");
    let listener = thread::spawn({
        let socket = socket.clone();
        move || sit_at(&socket)
    });
    let printed = PI.watch(with_first_line(&qemu, &socket))?;
    let other = listener.join().ok().context("nobody sat at the PL011")??;
    let shown = other.contains("serial: hello from a guest\r\n")
        && other.contains("heard by interrupt\r\nexit\r\nserial: goodbye");
    ensure!(shown, "its console:\n{printed}\nthe PL011:\n{other}");
    Ok(())
}

/// The Pi's first serial line is left open: has it lead to a socket.
fn with_first_line(qemu: &Command, socket: &Path) -> Command {
    let channel = OsString::from(format!("unix:{},server=on,wait=on", socket.display()));
    let mut command = Command::new(qemu.get_program());
    let open = |argument| if argument == "null" { channel.as_os_str() } else { argument };
    command.args(qemu.get_args().map(open));
    command
}

/// Types two lines when the guest is ready for them, and reads until the machine is
/// off.
fn sit_at(socket: &Path) -> Result<String> {
    let mut stream = (0..600)
        .find_map(|_| {
            thread::sleep(Duration::from_millis(100));
            UnixStream::connect(socket).ok()
        })
        .context("QEMU opened no socket")?;
    stream.set_read_timeout(Some(LIMIT))?;
    let (mut text, mut buffer, mut typed) = (String::new(), [0; 256], false);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let read = buffer.get(..count).unwrap_or_default();
        text.push_str(&String::from_utf8_lossy(read));
        if !typed && text.contains("Ctrl-D ends it\r\n") {
            stream.write_all(b"heard by interrupt\rexit\r")?;
            typed = true;
        }
    }
    Ok(text)
}

/// The file system is made before: a guest that waits for entropy without waiting for
/// interrupts can wait for ever in QEMU (`vcpu::trap_wfi`).
fn sdhci() -> Result<()> {
    let folder = folder()?;
    let (card, read) = (folder.join("card.img"), folder.join("read"));
    fs::File::create(&card)?.set_len(64 << 20)?;
    capture(Command::new(administrators("mkfs.ext4", E2FSPROGS)?).args(["-q", "-F"]).arg(&card))?;
    let drive = format!("if=sd,format=raw,file={}", card.display());
    SDHCI.boot(&with(Machine::raspi4(), "-drive", &drive))?;
    let debugfs = administrators("debugfs", E2FSPROGS)?;
    // What Linux wrote is on the card, as it wrote it.
    let dump = |name: &str| {
        let request = format!("dump {name} {}", read.display());
        capture(Command::new(&debugfs).args(["-R", &request]).arg(&card))
    };
    dump("file")?;
    let held = capture(Command::new("sha256sum").arg(&read))?;
    dump("sum")?;
    let sum = fs::read(&read)?;
    let first = |bytes: &[u8]| bytes.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec);
    ensure!(first(&held) == first(&sum) && sum.len() > 64, "the card holds another file");
    Ok(())
}

/// Writes 16 MiB, restarts, and reads them back.
const SDHCI: Case = Case::new(
    "Linux has the controller that QEMU's card is behind",
    "tools/evisor/tests/guests/pi-sdhci.dts",
)
.sends(&[
    "~ # =mount -t ext4 /dev/mmcblk0 /tmp && cd /tmp && \
     dd if=/dev/urandom of=file bs=1M count=16 && sha256sum file > sum && cd / && \
     umount /tmp && reboot",
    "eVisor demonstration=",
    "~ # =mount -t ext4 -o ro /dev/mmcblk0 /tmp && cd /tmp && sha256sum -c sum && \
     cat /proc/interrupts; poweroff",
])
.seconds(180)
.shows(&["using PIO", "evisor: linux: restarts", "file: OK", "GIC-0  48 Level     mmc0"]);

/// A tree with a device that the machine has not: what EL2 writes to reset it, and
/// what the guest reads, is answered with an error.
fn absent() -> Result<()> {
    let (machine, folder) = (Machine::for_tests(), folder()?);
    let (blob, source) = (folder.join("virt.dtb"), folder.join("absent.dts"));
    let mut qemu = machine.qemu(Seat::Script)?;
    qemu.args(["-machine", &format!("dumpdtb={}", blob.display())]);
    capture(&mut qemu)?;
    let tree = dtc("dtb", "dts", &blob)?;
    let tree = String::from_utf8(tree).context("dtc writes text")?;
    let (root, _) = tree.rsplit_once("};").context("a tree ends")?;
    let node = "absent@b000000 { compatible = \"absent\"; reg = <0 0xb000000 0 0x1000>; };";
    write_whole(&source, format!("{root}{node}\n}};\n").as_bytes())?;
    let tree = folder.join("absent.dtb");
    write_whole(&tree, &dtc("dts", "dtb", &source)?)?;
    let manifest = workspace::root().join(FORWARDED);
    let manifest = fs::read_to_string(&manifest)?.replace("/pl061@9030000", "/absent@b000000");
    let manifest = manifest.replace("interrupts = <0 7 4>;", "");
    // Beside the one that it was made of, for what both include.
    write_whole(&workspace::root().join(ABSENT.manifest), manifest.as_bytes())?;
    ABSENT.boot(&with(machine, "-dtb", &tree.display().to_string())).map(drop)
}

/// An external abort, which the guest does not expect (ESR_EL1, DFSC 0x10).
const ABSENT: Case =
    Case::new("a device that is not there", "target/evisor/passed/absent-guest.dts")
        .seconds(180)
        .status(101)
        .shows(&[
            "unexpected exception: vector 4 ESR 0x96000010",
            "evisor: gpio: off, verdict 101",
        ]);

fn dtc(from: &str, to: &str, path: &Path) -> Result<Vec<u8>> {
    capture(Command::new("dtc").args(["-q", "-I", from, "-O", to]).arg(path))
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::root().join("target/evisor/passed");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A machine with one more option of QEMU's.
fn with(machine: Machine, option: &str, value: &str) -> Machine {
    Machine { qemu_args: vec![option.into(), value.into()], ..machine }
}
