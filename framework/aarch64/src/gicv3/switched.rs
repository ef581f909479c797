//! The virtual interface of one vCPU put aside, and another's in its place.

use super::registers::{Gicr, read, write};
use super::{redistributor, system_interface};
use crate::gic::{self, GuestInterface};
use aarch64_cpu::asm::barrier;
use evisor_contract::SystemInterface;
use tock_registers::interfaces::{Readable, Writeable};

/// A core on which vCPUs are switched.
pub(crate) struct Switched {
    gicr: &'static Gicr,
    lists: usize,
    /// Of ICH_ELRSR_EL2, those that are there.
    all: u64,
    /// How many active priorities registers there are, of both groups: 2, 4 or 8.
    active_priorities: usize,
}

macro_rules! save_some {
    ($count:expr, $to:expr; $($index:literal $name:literal),*) => {
        'done: {
            $(
                if $count <= $index {
                    break 'done;
                }
                $to[$index] = read!($name);
            )*
        }
    };
}

macro_rules! load_some {
    ($count:expr, $from:expr; $($index:literal $name:literal),*) => {
        'done: {
            $(
                if $count <= $index {
                    break 'done;
                }
                write!($name, $from[$index]);
            )*
        }
    };
}

macro_rules! lists {
    ($some:ident, $count:expr, $guest:expr) => {
        $some!($count, $guest;
            0 "ich_lr0_el2", 1 "ich_lr1_el2", 2 "ich_lr2_el2", 3 "ich_lr3_el2",
            4 "ich_lr4_el2", 5 "ich_lr5_el2", 6 "ich_lr6_el2", 7 "ich_lr7_el2",
            8 "ich_lr8_el2", 9 "ich_lr9_el2", 10 "ich_lr10_el2", 11 "ich_lr11_el2",
            12 "ich_lr12_el2", 13 "ich_lr13_el2", 14 "ich_lr14_el2", 15 "ich_lr15_el2")
    };
}

// Behind the first of each group, which are always there.
macro_rules! active_priorities {
    ($some:ident, $count:expr, $guest:expr) => {
        $some!($count, $guest;
            2 "ich_ap0r1_el2", 3 "ich_ap1r1_el2", 4 "ich_ap0r2_el2", 5 "ich_ap1r2_el2",
            6 "ich_ap0r3_el2", 7 "ich_ap1r3_el2")
    };
}

impl Switched {
    /// This one; `None` before [`init_core`](super::init_core).
    pub fn here() -> Option<Self> {
        let SystemInterface { lists, active_priorities, .. } = system_interface();
        Some(Self {
            gicr: redistributor()?,
            lists: lists.len(),
            all: (1 << lists.len()) - 1,
            active_priorities: active_priorities.len(),
        })
    }

    /// ICH_ELRSR_EL2 has a bit for each that is empty and whose end need not be told. What
    /// the guest did is seen since the exception that brought it here; what EL2 wrote since
    /// takes an ISB.
    #[inline(always)]
    pub fn holds_any(&self) -> bool {
        barrier::isb(barrier::SY);
        !read!("ich_elrsr_el2") & self.all != 0
    }

    /// See [`gic::Switched::save`].
    #[inline(always)]
    pub fn save(&self, guest: &mut GuestInterface, private: u32) {
        guest.hcr = read!("ich_hcr_el2");
        guest.vmcr = read!("ich_vmcr_el2");
        guest.sre = read!("icc_sre_el1");
        guest.active_priorities[0] = read!("ich_ap0r0_el2");
        guest.active_priorities[1] = read!("ich_ap1r0_el2");
        active_priorities!(save_some, self.active_priorities, guest.active_priorities);
        guest.used = self.holds_any();
        if guest.used {
            lists!(save_some, self.lists, guest.lists);
        }
        guest.active = self.gicr.isactiver0.get() & private;
        if guest.active != 0 {
            self.gicr.icactiver0.set(guest.active);
            barrier::dsb(barrier::SY);
        }
    }

    /// See [`gic::Switched::load`]; `lists` says whether the list registers matter.
    #[inline(always)]
    pub fn load(&self, guest: &GuestInterface, lists: bool) {
        write!("icc_sre_el1", guest.sre);
        write!("ich_vmcr_el2", guest.vmcr);
        write!("ich_ap0r0_el2", guest.active_priorities[0]);
        write!("ich_ap1r0_el2", guest.active_priorities[1]);
        active_priorities!(load_some, self.active_priorities, guest.active_priorities);
        if lists {
            static EMPTY: [u64; gic::LISTS] = [0; _];
            let from = if guest.used { &guest.lists } else { &EMPTY };
            lists!(load_some, self.lists, from);
        }
        write!("ich_hcr_el2", guest.hcr);
        if guest.active != 0 {
            self.gicr.isactiver0.set(guest.active);
            // Before what drives it does: none of it comes a second time.
            barrier::dsb(barrier::SY);
        }
    }
}
