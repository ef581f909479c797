//! The AVS monitor of a BCM2711, which has its thermometer. It is always 40 °C here, as it
//! is for who asks the firmware: a VM does not learn the board's temperature.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Context, Mmio, Needs, Object, Parts, Reply, Restore, RestoreError, Rights, Save, Width,
    WindowNeed, component,
};
use spec::{TEMP_STATUS, VALID, VALUE};

component! {
    compatible: ["brcm,bcm2711-avs-monitor"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(spec::SIZE) }],
        ..Needs::NONE
    },
    properties: [],
    build: |_node, _grants| Ok(Parts::new(Avs).mmio().done()),
    describe: |_node, _guest| Ok(()),
}

/// The registers are words.
const ACCESS: Rights = Rights::READ32.union(Rights::WRITE32);

/// It keeps nothing.
struct Avs;

impl Mmio for Avs {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let word = if offset == TEMP_STATUS { VALID | VALUE } else { 0 };
        Reply::value(u64::from(word) & width.mask())
    }

    fn write(&mut self, _offset: u64, _width: Width, _value: u64, _cx: &mut Context) -> Reply {
        Reply::DONE
    }
}

const TAG: [u8; 8] = *b"bcm-avs\0";
const VERSION: u32 = 1;

impl Object for Avs {
    fn reset(&mut self) {}

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(TAG, VERSION)
    }
}
