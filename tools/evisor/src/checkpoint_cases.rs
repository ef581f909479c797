//! System tests of checkpoints: a VM goes on, and is what it was again.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::card::MIB;
use crate::card_reader::CardReader;
use crate::case::Case;
use crate::machine::{Board, Machine};
use crate::plan::Plan;
use crate::workspace;

const LINUX: &str = "manifests/checkpoint.dts";
const SHARED: &str = "tools/evisor/tests/guests/kept-shared.dts";

/// A shell's variable and a file; and by how many seconds the clock is behind the board's
/// calendar. What is typed shows none of what is printed.
const BEGIN: &str = "linux. ~ # =a=one; echo one > /tmp/f; \
    lag() { echo $(($(cat /sys/class/rtc/rtc0/since_epoch) - $(date +%s))); }; l=$(lag); \
    echo rea'dy'";
const KEEP: &str = "ready=\x14mcheckpoint linux";
const CHANGE: &str = "linux: its checkpoint(.|\n)*linux: goes on=\x141a=two; \
    echo two > /tmp/f; sleep 20; echo slept-$a-$(cat /tmp/f)";
const BACK: &str = "slept-two-two=\x14mrollback linux";
/// After as many rolls back as it says, its number goes up: what is asked is new each time.
const SEE: &str = "linux: is what it was(.|\n)*linux: goes on=\x141\
    echo now-$a-$(cat /tmp/f) cpus-$(nproc) lag-$((($(lag) - l) / 15))";
const END: &str = "now-one-one cpus-2 lag-\\d=\x14mend";

pub const CASES: &[Case] = &[
    Case::new("Linux is rolled back, and its clock", LINUX)
        .seconds(200)
        .sends(&[BEGIN, KEEP, CHANGE, BACK, SEE, END])
        .shows(&["now-one-one cpus-2 lag-1", "evisor: all VMs stopped, status 0"]),
    Case::new("Linux is rolled back, a vCPU on a shared core, and its clock goes on", SHARED)
        .seconds(300)
        .sends(&[BEGIN, KEEP, CHANGE, BACK, SEE, END])
        .shows(&["now-one-one cpus-2 lag-0", "evisor: all VMs stopped, status 0"]),
    Case::new(
        "a VM that crashed is rolled back to before",
        "tools/evisor/tests/guests/kept-victim.dts",
    )
    .seconds(90)
    .status(102)
    .sends(&[
        "^evisor: victim: starts=\x14mcheckpoint victim",
        "victim: its checkpoint(.|\n)*victim: goes on=checkpoint serial",
        "no evisor,checkpoints=rollback serial",
        "no evisor,checkpoints(.|\n)*victim: off, verdict 102=checkpoint victim",
        "victim is off=rollback victim",
        "victim: is what it was(.|\n)*victim: off, verdict 102=crash victim",
        "x30 (.|\n)*> =start victim",
        "^evisor: victim: starts=rollback victim",
        "victim: is what it was(.|\n)*victim: off, verdict 102=end",
    ])
    .shows(&["serial has no evisor,checkpoints in its manifest", "victim is to be rolled back"]),
    Case::new(
        "a supervisor rolls a VM back that crashes",
        "tools/evisor/tests/guests/supervisor-rolls-back.dts",
    )
    .seconds(60)
    .status(102)
    .shows(&[
        "PASS without a checkpoint there is no way back",
        "PASS it is rolled back",
        "PASS it crashed once more",
        "PASS from there is no way back",
        "evisor: supervisor: off, verdict 0",
    ]),
];

/// Both ends sum up 64 MiB of one life and tell each other: what a roll back cut off is in
/// neither sum.
const CHANNEL: Case = Case::new(
    "an end of a channel is rolled back under traffic",
    "tools/evisor/tests/guests/kept-channel.dts",
)
.seconds(60)
.sends(&[
    " bytes came so far=\x14mcheckpoint kept",
    "kept: its checkpoint(.|\n)*kept: goes on=\x141",
    " bytes came so far=\x14mrollback kept",
    "kept: is what it was(.|\n)*kept: goes on=\x141",
    "life 2 met life 1(.|\n)*bytes came so far=\x14mrollback kept",
    "kept: is what it was(.|\n)*kept: goes on=\x141",
    "life 3 met life 1(.|\n)*bytes came so far=\x14mstop kept",
    "kept: off=rollback kept",
    "kept: is what it was(.|\n)*kept: goes on=\x141",
])
.until("bytes, cksum 1695551558(.|\n)*: off, verdict 0(.|\n)*: off, verdict 0")
.shows(&[
    "channel: life 4 met life 1",
    "channel: sent 67108864 bytes, cksum 797766453",
    "evisor: kept: off, verdict 0",
    "evisor: stays: off, verdict 0",
]);

