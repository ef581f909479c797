//! Leaf grants: the machine, and the kernel, as a component uses them at once.

use crate::context::{Bytes, Context};

/// The power state of a vCPU (DEN 0022, AFFINITY_INFO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs, or waits for an interrupt.
    On,
    /// It was never started, or turned itself off.
    Off,
    /// It was started and has not come to its first instruction.
    Pending,
}

/// A leaf of the kernel: starting and stopping the vCPUs of one's own VM.
pub trait VcpuControl: Sync {
    /// The affinity (MPIDR_EL1's Aff3..Aff0 fields) of vCPU `index`, if there is
    /// one.
    fn affinity(&self, index: usize) -> Option<u64>;
    /// Whether vCPU `index` runs; off if there is none.
    fn power(&self, index: usize) -> Power;
    /// Starts it at `entry` with `context` in x0. The answer is what it was
    /// before: only one that was [`Power::Off`] starts. What an object's reset starts
    /// starts with the VM, beside the first.
    fn start(&self, index: usize, entry: u64, context: u64) -> Power;
    /// Stops the vCPU that is calling; it does not come back to its guest.
    fn stop_caller(&self, cx: &mut Context);
    /// The caller waits until it has an interrupt.
    fn wait(&self, cx: &mut Context);

    /// Whether vCPU `index` is the one in `cx`, on the core that asks: then what
    /// it has in that core's registers (list registers, say) may be touched.
    fn is_here(&self, index: usize, cx: &Context) -> bool {
        cx.vcpu() == index
    }

    /// Vcpu `index` is to look at its interrupts: wherever it is, it gets
    /// [`tag::REFRESH`](crate::tag::REFRESH) before it goes on.
    fn kick(&self, index: usize) {
        let _ = index;
    }

    /// The same, and somebody may be waiting for what it finds: it looks even if it is not
    /// its turn to go on.
    fn ask(&self, index: usize) {
        self.kick(index);
    }
}

/// A leaf of the kernel: the VM's time.
pub trait Clock: Sync {
    /// The count that the VM reads as CNTVCT_EL0.
    fn now(&self) -> u64;
    /// Counts a second.
    fn frequency(&self) -> u64;
    /// Seconds since 1970-01-01T00:00:00Z, or since the board started where it
    /// has no calendar.
    fn unix_seconds(&self) -> u64;
}

/// Real registers, word by word: a leaf. Nobody else holds a window onto the
/// same ones.
pub type Window = safe_mmio::UniqueMmioPointer<'static, [safe_mmio::fields::ReadPureWrite<u32>]>;

/// The serial line that the board keeps for consoles: a leaf, driven by the
/// board. None of its methods waits.
pub trait HostSerial: Send {
    /// Sends bytes while the transmitter has room, and says how many.
    fn write(&mut self, bytes: &[u8]) -> usize;
    /// A byte that was received.
    fn try_read(&mut self) -> Option<u8>;
    /// Whether to be interrupted when the transmitter has room. Reception
    /// interrupts are always on.
    fn interrupt_when_writable(&mut self, on: bool);
    /// Quiets the interrupt that is being handled.
    fn acknowledge(&mut self);
}

/// eVisor's own lines: a leaf. None of its methods waits.
pub trait Messages: Sync {
    /// From now on they wait until [`next`](Self::next) takes them, as who asks shows
    /// them between what else is on the line. [`HOST_INTERRUPT`](crate::tag::HOST_INTERRUPT) comes
    /// when one waits. A panic's go out at once all the same.
    fn keep(&self);
    /// The next bytes of what waits, [`Bytes::MOST`] at most. Only whole lines wait, each
    /// with a line feed at its end; no piece has bytes of two.
    fn next(&self) -> Bytes;
    /// Which of them are written.
    fn level(&self) -> Level;
    /// From now on those are written that are as grave as `level`, or graver.
    fn set_level(&self, level: Level);
}

/// How grave a line of eVisor's own is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is gone.
    Error,
    /// Something is not as it should be.
    Warning,
    /// What happens to VMs.
    Info,
}

/// The half of the physical interrupt controller that serves virtual ones:
/// GICH, and where the guest's CPU interface is (IHI 0048B.b §5.3, §5.5).
pub struct VirtualInterface {
    /// The virtual interface control registers of the core that accesses them.
    pub control: Window,
    /// How many list registers it has, as GICH_VTR says.
    pub list_registers: usize,
}

/// One system register of the core that asks, as a leaf.
#[derive(Clone, Copy, Debug)]
pub struct HostRegister {
    /// Reads it.
    pub read: fn() -> u64,
    /// Writes it.
    pub write: fn(u64),
}

/// The half of a physical GICv3 that serves virtual interrupts (IHI 0069, the
/// ICH_* registers), of the core that accesses it.
#[derive(Clone, Copy, Debug)]
pub struct SystemInterface {
    /// ICH_LR<n>_EL2: as many as ICH_VTR_EL2 says.
    pub lists: &'static [HostRegister],
    /// ICH_HCR_EL2.
    pub hcr: HostRegister,
    /// ICH_VMCR_EL2.
    pub vmcr: HostRegister,
    /// ICH_AP0R<n>_EL2 and then as many ICH_AP1R<n>_EL2, as the priority bits in
    /// ICH_VTR_EL2 make accessible.
    pub active_priorities: &'static [HostRegister],
    /// ICH_VTR_EL2.
    pub vtr: u64,
    /// ICH_MISR_EL2.
    pub misr: fn() -> u64,
    /// ICH_EISR_EL2.
    pub eisr: fn() -> u64,
    /// ICH_ELRSR_EL2.
    pub elrsr: fn() -> u64,
}

/// A leaf: true random numbers of the machine.
pub trait Entropy: Sync {
    /// 64 bits of full entropy; `None` if the source has none to give just now.
    fn word(&self) -> Option<u64>;
}
