//! The object that is not there.

use evisor_contract::{
    CallPort, CallRegisters, Context, MmioPort, NotifyPort, Register, RegisterPort, Reply, Width,
};

/// Where the names lead that nobody was granted. Its capabilities carry no
/// rights, so that it is never invoked; were it, it would say that it is absent.
pub struct Absent;

/// The one there is.
pub static ABSENT: Absent = Absent;

/// A kind of port, and its absent object.
pub trait Port {
    /// What a route without a grant leads to.
    fn absent() -> &'static Self;
}

impl MmioPort for Absent {
    fn read(&self, _: u64, _: Width, _: &mut Context) -> Reply {
        Reply::ABSENT
    }
    fn write(&self, _: u64, _: Width, _: u64, _: &mut Context) -> Reply {
        Reply::ABSENT
    }
}

impl RegisterPort for Absent {
    fn read_register(&self, _: Register, _: &mut Context) -> Reply {
        Reply::ABSENT
    }
    fn write_register(&self, _: Register, _: u64, _: &mut Context) -> Reply {
        Reply::ABSENT
    }
}

impl CallPort for Absent {
    fn call(&self, _: u32, _: &mut CallRegisters, _: &mut Context) -> Reply {
        Reply::ABSENT
    }
}

impl NotifyPort for Absent {
    fn notify(&self, _: u32, _: u64, _: &mut Context) -> Reply {
        Reply::ABSENT
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
