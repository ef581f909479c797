//! The random number generator RNG200 of a BCM2711.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Context, Mmio, Needs, Object, Parts, Reply, Rights, Width, WindowNeed, component,
};
use spec::WRITABLE;

component! {
    compatible: ["brcm,bcm2711-rng200"],
    needs: Needs { windows: &[WINDOW], ..Needs::NONE },
    properties: [],
    build: |_node, _grants| {
        Ok(Parts::new(Rng200 { kept: [0; 10] }).mmio().done())
    },
    describe: |_node, _guest| Ok(()),
}

const WINDOW: WindowNeed =
    WindowNeed { access: Rights::READ32.union(Rights::WRITE32), ..WindowNeed::new(0x28) };

struct Rng200 {
    /// What was written to the registers.
    kept: [u32; 10],
}

impl Mmio for Rng200 {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let word = self.kept.get(offset as usize / 4).copied().unwrap_or_default();
        Reply::value(u64::from(word) & width.mask())
    }

    fn write(&mut self, offset: u64, _width: Width, value: u64, _cx: &mut Context) -> Reply {
        let number = offset as usize / 4;
        if let Some((kept, bits)) = self.kept.get_mut(number).zip(WRITABLE.get(number)) {
            *kept = value as u32 & bits;
        }
        Reply::DONE
    }
}

impl Object for Rng200 {
    fn reset(&mut self) {
        self.kept = [0; 10];
    }
}
