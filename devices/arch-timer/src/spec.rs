//! What the Arm Architecture Reference Manual says of the generic timer, DDI 0487
//! (issue J.a): §D12.2 for what it does, §D19.12 for its registers.

use evisor_contract::Register;
use tock_registers::register_bitfields;

/// CNTPCT_EL0: the physical count. Read-only.
pub const CNTPCT: Register = Register::new(3, 3, 14, 0, 1);
/// CNTP_TVAL_EL0: how far the compare value is ahead of the count, in 32 bits with
/// a sign.
pub const CNTP_TVAL: Register = Register::new(3, 3, 14, 2, 0);
/// CNTP_CTL_EL0: control and status.
pub const CNTP_CTL: Register = Register::new(3, 3, 14, 2, 1);
/// CNTP_CVAL_EL0: the compare value.
pub const CNTP_CVAL: Register = Register::new(3, 3, 14, 2, 2);

register_bitfields![u64,
    /// CNTP_CTL_EL0.
    pub CTL [
        /// The timer is on.
        ENABLE 0,
        /// It drives no interrupt.
        IMASK 1,
        /// The count has come to the compare value. UNKNOWN while the timer is
        /// off: then it is 0 here.
        ISTATUS 2
    ]
];

/// The interrupts of the binding "arm,armv8-timer" and their names, in its order,
/// with the PPI that the Base System Architecture gives each (DEN 0094 §3.6).
pub const INTERRUPTS: [(&str, u32); 4] =
    [("sec-phys", 13), ("phys", PHYSICAL_PPI), ("virt", VIRTUAL_PPI), ("hyp-phys", 10)];
/// The EL1 physical timer's.
pub const PHYSICAL_PPI: u32 = 14;
/// The virtual timer's.
pub const VIRTUAL_PPI: u32 = 11;
