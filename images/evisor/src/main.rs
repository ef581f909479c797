//! eVisor, the hypervisor.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use evisor::{FEATURES, LEFT_OUT, link};
    use evisor_machine::{Boot, Image};

    evisor_aarch64::entry!(start);

    fn start(boot: Boot) -> ! {
        link();
        evisor_machine::start(boot, &Image { features: FEATURES, left_out: LEFT_OUT })
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        evisor_machine::panicked(info);
        evisor_aarch64::halt()
    }
}

/// On a workstation there is nothing to run: see `evisor-check`.
#[cfg(not(target_os = "none"))]
fn main() {}
