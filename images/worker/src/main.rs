//! A guest that does units of work when Return is typed, and ends when all are done.
//!
//! A unit fills a block of memory with numbers, waits for some interrupts of the virtual
//! timer, each of which must not come early, and reads the block before and after. It says
//! which unit it was and the block's CRC, which follows from the numbers of the unit and of
//! the guest. In the end the blocks that were not filled again are read once more; the
//! verdict is 1 if any was not what it was.
//!
//! Boot arguments: `units=N`, 40 if there is none, and `number=N`, the guest's.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(test, target_os = "none"))]
mod block;
#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
