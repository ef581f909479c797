//! The monitor: every command, and nonsense, typed at its console.

use crate::case::Case;

const MONITOR: &str = "manifests/monitor.dts";

/// And nothing of eVisor's is left to be said, which would come into an answer.
const BOTH_ARE_UP: &str = "((second. serial: type, |second: starts)(.|\n)*){2}\n=\x14m";

/// Return follows each of what is typed; the prefix is Ctrl-T.
pub const CASES: &[Case] = &[
    Case::new("monitor: help, VMs, vCPUs and memory, routes, interrupts", MONITOR).seconds(30)
        .sends(&[
            BOTH_ARE_UP,
            "lists what it knows(.|\n)*> =help",
            "own lines are written(.|\n)*> =vms",
            "refused(.|\n)*> =vm first",
            "memory 0x40000000(.|\n)*> =routes second",
            "eVisor's own(.|\n)*> =interrupts first",
            "eVisor's own(.|\n)*> =stop second",
            "^evisor: second: off=stop second",
            "second is off=end",
        ])
        .shows(&[
            "help                        this\r",
            "stop VM                     turns it off\r",
            "first           on        1      64 MiB     0\r",
            "second          on        1      64 MiB     0\r",
            "vCPU 0, affinity 0x0, core 0: on, at 0x4",
            "exits: ",
            " registers, 0 calls, ",
            "memory 0x40000000, 64 MiB\r",
            "/second/serial@9000000\r",
            "S3_3_C14_C2_1",
            "call      0x84000000-0x8400001f       x",
            "interrupt 27                          i",
            "evisor: second: off, verdict 0",
            "second is off\r",
            "evisor: first: off, verdict 0",
            "evisor: all VMs stopped, status 0",
        ]),
    Case::new("monitor: reset, log level, completion and history", MONITOR).seconds(30)
        .sends(&[
            BOTH_ARE_UP,
            "lists what it knows(.|\n)*> =rese\tse\t",
            "^evisor: second: restarts(.|\n)*second: starts.*\n=log error",
            "^error(.|\n)*> =stop first",
            "first is to stop(.|\n)*> =vms",
            "first +off +(.|\n)*> =log info",
            "^info(.|\n)*> =log",
            "^info(.|\n)*> =end",
        ])
        .shows(&[
            "reset second \r",
            "first           off       1      64 MiB     0\r",
            "second          on        1      64 MiB     0\r",
            "evisor: second: off, verdict 0",
            "evisor: all VMs stopped, status 0",
        ]),
    Case::new("monitor: nonsense gets help", MONITOR).seconds(30)
        .sends(&[
            BOTH_ARE_UP,
            "lists what it knows(.|\n)*> =\x01\x1b[99;;Zfoo\x7f\x7f\u{fe}\x15\x15%s%n ../../ 1",
            "there is no command(.|\n)*> =aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "no command aaaa(.|\n)*> =vm third",
            "no VM third(.|\n)*> =stop first second",
            "write it as: stop VM(.|\n)*> =log everything",
            "write it as: log (.|\n)*> =\t\t\x10\x10\x0e\x1b[A\x1b[B",
            "write it as: log (.|\n)*> =end",
        ])
        .shows(&[
            "there is no command %s%n; help lists them\r",
            "there is no VM third; vms lists them\r",
            "write it as: stop VM\r",
            "write it as: log [error|warning|info]\r",
            "evisor: all VMs stopped, status 0",
        ]),
    Case::new("monitor: VMs are paused, go on, stop and start again", MONITOR).seconds(60)
        .sends(&[
            BOTH_ARE_UP,
            "lists what it knows(.|\n)*> =pause second",
            "^evisor: second: paused=vms",
            "second +paused(.|\n)*> =pause second",
            "second is paused=start second",
            "second is paused=resume second",
            "^evisor: second: goes on=resume second",
            "second is on=pause first",
            "^evisor: first: paused=reset first",
            "^evisor: first: restarts(.|\n)*^evisor: first: starts=vms",
            "first +on(.|\n)*second +on(.|\n)*> =stop first",
            "^evisor: first: off=stop second",
            "^evisor: second: off=vms",
            "second +off(.|\n)*> =pause second",
            "second is off=start second",
            "^evisor: second: starts=cores",
            "core 1: (.|\n)*> =\x142",
            "(.|\n)*serial: type, .*\n=lives again",
            "^lives again.*\n=\x14m",
            "> =end",
        ])
        .shows(&[
            "second          paused    1      64 MiB     0\r",
            "evisor: second: goes on; its time stood still for ",
            "first           off       1      64 MiB     0\r",
            "core 0: no scheduler\r",
            "  second vCPU 0: ran ",
            "evisor: all VMs stopped, status 0",
        ]),
    Case::new("monitor: a VM that crashed", "tools/evisor/tests/guests/monitored-victim.dts")
        .seconds(60)
        .status(102)
        .sends(&[
            "^evisor: victim: off=\x14m",
            "lists what it knows(.|\n)*> =vms",
            "victim +crashed(.|\n)*> =crash victim",
            "x30 (.|\n)*> =crash serial",
            "serial did not crash=start victim",
            "^evisor: victim: starts(.|\n)*^evisor: victim: off=vms",
            "victim +crashed(.|\n)*> =end",
        ])
        .shows(&[
            "vCPU 0: an access was refused, 0x7f00000000\r",
            "PSTATE 0x",
            ", HPFAR 0x7f000000",
            "load at 0x4",
            "evisor: all VMs stopped, status 102",
        ]),
    Case::new(
        "monitor: the only VM is paused, and what is typed for it is kept",
        "tools/evisor/tests/guests/second-core.dts",
    )
    .sends(&[
            "serial: type, .*\n=\x14mpause serial",
            "^evisor: serial: paused=vms",
            "serial +paused(.|\n)*> =\x141kept\r\x14mresume serial",
            "^evisor: serial: goes on=\x141then",
            "kept(.|\n)*then=exit",
            "^evisor: serial: off=\x14mstart serial",
            "^evisor: serial: starts=end",
        ])
    .shows(&[
            "kept",
            "serial: goodbye",
            "evisor: serial: off, verdict 0",
            "evisor: all VMs stopped, status 0",
        ]),
    Case::new("monitor: Linux is paused, and its clock with it", LINUX).seconds(300)
        .sends(&[
            // Its own: what is typed before its shell has begun is lost, a part of it or all.
            "^linux. ~ # =t() { cut -d. -f1 /proc/uptime; date +%s; }; a=$(t); echo rea'dy'; read x; b=$(t); \
             set -- $a $b; echo up $(($3-$1)) date $(($4-$2)); \
             [ $(($3-$1)) -lt 18 ] && [ $(($4-$2)) -lt 18 ] && echo still $((40+2))",
            "ready=\x14mpause linux",
            "^evisor: linux: paused=\x142",
            // It may be booting still, and its shell begins without what was typed before.
            "other is shown(.|\n)*~ # =sleep 20; echo slept $((40+2))",
            "slept 42=\x14mcores",
            "other vCPU 0: (.|\n)*> =resume linux",
            "^evisor: linux: goes on=\x141",
            "still 42(.|\n)*~ # =echo stalls: $(dmesg | grep -ci stall); nproc | sed 's/^/cores: /'; poweroff",
            "^evisor: linux: off=\x14mstart linux",
            "^evisor: linux: starts=\x141",
            "~ # =echo again $((40+2))",
            "again 42=\x14mend",
        ])
        .shows(&[
            "still 42",
            "stalls: 0\r",
            "cores: 2\r",
            "core 0: no scheduler\r",
            "core 1: round-robin\r",
            "  linux vCPU 1: ran ",
            "again 42",
            "evisor: all VMs stopped, status 0",
        ]),
];

const LINUX: &str = "tools/evisor/tests/guests/monitored-linux.dts";
