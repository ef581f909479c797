//! Drives a component on the host as a guest would: through its declaration,
//! with fakes for everything that it is granted.
//!
//! - [`Rig`] builds the component, makes accesses, delivers its effects and
//!   records them as [`Event`]s. On every access it asserts what the contract
//!   demands of an object: a value fits its width, the effect queue does not
//!   overflow, nothing answers [`Failed`](evisor_contract::Status::Failed).
//! - [`save_and_restore`] is the test that every device has: a restored instance
//!   goes on exactly as the saved one does.
//! - [`CoreRig`] is a core for a scheduler, whose vCPUs wake and sleep as a test says.
//! - [`drive`] turns bytes into accesses: a device's fuzz target is one call.
//!
//! It is for tests: whatever is wrong panics. It does not model the router:
//! routes, rights on windows and refused widths are tested where they are made.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test kit fails by panicking"
)]

mod action;
mod clock;
mod core_rig;
mod device;
mod disk;
mod fake;
mod gpio;
mod guest_node;
mod inspect;
mod mailbox;
mod memory;
mod messages;
mod ram;
mod rig;
mod serial;
mod setup;
#[cfg(test)]
mod tests;
mod vcpus;

pub use action::{Action, Random, drive, refuses_foreign_state, save_and_restore};
pub use core_rig::{CoreRig, Span, drive_scheduler};
pub use device::DeviceEnd;
pub use disk::{DiskEnd, FakeStore};
pub use fake::{Event, MEMORY};
pub use gpio::{GpioEnd, GpioState};
pub use guest_node::describe;
pub use mailbox::MailboxEnd;
pub use memory::FakeMemory;
pub use messages::FakeMessages;
pub use ram::FakeRam;
pub use rig::Rig;
pub use serial::SerialEnd;
pub use setup::Setup;
