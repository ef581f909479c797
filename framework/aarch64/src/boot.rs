//! From the firmware's entry to Rust: see `boot.s`.

#![allow(unsafe_code, reason = "the first instructions, and the tables they run under")]

use crate::layout;
use core::arch::global_asm;

/// Normal memory, write-back, allocating: index 0. Device-nGnRE: index 1.
pub(crate) const MAIR: u64 = 0x04ff;
/// 39 bits of address, tables in shareable write-back memory, 4 KiB granule, and
/// the bits that are RES1 (DDI 0487, TCR_EL2 with E2H clear).
pub(crate) const TCR: u64 =
    1 << 31 | 1 << 23 | 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | (64 - layout::ADDRESS_BITS);
/// RES1, I, C, M, SA (stack alignment), and WXN: what can be written is not run.
pub(crate) const SCTLR: u64 = 0x30c5_0830 | 1 << 19 | 1 << 12 | 1 << 3 | 1 << 2 | 1;

const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 1 << 1;
const RES1_USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const NEVER_RUN: u64 = 1 << 54;
const BLOCK: u64 = VALID | RES1_USER | INNER_SHAREABLE | ACCESSED;

global_asm!(
    include_str!("boot.s"),
    ".pushsection .bss.boot_tables, \"aw\", %nobits",
    ".balign 4096",
    "boot_level1: .skip 4096",
    "boot_level2: .skip 4096",
    ".global boot_level3",
    // Two, one behind the other: the image and its heap have up to 4 MiB.
    "boot_level3: .skip 2 * 4096",
    "boot_identity: .skip 4096",
    ".popsection",
    ".equ LINK_LEVEL1, {link_level1}",
    ".equ MAIR, {mair}",
    ".equ TCR, {tcr}",
    ".equ SCTLR, {sctlr}",
    ".equ PAGE_TEXT, {text}",
    ".equ PAGE_RODATA, {rodata}",
    ".equ PAGE_DATA, {data}",
    ".equ BLOCK_TEXT, {block}",
    link_level1 = const layout::IMAGE >> 30,
    mair = const MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
    text = const BLOCK | TABLE_OR_PAGE | READ_ONLY,
    rodata = const BLOCK | TABLE_OR_PAGE | READ_ONLY | NEVER_RUN,
    data = const BLOCK | TABLE_OR_PAGE | NEVER_RUN,
    block = const BLOCK | READ_ONLY,
);

global_asm!(include_str!("memory.s"));
