//! The object that is not there.

use evisor_contract::{
    CallPort, CallRegisters, Context, MmioPort, NotifyPort, Register, RegisterPort, Width, Words,
};

/// Where the names lead that nobody was granted. Its capabilities carry no
/// rights, so that it is never invoked; were it, it would say that it is absent.
pub struct Absent;

/// The one there is.
pub static ABSENT: Absent = Absent;

/// The way to nobody, for a capability that leads nowhere.
pub fn nobody() -> &'static dyn NotifyPort {
    &ABSENT
}

/// A kind of port, and its absent object.
pub trait Port {
    /// What a route without a grant leads to.
    fn absent() -> &'static Self;
}

impl MmioPort for Absent {
    extern "C" fn read(&self, _: u64, _: Width, _: &mut Context) -> Words {
        Words::ABSENT
    }
    extern "C" fn write(&self, _: u64, _: Width, _: u64, _: &mut Context) -> Words {
        Words::ABSENT
    }
}

impl RegisterPort for Absent {
    extern "C" fn read_register(&self, _: Register, _: &mut Context) -> Words {
        Words::ABSENT
    }
    extern "C" fn write_register(&self, _: Register, _: u64, _: &mut Context) -> Words {
        Words::ABSENT
    }
}

impl CallPort for Absent {
    extern "C" fn call(&self, _: u32, _: &mut CallRegisters, _: &mut Context) -> Words {
        Words::ABSENT
    }
}

impl NotifyPort for Absent {
    extern "C" fn notify(&self, _: u32, _: u64, _: &mut Context) -> Words {
        Words::ABSENT
    }
}

impl Port for dyn MmioPort {
    fn absent() -> &'static Self {
        &ABSENT
    }
}

impl Port for dyn RegisterPort {
    fn absent() -> &'static Self {
        &ABSENT
    }
}

impl Port for dyn CallPort {
    fn absent() -> &'static Self {
        &ABSENT
    }
}
