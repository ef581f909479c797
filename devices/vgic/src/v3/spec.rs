//! What IHI 0069H (Arm Generic Interrupt Controller Architecture Specification,
//! GIC architecture version 3.0 and 4) says of the registers, for a GIC with one
//! Security state (GICD_CTLR.DS is RAO/WI) and affinity routing only (ARE is
//! RAO/WI).

use evisor_contract::Register;
use tock_registers::register_bitfields;

/// The Distributor's registers: §12.8. Offsets in bytes. The files
/// that GICv2 has too are in [`files`](crate::spec::files).
pub mod gicd {
    /// §12.9
    pub const CTLR: u64 = 0x0000;
    /// §12.9
    pub const TYPER: u64 = 0x0004;
    /// §12.9
    pub const IIDR: u64 = 0x0008;
    /// §12.9: RES0 without GICv4.1.
    #[cfg(test)]
    pub const TYPER2: u64 = 0x000c;
    /// §12.9: 64 bits for each INTID, from 0.
    pub const IROUTER: u64 = 0x6000;
}

/// A Redistributor's registers in RD_base: §12.10.
pub mod gicr {
    /// §12.11
    pub const CTLR: u64 = 0x0000;
    /// §12.11
    pub const IIDR: u64 = 0x0004;
    /// §12.11: 64 bits.
    pub const TYPER: u64 = 0x0008;
    /// §12.11
    pub const WAKER: u64 = 0x0014;
    /// A frame's size: RD_base, then SGI_base.
    pub const FRAME: u64 = 0x1_0000;
}

/// The identification registers of every frame: §12.1.
pub mod identification {
    /// The first, PIDR4.
    pub const FIRST: u64 = 0xffd0;
    /// PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3. Only PIDR2.ArchRev (3: GICv3)
    /// is architecture; the rest is in the numbering of Arm's generic parts.
    pub const VALUES: [u8; 12] = [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
}

/// §12.2
pub const ICC_SGI1R_EL1: Register = Register::new(3, 0, 12, 11, 5);
/// §12.2
pub const ICC_ASGI1R_EL1: Register = Register::new(3, 0, 12, 11, 6);
/// §12.2
pub const ICC_SGI0R_EL1: Register = Register::new(3, 0, 12, 11, 7);

register_bitfields![u32,
    /// §12.9, "when access is Secure or in a system with one Security state".
    pub GICD_CTLR [
        /// Group 0 interrupts are forwarded.
        ENABLE_GRP0 OFFSET(0) NUMBITS(1) [],
        /// Group 1 interrupts are forwarded.
        ENABLE_GRP1 OFFSET(1) NUMBITS(1) [],
        /// Affinity routing.
        ARE OFFSET(4) NUMBITS(1) [],
        /// One Security state.
        DS OFFSET(6) NUMBITS(1) [],
        /// A write has not taken effect everywhere.
        RWP OFFSET(31) NUMBITS(1) [],
    ],
    /// §12.9
    pub GICD_TYPER [
        /// INTIDs in steps of 32, less one.
        IT_LINES_NUMBER OFFSET(0) NUMBITS(5) [],
        /// Bits of an INTID, less one.
        ID_BITS OFFSET(19) NUMBITS(5) [],
        /// Aff3 need not be zero.
        A3V OFFSET(24) NUMBITS(1) [],
        /// 1 of N distribution is not supported.
        NO1N OFFSET(25) NUMBITS(1) [],
        /// SGIs may go to Aff0 from 16 up.
        RSS OFFSET(26) NUMBITS(1) [],
    ],
    /// §12.9, §12.11
    pub IIDR [
        /// JEP106 code of who made it.
        IMPLEMENTER OFFSET(0) NUMBITS(12) [],
        /// Which product it is.
        PRODUCT_ID OFFSET(24) NUMBITS(8) [],
    ],
    /// §12.11
    pub GICR_CTLR [
        /// A write has not taken effect yet.
        RWP OFFSET(3) NUMBITS(1) [],
    ],
    /// §12.11
    pub GICR_WAKER [
        /// The PE is, or is to be, powered down.
        PROCESSOR_SLEEP OFFSET(1) NUMBITS(1) [],
        /// Its interface is quiescent.
        CHILDREN_ASLEEP OFFSET(2) NUMBITS(1) [],
    ],
    /// §12.4
    pub ICH_HCR [
        /// The virtual CPU interface works.
        EN OFFSET(0) NUMBITS(1) [],
        /// Maintenance interrupt when at most one list register is valid.
        UIE OFFSET(1) NUMBITS(1) [],
        /// Maintenance interrupt when EOICOUNT is not zero.
        LRENPIE OFFSET(2) NUMBITS(1) [],
        /// How often the guest ended what is in no list register.
        EOICOUNT OFFSET(27) NUMBITS(5) [],
    ],
];

register_bitfields![u64,
    /// §12.9
    pub GICD_IROUTER [
        /// Aff2, Aff1, Aff0.
        AFF2_TO_AFF0 OFFSET(0) NUMBITS(24) [],
        /// Aff3.
        AFF3 OFFSET(32) NUMBITS(8) [],
    ],
    /// §12.11
    pub GICR_TYPER [
        /// The last Redistributor of the region.
        LAST OFFSET(4) NUMBITS(1) [],
        /// The PE's number, for those who have no affinities (LPIs).
        PROCESSOR_NUMBER OFFSET(8) NUMBITS(16) [],
        /// Aff2, Aff1, Aff0.
        AFF2_TO_AFF0 OFFSET(32) NUMBITS(24) [],
        /// Aff3.
        AFF3 OFFSET(56) NUMBITS(8) [],
    ],
    /// §12.2
    pub ICC_SGIR [
        /// The PEs: Aff0 less 16 times the range.
        TARGET_LIST OFFSET(0) NUMBITS(16) [],
        /// Aff1.
        AFF1 OFFSET(16) NUMBITS(8) [],
        /// Which SGI.
        INTID OFFSET(24) NUMBITS(4) [],
        /// Aff2.
        AFF2 OFFSET(32) NUMBITS(8) [],
        /// To all but the sender.
        IRM OFFSET(40) NUMBITS(1) [],
        /// Aff0 / 16.
        RS OFFSET(44) NUMBITS(4) [],
        /// Aff3.
        AFF3 OFFSET(48) NUMBITS(8) [],
    ],
    /// §12.4
    pub ICH_LR [
        /// The INTID that the guest sees.
        VINTID OFFSET(0) NUMBITS(32) [],
        /// With HW: the physical interrupt that deactivation goes on to.
        PINTID OFFSET(32) NUMBITS(13) [],
        /// Without HW: a maintenance interrupt when the guest deactivates it.
        EOI OFFSET(41) NUMBITS(1) [],
        /// The priority.
        PRIORITY OFFSET(48) NUMBITS(8) [],
        /// Group 1.
        GROUP OFFSET(60) NUMBITS(1) [],
        /// Linked to a physical interrupt.
        HW OFFSET(61) NUMBITS(1) [],
        /// Its state; none when the register is free.
        STATE OFFSET(62) NUMBITS(2) [
            Invalid = 0,
            Pending = 1,
            Active = 2,
            PendingAndActive = 3,
        ],
    ],
    /// §12.4
    pub ICH_VTR [
        /// Bits of a virtual priority, less one.
        PRI_BITS OFFSET(29) NUMBITS(3) [],
    ],
];

/// What saved state begins with.
pub const STATE_TAG: [u8; 8] = *b"vgic-v3\0";
/// The version of saved state.
pub const STATE_VERSION: u32 = 1;