/// The peer gets back what it sent from its first byte on.
const LINUX_CHANNEL: Case = Case::new(
    "Linux with a virtio console is rolled back under traffic",
    "tools/evisor/tests/guests/kept-linux-channel.dts",
)
.seconds(120)
.sends(&[
    "linux. ~ # =\x14mcheckpoint linux",
    "linux: its checkpoint(.|\n)*linux: goes on=\x141head -c 8000000 /dev/vport0p0 > /a & \
     sleep 0.2; echo on'going'",
    "ongoing=\x14mrollback linux",
    "linux: is what it was(.|\n)*linux: goes on=\x141head -c 8000000 /dev/vport0p0 > /a; \
     cat /a > /dev/vport0p0; echo se'nt'",
    "sent=\x142",
])
.until("channel: received 8000000 bytes, cksum 4214761439")
.shows(&["channel: life 1 met life 2", "channel: sent 8000000 bytes, cksum 4214761439"]);

/// The peer types again to the shell that is there again, or that heard it from a life of the
/// peer's which is over; at the end it leaves it.
const LINUX_HVC: Case = Case::new(
    "Linux's shell at a virtio console goes on when either end is rolled back",
    "tools/evisor/tests/guests/kept-hvc.dts",
)
.seconds(120)
.sends(&[
    "linux. ~ # =sh </dev/hvc0 >/dev/hvc0 2>&1; echo left $((40+4))",
    "PASS 42-Linux=\x14mcheckpoint linux",
    "linux: its checkpoint(.|\n)*linux: goes on=checkpoint peer",
    "peer: its checkpoint(.|\n)*peer: goes on=rollback linux",
    "linux: is what it was(.|\n)*linux: goes on=\x14a",
    "PASS 42-Linux=\x14mrollback peer",
    "peer: is what it was(.|\n)*peer: goes on=\x14a",
    "PASS 42-Linux=\x14mrollback linux",
    "linux: is what it was(.|\n)*linux: goes on=\x14a",
    "PASS 42-Linux(.|\n)*PASS /dev/hvc0=\x141",
    "left 44=poweroff",
])
.until("linux: off, verdict 0")
.shows(&["PASS /dev/hvc0", "peer: off, verdict 0"]);

/// Four vCPUs that wait in a spin table at first, and a card that stays as it is.
const PI: Case =
    Case::new("a virtual Pi with a card is rolled back", "tools/evisor/tests/guests/kept-pi.dts")
        .seconds(200)
        .sends(&[
            "~ # =a=one; echo one > /tmp/f; echo rea'dy'",
            "ready=\x14mcheckpoint pi",
            "pi: its checkpoint(.|\n)*pi: goes on=\x141a=two; echo two > /tmp/f; echo then-$a-$(cat /tmp/f)",
            "then-two-two=\x14mrollback pi",
            "pi: is what it was(.|\n)*pi: goes on=\x141echo now-$a-$(cat /tmp/f) cpus-$(nproc) \
             card-$(dd if=/dev/mmcblk0 bs=1M count=1 skip=20 2>/dev/null | wc -c)",
            "now-one-one cpus-4 card-\\d+=\x14mend",
        ])
        .shows(&["now-one-one cpus-4 card-1048576", "evisor: all VMs stopped, status 0"]);

/// Reads what was on the card and writes it elsewhere on it, over and over, past the page
/// cache; it ends with the first byte that is another.
const ROUNDS: [&str; 2] = [
    "~ # =dd if=/dev/mmcblk0 of=/tmp/a bs=64k count=16 && n=0 && echo rea'dy'",
    "ready=while dd if=/dev/mmcblk0 of=/tmp/b bs=64k count=16 iflag=direct 2>/dev/null \
     && cmp /tmp/a /tmp/b && dd if=/tmp/a of=/dev/mmcblk0 bs=64k seek=512 oflag=direct \
     2>/dev/null; do n=$((n+1)); echo round-$n; done",
];

