//! A machine that is not there, for binding a deployment on a workstation.

use crate::need;
use evisor_contract::{
    Entropy, HostGpio, HostRegister, HostRegisters, HostSerial, Register, SystemInterface,
    VirtualInterface, Width,
};
use evisor_kernel::Host;
use evisor_manifest::GicVersion;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;
use std::sync::atomic::{AtomicBool, Ordering};

/// It has what every board has, and nothing happens on it.
pub struct PretendedHost {
    gic: Option<GicVersion>,
    /// Its pins that VMs can be given.
    pins: Option<&'static NoPins>,
    serial_taken: AtomicBool,
}

impl PretendedHost {
    pub fn new(gic: Option<GicVersion>, pins: Option<u64>) -> &'static Self {
        let pins = pins.map(|pins| &*Box::leak(Box::new(NoPins(pins))));
        Box::leak(Box::new(Self { gic, pins, serial_taken: AtomicBool::new(false) }))
    }
}

const NOTHING: HostRegister = HostRegister { read: || 0, write: |_| {} };

struct Silence;

impl HostSerial for Silence {
    fn write(&mut self, bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn try_read(&mut self) -> Option<u8> {
        None
    }
    fn interrupt_when_writable(&mut self, _: bool) {}
    fn acknowledge(&mut self) {}
}

struct NoDevice;

impl HostRegisters for NoDevice {
    fn read(&mut self, _: u64, _: Width) -> Option<u64> {
        None
    }
    fn write(&mut self, _: u64, _: Width, _: u64) -> bool {
        false
    }
}

struct NoPins(u64);

impl HostGpio for NoPins {
    fn free(&self) -> u64 {
        self.0
    }
    fn set_outputs(&self, _: u64, _: u64) {}
    fn set_pulls(&self, _: u64, _: u64, _: u64) {}
    fn drive(&self, _: u64, _: u64) {}
    fn levels(&self) -> u64 {
        0
    }
}

impl Host for PretendedHost {
    fn now(&self) -> u64 {
        0
    }
    fn frequency(&self) -> u64 {
        62_500_000
    }
    fn unix_seconds(&self) -> u64 {
        0
    }
    fn set_timer(&self, _: u64) {}
    fn timer_interrupt(&self) -> u32 {
        26
    }
    fn kick(&self, _: usize) {}
    fn identification(&self, _: Register) -> Option<u64> {
        Some(0)
    }
    fn virtual_interface(&self) -> Option<VirtualInterface> {
        self.gic.filter(|gic| *gic == GicVersion::V2)?;
        let registers = || (0..0x400).map(|_| ReadPureWrite(0)).collect();
        let registers: Vec<ReadPureWrite<u32>> = need::uncounted(registers);
        let control = UniqueMmioPointer::from(Box::leak(registers.into_boxed_slice()));
        Some(VirtualInterface { control, list_registers: 4 })
    }
    /// Four list registers, 32 priorities (ICH_VTR_EL2).
    fn system_interface(&self) -> Option<SystemInterface> {
        self.gic.filter(|gic| *gic == GicVersion::V3)?;
        Some(SystemInterface {
            lists: &[NOTHING; 4],
            hcr: NOTHING,
            vmcr: NOTHING,
            active_priorities: &[NOTHING; 2],
            vtr: 4 << 29 | 4 << 26 | 3,
            misr: || 0,
            eisr: || 0,
            elrsr: || 0xf,
        })
    }
    fn entropy(&self) -> Option<&'static dyn Entropy> {
        None
    }
    fn maintenance_interrupt(&self) -> Option<u32> {
        Some(25)
    }
    fn take_serial(&self) -> Option<(Box<dyn HostSerial>, u32)> {
        let taken = self.serial_taken.swap(true, Ordering::Relaxed);
        (!taken).then(|| (Box::new(Silence) as Box<dyn HostSerial>, 33))
    }
    fn gpio(&self) -> Option<&'static dyn HostGpio> {
        self.pins.map(|pins| pins as &dyn HostGpio)
    }
    fn registers(&self, _: u64, _: u64) -> Option<Box<dyn HostRegisters>> {
        Some(Box::new(NoDevice))
    }
}
