//! System tests of cores that several vCPUs share.

use crate::case::Case;

/// `serial` ends once it has echoed while `test-app` has the core half of the time.
/// A line of which nothing comes for long is shown as far as it is there.
const BESIDE: &[&str] = &["serial: type=eVisor hears", "hears=exit"];

/// What is typed goes to the first VM.
const LINUX: &[&str] = &[
    "~ # =cat /proc/interrupts; nproc | sed 's/^/cores: /'",
    "cores: 2=for n in 1 2 3 4 5; do sleep 0.1; done; \
     (dd if=/dev/zero bs=64k count=50 | sha1sum) & dd if=/dev/zero bs=64k count=50 | sha1sum; \
     wait; echo both $((20 + 22))",
    "both 42=poweroff",
];

/// On either board, and with a GICv3.
pub const ON_SHARED_CORES: &[Case] = &[
    Case::new("two VMs by turns on one core", "tools/evisor/tests/guests/shared-apps.dts")
        .sends(BESIDE)
        .seconds(120)
        .shows(&[
            "serial: goodbye",
            "PASS timer.",
            " 0 failed",
            "evisor: test-app: off, verdict 0",
        ]),
    Case::new("test-app with four vCPUs on two cores", "tools/evisor/tests/guests/shared-smp.dts")
        .seconds(240)
        .shows(&["PASS ipi.", "PASS route.", "PASS stolen_time.structure_is", " 0 failed"]),
    Case::new("Linux with two vCPUs on one core, beside another VM", "manifests/shared-core.dts")
        .sends(LINUX)
        .until("evisor: linux: off, verdict 0")
        .seconds(180)
        .shows(&["arch_timer", "cores: 2", "both 42", "Power down"]),
];

/// Both vCPUs have work, and each says how much of its time the other had: no more than
/// passed.
const STOLEN: &[&str] = &[
    "~ # =for n in 1 2; do (i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done) & done; \
     wait; echo bu'sy'",
    "^busy=dmesg | grep -c 'arm-pv: using stolen' | sed 's/^/said: /'; \
     awk 'NR==FNR {up=$1*100; next} /^cpu[01]/ {n += $9>0 && $9<=up} END {print n, \"told\"}' \
     /proc/uptime /proc/stat; echo do'ne'",
    "^done=poweroff",
];

/// Linux says nothing of what there is not.
const NOT_STOLEN: &[&str] = &[
    "~ # =dmesg | grep -c arm-pv | sed 's/^/said: /'; \
     awk '/^cpu / {print \"stolen\", $9}' /proc/stat; echo do'ne'",
    "^done=poweroff",
];

/// What Linux is told of stolen time; on virt.
pub const STOLEN_TIME: &[Case] = &[
    Case::new(
        "Linux with two vCPUs on one core is told what was stolen from each",
        "tools/evisor/tests/guests/linux-two-on-one.dts",
    )
    .sends(STOLEN)
    .until("evisor: linux: off, verdict 0")
    .seconds(180)
    .shows(&["said: 1", "2 told", "Power down"]),
    Case::new("Linux on a core of its own is told of no stolen time", "manifests/linux.dts")
        .sends(NOT_STOLEN)
        .until("evisor: linux: off, verdict 0")
        .seconds(120)
        .shows(&["said: 0", "stolen 0", "Power down"]),
];

/// Linux keeps both of its vCPUs busy; the other guest, which goes first, answers.
const BUSY: &[&str] = &[
    "@linux ~ # =(dd if=/dev/zero bs=64k count=500 | sha1sum) & \
     (dd if=/dev/zero bs=64k count=500 | sha1sum) & echo bu'sy'",
    "@linux busy=",
    "@serial it comes back; =eVisor hears",
    "@serial eVisor hears=exit",
    "@linux =poweroff",
];

pub const BY_PRIORITY: &[Case] = &[Case::new(
    "a guest with a fifth of a core, which goes before Linux there",
    "tools/evisor/tests/guests/priority.dts",
)
.options(&["--consoles"])
.sends(BUSY)
.seconds(180)
.shows(&["serial: goodbye", "Power down", "evisor: linux: off, verdict 0"])];
