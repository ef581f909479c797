//! The general-purpose pins of a BCM2711. They lead nowhere, but for those of the board that
//! the manifest gives: outputs are what the guest makes them, and inputs are what they are
//! pulled to.
//!
//! Every write is followed by a look at what the pins were and are now, from which events
//! and interrupts come. The board's pins have none.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod board;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Context, HostPins, Line, Mmio, Needs, Parts, Reply, Rights, Width, WindowNeed, component,
};
use spec::{ALL, INTERRUPTS, OUTPUT, PINS, PULL_UP, Register, detect};

component! {
    compatible: ["brcm,bcm2711-gpio"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(spec::SIZE) }],
        optional_lines: INTERRUPTS.len(),
        ..Needs::NONE
    },
    properties: ["evisor,pins"],
    build: |node, grants| {
        let lines = core::array::from_fn(|index| grants.line(index).ok());
        let board = board::pins(node, grants)?;
        Ok(Parts::new(Gpio::new(lines, board)).mmio().done())
    },
    describe: |_node, _guest| Ok(()),
}

/// The registers are words.
const ACCESS: Rights = Rights::READ32.union(Rights::WRITE32);

/// One block of pins. Where a field has a bit for each pin, it is of the pin's number.
struct Gpio {
    /// GPFSELn.
    functions: [u32; 6],
    /// GPIO_PUP_PDN_CNTRL_REGn.
    pulls: [u32; 4],
    /// What was set and not cleared: what the outputs are.
    set: u64,
    events: u64,
    detect: [u64; detect::KINDS],
    /// The outputs, from `functions`.
    outputs: u64,
    /// What inputs are, from `pulls`.
    pulled_up: u64,
    lines: [Option<Line>; INTERRUPTS.len()],
    /// The pins that are the board's.
    board: Option<HostPins>,
}

impl Gpio {
    fn new(lines: [Option<Line>; INTERRUPTS.len()], board: Option<HostPins>) -> Self {
        let mut gpio = Self {
            functions: [0; 6],
            pulls: [0; 4],
            set: 0,
            events: 0,
            detect: [0; detect::KINDS],
            outputs: 0,
            pulled_up: 0,
            lines,
            board,
        };
        gpio.power_on();
        gpio
    }

    /// What the pins are, if they lead nowhere.
    fn levels(&self) -> u64 {
        self.set & self.outputs | self.pulled_up & !self.outputs
    }

    fn detects(&self, kind: usize) -> u64 {
        self.detect.get(kind).copied().unwrap_or_default()
    }

    /// What the pins' functions and pulls come to.
    fn look(&mut self) {
        self.outputs = pins_with(&self.functions, 3, OUTPUT);
        self.pulled_up = pins_with(&self.pulls, 2, PULL_UP);
    }

    /// GPEDS (§5.2): edges since `before`, and levels.
    fn watch(&mut self, before: u64) {
        let now = self.levels();
        let rising = self.detects(detect::RISING) | self.detects(detect::ASYNC_RISING);
        let falling = self.detects(detect::FALLING) | self.detects(detect::ASYNC_FALLING);
        let edges = !before & now & rising | before & !now & falling;
        let levels = now & self.detects(detect::HIGH) | !now & self.detects(detect::LOW);
        self.events |= (edges | levels) & !self.given();
    }

    /// An interrupt is up while one of its pins has an event.
    fn interrupt(&self, before: u64, cx: &mut Context) {
        for (line, pins) in self.lines.iter().zip(INTERRUPTS) {
            let (was, is) = (before & pins != 0, self.events & pins != 0);
            if let Some(line) = line.filter(|_| was != is) {
                line.set(is, cx);
            }
        }
    }

    fn register(&self, register: Register) -> u32 {
        match register {
            Register::Function(index) => self.functions.get(index).copied().unwrap_or_default(),
            Register::Pull(index) => self.pulls.get(index).copied().unwrap_or_default(),
            Register::Level(first) => half(self.seen(), first),
            Register::Events(first) => half(self.events, first),
            Register::Detect(kind, first) => half(self.detects(kind), first),
            Register::Set(_) | Register::Clear(_) | Register::Reserved => 0,
        }
    }

    fn set_register(&mut self, register: Register, value: u32) {
        match register {
            Register::Function(index) => keep(&mut self.functions, &spec::FUNCTIONS, index, value),
            Register::Pull(index) => keep(&mut self.pulls, &spec::PULLS, index, value),
            Register::Set(first) => self.set |= pins(value, first),
            Register::Clear(first) => self.set &= !pins(value, first),
            Register::Events(first) => self.events &= !pins(value, first),
            Register::Detect(kind, first) => {
                if let Some(kept) = self.detect.get_mut(kind) {
                    *kept = *kept & !pins(u32::MAX, first) | pins(value, first);
                }
            }
            Register::Level(_) | Register::Reserved => {}
        }
        if matches!(register, Register::Function(_) | Register::Pull(_)) {
            self.look();
        }
        self.pass_on(register);
    }
}

impl Mmio for Gpio {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let word = self.register(Register::at(offset & !3));
        Reply::value(u64::from(word) & width.mask())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a word was written")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        let (levels, events) = (self.levels(), self.events);
        self.set_register(Register::at(offset & !3), value as u32);
        self.watch(levels);
        self.interrupt(events, cx);
        Reply::DONE
    }
}

/// The pins from `first` of those with a bit in `all`.
#[expect(clippy::cast_possible_truncation, reason = "a register has half of the pins")]
fn half(all: u64, first: u32) -> u32 {
    (all >> first) as u32
}

/// The pins from `first` that a register's `value` names.
fn pins(value: u32, first: u32) -> u64 {
    u64::from(value) << first & ALL
}

fn keep(registers: &mut [u32], bits: &[u32], index: usize, value: u32) {
    if let Some((register, bits)) = registers.get_mut(index).zip(bits.get(index)) {
        *register = value & bits;
    }
}

/// The pins whose field of `bits` bits is `value`, as many in each register as have room.
fn pins_with(registers: &[u32], bits: u32, value: u32) -> u64 {
    let fields = registers.iter().flat_map(|register| {
        (0..u32::BITS / bits).map(move |field| register >> (field * bits) & ((1 << bits) - 1))
    });
    let all = (0..PINS).zip(fields).filter(|(_, field)| *field == value);
    all.fold(0, |pins, (pin, _)| pins | 1 << pin)
}
