//! ICH_* registers that are memory of the thread.

use crate::v3::spec::ICH_LR;
use core::cell::Cell;
use evisor_contract::{HostRegister, SystemInterface};

std::thread_local! {
    static LISTS: [Cell<u64>; 16] = const { [const { Cell::new(0) }; 16] };
    static OTHERS: [Cell<u64>; 10] = const { [const { Cell::new(0) }; 10] };
}

macro_rules! registers {
    ($file:ident: $($n:literal)*) => {
        [$(HostRegister {
            read: || $file.with(|file| file[$n].get()),
            write: |value| $file.with(|file| file[$n].set(value)),
        }),*]
    };
}

static LIST: [HostRegister; 16] = registers!(LISTS: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
static OTHER: [HostRegister; 10] = registers!(OTHERS: 0 1 2 3 4 5 6 7 8 9);

/// §12.4, ICH_ELRSR_EL2.
fn elrsr() -> u64 {
    let is_empty = |list: u64| {
        ICH_LR::STATE.read(list) == 0 && (ICH_LR::HW.is_set(list) || !ICH_LR::EOI.is_set(list))
    };
    let lists = (0..16).map(|n| (n, LISTS.with(|file| file[n].get())));
    lists.fold(0, |all, (n, list)| all | u64::from(is_empty(list)) << n)
}

/// With so many list registers and five bits of priority.
pub fn interface(lists: usize) -> SystemInterface {
    SystemInterface {
        lists: &LIST[..lists],
        hcr: OTHER[0],
        vmcr: OTHER[1],
        active_priorities: &OTHER[2..4],
        vtr: 4 << 29 | 4 << 26 | lists.saturating_sub(1) as u64,
        misr: || 0,
        eisr: || 0,
        elrsr,
    }
}
