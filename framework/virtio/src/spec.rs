//! What the specification says: "Virtual I/O Device (VIRTIO) Version 1.2".

/// Bytes of the register window, with some for the configuration.
pub const WINDOW: u64 = 0x200;
/// Where the device's own configuration begins (§4.2.2).
pub const CONFIG: u64 = 0x100;

/// MagicValue: "virt", little-endian.
pub const MAGIC: u32 = 0x7472_6976;
/// Version: not the legacy interface.
pub const MMIO_VERSION: u32 = 2;
/// VendorID: "eVsr".
pub const VENDOR: u32 = 0x7273_5665;

/// VIRTIO_F_VERSION_1 (§6).
pub const VERSION_1: u64 = 1 << 32;

/// Offsets of registers (§4.2.2, table 4.1).
pub mod register {
    pub const MAGIC_VALUE: u64 = 0x000;
    pub const VERSION: u64 = 0x004;
    pub const DEVICE_ID: u64 = 0x008;
    pub const VENDOR_ID: u64 = 0x00c;
    pub const DEVICE_FEATURES: u64 = 0x010;
    pub const DEVICE_FEATURES_SEL: u64 = 0x014;
    pub const DRIVER_FEATURES: u64 = 0x020;
    pub const DRIVER_FEATURES_SEL: u64 = 0x024;
    pub const QUEUE_SEL: u64 = 0x030;
    pub const QUEUE_NUM_MAX: u64 = 0x034;
    pub const QUEUE_NUM: u64 = 0x038;
    pub const QUEUE_READY: u64 = 0x044;
    pub const QUEUE_NOTIFY: u64 = 0x050;
    pub const INTERRUPT_STATUS: u64 = 0x060;
    pub const INTERRUPT_ACK: u64 = 0x064;
    pub const STATUS: u64 = 0x070;
    pub const QUEUE_DESC: u64 = 0x080;
    pub const QUEUE_DRIVER: u64 = 0x090;
    pub const QUEUE_DEVICE: u64 = 0x0a0;
    /// SHMLen and SHMBase of a region that is not there read as ones (§4.2.2).
    pub const SHM_LEN_LOW: u64 = 0x0b0;
    pub const SHM_BASE_HIGH: u64 = 0x0bc;
    pub const CONFIG_GENERATION: u64 = 0x0fc;
}

/// Bits of the device's status (§2.1).
pub mod status {
    /// The guest has seen the device.
    pub const ACKNOWLEDGE: u32 = 1;
    /// It has a driver for it.
    pub const DRIVER: u32 = 2;
    /// The driver can use it.
    pub const DRIVER_OK: u32 = 4;
    /// The two agree on features.
    pub const FEATURES_OK: u32 = 8;
    /// The device cannot go on before a reset.
    pub const NEEDS_RESET: u32 = 64;
    /// The driver gave it up.
    pub const FAILED: u32 = 128;
    /// All that a driver can set.
    pub const DRIVERS: u32 = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED;
}

/// Bits of InterruptStatus (§4.2.2): a buffer was used; the configuration changed.
pub const USED_BUFFER: u32 = 1;
/// See [`USED_BUFFER`].
pub const CONFIGURATION_CHANGED: u32 = 2;

/// Flags of a descriptor (§2.7.5).
pub mod descriptor {
    pub const SIZE: u64 = 16;
    pub const NEXT: u16 = 1;
    pub const WRITE: u16 = 2;
    pub const INDIRECT: u16 = 4;
}

/// Of the available ring's flags (§2.7.6): no interrupt, please.
pub const NO_INTERRUPT: u16 = 1;
/// Where the entries of either ring begin (§2.7.6, §2.7.8).
pub const RING: u64 = 4;
/// Where idx is.
pub const INDEX: u64 = 2;
/// Bytes of an entry of the used ring (§2.7.8).
pub const USED_ENTRY: u64 = 8;
