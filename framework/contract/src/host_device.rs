//! Devices of the board that a VM is given, and the firmware's property mailbox.

use crate::access::Width;
use alloc::boxed::Box;

/// A window onto the registers of a device of the board.
pub enum HostWindow {
    /// The guest's accesses go to the device: whole pages that hold nothing else.
    /// None comes to the component, which has the registers for itself.
    Direct(Box<dyn HostRegisters>),
    /// The device shares its page. The guest's accesses come to the component,
    /// which makes them here.
    Forwarded(Box<dyn HostRegisters>),
}

/// The registers behind a window: a leaf. An access is made as it is asked for, of
/// that width and once; offset and width are the window's and the device's to allow.
pub trait HostRegisters: Send {
    /// A load from `offset`, a multiple of `width`. `None` if the device, or the bus
    /// in its place, answers with an error.
    fn read(&mut self, offset: u64, width: Width) -> Option<u64>;

    /// A store, likewise. False if it was answered with an error, as far as that is
    /// told at once.
    fn write(&mut self, offset: u64, width: Width, value: u64) -> bool;
}

/// The mailbox of the VideoCore's firmware, property channel: a leaf, driven by the
/// board, and shared by all that were granted it. None of its methods waits.
///
/// Whoever no longer wants an answer forgets the ticket: once the firmware has
/// answered, a second later at most, another request can be started.
pub trait HostMailbox: Sync {
    /// Sends the property tag `tag` with `values`, its value buffer, at most
    /// [`MAILBOX_WORDS`] words. `None` if another one is under way: try later.
    fn start(&self, tag: u32, values: &[u32]) -> Option<MailboxTicket>;

    /// Whether the firmware answered what `ticket` stands for: the value buffer is
    /// then in `values`, and the answer is the length of the value in bytes, or that
    /// there is none. `None` while it did not; it gives up after a second.
    fn poll(&self, ticket: MailboxTicket, values: &mut [u32]) -> Option<Result<u32, MailboxError>>;
}

/// A request that was sent; of no use once it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxTicket(pub u32);

/// The longest value buffer of a tag, in words: an EDID block's.
pub const MAILBOX_WORDS: usize = 34;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxError {
    /// The firmware does not know the tag.
    Unknown,
    /// The firmware refused the whole, or did not answer within a second.
    Failed,
}

/// The board's general-purpose pins, a bit each: a leaf, driven by the board, and shared by
/// all that were granted some of them. Each call changes the pins that it names, and no
/// other.
pub trait HostGpio: Sync {
    /// The pins that VMs can be given: none that the board needs.
    fn free(&self) -> u64;
    /// Those of `pins` that are in `outputs` become outputs, the others inputs.
    fn set_outputs(&self, pins: u64, outputs: u64);
    /// Those of `pins` that are in `up` or `down` are pulled there, the others nowhere.
    fn set_pulls(&self, pins: u64, up: u64, down: u64);
    /// What outputs are, and what inputs will be when they become outputs.
    fn drive(&self, high: u64, low: u64);
    /// What all of them are.
    fn levels(&self) -> u64;
}

/// Some of the board's pins, whose only owner this is: it reaches no others.
pub struct HostPins {
    gpio: &'static dyn HostGpio,
    pins: u64,
}

impl HostPins {
    /// The kernel makes it when it binds a component.
    pub const fn new(gpio: &'static dyn HostGpio, pins: u64) -> Self {
        Self { gpio, pins }
    }

    /// Which they are.
    pub const fn pins(&self) -> u64 {
        self.pins
    }

    /// See [`HostGpio::set_outputs`].
    pub fn set_outputs(&self, pins: u64, outputs: u64) {
        self.gpio.set_outputs(pins & self.pins, outputs);
    }

    /// See [`HostGpio::set_pulls`].
    pub fn set_pulls(&self, pins: u64, up: u64, down: u64) {
        self.gpio.set_pulls(pins & self.pins, up, down);
    }

    /// See [`HostGpio::drive`].
    pub fn drive(&self, high: u64, low: u64) {
        self.gpio.drive(high & self.pins, low & self.pins);
    }

    /// What they are; the others come as low.
    pub fn levels(&self) -> u64 {
        self.gpio.levels() & self.pins
    }
}
