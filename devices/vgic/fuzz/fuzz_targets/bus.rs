//! A virtual interrupt controller at bus level: any access and any notification,
//! from any vCPU. Nothing panics, a reply fits its width, and what is saved is
//! taken back. All vCPUs have the same list registers, which no machine does: what
//! is found there is anything.

use evisor_contract::{
    Context, Mmio, Notify, Object, Power, Register, Reply, Restore, Save, VcpuControl, Width, tag,
};

/// Four that are on and four that are off.
pub struct Vcpus;

impl VcpuControl for Vcpus {
    fn affinity(&self, index: usize) -> Option<u64> {
        Some(index as u64)
    }
    fn power(&self, index: usize) -> Power {
        if index < 4 { Power::On } else { Power::Off }
    }
    fn start(&self, _: usize, _: u64, _: u64) -> Power {
        Power::On
    }
    fn stop_caller(&self, _: &mut Context) {}
    fn wait(&self, _: &mut Context) {}
}

/// A write of a system register, if there are any.
pub type WriteRegister<G> = fn(&mut G, Register, u64, &mut Context) -> Reply;

/// Plays `data` on a controller of one to eight vCPUs with a window of `size`
/// bytes.
pub fn play<G: Object + Mmio + Notify>(
    data: &[u8],
    size: u64,
    build: impl FnOnce(usize) -> G,
    write_register: WriteRegister<G>,
) {
    let Some((&first, steps)) = data.split_first() else { return };
    let mut gic = build(usize::from(first % 8) + 1);
    for step in steps.chunks_exact(16) {
        let double = |at: usize| {
            (0..8).rev().fold(0, |all, n| all << 8 | u64::from(step[at + n]))
        };
        let (what, value) = (double(0), double(8));
        let cx = &mut Context::new((what >> 60) as u16);
        let width = Width::from_sas((what >> 56) as u32);
        let offset = (what & 0x1f_ffff) % size & !(width.bytes() - 1);
        let sgi = Register::new(3, 0, 12, 11, 5 + (what & 3) as u32 % 3);
        match what >> 48 & 7 {
            0 | 1 => assert!(gic.read(offset, width, cx).value <= width.mask()),
            2 | 3 => drop(gic.write(offset, width, value & width.mask(), cx)),
            4 => drop(write_register(&mut gic, sgi, value, cx)),
            5 => drop(gic.notify(what as u32 & 0x3ff, value, cx)),
            6 => drop(gic.notify(tag::REFRESH, value & 3, cx)),
            _ => drop(gic.notify(tag::MAINTENANCE, 0, cx)),
        }
    }
    let mut save = Save::default();
    gic.save(&mut save);
    gic.restore(&mut Restore::new(&save.into_bytes())).expect("what was saved");
}
