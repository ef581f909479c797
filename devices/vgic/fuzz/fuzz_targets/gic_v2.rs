//! The virtual GICv2.

#![no_main]

use evisor_contract::{Reply, VirtualInterface};
use libfuzzer_sys::fuzz_target;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;
use vgic::v2::GicV2;
use vgic_fuzz::{Vcpus, play};

fn build(vcpus: usize) -> GicV2 {
    let registers: &'static mut [ReadPureWrite<u32>] =
        Box::leak((0..128).map(|_| ReadPureWrite(0)).collect());
    let control = UniqueMmioPointer::from(registers);
    let interface = VirtualInterface { control, list_registers: 4 };
    GicV2::new(interface, vcpus, &Vcpus).expect("one to eight vCPUs")
}

fuzz_target!(|data: &[u8]| play(data, 0x1000, build, |_, _, _, _| Reply::ABSENT));
