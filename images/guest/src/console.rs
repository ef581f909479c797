//! `print!` and `println!`, on the UART, by polling.

use core::fmt::{self, Write};

use crate::pl011;

/// The UART as a place to write text: a line feed gets its carriage return.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                pl011::transmit(b'\r');
            }
            pl011::transmit(byte);
        }
        Ok(())
    }
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        // The UART takes whatever comes: writing to it does not fail.
        let _ = core::write!($crate::console::Console, $($argument)*);
    }};
}

/// Prints to the console, with a line end.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => {
        $crate::print!("{}\n", core::format_args!($($argument)*))
    };
}
