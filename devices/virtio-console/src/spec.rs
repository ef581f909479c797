//! What the specification says of the console device: "Virtual I/O Device (VIRTIO) Version
//! 1.2", §5.3.

/// Its device ID.
pub const DEVICE: u32 = 3;
/// VIRTIO_CONSOLE_F_MULTIPORT.
pub const MULTIPORT: u64 = 1 << 1;

/// Queues (§5.3.2): of port 0, and for control.
pub const RECEIVE: usize = 0;
pub const TRANSMIT: usize = 1;
pub const CONTROL_RECEIVE: usize = 2;
pub const CONTROL_TRANSMIT: usize = 3;
/// How many there are.
pub const QUEUES: usize = 4;

/// The configuration: cols, rows, max_nr_ports, emerg_wr (§5.3.4).
pub const CONFIGURATION: [u8; 12] = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

/// Events of control messages (§5.3.6.2).
pub mod event {
    /// From the driver: it is ready for ports.
    pub const DEVICE_READY: u16 = 0;
    /// From the device: there is a port.
    pub const DEVICE_ADD: u16 = 1;
    /// From the driver: it can use the port.
    pub const PORT_READY: u16 = 3;
    /// From the device: the port is for a console.
    pub const CONSOLE_PORT: u16 = 4;
    /// From either: its side is open, or closed.
    pub const PORT_OPEN: u16 = 6;
}

/// A control message: id, event, value, little-endian.
pub const MESSAGE: usize = 8;
