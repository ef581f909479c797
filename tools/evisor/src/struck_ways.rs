//! What each of our guests is struck with, and what has to come of it: one table for all.
//!
//! A guest crashes by what it never does: so a way is code that is laid into it, and finds in
//! registers what differs from guest to guest.

/// Where no guest has anything: of those with stage 1 on, in a gigabyte that it maps as
/// memory (images/guest, `mmu`).
pub const NOWHERE: u64 = 0xf000_0000;

/// What a watchdog of a Raspberry Pi is armed with (devices/bcm2711-pm): 320 ms, and that
/// its bite resets all.
const WATCHDOG: u64 = 0x5a00_0000 | 20_000;
const FULL_RESET: u64 = 0x5a00_0020;

/// SCTLR_EL1 with stage 1 off; TCR_EL1 for 33-bit addresses by TTBR0_EL1.
const STAGE_1_OFF: u64 = 0x30d0_0800;
const TRANSLATION: u64 = 31 | 1 << 8 | 1 << 10 | 0b11 << 12 | 1 << 23 | 1 << 32;
/// SPSR_EL1 for EL2, everything masked: no return from EL1 goes there.
const TO_EL2: u64 = 0x3c9;

/// PSCI's functions, and one that nobody has (Arm DEN 0022F.b §5.1; DEN 0028, "Service call
/// ranges": an OEM's).
const CPU_SUSPEND: u64 = 0xc400_0001;
const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;
const SYSTEM_RESET2: u64 = 0xc400_0012;
const SYSTEM_RESET: u64 = 0x8400_0009;
const NOBODYS: u64 = 0x8300_0000;

/// Addresses of a guest's.
pub struct Places {
    pub watchdog: u64,
    /// Of its memory.
    pub start: u64,
    pub end: u64,
    pub gicd: u64,
}

/// What the code finds in registers.
pub fn registers(places: &Places) -> [(usize, u64); 19] {
    [
        (0, NOWHERE),
        (1, places.watchdog),
        (2, places.end),
        (3, places.start),
        (4, places.gicd),
        (5, STAGE_1_OFF),
        (6, TRANSLATION),
        (7, u64::MAX),
        (9, TO_EL2),
        (10, WATCHDOG),
        (11, FULL_RESET),
        (13, NOBODYS),
        (14, places.gicd + 0x1000),
        (15, CPU_SUSPEND),
        (16, CPU_ON),
        (17, AFFINITY_INFO),
        (18, SYSTEM_RESET2),
        (19, SYSTEM_RESET),
        (30, NOWHERE),
    ]
}

