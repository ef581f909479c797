//! What a guest's interrupts come by: the ICH_* registers, and ICC_SRE_EL1 as it finds it.

use super::registers::{read, write};
use aarch64_cpu::asm::barrier;
use evisor_contract::{HostRegister, SystemInterface};

/// A starting guest finds ICC_SRE_EL1 as a reset leaves it where the registers are
/// all there is: SRE set, no bypass. What it does with it is its own affair.
pub(crate) fn reset_guest() {
    write!("icc_sre_el1", 0b111);
}

/// ICC_SRE_EL1.
pub(crate) fn guest_sre() -> u64 {
    read!("icc_sre_el1")
}

/// See [`guest_sre`].
pub(crate) fn set_guest_sre(value: u64) {
    write!("icc_sre_el1", value);
}

/// Nothing for a guest yet: its interrupt controller sets this up with its first
/// vCPU.
pub(super) fn init_virtual_interface() {
    let SystemInterface { lists, hcr, vmcr, active_priorities, .. } = system_interface();
    for register in [&hcr, &vmcr].into_iter().chain(lists).chain(active_priorities) {
        (register.write)(0);
    }
}

macro_rules! host_registers {
    ($($name:literal),* $(,)?) => {
        [$(HostRegister { read: || read!($name), write: |value| write!($name, value) }),*]
    };
}

static LISTS: [HostRegister; 16] = host_registers![
    "ich_lr0_el2",
    "ich_lr1_el2",
    "ich_lr2_el2",
    "ich_lr3_el2",
    "ich_lr4_el2",
    "ich_lr5_el2",
    "ich_lr6_el2",
    "ich_lr7_el2",
    "ich_lr8_el2",
    "ich_lr9_el2",
    "ich_lr10_el2",
    "ich_lr11_el2",
    "ich_lr12_el2",
    "ich_lr13_el2",
    "ich_lr14_el2",
    "ich_lr15_el2",
];

/// ICH_HCR_EL2.En cleared.
pub(crate) fn quiet_guest() {
    let [hcr, _] = HCR_AND_VMCR;
    (hcr.write)(0);
}

/// ICH_HCR_EL2.En alone.
pub(crate) fn signal_guest(on: bool) {
    let [hcr, _] = HCR_AND_VMCR;
    (hcr.write)((hcr.read)() & !1 | u64::from(on));
    barrier::isb(barrier::SY);
}

static HCR_AND_VMCR: [HostRegister; 2] = host_registers!["ich_hcr_el2", "ich_vmcr_el2"];

// One of each group, two, or four, by the preemption bits.
static ACTIVE_PRIORITIES_5: [HostRegister; 2] = host_registers!["ich_ap0r0_el2", "ich_ap1r0_el2"];
static ACTIVE_PRIORITIES_6: [HostRegister; 4] =
    host_registers!["ich_ap0r0_el2", "ich_ap0r1_el2", "ich_ap1r0_el2", "ich_ap1r1_el2"];
static ACTIVE_PRIORITIES_7: [HostRegister; 8] = host_registers![
    "ich_ap0r0_el2",
    "ich_ap0r1_el2",
    "ich_ap0r2_el2",
    "ich_ap0r3_el2",
    "ich_ap1r0_el2",
    "ich_ap1r1_el2",
    "ich_ap1r2_el2",
    "ich_ap1r3_el2",
];

/// A register that follows from others: what was written to those is seen after
/// an ISB.
macro_rules! status {
    ($name:literal) => {
        || {
            barrier::isb(barrier::SY);
            read!($name)
        }
    };
}

/// See [`gic::has_virtual_interrupt`].
pub(crate) fn has_virtual_interrupt() -> bool {
    let pending = |list: &HostRegister| (list.read)() & ICH_LR_PENDING != 0;
    system_interface().lists.iter().any(pending)
}

/// ICH_LR<n>_EL2.State, pending.
const ICH_LR_PENDING: u64 = 1 << 62;

/// The ICH_* registers: those of the core that accesses them, for a vCPU that is
/// on it.
pub(crate) fn system_interface() -> SystemInterface {
    let vtr = read!("ich_vtr_el2");
    // ListRegs is the number less one, PREbits too.
    let lists = (vtr & 0x1f) as usize + 1;
    let active_priorities: &[HostRegister] = match vtr >> 26 & 7 {
        0..=4 => &ACTIVE_PRIORITIES_5,
        5 => &ACTIVE_PRIORITIES_6,
        _ => &ACTIVE_PRIORITIES_7,
    };
    let [hcr, vmcr] = HCR_AND_VMCR;
    SystemInterface {
        lists: LISTS.get(..lists).unwrap_or(&LISTS),
        hcr,
        vmcr,
        active_priorities,
        vtr,
        misr: status!("ich_misr_el2"),
        eisr: status!("ich_eisr_el2"),
        elrsr: status!("ich_elrsr_el2"),
    }
}
