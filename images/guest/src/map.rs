//! The addresses and interrupts of the virt machine that these guests use
//! (QEMU, `hw/arm/virt.c`, `base_memmap` and `a15irqmap`). The one place that
//! knows them.

/// The interrupt controller's distributor.
pub const GICD: usize = 0x0800_0000;
/// GICv2 CPU interface.
pub const GICC: usize = 0x0801_0000;
/// GICv3's redistributors, one behind the other.
pub const GICR: usize = 0x080a_0000;
/// PL011 UART.
pub const UART: usize = 0x0900_0000;
/// A second PL011, where there is one.
pub const SECOND_UART: usize = 0x0904_0000;
/// PL031 real-time clock, where there is one.
pub const RTC: usize = 0x0901_0000;
/// PL061 GPIO of the board, where it was given.
pub const GPIO: usize = 0x0903_0000;

/// The registers of an end of a channel, where there is one.
pub const CHANNEL: usize = 0x0a00_0000;
/// What the end shares with the other.
pub const CHANNEL_MEMORY: usize = 0x6000_0000;
/// Where a VM may hold memory that it cannot write.
pub const READ_ONLY_MEMORY: usize = 0x4800_0000;
/// Where a VM may hold the example device that lives outside the repository.
pub const EXAMPLE: usize = 0x0b00_0000;
/// An address of the device region with nothing behind it.
pub const DEVICE_HOLE: usize = 0x0b80_0000;
/// An address with nothing behind it that stage 1 maps as executable.
pub const MEMORY_HOLE: usize = 0xf000_0000;

/// The virtual timer: PPI 11.
pub const TIMER_INTID: u32 = 27;
/// The UART: SPI 1.
pub const UART_INTID: u32 = 33;
/// The real-time clock: SPI 2.
pub const RTC_INTID: u32 = 34;
/// The doorbell of the channel: SPI 20.
pub const CHANNEL_INTID: u32 = 52;
/// The GPIO: SPI 7.
pub const GPIO_INTID: u32 = 39;
