//! What the manifest says of the firmware that a VM sees.

use crate::tags::{self, Reach};
use alloc::format;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use evisor_contract::{BuildError, Clock, Memory, Node};

pub const BOARD_REVISION: &str = "evisor,board-revision";
pub const MAC_ADDRESS: &str = "evisor,mac-address";
pub const SERIAL: &str = "evisor,serial";
pub const FIRMWARE_TAGS: &str = "evisor,firmware-tags";

/// A Pi 4 B with 1 GiB, revision 1.1 (Raspberry Pi documentation, "Revision codes").
const PI_4B: u32 = 0x00a0_3111;

/// What a VM's firmware has to say.
pub struct Policy {
    pub board_revision: u32,
    pub mac_address: Option<[u8; 6]>,
    /// The upper word first.
    pub serial: [u32; 2],
    /// The tags that the board answers.
    window: Vec<u32>,
    /// Where the VM has memory or registers.
    addresses: Vec<RangeInclusive<u64>>,
    pub memory: &'static dyn Memory,
    pub clock: &'static dyn Clock,
}

impl Policy {
    pub fn new(
        node: &Node<'_>,
        addresses: Vec<RangeInclusive<u64>>,
        memory: &'static dyn Memory,
        clock: &'static dyn Clock,
    ) -> Result<Self, BuildError> {
        let mac_address = node.bytes(MAC_ADDRESS).map(|bytes| {
            let remedy = "write six bytes, as in [02 00 00 00 00 01]";
            bytes.try_into().map_err(|_| BuildError::property(MAC_ADDRESS, "is no address", remedy))
        });
        Ok(Self {
            board_revision: node.cell(BOARD_REVISION)?.unwrap_or(PI_4B),
            mac_address: mac_address.transpose()?,
            serial: serial(node)?,
            window: window(node)?,
            addresses,
            memory,
            clock,
        })
    }

    /// Whether the board answers that tag.
    pub fn hands_on(&self, number: u32) -> bool {
        self.window.contains(&number)
    }

    /// The lowest memory that the VM has: address and size, as far as 32 bits go.
    pub fn first_memory(&self) -> Option<(u32, u32)> {
        let memory = self.addresses.iter().filter(|range| {
            // Registers are among them, and no memory.
            self.memory.read(*range.start(), &mut [0]).is_ok()
        });
        let first = memory.min_by_key(|range| *range.start())?;
        let base = u32::try_from(*first.start()).ok()?;
        let size = (first.end() - first.start()).saturating_add(1);
        Some((base, u32::try_from(size).unwrap_or(PAGES)))
    }

    /// Microseconds of the VM's time.
    pub fn microseconds(&self) -> u64 {
        let (now, frequency) = (self.clock.now(), self.clock.frequency().max(1));
        let (seconds, rest) = (now / frequency, now % frequency);
        let rest = rest.saturating_mul(1_000_000) / frequency;
        seconds.wrapping_mul(1_000_000).wrapping_add(rest)
    }
}

/// The most whole pages that 32 bits can say.
const PAGES: u32 = 0xffff_f000;

fn serial(node: &Node<'_>) -> Result<[u32; 2], BuildError> {
    let error = || BuildError::property(SERIAL, "is no number", "write two cells, upper first");
    match cells(node, SERIAL).ok_or_else(error)?.as_slice() {
        [] => Ok([0, 0]),
        [upper, lower] => Ok([*upper, *lower]),
        _ => Err(error()),
    }
}

/// The tags that are the board's to answer: each is one that may be.
fn window(node: &Node<'_>) -> Result<Vec<u32>, BuildError> {
    let fault = |problem, remedy| BuildError::property(FIRMWARE_TAGS, problem, remedy);
    let listed = cells(node, FIRMWARE_TAGS);
    let window = listed.ok_or_else(|| fault("lists no tags".into(), "write a cell for each"))?;
    for number in &window {
        let problem = match tags::find(*number) {
            Some(tag) if tag.reach == Reach::Board => continue,
            Some(_) => format!("{number:#010x} stays with eVisor"),
            None => format!("{number:#010x} is no tag that eVisor knows"),
        };
        return Err(fault(problem, "remove it; devices/mailbox/README.md says why"));
    }
    Ok(window)
}

/// A property's cells; none if it is not there, `None` if it has others.
fn cells(node: &Node<'_>, name: &str) -> Option<Vec<u32>> {
    let (cells, rest) = node.bytes(name).unwrap_or_default().as_chunks::<4>();
    rest.is_empty().then(|| cells.iter().map(|cell| u32::from_be_bytes(*cell)).collect())
}
