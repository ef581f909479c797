//! The virtual GICv3.

#![no_main]

use evisor_contract::{HostRegister, Registers, SystemInterface};
use libfuzzer_sys::fuzz_target;
use std::sync::atomic::{AtomicU64, Ordering};
use vgic::v3::GicV3;
use vgic_fuzz::{Vcpus, play};

static FILE: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

macro_rules! registers {
    ($($n:literal)*) => {
        [$(HostRegister {
            read: || FILE[$n].load(Ordering::Relaxed),
            write: |value| FILE[$n].store(value, Ordering::Relaxed),
        }),*]
    };
}

static REGISTERS: [HostRegister; 8] = registers!(0 1 2 3 4 5 6 7);

/// The list registers whose state is none.
fn elrsr() -> u64 {
    (0..4).filter(|n| FILE[*n].load(Ordering::Relaxed) >> 62 == 0).fold(0, |all, n| all | 1 << n)
}

fn build(vcpus: usize) -> GicV3 {
    let interface = SystemInterface {
        lists: &REGISTERS[..4],
        hcr: REGISTERS[4],
        vmcr: REGISTERS[5],
        active_priorities: &REGISTERS[6..],
        vtr: 4 << 29 | 4 << 26 | 3,
        misr: || 0,
        eisr: || 0,
        elrsr,
    };
    GicV3::new(interface, vcpus, &Vcpus).expect("one to eight vCPUs")
}

fuzz_target!(|data: &[u8]| {
    // The file is as after the last run: the controller empties it first.
    play(data, 0x11_0000, build, GicV3::write_register);
});
