//! An SD host controller (SD Host Controller Simplified Specification 3.00) with an
//! SD card of high capacity in its slot, whose blocks are a store's.
//!
//! Commands take no time. Data take as long as the store does: it moves at most
//! eight blocks at once, so a transfer is made of pieces of as many blocks, and the
//! guest runs in between. A piece goes between the store's buffer and the guest's
//! memory (SDMA, ADMA2), or block by block through a FIFO, where the guest's access
//! to the data port finds it without a lock.
//!
//! - `registers` is what holds what is written to it, `card` what the card does with
//!   commands: neither moves data.
//! - `issue` sends commands, `transfer` moves what follows from them, `dma` says
//!   where in the guest's memory, and `store` asks for blocks.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod card;
mod card_spec;
mod dma;
mod fifo;
mod identity;
mod issue;
mod registers;
mod spec;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod transfer;

use card::{Card, Facts};
use evisor_contract::{
    BuildError, Clock, Context, Deadline, Grants, GuestNode, Line, Memory, Mmio, Needs, Node,
    Notify, Parts, Reply, Rights, Told, Width, WindowNeed, component, tag,
};
use fifo::Fifo;
use registers::Registers;
use spec::{BLOCK_GAP, CLOCK_HZ, HOST_CONTROL, PRESENT_STATE, offset};
use store::Store;
use tock_registers::LocalRegisterCopy;
use transfer::{Kind, Transfer};

pub(crate) use spec::{BUFFER, WORDS};

component! {
    compatible: ["brcm,bcm2711-emmc2"],
    needs: needs(&[window(0x100)]),
    properties: [],
    build: build,
    describe: |_node, guest| describe(guest, "brcm,bcm2711-emmc2", &[]),
}

component! {
    compatible: ["brcm,bcm2835-sdhci"],
    needs: needs(&[window(0x100)]),
    properties: [],
    build: build,
    describe: |_node, guest| describe(guest, "brcm,bcm2835-sdhci", &[]),
}

component! {
    compatible: ["arasan,sdhci-8.9a"],
    needs: needs(&[window(0x1000)]),
    properties: [],
    build: build,
    describe: |_node, guest| describe(guest, "arasan,sdhci-8.9a", &["clk_xin", "clk_ahb"]),
}

/// The registers are of 8, 16 and 32 bits.
const fn window(size: u64) -> WindowNeed {
    let wide = Rights::READ64.union(Rights::WRITE64);
    let access = Rights::READ.union(Rights::WRITE).difference(wide);
    WindowNeed { access, ..WindowNeed::new(size) }
}

const fn needs(windows: &'static [WindowNeed]) -> Needs {
    Needs { windows, lines: 1, guest_memory: true, block: true, ..Needs::NONE }
}

fn build(node: &Node<'_>, grants: &mut dyn Grants) -> Result<Parts, BuildError> {
    let port = grants.block()?;
    // Cards of one guest have different numbers.
    let serial = node.window(0).map_or(0, |(address, _)| (address >> 12) as u32);
    let ends = Ends {
        line: grants.line(0)?,
        deadline: grants.deadline()?,
        clock: grants.clock(),
        memory: grants.guest_memory()?,
    };
    let card = Card::new(Facts::new(port.blocks(), port.read_only(), serial));
    Ok(Parts::new(Sdhci::new(card, Store::new(port), ends)).mmio().notify().done())
}

/// The binding's properties: `clocks` are one clock, under each of `names`.
fn describe(guest: &mut dyn GuestNode, compatible: &str, names: &[&str]) -> Result<(), BuildError> {
    let clock = guest.fixed_clock(CLOCK_HZ);
    guest.set_strings("compatible", &[compatible]);
    if names.is_empty() {
        guest.set_cells("clocks", &[clock]);
    } else {
        guest.set_cells("clocks", &[clock, clock]);
        guest.set_strings("clock-names", names);
    }
    guest.set_cells("bus-width", &[4]);
    for flag in ["cap-sd-highspeed", "no-1-8-v", "non-removable"] {
        guest.set_flag(flag);
    }
    Ok(())
}

