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

pub const CASES: &[Case] = &[
    Case {
        name: "serial greets and echoes",
        arguments: &[
            "manifests/serial.dts",
            "--send",
            "it comes back=eVisor hears",
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
        arguments: &["manifests/serial.dts", "--send", "it comes back=exit", "--timeout", "60"],
        status: 0,
        shows: &["serial: goodbye"],
    },
    Case {
        name: "test-app's verdict is the status",
        arguments: &["manifests/test-app.dts", "--timeout", "60"],
        status: 0,
        shows: &["PASS", " 0 failed"],
    },
    Case {
        name: "Linux reaches a prompt, is interrupted, and powers off",
        arguments: &[
            "manifests/linux.dts",
            "--send",
            "~ # =cat /proc/interrupts",
            "--send",
            "~ # =poweroff",
            "--timeout",
            "180",
        ],
        status: 0,
        shows: &["eVisor demonstration: Debian Linux", "arch_timer", "uart-pl011"],
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
        name: "a match that never comes ends with the time",
        arguments: &["manifests/serial.dts", "--until", "never printed", "--timeout", "5"],
        status: 1,
        shows: &[],
    },
];
