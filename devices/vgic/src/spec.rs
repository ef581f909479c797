//! What both architecture versions have in common: IHI 0048B.b (GICv2) and
//! IHI 0069H (GICv3). The rest is in `v2/spec.rs` and `v3/spec.rs`.

/// How many SGIs there are: INTIDs from 0 (IHI 0048B.b §2.2.1, IHI 0069H §2.2).
pub const SGIS: usize = 16;
/// INTIDs below this are private, one of each for every CPU interface.
pub const PRIVATE: usize = 32;
/// vCPUs that are served: what GICv2 allows (IHI 0048B.b §1.3.1), and more than a
/// VM has.
pub const CPUS: usize = 8;

/// The Distributor's files of a bit an interrupt, which a Redistributor of GICv3
/// has too: (IHI 0048B.b §4.1.2, IHI 0069H §12.8, §12.10). Offsets in bytes; each
/// file is a row of 32 words.
pub mod files {
    /// GICD_IGROUPR
    pub const IGROUPR: u64 = 0x080;
    /// GICD_ISENABLER
    pub const ISENABLER: u64 = 0x100;
    /// GICD_ICENABLER
    pub const ICENABLER: u64 = 0x180;
    /// GICD_ISPENDR
    pub const ISPENDR: u64 = 0x200;
    /// GICD_ICPENDR
    pub const ICPENDR: u64 = 0x280;
    /// GICD_ISACTIVER
    pub const ISACTIVER: u64 = 0x300;
    /// GICD_ICACTIVER
    pub const ICACTIVER: u64 = 0x380;
    /// GICD_IPRIORITYR: a byte an interrupt.
    pub const IPRIORITYR: u64 = 0x400;
    /// GICD_ITARGETSR: a byte an interrupt; of GICv2.
    pub const ITARGETSR: u64 = 0x800;
    /// GICD_ICFGR: two bits an interrupt.
    pub const ICFGR: u64 = 0xc00;
    /// What an offset is shifted by to give its row.
    pub const ROW: u32 = 7;
}