/// Where the device reaches the outside, but for blocks.
struct Ends {
    line: Line,
    deadline: Deadline,
    clock: &'static dyn Clock,
    memory: &'static dyn Memory,
}

/// One controller.
pub struct Sdhci {
    fifo: Fifo,
    /// Below this place in the FIFO a word is read and nothing else happens; and
    /// below the next one written. Set by [`settle`](Self::settle).
    quick_read: usize,
    quick_write: usize,
    registers: Registers,
    card: Card,
    transfer: Transfer,
    store: Store,
    /// The last command's response says busy, and its end is to be told.
    waits: bool,
    /// The card erases, piece by piece.
    erases: bool,
    told: Told,
    armed: bool,
    /// It was restored, and its VM did not go on since.
    stands: bool,
    ends: Ends,
}

impl Mmio for Sdhci {
    #[inline(always)]
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        if offset == offset::BUFFER && width == Width::Word && self.fifo.place() < self.quick_read {
            return Reply::value(u64::from(self.fifo.take_word()));
        }
        Reply::value(self.read_slowly(offset, width, cx))
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "no access has more than 32 bits")]
    fn write(&mut self, offset: u64, width: Width, value: u64, cx: &mut Context) -> Reply {
        if offset == offset::BUFFER && width == Width::Word && self.fifo.place() < self.quick_write
        {
            self.fifo.put_word(value as u32);
            return Reply::DONE;
        }
        self.write_slowly(offset, width, value as u32, cx);
        Reply::DONE
    }
}

impl Sdhci {
    fn new(card: Card, store: Store, ends: Ends) -> Self {
        Self {
            fifo: Fifo::new(),
            quick_read: 0,
            quick_write: 0,
            registers: Registers::RESET,
            card,
            transfer: Transfer::NONE,
            store,
            waits: false,
            erases: false,
            told: Told::LOW,
            armed: false,
            stands: false,
            ends,
        }
    }

    #[inline(never)]
    fn read_slowly(&mut self, offset: u64, width: Width, cx: &mut Context) -> u64 {
        let word = match offset & !3 {
            offset::BUFFER => return u64::from(self.read_port(width, cx)),
            offset::PRESENT_STATE => self.present_state(),
            word => {
                let halves = [self.registers.read(word), self.registers.read(word | 2)];
                u32::from(halves[0]) | u32::from(halves[1]) << 16
            }
        };
        u64::from(word) >> (8 * (offset & 3)) & width.mask()
    }

    #[inline(never)]
    fn write_slowly(&mut self, offset: u64, width: Width, value: u32, cx: &mut Context) {
        if offset & !3 == offset::BUFFER {
            return self.write_port(width, value, cx);
        }
        let shift = 8 * (offset & 3);
        let lanes = width.mask() << shift;
        let value = u64::from(value) << shift;
        for half in [0, 2] {
            let part = |word: u64| (word >> (8 * half)) as u16;
            if part(lanes) != 0 {
                self.write_half(offset & !3 | half, part(value), part(lanes), cx);
            }
        }
    }

    /// A write to two registers of 8 bits, or to one or half of one that is wider.
    fn write_half(&mut self, half: u64, value: u16, lanes: u16, cx: &mut Context) {
        let upper = lanes & 0xff00 != 0;
        let powered = self.registers.host_control.is_set(HOST_CONTROL::POWER);
        if !self.is_held(half) {
            self.registers.write(half, value, lanes);
        }
        match half {
            offset::COMMAND if upper => self.issue(),
            offset::TIMEOUT => self.software_reset(value & lanes),
            // §2.2.1: its last byte restarts SDMA.
            half if half == offset::ARGUMENT2 + 2 && upper => self.transfer.dma.stopped = false,
            offset::HOST_CONTROL if powered => self.check_power(),
            offset::BLOCK_GAP => self.check_gap(value & lanes),
            _ => {}
        }
        self.proceed(cx);
    }

