//! The system tests: what `./evisor run` shows of real guests, one row each.

use crate::case::Case;
use crate::workspace;

/// The shortest, for who wants to see that something boots.
pub const ENDS: Case = Case::new("serial ends when it is told", "manifests/serial.dts")
    .sends(&["it comes back; =exit"])
    .shows(&["serial: goodbye"]);

/// Linux is turned off, and then the rest.
pub const DEMONSTRATION: Case = Case::new("the demonstration ends", workspace::DEMONSTRATION)
    .sends(&["~ # =poweroff", "linux: off, verdict 0=\x14mend"])
    .seconds(120)
    .shows(&[
        "linux is shown and typed to",
        "a real-time one, Ctrl-T 2",
        "all VMs stopped, status 0",
    ]);

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

/// The mini UART is the console from first to last, and the timer counts and matches.
const MINI_UART: [&str; 6] = [
    "bootconsole [bcm2835aux0] enabled",
    "ttyS1 at MMIO 0xfe215040",
    "Level     ttyS1",
    "seconds: 1",
    "match: 0x00000002",
    "and then: 0x00000000",
];

/// Makes a file system on the card, and 16 MiB on that; what they add up to is kept
/// there too.
const FILL_CARD: &str = "~ # =mke2fs -q /dev/mmcblk0 && mount -t ext4 /dev/mmcblk0 /tmp \
    && dd if=/dev/urandom of=/tmp/data bs=1M count=16 && sha256sum /tmp/data >/tmp/sum \
    && sync && echo is 'filled'";

/// Adds them up again.
const CHECK_CARD: &str = "Booting Linux[^~]*~ # =mount -t ext4 /dev/mmcblk0 /tmp \
    && sha256sum -c /tmp/sum && dmesg | grep -i mmc";

/// Keeps files on the card over a restart.
pub const KEEP_FILES: &[&str] =
    &[FILL_CARD, "is filled[^~]*~ # =reboot", CHECK_CARD, "data: OK[^~]*~ # =poweroff"];

const KEPT_BY_DMA: [&str; 3] = ["using ADMA", "/tmp/data: OK", "Power down"];

/// The same on either board.
pub const ON_BOTH: &[Case] = &[
    Case::new("a crash is recorded, and is the status", "manifests/serial.dts")
        .sends(&["it comes back=crash"])
        .status(102)
        .shows(&["evisor: serial: vCPU 0 crashed:", "evisor: serial: off, verdict 102"]),
    Case::new(
        "a crash resets the board, if the manifest says so",
        "tools/evisor/tests/guests/reset-board.dts",
    )
    .sends(&["it comes back; =crash", "resets the board[^~]*it comes back; =exit"])
    .shows(&["resets the board after its crash", "serial: goodbye"]),
    Case::new("test-app's verdict is the status", "manifests/test-app.dts").shows(&[
        "PASS",
        "SKIP stolen_time.structure: no core is shared",
        " 0 failed",
    ]),
    Case::new(
        "Linux has its console on a Raspberry Pi's mini UART, and a Pi's timer",
        "tools/evisor/tests/guests/linux-mini-uart.dts",
    )
    .sends(&[COUNT, MATCH, "~ # =poweroff"])
    .seconds(180)
    .shows(&MINI_UART),
    Case::new(
        "Linux keeps files on an emulated SD card over a reboot",
        "tools/evisor/tests/guests/linux-sd.dts",
    )
    .sends(KEEP_FILES)
    .seconds(300)
    .shows(&KEPT_BY_DMA),
];

