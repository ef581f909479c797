//! What is in the image: the components that Cargo features select.

#![no_std]

include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// Called by whoever wants the components: a crate that nobody refers to is not
/// linked, and this one is what refers to them.
pub fn link() {}
