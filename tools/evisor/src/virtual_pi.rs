//! The system tests of the virtual Raspberry Pi 4 with Debian's U-Boot and Linux, the
//! same on both boards.

use crate::case::Case;

pub const VIRTUAL_PI: &[Case] = &[
    Case::new("U-Boot for the Pi 4 in a virtual Pi", "manifests/virtual-pi-u-boot.dts")
        .sends(&U_BOOT)
        .seconds(300)
        .shows(&OF_U_BOOT),
    Case::new(
        "U-Boot for any Pi in a virtual Pi",
        "tools/evisor/tests/guests/virtual-pi-u-boot-arm64.dts",
    )
    .sends(&U_BOOT)
    .seconds(300)
    .shows(&OF_U_BOOT),
    Case::new("Linux in a virtual Pi, at its PL011", "manifests/virtual-pi.dts")
        .sends(&LINUX)
        .seconds(300)
        .shows(&of_linux("console is ttyAMA0", "uart-pl011")),
    Case::new(
        "Linux in a virtual Pi, at its mini UART",
        "tools/evisor/tests/guests/virtual-pi-mini-uart.dts",
    )
    .sends(&LINUX)
    .seconds(300)
    .shows(&of_linux("console is ttyS1", "fe215040.serial")),
];

/// Shows the board and the card, resets the Pi, and boots Linux from the card.
const U_BOOT: [&str; 9] = [
    "autoboot=",
    "U-Boot> =bdinfo",
    "U-Boot> =mmc info",
    "U-Boot> =fatls mmc 0:1",
    "U-Boot> =fatload mmc 0:1 0x2700000 initrd",
    "U-Boot> =reset",
    "autoboot=",
    "U-Boot> =boot",
    "~ # =echo has $(nproc); mount; poweroff",
];

const OF_U_BOOT: [&str; 10] = [
    "RPI 4 Model B (0xa03115)",
    "ethaddr     = 02:00:00:00:00:01",
    "Name: EVISR",
    "   Image",
    "bytes read in",
    "evisor: pi: restarts",
    "Starting kernel",
    "has 4",
    ROOT,
    "Power down",
];

/// Writes a file to the root, restarts, and finds it there. What is typed does not hold
/// what is looked for.
const LINUX: [&str; 3] = [
    "~ # =echo has $(nproc); mount; echo kept 'over' >/kept; \
     echo console is $(cut -d' ' -f1 /proc/consoles); cat /proc/interrupts",
    "CPU wake-up[^~]*~ # =reboot",
    "Booting Linux[^~]*~ # =echo again $(nproc); cat /kept; poweroff",
];

const fn of_linux(console: &'static str, uart: &'static str) -> [&'static str; 9] {
    [
        "Raspberry Pi 4 Model B on eVisor",
        "has 4",
        ROOT,
        console,
        uart,
        "evisor: pi: restarts",
        "again 4",
        "kept over",
        "Power down",
    ]
}

const ROOT: &str = "/dev/mmcblk0p2 on / type ext4 (rw";