pub const CASES: &[Case] = &[
    Case::new("serial greets and echoes", "manifests/serial.dts")
        .sends(&["it comes back; =eVisor hears"])
        .until("^eVisor hears$")
        .shows(&["serial: running at EL1"]),
    ENDS,
    Case::new("rights that were taken away are missed", "tools/evisor/tests/guests/rights.dts")
        .shows(&[
            "PASS a device's read-only window aborts on write",
            "PASS read-only memory aborts on write",
            "PASS a line without the interrupt right never fires",
            "PASS a timer without the interrupt right never fires",
            "PASS without the control right there is no power off",
        ]),
    Case::new(
        "with every right the same attempts succeed",
        "tools/evisor/tests/guests/every-right.dts",
    )
    .status(1)
    .shows(&[
        "FAIL a device's read-only window aborts on write",
        "FAIL read-only memory aborts on write",
        "FAIL a line without the interrupt right never fires",
        "FAIL a timer without the interrupt right never fires",
        "evisor: rights: off, verdict 1",
    ]),
    Case::new(
        "a guest has a page of the board's PL061",
        "tools/evisor/tests/guests/gpio-direct.dts",
    )
    .shows(&[
        "gpio: part 0x61",
        "PASS registers keep what is written, in any width",
        "PASS a level that is held interrupts again after its end",
        "PASS a level that is not enabled does no harm",
        "PASS the restart reset the device",
        "PASS it interrupts after the restart",
    ]),
    Case::new(
        "a guest has some registers of it, on a GICv3",
        "tools/evisor/tests/guests/gpio-forwarded.dts",
    )
    .options(&["--gic", "3"])
    .shows(&[
        "gpio: no part, ESR 0x96000010",
        "PASS registers keep what is written, in any width",
        "PASS a level that is held interrupts again after its end",
        "PASS a level that is not enabled does no harm",
        "PASS the restart reset the device",
        "PASS it interrupts after the restart",
    ]),
    Case::new(
        "a device that eVisor drives is not given away",
        "tools/evisor/tests/guests/evisors-own.dts",
    )
    .status(1)
    .shows(&["/pl031@9010000 is eVisor's: it drives the device", "nothing was started"]),
    Case::new("test-app on a GICv3 and a Cortex-A72", "manifests/test-app.dts")
        .options(&["--gic", "3", "--cpu", "cortex-a72"])
        .shows(&["PASS", " 0 failed"]),
    Case::new("test-app on four cores", "manifests/test-app-smp.dts")
        .options(&["--cpu", "max"])
        .seconds(180)
        .shows(&["PASS ipi.", "PASS route.", "PASS power.", " 0 failed"]),
    Case::new("test-app on four cores and a GICv3", "manifests/test-app-smp.dts")
        .options(&["--gic", "3"])
        .seconds(180)
        .shows(&["PASS ipi.", "PASS route.", "PASS power.", " 0 failed"]),
    Case::new("of two VMs one crashes, and the other goes on", "tools/evisor/tests/guests/two.dts")
        .status(102)
        .shows(&["PASS", " 0 failed"]),
    Case::new("Linux reaches a prompt, is interrupted, and powers off", "manifests/linux.dts")
        .sends(&["~ # =cat /proc/interrupts", COUNTS_NOW, COUNTS_LATER, "~ # =poweroff"])
        .seconds(180)
        .shows(&["eVisor demonstration: Debian Linux", "arch_timer", "uart-pl011", "both grew"]),
    Case::new("Linux does so on a GICv3", "manifests/linux.dts")
        .options(&["--gic", "3"])
        .sends(&["~ # =cat /proc/interrupts", COUNTS_NOW, COUNTS_LATER, "~ # =poweroff"])
        .seconds(180)
        .shows(&["GICv3: 224 SPIs implemented", "arch_timer", "uart-pl011", "both grew"]),
    Case::new("Linux reboots and comes up again", "manifests/linux.dts")
        .sends(&["~ # =reboot", "Booting Linux=", "~ # =poweroff"])
        .seconds(240)
        .shows(&["reboot: Restarting system"]),
    Case::new(
        "U-Boot runs from flash, keeps its settings there, and boots Linux",
        "manifests/u-boot.dts",
    )
    .sends(&[
        "autoboot=",
        r"^\x3d> =version",
        r"^\x3d> =bdinfo",
        r"^\x3d> =setenv fruit apple; saveenv",
        r"^\x3d> =reset",
        "autoboot=",
        r"^\x3d> =printenv fruit",
        r"^\x3d> =booti 0x48000000 - 0x40000000",
        "~ # =poweroff",
    ])
    .seconds(300)
    .shows(&[
        "GNU ld",
        "flashsize   = 0x0000000000400000",
        "Writing to Flash... done",
        "evisor: u-boot: restarts",
        "Loading Environment from Flash... OK",
        "fruit=apple",
        "Machine model: U-Boot on eVisor",
    ]),
    Case::new(
        "a firmware's properties are eVisor's to answer, or an error",
        "tools/evisor/tests/guests/mailbox.dts",
    )
    .shows(&WITHOUT_WINDOW),
    Case::new(
        "so they are with a window, on a board that has no such firmware",
        "tools/evisor/tests/guests/mailbox-window.dts",
    )
    .shows(&[
        "board revision: 0x80000000, 4 bytes, 0x00b03114",
        "MAC address: 0x80000001, no answer",
        "temperature: 0x80000000, 8 bytes, 0x00000000 0x00009c40",
    ]),
    Case::new(
        "Linux's drivers find the firmware and its clocks",
        "tools/evisor/tests/guests/linux-mailbox.dts",
    )
    .sends(&[SHOW_CLOCK, "~ # =poweroff"])
    .seconds(180)
    .shows(&["Attached to firmware from 2024-01-01T00:00:00", "1500000000 Hz"]),
    Case::new(
        "of two virtual Pis one restarts, and both had their prompt",
        "manifests/virtual-pis.dts",
    )
    .sends(&["~ # [^~]*~ # =reboot"])
    .until("evisor: first: restarts[^~]*~ # ")
    .seconds(300)
    .shows(&["evisor: second: starts"]),
    Case::new("a match that never comes ends with the time", "manifests/serial.dts")
        .until("never printed")
        .ends_after(5)
        .status(1),
    Case::new(
        "Linux keeps them on one through the data port",
        "tools/evisor/tests/guests/linux-sd-port.dts",
    )
    .sends(KEEP_FILES)
    .seconds(300)
    .shows(&["using PIO", "/tmp/data: OK", "Power down"]),
    Case::new(
        "Linux keeps them on one on four cores and a GICv3",
        "tools/evisor/tests/guests/linux-sd-arasan.dts",
    )
    .options(&["--gic", "3"])
    .sends(KEEP_FILES)
    .seconds(300)
    .shows(&KEPT_BY_DMA),
];

