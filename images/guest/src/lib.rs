//! What a bare-metal guest of eVisor stands on.
//!
//! The guest's world is QEMU's `-M virt` without virtualization, with GICv2 or GICv3,
//! so every guest also runs there, on no hypervisor at all. That is how its
//! expectations are checked against something that is not eVisor.
//!
//! # The verdict: an ABI
//!
//! A guest ends by telling eVisor how it went:
//!
//! | call | x0 | x1 | returns |
//! |---|---|---|---|
//! | `HVC #0` | `0xC600_0001` ([`call::VERDICT`]) | the verdict, 0 to 255 | `SUCCESS`, or `NOT_SUPPORTED` on anything but eVisor |
//! | `HVC #0` | `0x8400_0008` (PSCI `SYSTEM_OFF`) | | does not return |
//!
//! 0 means success; 101 means that the guest panicked or met an exception that
//! it did not expect ([`call::PANICKED`]). The first call is in the range of
//! vendor-specific hypervisor services (Arm DEN 0028, table "Service call
//! ranges": owner 6), which also holds the call that tells eVisor from others:
//! [`call::on_evisor`].
//!
//! # What it does not do
//!
//! It takes no addresses from its device tree: the few of the virt map are constants
//! in [`map`]. The tree says how many cores there are. No allocator, no floating
//! point.

#![cfg_attr(target_os = "none", no_std)]

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
pub mod call;
#[cfg(target_os = "none")]
pub mod channel;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
pub mod cores;
#[cfg(target_os = "none")]
pub mod exception;
#[cfg(target_os = "none")]
pub mod gic;
#[cfg(target_os = "none")]
pub mod handles;
#[cfg(target_os = "none")]
pub mod map;
#[cfg(target_os = "none")]
pub mod mmio;
#[cfg(target_os = "none")]
pub mod mmu;
#[cfg(target_os = "none")]
pub mod pl011;
#[cfg(target_os = "none")]
pub mod pl031;
#[cfg(target_os = "none")]
pub mod random;
#[cfg(target_os = "none")]
mod registers;
#[cfg(target_os = "none")]
pub mod timer;
#[cfg(target_os = "none")]
pub mod tree;

#[cfg(target_os = "none")]
pub use evisor_ring as ring;

#[cfg(target_os = "none")]
pub use boot::{count_at_entry, device_tree};

/// Names the guest's main function, of type `fn() -> u8`: what it returns is
/// the verdict.
///
/// `entry!(main)` runs with stage 1 on, as [`mmu`] describes;
/// `entry!(main, mmu = false)` with it off, all memory Device-nGnRnE.
#[macro_export]
macro_rules! entry {
    ($main:ident) => {
        $crate::entry!($main, mmu = true);
    };
    ($main:ident, mmu = $mmu:literal) => {
        #[allow(unsafe_code, reason = "the entry code finds both by name")]
        mod evisor_guest_entry {
            #[unsafe(no_mangle)]
            extern "C" fn evisor_guest_main() -> u8 {
                let main: fn() -> u8 = super::$main;
                main()
            }
            #[unsafe(no_mangle)]
            static EVISOR_GUEST_MMU: u64 = if $mmu { 1 } else { 0 };
        }
    };
}
