//! What the kernel asks of the machine.

use alloc::boxed::Box;
use evisor_contract::{
    Entropy, HostDisk, HostGpio, HostMailbox, HostRegisters, HostSerial, Messages, Register,
    SystemInterface, VirtualInterface,
};

/// The machine that eVisor runs on, or one that a test pretends.
pub trait Host: Sync {
    /// The physical count (CNTPCT_EL0).
    fn now(&self) -> u64;
    /// Counts a second.
    fn frequency(&self) -> u64;
    /// Seconds since 1970, or since the board started.
    fn unix_seconds(&self) -> u64;
    /// Interrupts the core that asks when the count reaches `count`; `u64::MAX` is never.
    fn set_timer(&self, count: u64);
    /// How many counts may pass at most until that interrupt, if a core has to come out
    /// of its guest every so often.
    fn tick(&self) -> Option<u64> {
        None
    }
    /// The INTID of that interrupt.
    fn timer_interrupt(&self) -> u32;
    /// Makes core `core` come out of its guest.
    fn kick(&self, core: usize);
    /// Sends software-generated interrupt `sgi` to core `core`: what was written before is
    /// seen there after.
    fn signal(&self, core: usize, sgi: u32) {
        let _ = sgi;
        self.kick(core);
    }
    /// Shared interrupt `intid` does not come any more.
    fn disable_interrupt(&self, intid: u32) {
        let _ = intid;
    }
    /// It is neither pending nor active.
    fn clear_interrupt(&self, intid: u32) {
        let _ = intid;
    }
    /// Whether a core, or its guest, has it in hand.
    fn is_interrupt_active(&self, intid: u32) -> bool {
        let _ = intid;
        false
    }
    /// It is signalled by edge, or by level, and goes to this core; it is off.
    fn lead_interrupt(&self, intid: u32, edge: bool, core: usize) {
        let _ = (intid, edge, core);
    }
    /// It may come again.
    fn allow_interrupt(&self, intid: u32) {
        let _ = intid;
    }
    /// Whether core `core`, which several vCPUs share, is the one that asks.
    fn is_here(&self, core: usize) -> bool {
        let _ = core;
        false
    }
    /// An identification register of this core.
    fn identification(&self, register: Register) -> Option<u64>;
    /// A window onto GICH, for one VM's interrupt controller.
    fn virtual_interface(&self) -> Option<VirtualInterface>;
    /// The ICH_* registers, where the interrupt controller is a GICv3.
    fn system_interface(&self) -> Option<SystemInterface>;
    /// A source of random numbers.
    fn entropy(&self) -> Option<&'static dyn Entropy>;
    /// The INTID of the virtual interface's maintenance interrupt.
    fn maintenance_interrupt(&self) -> Option<u32>;
    /// The board's serial line and its INTID; once.
    fn take_serial(&self) -> Option<(Box<dyn HostSerial>, u32)>;
    /// eVisor's own lines, if they can wait.
    fn messages(&self) -> Option<&'static dyn Messages> {
        None
    }
    /// The board's card or disk and its INTID; once.
    fn take_disk(&self) -> Option<(Box<dyn HostDisk>, u32)> {
        None
    }
    /// The property mailbox of the board's firmware.
    fn mailbox(&self) -> Option<&'static dyn HostMailbox> {
        None
    }
    /// The board's pins; `None` if it has none to give, or a VM has them as a device.
    fn gpio(&self) -> Option<&'static dyn HostGpio> {
        None
    }
    /// Registers of a device that a VM is given, `size` bytes at `physical`; `None` if
    /// eVisor drives some of them itself, or they cannot be mapped.
    fn registers(&self, physical: u64, size: u64) -> Option<Box<dyn HostRegisters>> {
        let _ = (physical, size);
        None
    }
}
