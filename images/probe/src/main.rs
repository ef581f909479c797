//! A guest that tries addresses, functions and system registers, and says which of them
//! answer.
//!
//! What it tries is a file in its memory, which its manifest names: 64-bit
//! little-endian words, of which the first says how many follow. Bits 47 to 0 are an
//! address or a function id, bits 63 and 62 how it is tried. Of each it prints two
//! digits in base 16.
//!
//! - 0: loads and stores. The digits' bits, from 0 up, are the loads, and then the
//!   stores, of 8, 16, 32 and 64 bits that were not refused. What is stored is what
//!   was loaded.
//! - 1: loads alone; the second digit is 0.
//! - 2: a call, with zeros as arguments: 01 if it is supported, 00 if not.
//! - 3: system registers. Bits 15 to 3 are Op0, Op1, CRn and CRm of eight of them, bits 31
//!   to 24 say which to write, by Op2; none is to read them all. The digits are a byte with
//!   a bit for each that was not undefined. What is written is what was read.
//!
//! `tools/evisor/src/authority_cases.rs` makes the file, and compares.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod registers;

#[cfg(not(target_os = "none"))]
fn main() {}
