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

/// What the guest `mailbox` prints where the board is not asked.
const WITHOUT_WINDOW: [&str; 8] = [
    "board revision: 0x80000000, 4 bytes, 0x00a03111",
    "MAC address: 0x80000001, no answer",
    "ARM memory: 0x80000000, 8 bytes, 0x40000000 0x04000000",
    "clock rate: 0x80000000, 8 bytes, 0x00000000 0x00000000",
    "temperature: 0x80000000, 8 bytes, 0x00000000 0x00009c40",
    "execute code: 0x80000001, no answer",
    "all at once: 0x80000001",
    "mailbox: done",
];

/// The rate that Linux was told for the Arm's clock.
const SHOW_CLOCK: &str = "~ # =mount -t debugfs d /sys/kernel/debug; \
    echo $(cat /sys/kernel/debug/clk/fw-clk-arm/clk_rate) Hz";

/// Looks at a Raspberry Pi's system timer before and after two seconds, which take less
/// than twenty.
const COUNT: &str = "~ # =grep ttyS1 /proc/interrupts; \
    a=$(devmem 0xfe003004); sleep 2; b=$(devmem 0xfe003004); \
    echo seconds: $((b - a >= 2000000 && b - a < 20000000))";

/// Has its channel 1 match in a second, and clears that.
const MATCH: &str = "~ # =devmem 0xfe003010 32 $(($(devmem 0xfe003004) + 1000000)); \
    sleep 3; echo match: $(devmem 0xfe003000); \
    devmem 0xfe003000 32 2; echo and then: $(devmem 0xfe003000)";

/// Makes a file system on the card, and 16 MiB on that; what they add up to is kept
/// there too.
pub const FILL_CARD: &str = "~ # =mke2fs -q /dev/mmcblk0 && mount -t ext4 /dev/mmcblk0 /tmp \
    && dd if=/dev/urandom of=/tmp/data bs=1M count=16 && sha256sum /tmp/data >/tmp/sum \
    && sync && echo is 'filled'";

/// Adds them up again.
pub const CHECK_CARD: &str = "Booting Linux[^~]*~ # =mount -t ext4 /dev/mmcblk0 /tmp \
    && sha256sum -c /tmp/sum && dmesg | grep -i mmc";

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
        name: "a crash resets the board, if the manifest says so",
        arguments: &[
            "tools/evisor/tests/guests/reset-board.dts",
            "--send",
            "it comes back; =crash",
            "--send",
            "resets the board[^~]*it comes back; =exit",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &["resets the board after its crash", "serial: goodbye"],
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
        name: "of two VMs one crashes, and the other goes on",
        arguments: &["tools/evisor/tests/guests/two.dts", "--timeout", "60"],
        status: 102,
        shows: &["PASS", " 0 failed"],
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
        name: "a firmware's properties are eVisor's to answer, or an error",
        arguments: &["tools/evisor/tests/guests/mailbox.dts", "--timeout", "60"],
        status: 0,
        shows: &WITHOUT_WINDOW,
    },
    Case {
        name: "so they are with a window, on a board that has no such firmware",
        arguments: &["tools/evisor/tests/guests/mailbox-window.dts", "--timeout", "60"],
        status: 0,
        shows: &[
            "board revision: 0x80000000, 4 bytes, 0x00b03114",
            "MAC address: 0x80000001, no answer",
            "temperature: 0x80000000, 8 bytes, 0x00000000 0x00009c40",
        ],
    },
    Case {
        name: "Linux's drivers find the firmware and its clocks",
        arguments: &[
            "tools/evisor/tests/guests/linux-mailbox.dts",
            "--send",
            SHOW_CLOCK,
            "--send",
            "~ # =poweroff",
            "--timeout",
            "180",
        ],
        status: 0,
        shows: &["Attached to firmware from 2024-01-01T00:00:00", "1500000000 Hz"],
    },
    Case {
        name: "Linux has its console on a Raspberry Pi's mini UART, and a Pi's timer",
        arguments: &[
            "tools/evisor/tests/guests/linux-mini-uart.dts",
            "--send",
            COUNT,
            "--send",
            MATCH,
            "--send",
            "~ # =poweroff",
            "--timeout",
            "180",
        ],
        status: 0,
        shows: &[
            "bootconsole [bcm2835aux0] enabled",
            "ttyS1 at MMIO 0xfe215040",
            "Level     ttyS1",
            "seconds: 1",
            "match: 0x00000002",
            "and then: 0x00000000",
        ],
    },
    Case {
        name: "a match that never comes ends with the time",
        arguments: &["manifests/serial.dts", "--until", "never printed", "--timeout", "5"],
        status: 1,
        shows: &[],
    },
    Case {
        name: "Linux keeps files on an emulated SD card over a reboot",
        arguments: &[
            "tools/evisor/tests/guests/linux-sd.dts",
            "--send",
            FILL_CARD,
            "--send",
            "is filled[^~]*~ # =reboot",
            "--send",
            CHECK_CARD,
            "--send",
            "data: OK[^~]*~ # =poweroff",
            "--timeout",
            "300",
        ],
        status: 0,
        shows: &["using ADMA", "/tmp/data: OK", "Power down"],
    },
    Case {
        name: "Linux does so through the data port",
        arguments: &[
            "tools/evisor/tests/guests/linux-sd-port.dts",
            "--send",
            FILL_CARD,
            "--send",
            "is filled[^~]*~ # =reboot",
            "--send",
            CHECK_CARD,
            "--send",
            "data: OK[^~]*~ # =poweroff",
            "--timeout",
            "300",
        ],
        status: 0,
        shows: &["using PIO", "/tmp/data: OK", "Power down"],
    },
    Case {
        name: "Linux does so on four cores and a GICv3",
        arguments: &[
            "tools/evisor/tests/guests/linux-sd-arasan.dts",
            "--gic",
            "3",
            "--send",
            FILL_CARD,
            "--send",
            "is filled[^~]*~ # =reboot",
            "--send",
            CHECK_CARD,
            "--send",
            "data: OK[^~]*~ # =poweroff",
            "--timeout",
            "300",
        ],
        status: 0,
        shows: &["using ADMA", "/tmp/data: OK", "Power down"],
    },
];

