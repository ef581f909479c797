//! VMs for who oversees some.

use crate::fake::{Event, lock};
use evisor_contract::{
    CoreFacts, CrashFacts, ExitCounts, ExitFacts, Inspect, LastCrash, MemoryFacts, Names, Power,
    Register, Rights, RouteFacts, Share, VcpuFacts, VmCheckpoint, VmFacts, VmState,
};
use std::sync::{Arc, Mutex};

/// Two VMs: `linux`, which runs with one of its two vCPUs, and `lab`, which crashed.
pub(crate) struct FakeInspect {
    log: Arc<Mutex<Vec<Event>>>,
}

impl FakeInspect {
    /// How many there are.
    pub(crate) const VMS: u32 = 2;

    pub(crate) fn new(log: Arc<Mutex<Vec<Event>>>) -> &'static Self {
        Box::leak(Box::new(Self { log }))
    }
}

/// What `linux` has, by kind of name: the names, and the object.
fn route_of_linux(names: Names, index: usize) -> Option<RouteFacts> {
    let mmio = (Rights::READ | Rights::WRITE, Some("/linux/serial@9000000"));
    let both = (Rights::READ64 | Rights::WRITE64, Some("/linux/intc@8000000"));
    let (first, last, (rights, object), uses) = match (names, index) {
        (Names::Addresses, 0) => (0x900_0000, 0x900_0fff, mmio, 1234),
        (Names::Addresses, 1) => (0x901_0000, 0x901_0fff, (Rights::READ32, mmio.1), 0),
        (Names::Registers, 0) => {
            let register = u64::from(Register::new(3, 0, 12, 11, 5).key());
            (register, register, both, 7)
        }
        (Names::Calls, 0) => (0x8400_0000, 0x8400_001f, (Rights::CALL, Some("/linux/psci")), 3),
        (Names::Interrupts, 0) => (26, 26, (Rights::INTERRUPT, None), 99),
        (Names::Interrupts, 1) => (27, 27, (Rights::INTERRUPT, both.1), 5),
        _ => return None,
    };
    Some(RouteFacts { first, last, rights, uses, object })
}

struct CrashOfLab;

impl LastCrash for CrashOfLab {
    fn facts(&self) -> Option<CrashFacts> {
        Some(CrashFacts {
            vcpu: 0,
            why: "an access was refused",
            address: Some(0x7f_0000_0000),
            pc: 0x4008_0000,
            pstate: 0x3c5,
            esr: 0x9300_0046,
            far: u64::MAX,
            hpfar: 0x7f_0000_00f0,
            nanoseconds: 123_456_789,
            refused: 1,
        })
    }

    fn register(&self, index: usize) -> Option<u64> {
        (index < 31).then_some(if index < 30 { index as u64 } else { u64::MAX })
    }

    fn exit(&self, index: usize) -> Option<ExitFacts> {
        let kinds = ["interrupt", "HVC", "store"];
        kinds.get(index).map(|kind| ExitFacts { kind, pc: 0xffff_8000_0800_0000 + index as u64 })
    }
}

impl Inspect for FakeInspect {
    fn vm(&self, vm: usize) -> Option<VmFacts> {
        match vm {
            0 => Some(VmFacts {
                name: "linux",
                state: VmState::On,
                vcpus: 2,
                verdict: 0,
                checkpoint: VmCheckpoint::Asked,
            }),
            1 => Some(VmFacts {
                name: "lab",
                state: VmState::Crashed,
                vcpus: 1,
                verdict: 3,
                checkpoint: VmCheckpoint::Never,
            }),
            _ => None,
        }
    }

    fn vcpu(&self, vm: usize, index: usize) -> Option<VcpuFacts> {
        let (power, core, pc, refused) = match (vm, index) {
            (0, 0) => (Power::On, 0, Some(0xffff_8000_0801_2345), 2),
            (0, 1) => (Power::Off, 1, None, 0),
            (1, 0) => (Power::Off, 2, Some(0x4008_0000), 1),
            _ => return None,
        };
        let share = match vm {
            0 => Share::default(),
            _ => Share { priority: 9, budget: 200, period: 1000 },
        };
        let (ran, stolen) = (2_000_000 * (index as u64 + 1), 1000 * vm as u64);
        Some(VcpuFacts { power, affinity: index as u64, core, pc, refused, ran, stolen, share })
    }

    fn memory(&self, vm: usize, index: usize) -> Option<MemoryFacts> {
        let (ipa, size, writable) = match (vm, index) {
            (0, 0) => (0x4000_0000, 256 << 20, true),
            (0, 1) => (0x6000_0000, 4096, false),
            (1, 0) => (0x4000_0000, 2 << 20, true),
            _ => return None,
        };
        Some(MemoryFacts { ipa, size, writable })
    }

    fn route(&self, vm: usize, names: Names, index: usize) -> Option<RouteFacts> {
        if vm == 0 { route_of_linux(names, index) } else { None }
    }

    fn exits(&self, vm: usize) -> Option<ExitCounts> {
        let exits = ExitCounts { accesses: 1234, registers: 7, calls: 3, interrupts: 104 };
        match vm {
            0 => Some(exits),
            1 => Some(ExitCounts::default()),
            _ => None,
        }
    }

    fn core(&self, core: usize) -> Option<CoreFacts> {
        match core {
            0 | 1 => Some(CoreFacts { scheduler: None }),
            2 => Some(CoreFacts { scheduler: Some("fixed-priority") }),
            _ => None,
        }
    }

    fn last_crash(&self, vm: usize) -> Option<&dyn LastCrash> {
        (vm == 1).then_some(&CrashOfLab)
    }

    fn look(&self, vm: usize) {
        lock(&self.log).push(Event::Looked(vm));
    }
}
