//! What IHI 0048B.b (Arm Generic Interrupt Controller Architecture
//! Specification, architecture version 2.0) says of the registers.

use tock_registers::register_bitfields;

/// The Distributor's register map: §4.1.2, table 4-1. Offsets in bytes. The files
/// that GICv3 has too are in [`files`](crate::spec::files).
pub mod gicd {
    /// §4.3.1
    pub const CTLR: u64 = 0x000;
    /// §4.3.2
    pub const TYPER: u64 = 0x004;
    /// §4.3.3
    pub const IIDR: u64 = 0x008;
    /// §4.3.14; present with the Security Extensions only.
    #[cfg(test)]
    pub const NSACR: u64 = 0xe00;
    /// §4.3.15
    pub const SGIR: u64 = 0xf00;
    /// §4.3.16
    pub const CPENDSGIR: u64 = 0xf10;
    /// §4.3.17
    pub const SPENDSGIR: u64 = 0xf20;
    /// §4.3.18
    pub const IDENTIFICATION: u64 = 0xfd0;
}

/// The virtual interface control registers: §5.3, table 5-2. Offsets in words.
pub mod gich {
    /// §5.3.1
    pub const HCR: usize = 0;
    /// §5.3.3
    pub const VMCR: usize = 0x08 / 4;
    /// §5.3.7
    pub const APR: usize = 0xf0 / 4;
    /// §5.3.8
    pub const LR: usize = 0x100 / 4;
}

register_bitfields![u32,
    /// §4.3.1, without the Security Extensions.
    pub GICD_CTLR [
        /// Pending Group 0 interrupts are forwarded.
        ENABLE_GRP0 OFFSET(0) NUMBITS(1) [],
        /// Pending Group 1 interrupts are forwarded.
        ENABLE_GRP1 OFFSET(1) NUMBITS(1) [],
    ],
    /// §4.3.2
    pub GICD_TYPER [
        /// INTIDs in steps of 32, less one.
        IT_LINES_NUMBER OFFSET(0) NUMBITS(5) [],
        /// CPU interfaces, less one.
        CPU_NUMBER OFFSET(5) NUMBITS(3) [],
    ],
    /// §4.3.3
    pub GICD_IIDR [
        /// JEP106 code of who made it.
        IMPLEMENTER OFFSET(0) NUMBITS(12) [],
        /// Which product it is.
        PRODUCT_ID OFFSET(24) NUMBITS(8) [],
    ],
    /// §4.3.15
    pub GICD_SGIR [
        /// Which SGI.
        SGIINTID OFFSET(0) NUMBITS(4) [],
        /// To which CPU interfaces, for the first filter.
        CPU_TARGET_LIST OFFSET(16) NUMBITS(8) [],
        /// What chooses the targets.
        TARGET_LIST_FILTER OFFSET(24) NUMBITS(2) [
            List = 0,
            AllButRequester = 1,
            Requester = 2,
        ],
    ],
    /// §5.3.1
    pub GICH_HCR [
        /// The virtual CPU interface works.
        EN OFFSET(0) NUMBITS(1) [],
        /// Maintenance interrupt when at most one list register is valid.
        UIE OFFSET(1) NUMBITS(1) [],
        /// Maintenance interrupt when EOICOUNT is not zero.
        LRENPIE OFFSET(2) NUMBITS(1) [],
        /// How often the guest ended what is in no list register.
        EOICOUNT OFFSET(27) NUMBITS(5) [],
    ],
    /// §5.3.8
    pub GICH_LR [
        /// The INTID that the guest sees.
        VIRTUAL_ID OFFSET(0) NUMBITS(10) [],
        /// With HW: the physical interrupt that deactivation goes on to.
        PHYSICAL_ID OFFSET(10) NUMBITS(10) [],
        /// Without HW, for an SGI: who sent it.
        CPU_ID OFFSET(10) NUMBITS(3) [],
        /// Without HW: a maintenance interrupt when the guest deactivates it.
        EOI OFFSET(19) NUMBITS(1) [],
        /// The upper five bits of the priority.
        PRIORITY OFFSET(23) NUMBITS(5) [],
        /// Its state; none when the register is free.
        STATE OFFSET(28) NUMBITS(2) [
            Invalid = 0,
            Pending = 1,
            Active = 2,
            PendingAndActive = 3,
        ],
        /// Group 1.
        GRP1 OFFSET(30) NUMBITS(1) [],
        /// Linked to a physical interrupt.
        HW OFFSET(31) NUMBITS(1) [],
    ],
];

/// The bits of a priority that a list register can carry (§5.3.8).
pub const PRIORITY_MASK: u8 = 0xf8;
/// The identification registers from 0xFD0 to 0xFFC: only ICPIDR2's ArchRev is
/// architecture (§4.3.18); the rest is as in GIC-400 (DDI 0471B §3.3, table
/// 3-3), which the guest's tree names.
pub const IDENTIFICATION: [u8; 12] =
    [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// What saved state begins with.
pub const STATE_TAG: [u8; 8] = *b"vgic-v2\0";
/// The version of saved state.
pub const STATE_VERSION: u32 = 2;
