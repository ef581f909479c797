//! The virtual GICv2 at bus level: any access and any notification, from any
//! vCPU. Nothing panics, a reply fits its width, and what is saved is taken back.

#![no_main]

use evisor_contract::{
    Context, Mmio, Notify, Object, Power, Restore, Save, VcpuControl, VirtualInterface, Width, tag,
};
use libfuzzer_sys::fuzz_target;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;
use vgic_v2::Vgic;

struct Vcpus;

impl VcpuControl for Vcpus {
    fn affinity(&self, index: usize) -> Option<u64> {
        Some(index as u64)
    }
    fn power(&self, _: usize) -> Power {
        Power::On
    }
    fn start(&self, _: usize, _: u64, _: u64) -> Power {
        Power::On
    }
    fn stop_caller(&self, _: &mut Context) {}
    fn wait(&self, _: &mut Context) {}
}

fn gic(vcpus: usize) -> Vgic {
    let registers: &'static mut [ReadPureWrite<u32>] =
        Box::leak((0..128).map(|_| ReadPureWrite(0)).collect());
    let control = UniqueMmioPointer::from(registers);
    let interface = VirtualInterface { control, list_registers: 4 };
    Vgic::new(interface, vcpus, &Vcpus).expect("one to eight vCPUs")
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, steps)) = data.split_first() else { return };
    let vcpus = usize::from(first % 8) + 1;
    let mut gic = gic(vcpus);
    for step in steps.chunks_exact(8) {
        let word =
            |at: usize| u32::from_le_bytes([step[at], step[at + 1], step[at + 2], step[at + 3]]);
        let (what, value) = (word(0), word(4));
        let cx = &mut Context::new((what >> 28) as u16);
        let width = Width::from_sas(what >> 12);
        let offset = u64::from(what & 0xfff) & !(width.bytes() - 1);
        match what >> 26 & 3 {
            0 => assert!(gic.read(offset, width, cx).value <= width.mask()),
            1 => drop(gic.write(offset, width, u64::from(value) & width.mask(), cx)),
            2 => drop(gic.notify(what & 0x3ff, value.into(), cx)),
            _ => drop(gic.notify(tag::REFRESH, 0, cx)),
        }
    }
    let mut save = Save::default();
    gic.save(&mut save);
    gic.restore(&mut Restore::new(&save.into_bytes())).expect("what was saved");
});
