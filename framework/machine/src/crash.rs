//! The record of a crash: what is said of it on the line, and what is kept until the
//! next one.

use crate::run::Held;
use core::fmt;
use evisor_aarch64::trace::{EXITS, Exit};
use evisor_aarch64::vcpu::Vcpu;
use evisor_aarch64::{Crash, Trap, timer};
use evisor_contract::abi::vm::crash::WORDS;
use evisor_contract::{Clock, CrashFacts, ExitFacts, LastCrash};
use evisor_router::Uses;
use log::error;

/// How many of the last exits are said on the line.
const SAID: usize = 8;

/// What is known of a VM that crashed.
pub(crate) struct CrashRecord {
    /// The vCPU that crashed.
    pub vcpu: usize,
    pub why: Crash,
    /// How it came to EL2 then.
    pub trap: Trap,
    /// x0 to x30, and 0.
    pub x: [u64; 32],
    /// The exits of that vCPU, the oldest first; `count` of them.
    exits: [Exit; EXITS],
    count: usize,
    /// How many of that vCPU's accesses and instructions were refused since eVisor
    /// started it first.
    pub refused: u64,
    /// What its VM's exits were for since then.
    pub uses: Uses,
    /// The VM's time, in nanoseconds.
    pub time: u64,
    /// How many crashes there were, this one too.
    number: u64,
}

impl CrashRecord {
    fn of(held: &Held, vcpu: &Vcpu, why: Crash, trap: Trap) -> Self {
        let mut exits = [Exit::default(); EXITS];
        let count = exits.iter_mut().zip(vcpu.exits()).map(|(slot, exit)| *slot = exit).count();
        Self {
            vcpu: vcpu.context.vcpu(),
            why,
            trap,
            x: *vcpu.registers(),
            exits,
            count,
            refused: vcpu.refused(),
            uses: held.bound.space.uses(),
            time: timer::nanoseconds(held.bound.vm.now()),
            number: 1,
        }
    }

    /// As [`abi::vm::crash`](evisor_contract::abi::vm::crash) has it.
    fn words(&self) -> [u64; WORDS] {
        let Trap { elr, spsr, esr, far, hpfar } = self.trap;
        let why = match self.why {
            Crash::SError { .. } => 1,
            Crash::VectorUnmapped { .. } => 2,
            Crash::Access { .. } => 3,
            Crash::Instruction => 4,
        };
        let first = [self.vcpu as u64, why, elr, spsr, esr, far, hpfar, self.time];
        let all = first.iter().chain(&self.x);
        let mut words = [0; WORDS];
        words.iter_mut().zip(all).for_each(|(slot, word)| *slot = *word);
        words
    }

    /// The last exits of the vCPU, the oldest first.
    pub fn exits(&self) -> &[Exit] {
        self.exits.get(..self.count).unwrap_or(&self.exits)
    }
}

/// The object of a VM whose registers are at an address; for a VM's people to read.
struct Owner<'a>(&'a Held, Option<u64>);

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ipa) = self.1 else { return Ok(()) };
        let windows =
            self.0.plan.objects.iter().flat_map(|o| o.windows.iter().map(move |w| (o, w)));
        let found = windows.into_iter().find(|(_, window)| {
            ipa.checked_sub(window.ipa).is_some_and(|offset| offset < window.size)
        });
        match found {
            Some((object, _)) if self.0.devices.lacks(&object.path) => {
                write!(f, ", as {} is withheld from it", object.path)
            }
            Some((object, window)) => {
                write!(f, " by {}, which it may {:?}", object.path, window.access)
            }
            None => f.write_str(": nothing is there"),
        }
    }
}

impl Held {
    /// Keeps the record of a crash of `vcpu`, and says what matters of it.
    #[cold]
    pub fn record(&self, vcpu: &Vcpu, why: Crash, trap: Trap) {
        let mut record = CrashRecord::of(self, vcpu, why, trap);
        self.say(&record);
        let mut slot = self.last_crash.lock();
        record.number = slot.as_ref().map_or(1, |last| last.number + 1);
        *slot = Some(record);
    }

    fn say(&self, record: &CrashRecord) {
        let name = &self.plan.name;
        let CrashRecord { vcpu, why, trap, refused, uses, time, .. } = record;
        let Trap { elr, spsr, esr, far, hpfar } = trap;
        let ipa = if let Crash::Access { ipa } = why { *ipa } else { None };
        let owner = Owner(self, ipa);
        error!("{name}: vCPU {vcpu} crashed: {why}{owner}");
        error!("{name}:   at {elr:#x}, PSTATE {spsr:#x}, {time} ns of its time");
        error!("{name}:   ESR {esr:#x}, FAR {far:#x}, HPFAR {hpfar:#x}");
        for (number, four) in (0..).step_by(4).zip(record.x.chunks(4)) {
            error!("{name}:   x{number}:{}", Words(four));
        }
        let Uses { accesses, registers, calls, interrupts } = uses;
        error!(
            "{name}:   {accesses} accesses, {registers} registers, {calls} calls, {interrupts} interrupts, {refused} refused"
        );
        let exits = record.exits();
        let newest = exits.get(exits.len().saturating_sub(SAID)..).unwrap_or_default();
        error!("{name}:   its last exits:{}", Listed(newest));
    }
}

/// Locked for as long as it takes to copy what is asked for.
impl LastCrash for Held {
    fn facts(&self) -> Option<CrashFacts> {
        let record = self.last_crash.lock();
        let CrashRecord { vcpu, why, trap, refused, time, .. } = record.as_ref()?;
        Some(CrashFacts {
            vcpu: *vcpu,
            why: why.what(),
            address: why.address(),
            pc: trap.elr,
            pstate: trap.spsr,
            esr: trap.esr,
            far: trap.far,
            hpfar: trap.hpfar,
            nanoseconds: *time,
            refused: *refused,
        })
    }

    fn register(&self, index: usize) -> Option<u64> {
        self.last_crash.lock().as_ref()?.x.get(..31)?.get(index).copied()
    }

    fn words(&self, index: usize) -> Option<[u64; 3]> {
        let record = self.last_crash.lock();
        let record = record.as_ref()?;
        let words = record.words();
        let other = words.get(index.wrapping_add(1)).copied().unwrap_or(0);
        Some([*words.get(index)?, other, record.number])
    }

    fn exit(&self, index: usize) -> Option<ExitFacts> {
        let record = self.last_crash.lock();
        let exit = record.as_ref()?.exits().get(index)?;
        Some(ExitFacts { kind: exit.kind().name().unwrap_or("other"), pc: exit.pc() })
    }
}

/// Exits in one line.
struct Listed<'a>(&'a [Exit]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|exit| write!(f, " {exit};"))
    }
}

/// Registers side by side.
struct Words<'a>(&'a [u64]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, " {word:016x}"))
    }
}
