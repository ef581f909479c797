//! The machine, as the kernel asks for it.

use crate::board::{Board, Disk, Hardware};
use crate::report;
use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_aarch64::{driven, gic, passed, random, registers, switch, timer, vcpu};
use evisor_contract::{
    Entropy, HostDisk, HostGpio, HostMailbox, HostRegisters, HostSerial, Messages, Register,
    SystemInterface, VirtualInterface,
};
use evisor_fdt::{Region, Tree};
use evisor_kernel::Host;
use evisor_sd::SdError;
use log::warn;
use spin::{Mutex, Once};

/// The machine that eVisor runs on.
pub(crate) struct Machine {
    board: &'static Board,
    tree: &'static Tree<'static>,
    disk: Mutex<Slot>,
    serial: Mutex<Option<(Box<dyn HostSerial>, u32)>>,
    maintenance: Option<u32>,
    mailbox: Option<&'static dyn HostMailbox>,
    gpio: Once<Option<&'static dyn HostGpio>>,
    /// The registers that VMs were given.
    given: Mutex<Vec<Region>>,
    unix_seconds: u64,
    started: u64,
}

/// The board's card or disk, which is brought up when it is first wanted.
enum Slot {
    Unseen,
    Up(Result<Disk, DiskError>),
}

/// Why there is no disk.
#[derive(Clone, Copy)]
pub(crate) enum DiskError {
    /// The board has no place for one.
    NoPlace,
    /// It cannot be used.
    Card(SdError),
    /// Somebody has it.
    Taken,
}

impl Machine {
    /// From what the board brought up.
    pub fn new(
        board: &'static Board,
        tree: &'static Tree<'static>,
        hardware: Hardware,
    ) -> &'static Self {
        Box::leak(Box::new(Self {
            board,
            tree,
            disk: Mutex::new(Slot::Unseen),
            serial: Mutex::new(hardware.serial),
            maintenance: hardware.maintenance,
            mailbox: hardware.mailbox,
            gpio: Once::new(),
            given: Mutex::new(Vec::new()),
            unix_seconds: hardware.unix_seconds,
            started: timer::now(),
        }))
    }
}

impl Machine {
    /// Runs `f` on the slot for the board's disk, once that is up.
    pub fn with_disk<R>(&self, f: impl FnOnce(&mut Result<Disk, DiskError>) -> R) -> R {
        let mut slot = self.disk.lock();
        if let Slot::Unseen = *slot {
            let bring_up = self.board.disk.ok_or(DiskError::NoPlace);
            let disk = bring_up.and_then(|bring_up| bring_up(self.tree).map_err(DiskError::Card));
            *slot = Slot::Up(disk);
        }
        match &mut *slot {
            Slot::Up(disk) => f(disk),
            Slot::Unseen => f(&mut Err(DiskError::NoPlace)),
        }
    }
}

/// After how many counts a core comes out of its guest at the latest, where its
/// interrupt controller has to be looked after: a hundredth of a second.
pub(crate) fn tick() -> Option<u64> {
    vcpu::traps_wfi().then(|| timer::frequency() / 100)
}

impl Host for Machine {
    fn now(&self) -> u64 {
        timer::now()
    }

    fn frequency(&self) -> u64 {
        timer::frequency()
    }

    fn unix_seconds(&self) -> u64 {
        let passed = timer::now().wrapping_sub(self.started);
        self.unix_seconds.wrapping_add(passed / timer::frequency().max(1))
    }

    fn set_timer(&self, count: u64) {
        timer::set(count);
    }

    fn tick(&self) -> Option<u64> {
        tick()
    }

    fn timer_interrupt(&self) -> u32 {
        timer::INTID as u32
    }

    fn kick(&self, core: usize) {
        gic::kick(core);
    }

    fn signal(&self, core: usize, sgi: u32) {
        gic::signal(core, sgi);
    }

    fn disable_interrupt(&self, intid: u32) {
        gic::disable(intid as usize);
    }

    fn clear_interrupt(&self, intid: u32) {
        gic::clear(intid as usize);
    }

    fn is_interrupt_active(&self, intid: u32) -> bool {
        gic::is_active(intid as usize)
    }

    fn lead_interrupt(&self, intid: u32, edge: bool, core: usize) {
        gic::lead(intid as usize, edge, core);
    }

    fn allow_interrupt(&self, intid: u32) {
        gic::allow(intid as usize);
    }

    fn is_here(&self, core: usize) -> bool {
        switch::is_here(core)
    }

    fn identification(&self, register: Register) -> Option<u64> {
        registers::identification(register)
    }

    fn virtual_interface(&self) -> Option<VirtualInterface> {
        gic::virtual_interface()
    }

    fn system_interface(&self) -> Option<SystemInterface> {
        gic::system_interface()
    }

    fn entropy(&self) -> Option<&'static dyn Entropy> {
        random::source()
    }

    fn maintenance_interrupt(&self) -> Option<u32> {
        self.maintenance
    }

    fn take_disk(&self) -> Option<(Box<dyn HostDisk>, u32)> {
        let disk = self.with_disk(|disk| core::mem::replace(disk, Err(DiskError::Taken)));
        match disk {
            Ok((disk, intid)) => Some((disk, intid)),
            Err(DiskError::Card(error)) => {
                warn!("{error}");
                None
            }
            Err(_) => None,
        }
    }

    fn take_serial(&self) -> Option<(Box<dyn HostSerial>, u32)> {
        self.serial.lock().take()
    }

    fn messages(&self) -> Option<&'static dyn Messages> {
        Some(report::messages())
    }

    fn mailbox(&self) -> Option<&'static dyn HostMailbox> {
        self.mailbox
    }

    /// Not if a VM has them as a device.
    fn gpio(&self) -> Option<&'static dyn HostGpio> {
        *self.gpio.call_once(|| {
            let gpio = self.board.gpio?(self.tree)?;
            let given = self.given.lock().iter().any(is_driven);
            (!given).then_some(gpio)
        })
    }

    /// Those that eVisor began to drive since the manifest was read, too: a card's,
    /// where the manifest has its own.
    fn registers(&self, physical: u64, size: u64) -> Option<Box<dyn HostRegisters>> {
        let asked = Region { address: physical, size };
        if is_driven(&asked) {
            return None;
        }
        self.given.lock().push(asked);
        passed::registers(physical, size).ok()
    }
}

/// Whether eVisor drives registers there itself.
fn is_driven(region: &Region) -> bool {
    let own = |(address, size)| Region { address, size };
    driven().into_iter().map(own).any(|own| own.overlaps(region))
}
