//! A guest that tries what its VM has no right to.
//!
//! Its manifest (`tools/evisor/tests/guests/rights.dts`) takes rights away one by
//! one; each check prints `PASS name` or `FAIL name`. The verdict is 1 if any
//! failed, and 1 stands until all are done, for one that fails may power the VM
//! off.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
