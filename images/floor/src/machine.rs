//! QEMU's virt machine with a GICv2 and its virtualization extensions, as far
//! as the floor drives it.

use tock_registers::register_structs;
use tock_registers::registers::{ReadOnly, ReadWrite};

/// GICD, GICC, GICH and GICV (QEMU, `hw/arm/virt.c`, `base_memmap`).
pub const GICD: u64 = 0x0800_0000;
pub const GICC: u64 = 0x0801_0000;
pub const GICH: u64 = 0x0803_0000;
pub const GICV: u64 = 0x0804_0000;
/// The UART's data register is its first.
pub const UARTDR: u64 = 0x0900_0000;

/// Offsets that the trap path uses (IHI 0048B.b tables 4-1, 4-2 and 5-1).
pub const GICD_SGIR: u64 = 0xf00;
pub const GICC_IAR: u64 = 0x00c;
pub const GICH_LR0: u64 = 0x100;

/// The virtual timer: PPI 11.
pub const TIMER_INTID: u64 = 27;

/// List registers (IHI 0048B.b §5.3.10): pending; hardware-linked.
pub const LR_PENDING: u64 = 1 << 28;
pub const LR_HARDWARE: u64 = 1 << 31;
pub const LR_PHYSICAL_INTID_SHIFT: u64 = 10;

register_structs! {
    pub Distributor {
        (0x000 => pub ctlr: ReadWrite<u32>),
        (0x004 => pub typer: ReadOnly<u32>),
        (0x008 => _reserved0),
        (0x100 => pub isenabler: [ReadWrite<u32>; 32]),
        (0x180 => @END),
    },
    pub CpuInterface {
        (0x000 => pub ctlr: ReadWrite<u32>),
        (0x004 => pub pmr: ReadWrite<u32>),
        (0x008 => @END),
    },
    pub Hypervisor {
        (0x000 => pub hcr: ReadWrite<u32>),
        (0x004 => @END),
    }
}
