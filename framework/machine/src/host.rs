//! The machine, as the kernel asks for it.

use crate::board::Hardware;
use alloc::boxed::Box;
use evisor_aarch64::{driven, gic, passed, random, registers, timer};
use evisor_contract::{
    Entropy, HostRegisters, HostSerial, Register, SystemInterface, VirtualInterface,
};
use evisor_fdt::Region;
use evisor_kernel::Host;
use spin::Mutex;

/// The machine that eVisor runs on.
pub(crate) struct Machine {
    serial: Mutex<Option<(Box<dyn HostSerial>, u32)>>,
    maintenance: Option<u32>,
    unix_seconds: u64,
    started: u64,
}

impl Machine {
    /// From what the board brought up.
    pub fn new(hardware: Hardware) -> &'static Self {
        Box::leak(Box::new(Self {
            serial: Mutex::new(hardware.serial),
            maintenance: hardware.maintenance,
            unix_seconds: hardware.unix_seconds,
            started: timer::now(),
        }))
    }
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

    fn timer_interrupt(&self) -> u32 {
        timer::INTID as u32
    }

    fn kick(&self, core: usize) {
        gic::kick(core);
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

    fn take_serial(&self) -> Option<(Box<dyn HostSerial>, u32)> {
        self.serial.lock().take()
    }

    /// Those that eVisor began to drive since the manifest was read, too: a card's,
    /// where the manifest has its own.
    fn registers(&self, physical: u64, size: u64) -> Option<Box<dyn HostRegisters>> {
        let asked = Region { address: physical, size };
        let driven = driven().into_iter().any(|(address, size)| {
            let own = Region { address, size };
            own.overlaps(&asked)
        });
        if driven {
            return None;
        }
        passed::registers(physical, size).ok()
    }
}
