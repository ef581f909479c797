//! The devices of a BCM2711 that a VM does not have: USB, PCIe and Ethernet. Software that
//! looks for them is told so in the way that it asks, and not by an external abort.
//!
//! The guest's tree says that they are disabled, so this is for who does not read it.
//!
//! The README says what was seen to do with that.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    BuildError, Context, GuestNode, Mmio, Needs, Node, Object, Parts, Reply, Restore, RestoreError,
    Rights, Save, Width, WindowNeed, component,
};
use spec::Answer;

component! {
    compatible: ["brcm,bcm2835-usb"],
    needs: needs(&[window(spec::USB)], 1),
    properties: [],
    build: |_node, _grants| Ok(absent(spec::USB_ANSWERS)),
    describe: describe,
}

component! {
    compatible: ["brcm,bcm2711-pcie"],
    needs: needs(&[window(spec::PCIE)], 2),
    properties: [],
    build: |_node, _grants| Ok(absent(spec::PCIE_ANSWERS)),
    describe: describe,
}

component! {
    compatible: ["brcm,bcm2711-genet-v5"],
    needs: needs(&[window(spec::ETHERNET)], 2),
    properties: [],
    build: |_node, _grants| Ok(absent(spec::ETHERNET_ANSWERS)),
    describe: describe,
}

/// The interrupts of a Pi's tree may be listed, and never come.
const fn needs(windows: &'static [WindowNeed], optional_lines: usize) -> Needs {
    Needs { windows, optional_lines, ..Needs::NONE }
}

/// The registers are words.
const fn window(size: u64) -> WindowNeed {
    WindowNeed { access: Rights::READ32.union(Rights::WRITE32), ..WindowNeed::new(size) }
}

fn absent(answers: &'static [Answer]) -> Parts {
    Parts::new(Absent { answers }).mmio().done()
}

/// Not operational (Devicetree Specification v0.4 §2.3.4), unless the manifest wants the
/// guest's drivers to see for themselves.
fn describe(node: &Node<'_>, guest: &mut dyn GuestNode) -> Result<(), BuildError> {
    if !node.flag("status") {
        guest.set_strings("status", &["disabled"]);
    }
    Ok(())
}

/// A device that is not there. It keeps nothing.
struct Absent {
    answers: &'static [Answer],
}

impl Mmio for Absent {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let answer = self.answers.iter().find(|(at, _)| at.contains(&offset));
        Reply::value(answer.map_or(0, |(_, value)| u64::from(*value) & width.mask()))
    }

    fn write(&mut self, _offset: u64, _width: Width, _value: u64, _cx: &mut Context) -> Reply {
        Reply::DONE
    }
}

const TAG: [u8; 8] = *b"bcm-none";
const VERSION: u32 = 1;

impl Object for Absent {
    fn reset(&mut self) {}

    /// That it is not there.
    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(TAG, VERSION)
    }
}