    /// Whether a register cannot be changed now: §2.2.2, §2.2.3 and §2.2.5 of those
    /// that say what a transfer does.
    fn is_held(&self, half: u64) -> bool {
        match half {
            offset::BLOCK_SIZE | offset::BLOCK_COUNT | offset::TRANSFER_MODE => self.is_inhibited(),
            0 | 2 | offset::ADMA_ADDRESS => self.is_inhibited() && !self.transfer.dma.stopped,
            _ => false,
        }
    }

    /// Command Inhibit (DAT), §2.2.9.
    fn is_inhibited(&self) -> bool {
        self.transfer.is_active() || self.waits
    }

    fn present_state(&self) -> u32 {
        let mut state = LocalRegisterCopy::<u32, PRESENT_STATE::Register>::new(0);
        let Transfer { kind, .. } = self.transfer;
        state.write(
            PRESENT_STATE::CMD_LEVEL::SET
                + PRESENT_STATE::DAT_LEVELS.val(7)
                + PRESENT_STATE::STABLE::SET
                + PRESENT_STATE::DAT0_LEVEL.val(u32::from(!self.card.busy()))
                + PRESENT_STATE::WRITE_ENABLED.val(u32::from(!self.card.facts.read_only)),
        );
        if self.card.inserted() {
            state.modify(PRESENT_STATE::INSERTED::SET + PRESENT_STATE::CARD_DETECT::SET);
        }
        if self.is_inhibited() {
            state.modify(PRESENT_STATE::DAT_INHIBIT::SET + PRESENT_STATE::DAT_ACTIVE::SET);
        }
        let (active, ready) = (self.transfer.is_active(), self.fifo.is_ready());
        match kind {
            Kind::Read => state.modify(
                PRESENT_STATE::READING.val(u32::from(active))
                    + PRESENT_STATE::READ_READY.val(u32::from(ready)),
            ),
            Kind::Write => state.modify(
                PRESENT_STATE::WRITING.val(u32::from(active))
                    + PRESENT_STATE::WRITE_READY.val(u32::from(ready)),
            ),
            Kind::None => {}
        }
        state.get()
    }

    /// The card has lost its power.
    fn check_power(&mut self) {
        if !self.registers.host_control.is_set(HOST_CONTROL::POWER) {
            self.card.power_cycle();
            self.stop();
        }
    }

    /// §2.2.12: the continue request works once the stop request is taken back.
    fn check_gap(&mut self, value: u16) {
        let goes_on = value & BLOCK_GAP::CONTINUE::SET.value != 0;
        if goes_on && !self.registers.block_gap.is_set(BLOCK_GAP::STOP) {
            self.transfer.paused = false;
        }
    }

    /// The end of every action but a quick one: what is wanted of the store is asked,
    /// and the line and the deadline follow.
    fn settle(&mut self, again: bool, cx: &mut Context) {
        self.store.ask(cx);
        let up = self.registers.interrupts();
        self.told.set(&self.ends.line, up, cx);
        if again && !self.armed {
            self.armed = true;
            self.ends.deadline.set(self.ends.clock.now(), cx);
        }
        let quick = self.fifo.quick();
        self.quick_read = if self.transfer.kind == Kind::Read { quick } else { 0 };
        self.quick_write = if self.transfer.kind == Kind::Write { quick } else { 0 };
    }
}

impl Notify for Sdhci {
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        match tag {
            tag::BLOCK_DONE => self.answered(value, cx),
            tag::DEADLINE => {
                self.armed = false;
                self.stands = false;
                self.proceed(cx);
            }
            _ => return Reply::ABSENT,
        }
        Reply::DONE
    }
}