/// What eVisor says of it, and what follows.
#[derive(Clone, Copy, Debug)]
pub enum Comes {
    /// A record with these words, and it restarts.
    Crash(&'static str),
    /// The same, if its manifest has what is refused be a crash; otherwise what comes of the
    /// architecture's answer.
    Refused(&'static str, Answered),
    /// Its own handler ends it; it is started again by the monitor.
    Handled,
    /// It restarts, by itself or by its watchdog.
    Restart,
    /// The same, if it has PSCI; otherwise its own handler ends it.
    ByPsci,
    /// Nothing, until it is reset by the monitor.
    Hangs,
}

/// What comes of an abort, or of UNDEFINED.
#[derive(Clone, Copy, Debug)]
pub enum Answered {
    /// Its own handler ends it.
    Handled,
    /// Its own handler, for ever.
    Hangs,
    /// It has no handler.
    Crash(&'static str),
}

/// A way to die.
pub struct Way {
    pub name: &'static str,
    /// Instructions, each with what it is.
    pub code: &'static [(u32, &'static str)],
    pub comes: Comes,
}

const UDF: (u32, &str) = (0, "udf #0");
const ISB: (u32, &str) = (0xd503_3fdf, "isb");
const HVC: (u32, &str) = (0xd400_0002, "hvc #0");
const MASK: (u32, &str) = (0xd503_4fdf, "msr daifset, #0xf");
const NO_VECTORS: (u32, &str) = (0xd518_c000, "msr vbar_el1, x0");
const WFI: (u32, &str) = (0xd503_207f, "wfi");

const LOOP: Way =
    Way { name: "masked in a loop", code: &[MASK, (0x1400_0000, "b .")], comes: Comes::Hangs };

/// What Linux does not find out of itself. After the last it stays down, too.
pub const OF_LINUX: &[Way] = &[
    LOOP,
    Way { name: "masked in WFI", code: &[MASK, WFI, (0x17ff_ffff, "b .-4")], comes: Comes::Hangs },
];

/// After the last it stays down, as it has come back as often as it may.
pub const WAYS: &[Way] = &[
    Way {
        name: "an undefined instruction, without vectors",
        code: &[NO_VECTORS, ISB, UDF],
        comes: Comes::Crash("no memory at its vectors, 0xf0000000"),
    },
    Way {
        name: "a jump to nowhere",
        code: &[(0xd61f_0000, "br x0")],
        comes: Comes::Refused(
            "an access to 0xf0000000 was refused: nothing is there",
            Answered::Handled,
        ),
    },
    Way {
        name: "a load from nowhere",
        code: &[(0xb940_0006, "ldr w6, [x0]"), UDF, UDF],
        comes: Comes::Refused(
            "an access to 0xf0000000 was refused: nothing is there",
            Answered::Handled,
        ),
    },
    Way {
        name: "a store to nowhere",
        code: &[(0xb900_0006, "str w6, [x0]"), UDF, UDF],
        comes: Comes::Refused(
            "an access to 0xf0000000 was refused: nothing is there",
            Answered::Handled,
        ),
    },
    Way {
        name: "a register that is not there",
        code: &[(0xd538_f006, "mrs x6, s3_0_c15_c0_0"), UDF, UDF],
        comes: Comes::Refused("an instruction was refused", Answered::Handled),
    },
    Way {
        name: "stores over all it has, with stage 1 off",
        code: &[
            NO_VECTORS,
            (0xd518_1005, "msr sctlr_el1, x5"),
            ISB,
            (0xf81f_8c47, "1: str x7, [x2, #-8]!"),
            (0xeb03_005f, "cmp x2, x3"),
            (0x54ff_ffc1, "b.ne 1b"),
            UDF,
        ],
        comes: Comes::Crash("no memory at its vectors, 0xf0000000"),
    },
    Way {
        name: "tables lost",
        code: &[
            MASK,
            (0xd518_2046, "msr tcr_el1, x6"),
            (0xd518_2000, "msr ttbr0_el1, x0"),
            (0xd538_1008, "mrs x8, sctlr_el1"),
            (0xb240_0108, "orr x8, x8, #1"),
            (0xd518_1008, "msr sctlr_el1, x8"),
            ISB,
            (0xd508_871f, "tlbi vmalle1"),
            (0xd503_3f9f, "dsb sy"),
            ISB,
            UDF,
        ],
        comes: Comes::Refused(
            "an access was refused",
            Answered::Crash("no memory at its vectors, 0x"),
        ),
    },
    Way {
        name: "an illegal return to EL2",
        code: &[
            (0x1000_0008, "adr x8, ."),
            (0xd518_4009, "msr spsr_el1, x9"),
            (0xd518_4028, "msr elr_el1, x8"),
            (0xd69f_03e0, "eret"),
        ],
        comes: Comes::Handled,
    },
    Way {
        name: "nonsense for PSCI, and a reset",
        code: &[
            (0xaa10_03e0, "mov x0, x16"),
            HVC,
            (0xaa11_03e0, "mov x0, x17"),
            HVC,
            (0xaa12_03e0, "mov x0, x18"),
            HVC,
            (0xaa0f_03e0, "mov x0, x15"),
            (0xaa07_03e1, "mov x1, x7"),
            HVC,
            (0xaa13_03e0, "mov x0, x19"),
            HVC,
            UDF,
            UDF,
        ],
        comes: Comes::ByPsci,
    },
    Way {
        name: "calls to nobody without end",
        code: &[
            (0xaa0d_03e0, "1: mov x0, x13"),
            HVC,
            (0xaa0d_03e0, "mov x0, x13"),
            (0xd400_0003, "smc #0"),
            (0x17ff_fffc, "b 1b"),
        ],
        comes: Comes::Hangs,
    },
    Way {
        name: "masked in WFI, until its watchdog bites",
        code: &[
            (0xb900_242a, "str w10, [x1, #0x24]"),
            (0xb900_1c2b, "str w11, [x1, #0x1c]"),
            MASK,
            WFI,
            (0x17ff_ffff, "b .-4"),
        ],
        comes: Comes::Restart,
    },
    LOOP,
    Way {
        name: "its stack lost",
        code: &[(0x9100_001f, "mov sp, x0"), UDF],
        comes: Comes::Refused("an access to 0xeffff", Answered::Hangs),
    },
    Way {
        name: "ones in all of the Distributor, and interrupts unmasked",
        code: &[
            (0xb800_4487, "1: str w7, [x4], #4"),
            (0xeb0e_009f, "cmp x4, x14"),
            (0x54ff_ffc1, "b.ne 1b"),
            (0xd503_4fff, "msr daifclr, #0xf"),
            WFI,
            (0x17ff_ffff, "b .-4"),
        ],
        comes: Comes::Hangs,
    },
    Way {
        name: "an undefined instruction, once more",
        code: &[NO_VECTORS, ISB, UDF],
        comes: Comes::Crash("no memory at its vectors, 0xf0000000"),
    },
];