/// The board's card, which answers later, works for Linux whenever that is kept and rolled back.
const CARD: Case = Case::new(
    "Linux is rolled back while the card works for it",
    "tools/evisor/tests/guests/kept-card.dts",
)
.seconds(300)
.shows(&["linux: is what it was", "evisor: all VMs stopped, status 0"]);

fn with_a_card() -> Result<()> {
    let mut sends = ROUNDS.to_vec();
    sends.extend(["round-3=\x14mcheckpoint linux", "linux: its checkpoint(.|\n)*: goes on=\x141"]);
    let once = ["round-6=\x14mrollback linux", "linux: is what it was(.|\n)*: goes on=\x141"];
    sends.extend([once; 8].concat());
    sends.push("round-6=\x14mend");
    let folder = workspace::root().join("target/evisor/kept-card");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("card.img");
    let mib = MIB as usize;
    let mut card: Vec<u8> =
        (0_u32..(mib / 4) as u32).flat_map(|at| ((at / 128) ^ (at << 16)).to_le_bytes()).collect();
    card.resize(64 * mib, 0);
    fs::write(&path, &card)?;
    CARD.sends(sends.leak())
        .boot(&Machine { card: CardReader::keeping(path.clone()), ..Machine::raspi4() })?;
    card.copy_within(..mib, 32 * mib);
    ensure!(fs::read(&path)? == card, "the card has other bytes than were written");
    fs::remove_file(&path).context("cannot remove the card")
}

/// How often the long case rolls back, whose VM is as small as Linux can be.
const TIMES: usize = 100;
const SMALL: &str = "tools/evisor/tests/guests/kept-often.dts";

/// What is looked at each time, which forks once; and what there is to begin with.
const LOOK: &str = "~ # =s() { read f < /tmp/f; read u r < /proc/uptime; \
    echo no$1-$a-$f-$(nproc) up-$((${u%.*} - k < 30)); a=two; echo two > /tmp/f; }";
const LOOKS_AT: &str = "~ # =a=one; echo one > /tmp/f; \
    lag() { echo $(($(cat /sys/class/rtc/rtc0/since_epoch) - $(date +%s))); }; l=$(lag); \
    read k r < /proc/uptime; k=${k%.*}; echo rea'dy'";

pub fn cases(plan: &mut Plan, board: Board) {
    // One of them does so many times what the first does once.
    let done_often = usize::from(board == Board::QemuVirt);
    for case in CASES.iter().skip(done_often).chain([&CHANNEL]) {
        plan.case(case.name, move || case.run(board));
    }
    if board == Board::Raspi4 {
        plan.case(CARD.name, with_a_card);
    }
    if board == Board::QemuVirt {
        for case in [PI, LINUX_CHANNEL, LINUX_HVC] {
            plan.case(case.name, move || case.run(board));
        }
        for case in CASES.iter().take(2).chain([&CHANNEL]) {
            let case = case.options(&["--gic", "3"]);
            plan.case(format!("{}, with a GICv3", case.name), move || case.run(board));
        }
        plan.case(format!("Linux is rolled back {TIMES} times"), move || often().run(board)).long();
    }
}

/// Each time the shell is where it was, as is its clock, and changes what it has; and at the
/// end the clock is behind the board's calendar by all that.
fn often() -> Case {
    let mut sends = [LOOK, LOOKS_AT, KEEP].map(str::to_owned).to_vec();
    let mut after = "linux: its checkpoint(.|\n)*linux: goes on".to_owned();
    for n in 0..TIMES {
        sends.push(format!("{after}=\x141s {n}"));
        sends.push(format!("no{n}-one-one-2 up-1=\x14mrollback linux"));
        "linux: is what it was(.|\n)*linux: goes on".clone_into(&mut after);
    }
    sends.push(format!("{after}=\x141echo end-$a-$(($(lag) - l > 4))"));
    sends.push("end-one-1=\x14mend".to_owned());
    let sends: Vec<&'static str> = sends.into_iter().map(|send| &*send.leak()).collect();
    Case::new("", SMALL)
        .seconds(120)
        .sends(sends.leak())
        .shows(&["end-one-1", "evisor: all VMs stopped, status 0"])
}