/// What differs on a Raspberry Pi 4.
pub const ON_A_PI: &[Case] = &[
    Case::new("serial greets, echoes and ends", "manifests/serial.dts")
        .sends(&["it comes back; =eVisor hears", "^eVisor hears=exit"])
        .shows(&[" on raspi4", "serial: running at EL1", "serial: goodbye"]),
    Case::new("test-app on four cores", "manifests/test-app-smp.dts").seconds(180).shows(&[
        "PASS ipi.",
        "PASS route.",
        "PASS power.",
        " 0 failed",
    ]),
    Case::new("Linux is interrupted, reboots and powers off", "manifests/linux.dts")
        .sends(&[
            "~ # =cat /proc/interrupts",
            COUNTS_NOW,
            COUNTS_LATER,
            "~ # =reboot",
            "Booting Linux[^~]*~ # =poweroff",
        ])
        .seconds(240)
        .shows(&["arch_timer", "uart-pl011", "both grew", "Restarting system", "Power down"]),
    Case::new("Linux on four cores", "manifests/linux-smp.dts")
        .sends(&["~ # =echo has $(nproc)", "~ # =reboot", "Booting Linux[^~]*~ # =poweroff"])
        .seconds(240)
        .shows(&["has 4", "Restarting system", "Power down"]),
    Case::new(
        "tags out of the window are not the board's to answer",
        "tools/evisor/tests/guests/mailbox.dts",
    )
    .shows(&WITHOUT_WINDOW),
    // QEMU's firmware: 52:54:00:12:34:56 and 25 degrees.
    Case::new("tags in the window are", "tools/evisor/tests/guests/mailbox-window.dts").shows(&[
        "board revision: 0x80000000, 4 bytes, 0x00b03114",
        "MAC address: 0x80000000, 6 bytes, 0x12005452 0x55555634",
        "temperature: 0x80000000, 8 bytes, 0x00000000 0x000061a8",
        "clock rate: 0x80000000, 8 bytes, 0x00000000 0x00000000",
        "execute code: 0x80000001, no answer",
        "  6 bytes, 0x12005452 0x55555634",
    ]),
    Case::new(
        "Linux is told the rates of the board's clocks",
        "tools/evisor/tests/guests/linux-mailbox.dts",
    )
    .sends(&[SHOW_CLOCK, "~ # =poweroff"])
    .seconds(180)
    .shows(&["Attached to firmware from 2024-01-01T00:00:00", "700000000 Hz"]),
];
