//! System registers by name or encoding, for what no crate has a name for.

/// A read of a system register.
#[macro_export]
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading it changes nothing that Rust knows of, and may at worst be
        // undefined.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value) };
        value
    }};
}

/// A write of a system register.
#[macro_export]
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the caller names a register that is undefined, read-only, or
        // changes nothing that Rust knows of.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value) }
    }};
}
