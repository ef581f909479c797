//! The monitor: every command, and nonsense, typed at its console.

use crate::case::Case;

const MONITOR: &str = "manifests/monitor.dts";

/// Return follows each of what is typed; the prefix is Ctrl-T.
pub const CASES: &[Case] = &[
    Case::new("monitor: help, VMs, vCPUs and memory, routes, interrupts", MONITOR).seconds(30)
        .sends(&[
            "second. serial: type, .*\n=\x14m",
            "lists what it knows(.|\n)*> =help",
            "own lines are written(.|\n)*> =vms",
            "refused(.|\n)*> =vm first",
            "memory 0x40000000(.|\n)*> =routes second",
            "eVisor's own(.|\n)*> =interrupts first",
            "eVisor's own(.|\n)*> =stop second",
            "^evisor: second: off=stop second",
            "second is off=stop first",
        ])
        .shows(&[
            "help                        this\r",
            "stop VM                     turns it off, for good\r",
            "first           on        1      64 MiB     0\r",
            "second          on        1      64 MiB     0\r",
            "vCPU 0, affinity 0x0, core 0: on, at 0x4",
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
            "second. serial: type, .*\n=\x14m",
            "lists what it knows(.|\n)*> =res\tse\t",
            "^evisor: second: restarts(.|\n)*second: starts.*\n=log error",
            "^error(.|\n)*> =stop first",
            "first is to stop(.|\n)*> =vms",
            "first +off +(.|\n)*> =log info",
            "^info(.|\n)*> =log",
            "^info(.|\n)*> =stop second",
        ])
        .shows(&[
            "> reset second \r",
            "first           off       1      64 MiB     0\r",
            "second          on        1      64 MiB     0\r",
            "evisor: second: off, verdict 0",
            "evisor: all VMs stopped, status 0",
        ]),
    Case::new("monitor: nonsense gets help", MONITOR).seconds(30)
        .sends(&[
            "second. serial: type, .*\n=\x14m",
            "lists what it knows(.|\n)*> =\x01\x1b[99;;Zfoo\x7f\x7f\u{fe}\x15\x15%s%n ../../ 1",
            "there is no command(.|\n)*> =aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "no command aaaa(.|\n)*> =vm third",
            "no VM third(.|\n)*> =stop first second",
            "write it as: stop VM(.|\n)*> =log everything",
            "write it as: log (.|\n)*> =\t\t\x10\x10\x0e\x1b[A\x1b[B",
            "write it as: log (.|\n)*> =stop first",
            "^evisor: first: off(.|\n)*=stop second",
        ])
        .shows(&[
            "there is no command %s%n; help lists them\r",
            "there is no VM third; vms lists them\r",
            "write it as: stop VM\r",
            "write it as: log [error|warning|info]\r",
            "evisor: all VMs stopped, status 0",
        ]),
];
