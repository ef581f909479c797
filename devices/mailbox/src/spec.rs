//! What is published of the mailboxes. There is no data sheet: the registers are in
//! the Raspberry Pi firmware's wiki ("Mailboxes", "Accessing mailboxes"), their bits
//! in Broadcom's `arm_control.h` of 2012 and in Linux's `bcm2835-mailbox.c`; the
//! property channel is in the wiki's "Mailbox property interface" (*the page*).

use tock_registers::register_bitfields;

/// The registers, as the device tree's binding counts them (`brcm,bcm2835-mbox`,
/// 0x40 bytes): those of mailbox 0, to the Arm, and of mailbox 1, from it.
pub mod offset {
    /// Takes a message out of mailbox 0, at four addresses.
    pub const READ: u64 = 0x00;
    /// The last of them.
    pub const READ_LAST: u64 = 0x0c;
    /// The message that READ would give.
    pub const PEEK: u64 = 0x10;
    /// Mailbox 0: how full it is.
    pub const STATUS: u64 = 0x18;
    /// Mailbox 0: interrupts and errors.
    pub const CONFIG: u64 = 0x1c;
    /// Puts a message into mailbox 1, at four addresses.
    pub const WRITE: u64 = 0x20;
    /// The last of them.
    pub const WRITE_LAST: u64 = 0x2c;
    /// Mailbox 1: how full it is.
    pub const STATUS1: u64 = 0x38;
}

/// Messages that a mailbox holds.
pub const DEPTH: usize = 8;

/// The channel is in the low bits of a message, and what it says in the others.
pub const CHANNEL: u32 = 0xf;

/// The channels that are served ("Mailboxes"). The others are power management,
/// virtual UART, VCHIQ, LEDs, buttons, touch screen, and from 9 on nothing.
pub mod channel {
    /// The frame buffer, in the manner that property tags replaced.
    pub const FRAMEBUFFER: u32 = 1;
    /// Properties, asked by the Arm.
    pub const PROPERTY: u32 = 8;
}

/// Channel 1's buffer ("Mailbox framebuffer interface"): where the address and the
/// size of the frame buffer are answered. An address of 0 says that there is none.
pub const FRAMEBUFFER_ADDRESS: u64 = 32;

/// What the VideoCore takes bus addresses for (BCM2711 ARM Peripherals §1.2, "legacy
/// master addresses"): the upper two bits are one of four aliases of the first GiB,
/// which differ in how they are cached.
pub const BUS_ADDRESS: u64 = 0x3fff_ffff;

/// Codes in a property buffer (the page, "Buffer contents" and "Tag format").
pub mod code {
    /// In a buffer: to be processed.
    pub const REQUEST: u32 = 0;
    /// In a buffer: all was answered. In a tag: it was; the length is in the rest.
    pub const RESPONSE: u32 = 0x8000_0000;
    /// In a buffer: there was an error, and some tags may not have been answered.
    /// Firmware that does not know a tag says so too (raspberrypi/linux issue 2444).
    pub const PARTIAL: u32 = 0x8000_0001;
}

/// Bytes before the first tag of a buffer: size and code.
pub const HEADER: u32 = 8;
/// Bytes of a tag before its value buffer: number, size, code.
pub const TAG_HEADER: u32 = 12;

register_bitfields![u32,
    /// How full a mailbox is.
    pub STATUS [
        /// There is no room.
        FULL OFFSET(31) NUMBITS(1),
        /// There is nothing in it.
        EMPTY OFFSET(30) NUMBITS(1),
        /// How much there is.
        LEVEL OFFSET(0) NUMBITS(8)
    ],
    /// Interrupts and errors of mailbox 0.
    pub CONFIG [
        /// Something was read from an empty mailbox.
        UNDERFLOW 10,
        /// Something was written to a full mailbox.
        OVERFLOW 9,
        /// There is something in it.
        DATA_PENDING 4,
        /// Empties it.
        CLEAR 3,
        /// Interrupt while there is something in it.
        DATA_ENABLE 0
    ]
];
