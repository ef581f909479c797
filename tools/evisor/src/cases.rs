//! The system tests: what `./evisor run` shows of real guests, one row each.

/// One run of the command.
pub struct Case {
    pub name: &'static str,
    /// What follows `evisor run`.
    pub arguments: &'static [&'static str],
    pub status: i32,
    /// What the console has to show besides, line by line in any order.
    pub shows: &'static [&'static str],
}

/// Remembers how many interrupts came from the timer and from the UART.
const COUNTS_NOW: &str =
    r#"~ # =n() { awk "/$1/ { print \$2 }" /proc/interrupts; }; t=$(n timer); u=$(n uart)"#;

/// Compares. What is typed does not hold what is looked for.
const COUNTS_LATER: &str =
    "~ # =sleep 1; test $(n timer) -gt $t -a $(n uart) -gt $u && echo both 'grew'";

pub const CASES: &[Case] = &[
    Case {
        name: "serial greets and echoes",
        arguments: &[
            "manifests/serial.dts",
            "--send",
            "it comes back; =eVisor hears",
            "--until",
            "^eVisor hears$",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &["serial: running at EL1"],
    },
    Case {
        name: "serial ends when it is told",
        arguments: &["manifests/serial.dts", "--send", "it comes back; =exit", "--timeout", "60"],
        status: 0,
        shows: &["serial: goodbye"],
    },
    Case {
        name: "rights that were taken away are missed",
        arguments: &["tools/evisor/tests/guests/rights.dts", "--timeout", "60"],
        status: 0,
        shows: &[
            "PASS a device's read-only window aborts on write",
            "PASS read-only memory aborts on write",
            "PASS a line without the interrupt right never fires",
            "PASS a timer without the interrupt right never fires",
            "PASS without the control right there is no power off",
        ],
    },
    Case {
        name: "with every right the same attempts succeed",
        arguments: &["tools/evisor/tests/guests/every-right.dts", "--timeout", "60"],
        status: 1,
        shows: &[
            "FAIL a device's read-only window aborts on write",
            "FAIL read-only memory aborts on write",
            "FAIL a line without the interrupt right never fires",
            "FAIL a timer without the interrupt right never fires",
            "evisor: rights: off, verdict 1",
        ],
    },
    Case {
        name: "a guest has a page of the board's PL061",
        arguments: &["tools/evisor/tests/guests/gpio-direct.dts", "--timeout", "60"],
        status: 0,
        shows: &[
            "gpio: part 0x61",
            "PASS registers keep what is written, in any width",
            "PASS a level that is held interrupts again after its end",
            "PASS a level that is not enabled does no harm",
            "PASS the restart reset the device",
            "PASS it interrupts after the restart",
        ],
    },
    Case {
        name: "a guest has some registers of it, on a GICv3",
        arguments: &[
            "tools/evisor/tests/guests/gpio-forwarded.dts",
            "--gic",
            "3",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &[
            "gpio: no part, ESR 0x96000010",
            "PASS registers keep what is written, in any width",
            "PASS a level that is held interrupts again after its end",
            "PASS a level that is not enabled does no harm",
            "PASS the restart reset the device",
            "PASS it interrupts after the restart",
        ],
    },
    Case {
        name: "a device that eVisor drives is not given away",
        arguments: &["tools/evisor/tests/guests/evisors-own.dts", "--timeout", "60"],
        status: 1,
        shows: &["/pl031@9010000 is eVisor's: it drives the device", "nothing was started"],
    },
    Case {
        name: "a crash is recorded, and is the status",
        arguments: &["manifests/serial.dts", "--send", "it comes back=crash", "--timeout", "60"],
        status: 102,
        shows: &["evisor: serial: vCPU 0 crashed:", "evisor: serial: off, verdict 102"],
    },
    Case {
        name: "test-app's verdict is the status",
        arguments: &["manifests/test-app.dts", "--timeout", "60"],
        status: 0,
        shows: &["PASS", " 0 failed"],
    },
    Case {
        name: "test-app on a GICv3 and a Cortex-A72",
        arguments: &[
            "manifests/test-app.dts",
            "--gic",
            "3",
            "--cpu",
            "cortex-a72",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &["PASS", " 0 failed"],
    },
    Case {
        name: "test-app on four cores",
        arguments: &["manifests/test-app-smp.dts", "--cpu", "max", "--timeout", "180"],
        status: 0,
        shows: &["PASS ipi.", "PASS route.", "PASS power.", " 0 failed"],
    },
    Case {
        name: "test-app on four cores and a GICv3",
        arguments: &["manifests/test-app-smp.dts", "--gic", "3", "--timeout", "180"],
        status: 0,
        shows: &["PASS ipi.", "PASS route.", "PASS power.", " 0 failed"],
    },
    Case {
        name: "Linux reaches a prompt, is interrupted, and powers off",
        arguments: &[
            "manifests/linux.dts",
            "--send",
            "~ # =cat /proc/interrupts",
            "--send",
            COUNTS_NOW,
            "--send",
            COUNTS_LATER,
            "--send",
            "~ # =poweroff",
            "--timeout",
            "180",
        ],
        status: 0,
        shows: &["eVisor demonstration: Debian Linux", "arch_timer", "uart-pl011", "both grew"],
    },
    Case {
        name: "Linux does so on a GICv3",
        arguments: &[
            "manifests/linux.dts",
            "--gic",
            "3",
            "--send",
            "~ # =cat /proc/interrupts",
            "--send",
            COUNTS_NOW,
            "--send",
            COUNTS_LATER,
            "--send",
            "~ # =poweroff",
            "--timeout",
            "180",
        ],
        status: 0,
        shows: &["GICv3: 224 SPIs implemented", "arch_timer", "uart-pl011", "both grew"],
    },
    Case {
        name: "Linux reboots and comes up again",
        arguments: &[
            "manifests/linux.dts",
            "--send",
            "~ # =reboot",
            "--send",
            "Booting Linux=",
            "--send",
            "~ # =poweroff",
            "--timeout",
            "240",
        ],
        status: 0,
        shows: &["reboot: Restarting system"],
    },
    Case {
        name: "U-Boot runs from flash, keeps its settings there, and boots Linux",
        arguments: &[
            "manifests/u-boot.dts",
            "--send",
            "autoboot=",
            "--send",
            r"^\x3d> =version",
            "--send",
            r"^\x3d> =bdinfo",
            "--send",
            r"^\x3d> =setenv fruit apple; saveenv",
            "--send",
            r"^\x3d> =reset",
            "--send",
            "autoboot=",
            "--send",
            r"^\x3d> =printenv fruit",
            "--send",
            r"^\x3d> =booti 0x48000000 - 0x40000000",
            "--send",
            "~ # =poweroff",
            "--timeout",
            "300",
        ],
        status: 0,
        shows: &[
            "GNU ld",
            "flashsize   = 0x0000000000400000",
            "Writing to Flash... done",
            "evisor: u-boot: restarts",
            "Loading Environment from Flash... OK",
            "fruit=apple",
            "Machine model: U-Boot on eVisor",
        ],
    },
    Case {
        name: "a match that never comes ends with the time",
        arguments: &["manifests/serial.dts", "--until", "never printed", "--timeout", "5"],
        status: 1,
        shows: &[],
    },
];
