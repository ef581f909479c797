//! What is in the image: the components that Cargo features select.

#![no_std]

include!(concat!(env!("OUT_DIR"), "/registry.rs"));
