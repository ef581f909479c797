//! System tests of interrupts that devices of one VM share.

use crate::case::Case;

/// A file system on each card, and 8 MiB for both.
const PREPARE: &str = "~ # =mkdir /tmp/a /tmp/b; for n in 0 1; do mke2fs -q /dev/mmcblk$n; done; \
    mount /dev/mmcblk0 /tmp/a && mount /dev/mmcblk1 /tmp/b && \
    dd if=/dev/urandom of=/data bs=1M count=8 2>/dev/null; echo 'prepared'";

/// Both cards at once; then what went to the one is compared with what went to the
/// other. Each host has its interrupts on the line that both have.
const BOTH_CARDS: &str = "[^']prepared[^~]*~ # =for to in a b; \
    do (cp /data /tmp/$to && sync && echo $to is 'filled') & done; wait; \
    echo both 'filled'; df /tmp/a /tmp/b; grep -i mmc /proc/interrupts";

/// Read back from the cards, not from memory, both at once.
const READ_BACK: &str = "both filled[^~]*~ # =umount /tmp/a /tmp/b; \
    mount /dev/mmcblk0 /tmp/a && mount /dev/mmcblk1 /tmp/b && \
    for from in a b; do (cmp /data /tmp/$from/data && echo $from is 'kept') & done; wait; \
    poweroff";

pub const SHARED_LINES: &[Case] = &[Case::new(
    "Linux in a virtual Pi with two cards, whose hosts share an interrupt",
    "tools/evisor/tests/guests/virtual-pi-two-cards.dts",
)
.sends(&[PREPARE, BOTH_CARDS, READ_BACK])
.seconds(300)
.shows(&[
    "158 Level     mmc",
    "a is filled",
    "b is filled",
    "/dev/mmcblk0 ",
    "/dev/mmcblk1 ",
    "a is kept",
    "b is kept",
    "Power down",
])];
