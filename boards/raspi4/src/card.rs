//! The SD card: behind EMMC2 on a Pi 4; QEMU has it behind the older controller, which
//! on a Pi leads to the wireless chip. Whichever has a card is used, EMMC2 first.
//!
//! Power and lines are left as the firmware has them, which booted from the card: 3.3 V.

#![allow(unsafe_code, reason = "makes a window onto the registers")]

use alloc::boxed::Box;
use core::ops::Range;
use evisor_aarch64::dma::DmaBuffer;
use evisor_aarch64::{device, timer, window};
use evisor_fdt::{Node, Tree};
use evisor_machine::{Disk, binding};
use evisor_sd::{CardDisk, Clock, Config, DmaMemory, Sd, SdError};

/// The registers of a controller (HC §2.1).
const BYTES: u64 = 0x100;

/// The controllers, and how each differs from the specification.
///
/// Neither tells whether a card is in: the tree says so of EMMC2 (`broken-cd`), and
/// nothing is wired to the other. The older one is an Arasan that loses writes.
const CONTROLLERS: [(&str, Config); 2] = [
    ("brcm,bcm2711-emmc2", Config { card_detect: false, ..Config::STANDARD }),
    ("brcm,bcm2835-sdhci", Config { card_detect: false, spaced_writes: true, ..Config::STANDARD }),
];

/// The machine's time.
struct Time;

impl Clock for Time {
    fn micros(&self) -> u64 {
        let frequency = timer::frequency().max(1);
        let (seconds, rest) = (timer::now() / frequency, timer::now() % frequency);
        seconds * 1_000_000 + rest * 1_000_000 / frequency
    }
}

/// What the controller reaches by itself, where it can: the descriptors and 32 blocks.
/// The memory is the image's, which the firmware loads below 1 GiB.
const DMA_WORDS: usize = 16 + 32 * 128;

/// The same for the controller, which sees memory elsewhere.
struct Reached {
    buffer: DmaBuffer,
    bus: u32,
}

impl Reached {
    /// Memory that the controller of this node reaches, by the `dma-ranges` of its bus
    /// (Devicetree Specification §2.3.9); of EMMC2, 0xc0000000 is where memory begins.
    fn new(node: Node<'_>) -> Option<Self> {
        let (on, around) = (node.parent()?, node.parent()?.parent()?);
        let count = |node: Node<'_>, of, default| node.cell(of).unwrap_or(default) as usize;
        let addresses = [on, around].map(|node| count(node, "#address-cells", 2));
        let mut cells = on.property("dma-ranges")?.cells()?;
        let (bus, memory) = (cells.number(addresses[0])?, cells.number(addresses[1])?);
        let size = cells.number(count(on, "#size-cells", 1))?;
        let buffer = DmaBuffer::new(DMA_WORDS)?;
        let offset = buffer.physical().checked_sub(memory)?;
        let fits = offset.checked_add(4 * DMA_WORDS as u64)? <= size;
        let bus = u32::try_from(bus.checked_add(offset)?).ok().filter(|_| fits)?;
        Some(Self { buffer, bus })
    }
}

impl DmaMemory for Reached {
    fn words(&mut self) -> &mut [u32] {
        self.buffer.words()
    }

    fn bus_address(&self) -> u32 {
        self.bus
    }

    fn clean(&mut self, words: Range<usize>) {
        self.buffer.clean(words);
    }

    fn invalidate(&mut self, words: Range<usize>) {
        self.buffer.invalidate(words);
    }
}

/// The first card that answers.
pub fn bring_up(tree: &Tree<'_>) -> Result<Disk, SdError> {
    let mut last = None;
    for (compatible, config) in CONTROLLERS {
        let node = tree.compatible(compatible).find(Node::is_enabled);
        match node.and_then(|node| start(node, config)) {
            Some(Ok(disk)) => return Ok(disk),
            Some(Err(error)) => {
                // What went wrong with a card says more than that there is none.
                last = last.filter(|last| *last != SdError::NoCard).or(Some(error));
            }
            None => {}
        }
    }
    Err(last.unwrap_or(SdError::Controller("the board's tree has none that is enabled")))
}

fn start(node: Node<'_>, config: Config) -> Option<Result<Disk, SdError>> {
    let intid = node.gic_interrupt(0)?;
    let at = device(binding::registers(node)?, BYTES).ok()?;
    // SAFETY: 1. the tree has a controller there, mapped for good. 2. nobody else in
    // eVisor drives it.
    let registers = unsafe { window(at, BYTES as usize / 4) }?;
    let disk = Sd::with_memory(registers, Time, config, Reached::new(node)).map(CardDisk::new);
    Some(disk.map(|disk| (Box::new(disk) as Box<_>, intid)))
}