/// The same guests on a Raspberry Pi 4.
pub const ON_A_PI: &[Case] = &[
    Case {
        name: "serial greets, echoes and ends",
        arguments: &[
            "manifests/serial.dts",
            "--board",
            "raspi4",
            "--send",
            "it comes back; =eVisor hears",
            "--send",
            "^eVisor hears=exit",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &[" on raspi4", "serial: running at EL1", "serial: goodbye"],
    },
    Case {
        name: "the status is the verdict of a crash",
        arguments: &[
            "manifests/serial.dts",
            "--board",
            "raspi4",
            "--send",
            "it comes back=crash",
            "--timeout",
            "60",
        ],
        status: 102,
        shows: &["evisor: serial: vCPU 0 crashed:", "evisor: serial: off, verdict 102"],
    },
    Case {
        name: "a crash resets the board, if the manifest says so",
        arguments: &[
            "tools/evisor/tests/guests/reset-board.dts",
            "--board",
            "raspi4",
            "--send",
            "it comes back; =crash",
            "--send",
            "resets the board[^~]*it comes back; =exit",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &["resets the board after its crash", "serial: goodbye"],
    },
    Case {
        name: "test-app",
        arguments: &["manifests/test-app.dts", "--board", "raspi4", "--timeout", "60"],
        status: 0,
        shows: &["PASS", " 0 failed"],
    },
    Case {
        name: "test-app on four cores",
        arguments: &["manifests/test-app-smp.dts", "--board", "raspi4", "--timeout", "180"],
        status: 0,
        shows: &["PASS ipi.", "PASS route.", "PASS power.", " 0 failed"],
    },
    Case {
        name: "Linux is interrupted, reboots and powers off",
        arguments: &[
            "manifests/linux.dts",
            "--board",
            "raspi4",
            "--send",
            "~ # =cat /proc/interrupts",
            "--send",
            COUNTS_NOW,
            "--send",
            COUNTS_LATER,
            "--send",
            "~ # =reboot",
            "--send",
            "Booting Linux[^~]*~ # =poweroff",
            "--timeout",
            "240",
        ],
        status: 0,
        shows: &["arch_timer", "uart-pl011", "both grew", "Restarting system", "Power down"],
    },
    Case {
        name: "Linux on four cores",
        arguments: &[
            "manifests/linux-smp.dts",
            "--board",
            "raspi4",
            "--send",
            "~ # =echo has $(nproc)",
            "--send",
            "~ # =reboot",
            "--send",
            "Booting Linux[^~]*~ # =poweroff",
            "--timeout",
            "240",
        ],
        status: 0,
        shows: &["has 4", "Restarting system", "Power down"],
    },
    Case {
        name: "tags out of the window are not the board's to answer",
        arguments: &[
            "tools/evisor/tests/guests/mailbox.dts",
            "--board",
            "raspi4",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &WITHOUT_WINDOW,
    },
    // QEMU's firmware: 52:54:00:12:34:56 and 25 degrees.
    Case {
        name: "tags in the window are",
        arguments: &[
            "tools/evisor/tests/guests/mailbox-window.dts",
            "--board",
            "raspi4",
            "--timeout",
            "60",
        ],
        status: 0,
        shows: &[
            "board revision: 0x80000000, 4 bytes, 0x00b03114",
            "MAC address: 0x80000000, 6 bytes, 0x12005452 0x55555634",
            "temperature: 0x80000000, 8 bytes, 0x00000000 0x000061a8",
            "clock rate: 0x80000000, 8 bytes, 0x00000000 0x00000000",
            "execute code: 0x80000001, no answer",
            "  6 bytes, 0x12005452 0x55555634",
        ],
    },
    Case {
        name: "Linux has its console on a Raspberry Pi's mini UART, and a Pi's timer",
        arguments: &[
            "tools/evisor/tests/guests/linux-mini-uart.dts",
            "--board",
            "raspi4",
            "--send",
            COUNT,
            "--send",
            MATCH,
            "--send",
            "~ # =poweroff",
            "--timeout",
            "180",
        ],
        status: 0,
        shows: &[
            "bootconsole [bcm2835aux0] enabled",
            "ttyS1 at MMIO 0xfe215040",
            "Level     ttyS1",
            "seconds: 1",
            "match: 0x00000002",
            "and then: 0x00000000",
        ],
    },
    Case {
        name: "Linux is told the rates of the board's clocks",
        arguments: &[
            "tools/evisor/tests/guests/linux-mailbox.dts",
            "--board",
            "raspi4",
            "--send",
            SHOW_CLOCK,
            "--send",
            "~ # =poweroff",
            "--timeout",
            "180",
        ],
        status: 0,
        shows: &["Attached to firmware from 2024-01-01T00:00:00", "700000000 Hz"],
    },
    Case {
        name: "Linux keeps files on an emulated SD card over a reboot",
        arguments: &[
            "tools/evisor/tests/guests/linux-sd.dts",
            "--board",
            "raspi4",
            "--send",
            FILL_CARD,
            "--send",
            "is filled[^~]*~ # =reboot",
            "--send",
            CHECK_CARD,
            "--send",
            "data: OK[^~]*~ # =poweroff",
            "--timeout",
            "300",
        ],
        status: 0,
        shows: &["using ADMA", "/tmp/data: OK", "Power down"],
    },
];
