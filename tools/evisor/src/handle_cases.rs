//! System tests of what VMs hold by handles.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::card::MIB;
use crate::card_reader::CardReader;
use crate::case::Case;
use crate::machine::Machine;
use crate::workspace;

/// On either board.
pub const CASES: &[Case] = &[
    Case::new(
        "two VMs on four cores hand capabilities to each other",
        "tools/evisor/tests/guests/capability.dts",
    )
    .seconds(300)
    .shows(&[
        "first| 500000 random handles and functions",
        "second| 500000 random handles and functions",
        "first| PASS nothing was found by them",
        "second| PASS nothing was found by them",
        "first| PASS handed over, used, revoked, and denied",
        "second| PASS handed over, used, revoked, and denied",
        "first| PASS two revoke from each other",
        "second| PASS two revoke from each other",
        "evisor: first: off, verdict 0",
        "evisor: second: off, verdict 0",
    ]),
    Case::new("a supervisor starts a VM that crashes", "manifests/supervisor.dts")
        .seconds(120)
        .status(CRASHED)
        .shows(&[
            "supervisor| PASS it crashed once more",
            "supervisor| PASS it is off for good",
            "evisor: supervisor: off, verdict 0",
        ]),
    Case::new(
        "a supervisor without the control right only looks",
        "tools/evisor/tests/guests/supervisor-looks.dts",
    )
    .seconds(60)
    .status(CRASHED)
    .shows(&["PASS it may not be changed", "evisor: supervisor: off, verdict 0"]),
    Case::new(
        "the same guest without capabilities is refused",
        "tools/evisor/tests/guests/supervisor-without.dts",
    )
    .seconds(60)
    .status(CRASHED)
    .shows(&["evisor: supervisor: off, verdict 0"]),
    Case::new(
        "a device is taken from a VM that uses it, and given to another",
        "tools/evisor/tests/guests/taken-device.dts",
    )
    .seconds(60)
    .shows(&[
        "user| PASS it went while it was used",
        "heir| PASS it can be used",
        "user| PASS it is back as after a reset",
        "evisor: keeper: off, verdict 0",
        "evisor: user: off, verdict 0",
        "evisor: heir: off, verdict 0",
    ]),
    BLOCKS,
    // What it reached is the last byte of x20.
    Case::new(
        "a VM with memory and a vCPU reaches nothing",
        "tools/evisor/tests/guests/nothing.dts",
    )
    .seconds(60)
    .status(CRASHED)
    .shows(&["nothing:   x20: 6e6f7468696e6700"]),
];

/// What a GICv3 does not change, but what the guests are.
pub const ON_A_GICV3: &[Case] =
    &[BLOCKS.called("blocks by handles, with a GICv3").options(&["--gic", "3"])];

const BLOCKS: Case = Case::new(
    "a VM hands blocks of a disk to another, and takes them back",
    "tools/evisor/tests/guests/blocks.dts",
)
.seconds(60)
.shows(&[
    "keeper| PASS what is out of range is an error",
    "keeper| PASS nothing else comes of any words",
    "keeper| PASS the other wrote to it",
    "user| PASS it went while it was used",
    "user| PASS it is denied after",
    "user| PASS another is only read",
    "keeper| PASS it wrote no more",
    "evisor: keeper: off, verdict 0",
    "evisor: user: off, verdict 0",
]);

/// The same of the board's card, which answers later.
const OF_THE_CARD: Case = BLOCKS
    .called("a VM hands blocks of the card to another, and takes them back")
    .of("tools/evisor/tests/guests/blocks-of-the-card.dts");

pub const ON_A_CARD: (&str, fn() -> Result<()>) = (OF_THE_CARD.name, of_the_card);

/// The blocks that the manifest gives, in bytes of the card.
const GIVEN: std::ops::Range<usize> = 96 * 512..160 * 512;

/// Nothing around them changes.
fn of_the_card() -> Result<()> {
    let folder = workspace::root().join("target/evisor/handles");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let card = folder.join("blocks.img");
    let before: Vec<u8> = (0_u32..).map(|at| (at / 512) as u8 | 1).take(MIB as usize).collect();
    let image = fs::File::create(&card).and_then(|file| file.set_len(64 * MIB).map(|()| file));
    std::io::Write::write_all(&mut image?, &before)?;
    OF_THE_CARD.boot(&Machine { card: CardReader::keeping(card.clone()), ..Machine::raspi4() })?;
    let after = first(&card)?;
    let around =
        |bytes: &[u8]| Some([bytes.get(..GIVEN.start)?.to_vec(), bytes.get(GIVEN.end..)?.to_vec()]);
    ensure!(around(&before) == around(&after), "blocks that nobody was given have changed");
    ensure!(before.get(GIVEN) != after.get(GIVEN), "nothing was written to the card");
    fs::remove_file(&card).context("cannot remove the card")
}

/// The first MiB of the card.
fn first(card: &Path) -> Result<Vec<u8>> {
    let mut bytes = vec![0; MIB as usize];
    std::io::Read::read_exact(&mut fs::File::open(card)?, &mut bytes)?;
    Ok(bytes)
}

/// The watched VM's verdict.
const CRASHED: u8 = 102;

/// The supervisor watches a Linux, which an access that is refused ends.
pub const LINUX: &[Case] = &[Case::new(
    "a supervisor starts Linux that crashes",
    "tools/evisor/tests/guests/supervisor-linux.dts",
)
.options(&["--consoles"])
.sends(&[
    "@linux ~ # =devmem 0x0b000000",
    "@linux ~ # =devmem 0x0b000000",
    "@linux ~ # =devmem 0x0b000000",
    "@linux ~ # =poweroff",
])
.seconds(300)
.shows(&[
    "supervisor: vCPU 0 crashed for reason 3",
    "PASS it ends by itself",
    "evisor: supervisor: off, verdict 0",
])];
