//! Our guests as they are, struck by what they never do themselves: the machine is stopped
//! in the guest's handler of exceptions, and goes on in other code. Meanwhile a guest
//! counts on its console, of which no byte is lost, and one answers on its own.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::blows::{Blows, Guest, Place};
use crate::console::{Console, End};
use crate::consoles::Consoles;
use crate::gdb::Stub;
use crate::image::write_whole;
use crate::kills::Played;
use crate::machine::{Machine, Seat};
use crate::plan::Plan;
use crate::run::{self, Files};
use crate::struck_ways::{OF_LINUX, Places, WAYS};
use crate::workspace;

const LIMIT: Duration = Duration::from_secs(240);

const OURS: Places =
    Places { watchdog: 0x910_0000, start: 0x4000_0000, end: 0x4080_0000, gicd: 0x800_0000 };
const MEMORY: &str = "memory@40000000 { reg = <0 0x40000000 0 0x800000>; };
		watchdog@9100000 { compatible = \"brcm,bcm2835-pm-wdt\"; reg = <0 0x09100000 0 0x28>; };";

const SERIAL: Guest = Guest {
    place: Place::Handlers { image: "serial", vectors: "guest_vectors" },
    ready: Some(("comes back; exit", "a key")),
    node: "/include/ \"guests/serial.dtsi\"",
    more: MEMORY,
    strict: true,
    psci: true,
    panics: 101,
    places: OURS,
    ways: WAYS,
};
const WORKER: Guest = Guest {
    place: Place::Handlers { image: "worker", vectors: "guest_vectors" },
    ready: Some(("Return begins", "")),
    node: "/include/ \"guests/worker.dtsi\"",
    ..SERIAL
};
const REALTIME: Guest = Guest {
    place: Place::Handlers { image: "realtime", vectors: "guest_vectors" },
    ready: None,
    node: "/include/ \"guests/realtime.dtsi\"",
    ..SERIAL
};
/// Much is refused to it, and it sees that it is.
const TEST_APP: Guest = Guest {
    place: Place::Handlers { image: "test-app", vectors: "guest_vectors" },
    node: "/include/ \"guests/test-app.dtsi\"",
    strict: false,
    ..REALTIME
};
const KERNEL8: Guest = Guest {
    place: Place::Handlers { image: "kernel8", vectors: "vectors" },
    ready: Some(("type a line", "a key")),
    node: "compatible = \"evisor,vm\", \"raspberrypi,4-model-b\", \"brcm,bcm2711\";
		model = \"Raspberry Pi 4 Model B on eVisor\";
		evisor,image = \"image:kernel8\";
		evisor,load-address = <0x80000>;
		/include/ \"guests/raspberry-pi-4.dtsi\"
		chosen { stdout-path = \"serial1:115200n8\"; };",
    more: "memory@0 { reg = <0 0 0x800000>; };
		soc {
			mailbox: mailbox@7e00b880 {
				evisor,board-revision = <0xb03115>;
				evisor,mac-address = [52 54 00 12 34 56];
			};
			firmware { mboxes = <&mailbox>; };
			/delete-node/ serial@7e201000;
		};
		aliases { /delete-property/ serial0; };
		emmc2bus { mmc@7e340000 { evisor,block = <&disk 0>; }; };",
    strict: false,
    psci: false,
    panics: 0,
    places: Places { watchdog: 0xfe10_0000, start: 0, end: 0x80_0000, gicd: 0xff84_1000 },
    ways: WAYS,
};

/// It is busy in its kernel.
const LINUX: Guest = Guest {
    place: Place::Kernel,
    ready: Some(("~ # ", "dd if=/dev/zero of=/dev/null bs=1M")),
    node: "/include/ \"guests/linux.dtsi\"",
    more: "memory@40000000 { reg = <0 0x40000000 0 0x10000000>; };",
    strict: false,
    ways: OF_LINUX,
    ..SERIAL
};

/// A boot.
struct Scene {
    name: &'static str,
    guest: Guest,
    machine: fn() -> Machine,
    /// A scheduler's properties, and what those say that it chooses among: the victim, and
    /// the others.
    scheduler: Option<[&'static str; 3]>,
    /// A Linux is one of the others.
    beside_linux: bool,
}

const BY_TURNS: [&str; 3] = [
    "compatible = \"evisor,round-robin\"; evisor,cores = <0 1>;",
    "evisor,cores = <0 1>;",
    "evisor,cores = <0 1>;",
];
const ON_ONE_CORE: [&str; 3] = [
    "compatible = \"evisor,fixed-priority\"; evisor,cores = <0>;",
    "evisor,cores = <0>; evisor,priority = <10>; evisor,budget = <400>; evisor,period = <2000>;",
    "evisor,cores = <0>;",
];
const ALL_ON_ONE: [&str; 3] = [
    "compatible = \"evisor,round-robin\"; evisor,cores = <0>;",
    "evisor,cores = <0>;",
    "evisor,cores = <0>;",
];
const ON_FOUR: [&str; 3] = [
    "compatible = \"evisor,round-robin\"; evisor,cores = <0 1 2 3>;",
    "evisor,cores = <0 1 2 3>;",
    "evisor,cores = <0 1 2 3>;",
];

fn gicv3() -> Machine {
    Machine { gic: 3, ..Machine::for_tests() }
}

const SCENES: &[Scene] = &[
    Scene {
        name: "serial is struck in every way on a core of its own",
        guest: SERIAL,
        machine: Machine::for_tests,
        scheduler: None,
        beside_linux: false,
    },
    Scene {
        name: "worker is struck in every way on a shared core of a GICv3",
        guest: WORKER,
        machine: gicv3,
        scheduler: Some(BY_TURNS),
        beside_linux: false,
    },
    Scene {
        name: "realtime is struck in every way on the core of Linux and others",
        guest: REALTIME,
        machine: Machine::for_tests,
        scheduler: Some(ON_ONE_CORE),
        beside_linux: true,
    },
    Scene {
        name: "test-app is struck in every way on a core of its own with a GICv3",
        guest: TEST_APP,
        machine: gicv3,
        scheduler: None,
        beside_linux: false,
    },
    Scene {
        name: "kernel8 is struck in every way in a virtual Pi on shared cores",
        guest: KERNEL8,
        machine: Machine::for_tests,
        scheduler: Some(ON_FOUR),
        beside_linux: false,
    },
    Scene {
        name: "kernel8 is struck in every way in a virtual Pi on a Pi",
        guest: KERNEL8,
        machine: Machine::raspi4,
        scheduler: Some(ON_FOUR),
        beside_linux: false,
    },
    Scene {
        name: "serial is struck in every way on a shared core of a Raspberry Pi 4",
        guest: SERIAL,
        machine: Machine::raspi4,
        scheduler: Some(BY_TURNS),
        beside_linux: false,
    },
    Scene {
        name: "Linux spins with interrupts off on the core of others",
        guest: LINUX,
        machine: gicv3,
        scheduler: Some(ALL_ON_ONE),
        beside_linux: false,
    },
];

pub fn cases(plan: &mut Plan) {
    for scene in SCENES {
        plan.case(scene.name, || scene.play());
    }
}

impl Scene {
    fn play(&self) -> Result<()> {
        let name = self.name.replace(' ', "-");
        let folder = workspace::root().join("target/evisor/struck").join(&name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let manifest = folder.join(name).with_extension("dts");
        write_whole(&manifest, self.manifest().as_bytes())?;
        let machine = (self.machine)();
        let Files { kernel, bundle, .. } = run::prepare(&manifest, &machine)?;
        let socket = Socket::new();
        let mut qemu = machine.boot(Seat::Script, &kernel, &bundle)?;
        qemu.arg("-gdb").arg(socket.argument());
        let consoles = Consoles::new(Some(folder.clone()), true)?;
        let console = Console::start(qemu)?.split(consoles);
        let mut blows = Blows::begin(&self.guest, self.beside_linux, Stub::connect(&socket.0)?)?;
        let mut printed = Cursor::new(Vec::new());
        let end = console.follow(&mut blows, Some(LIMIT), &mut printed);
        let console = String::from_utf8_lossy(printed.get_ref()).into_owned();
        let played = Played { status: Some(102), console, folder };
        let judged = end.and_then(|end| {
            ensure!(end == End::Exited(Some(102)), "it ended with {end:?}");
            if self.beside_linux {
                linux_counted(&played.log("linux")?)?;
            }
            played.counted()
        });
        played.with_console(judged.map(drop).with_context(|| blows.awaited()))
    }

    fn manifest(&self) -> String {
        let Guest { node, more, strict, .. } = &self.guest;
        let [scheduler, victim, others] = self.scheduler.unwrap_or_default();
        let scheduler = match self.scheduler {
            Some(_) => format!("turns {{ {scheduler} }};"),
            None => String::new(),
        };
        let refused = if *strict { "evisor,on-refused = \"crash\";" } else { "" };
        let linux = match self.beside_linux {
            true => format!("linux {{ {others}\n/include/ \"guests/linux.dtsi\"\n}};"),
            false => String::new(),
        };
        let restarts = self.guest.restarts();
        format!(
            "/dts-v1/;
/ {{
	evisor,version = <1>;
	console {{ compatible = \"evisor,console\"; }};
	monitor {{ compatible = \"evisor,monitor\"; evisor,vms = \"*\"; }};
	disk: disk {{ compatible = \"evisor,ram-disk\"; evisor,size = <0 0x1000000>; }};
	{scheduler}
	victim {{
		{victim} {refused}
		evisor,on-crash = \"restart\";
		evisor,restart-limit = <{restarts} 3600>;
		{node}
	}};
	counter {{
		compatible = \"evisor,vm\";
		evisor,image = \"image:victim\";
		{others}
		/include/ \"guests/machine.dtsi\"
		chosen {{ bootargs = \"number=65535 pause=4000\"; }};
		memory@40000000 {{ device_type = \"memory\"; reg = <0 0x40000000 0 0x800000>; }};
	}};
	other {{
		{others}
		/include/ \"guests/serial.dtsi\"
	}};
	{linux}
}};
/ {{ victim {{ {more} }}; }};
"
        )
    }
}

/// Its shell wrote one number after the other, each on a whole line. What its kernel said
/// before it was told to be quiet is before the first.
fn linux_counted(log: &str) -> Result<()> {
    let (_, counted) = log.split_once("\nn0\n").context("Linux does not count")?;
    let (whole, _) = counted.rsplit_once('\n').unwrap_or_default();
    for (number, line) in (1..).zip(whole.lines()) {
        ensure!(line == format!("n{number}"), "Linux wrote '{line}', not n{number}");
    }
    Ok(())
}

/// Where QEMU's gdbstub is: a name that is short enough for a socket.
struct Socket(PathBuf);

impl Socket {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("evisor-gdb-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn argument(&self) -> String {
        format!("unix:{},server=on,wait=off", self.0.display())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_counts_is_seen_behind_what_its_kernel_said() {
        let begins = "~ # dmesg -n 1; while :; do echo n$n; done\n[ 7.9] hrtimer: slow\nn0\n";
        assert!(linux_counted(&format!("{begins}n1\nn2\nn")).is_ok());
        for wrong in ["n2\n", "n1\nn3\n", "n1\n[ 8.1] a word\nn2\n"] {
            assert!(linux_counted(&format!("{begins}{wrong}")).is_err(), "{wrong}");
        }
        assert!(linux_counted("~ # ").is_err());
    }
}
