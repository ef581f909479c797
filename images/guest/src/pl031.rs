//! PL031 real-time clock (ARM DDI 0224, chapter 3).
#![allow(unsafe_code, reason = "one reference to the device's registers")]

use tock_registers::register_structs;
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};

use crate::{exception, map, mmio};

register_structs! {
    /// The registers (DDI 0224 table 3-1).
    #[allow(missing_docs, reason = "they are named as in the manual")]
    pub Registers {
        (0x000 => pub dr: ReadOnly<u32>),
        (0x004 => pub mr: ReadWrite<u32>),
        (0x008 => pub lr: ReadWrite<u32>),
        (0x00c => pub cr: ReadWrite<u32>),
        (0x010 => pub imsc: ReadWrite<u32>),
        (0x014 => pub ris: ReadOnly<u32>),
        (0x018 => pub mis: ReadOnly<u32>),
        (0x01c => pub icr: WriteOnly<u32>),
        (0x020 => _reserved0),
        (0xfe0 => pub periph_id: [ReadOnly<u32>; 4]),
        (0xff0 => pub cell_id: [ReadOnly<u32>; 4]),
        (0x1000 => @END),
    }
}

/// The clock's registers, if the VM has one: a VM need not, and then the
/// identification registers abort or are not a PL031's.
#[must_use]
pub fn registers() -> Option<&'static Registers> {
    let first_id = exception::attempt(|| mmio::load32(map::RTC + 0xfe0)).ok()?;
    if first_id & 0xff != 0x31 {
        return None;
    }
    // SAFETY: a PL031 answered at this address; its registers may be read and
    // written by anyone at any time.
    Some(unsafe { &*(map::RTC as *const Registers) })
}
