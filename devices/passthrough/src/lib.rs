//! A device of the board, given to one VM.
//!
//! What the device does is its own affair, and what the guest makes of it the
//! guest's: this component stands between them only where it must. Registers that
//! fill whole pages are the guest's without a trap; of others each access comes
//! here and is made as the guest made it, in its width, so that what shares the
//! page is out of reach. Interrupts are linked to the guest's lines by the kernel
//! and never come here. When the VM stops or starts, the words of `evisor,reset`
//! are written.
//!
//! What is the manifest reader's to say (which device it is, that it is nobody
//! else's, DMA) was said before this is built.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod reset;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::{
    BuildError, Context, Grants, GuestNode, HostRegisters, HostWindow, Mmio, Needs, Node, Object,
    Parts, Reply, Restore, RestoreError, Save, Width, component,
};
use reset::Word;

component! {
    compatible: ["evisor,passthrough"],
    needs: Needs { host_device: true, ..Needs::NONE },
    properties: ["evisor,reset"],
    build: |node, grants| {
        let windows = windows(node, grants)?;
        let size = windows.last().map_or(0, |last| last.start + last.size);
        let reset = reset::words(node, size)?;
        lines(node, grants)?;
        Ok(Parts::new(Passthrough { windows, reset }).mmio().done())
    },
    describe: |node, guest| {
        describe_names(node, guest);
        describe_clocks(node, guest)
    },
}

/// The windows that the node lists, end to end.
fn windows(node: &Node<'_>, grants: &mut dyn Grants) -> Result<Vec<Window>, BuildError> {
    let mut windows = Vec::new();
    let mut start = 0;
    while let Some((_, size)) = node.window(windows.len()) {
        let (HostWindow::Direct(registers) | HostWindow::Forwarded(registers)) =
            grants.host_window(windows.len())?;
        windows.push(Window { start, size, registers });
        start += size;
    }
    Ok(windows)
}

/// Cells of one interrupt in the GIC's binding.
const INTERRUPT: usize = 3;

/// Each line of the node is driven by the device's interrupt of the same number.
fn lines(node: &Node<'_>, grants: &mut dyn Grants) -> Result<(), BuildError> {
    let cells = node.bytes("interrupts").unwrap_or_default().len() / size_of::<u32>();
    (0..cells / INTERRUPT).try_for_each(|index| grants.host_line(index))
}

/// The strings of a property.
fn strings<'a>(node: &Node<'a>, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let bytes = node.bytes(name).unwrap_or_default();
    bytes.split_inclusive(|byte| *byte == 0).filter_map(|string| {
        let (_, text) = string.split_last()?;
        core::str::from_utf8(text).ok()
    })
}

/// The guest is told what the device is, and not how it got it.
fn describe_names(node: &Node<'_>, guest: &mut dyn GuestNode) {
    let names: Vec<&str> =
        strings(node, "compatible").filter(|name| !name.starts_with("evisor,")).collect();
    if !names.is_empty() {
        guest.set_strings("compatible", &names);
    }
}

/// Each clock that the node names runs at the measured rate.
fn describe_clocks(node: &Node<'_>, guest: &mut dyn GuestNode) -> Result<(), BuildError> {
    let Some(hertz) = node.cell("evisor,clock-frequency")? else { return Ok(()) };
    let clock = guest.fixed_clock(hertz);
    let names = strings(node, "clock-names").count();
    guest.set_cells("clocks", &alloc::vec![clock; names.max(1)]);
    Ok(())
}

/// A window onto the device's registers.
struct Window {
    /// Where it starts among all of them, end to end.
    start: u64,
    size: u64,
    registers: Box<dyn HostRegisters>,
}

struct Passthrough {
    windows: Vec<Window>,
    reset: Vec<Word>,
}

/// The registers at `offset` of all windows end to end, and the offset there.
fn at(windows: &mut [Window], offset: u64) -> Option<(&mut Box<dyn HostRegisters>, u64)> {
    windows.iter_mut().find_map(|window| {
        let inside = offset.checked_sub(window.start).filter(|at| *at < window.size)?;
        Some((&mut window.registers, inside))
    })
}

/// What the device answers with an error ends as it would without eVisor: in an
/// external abort.
impl Mmio for Passthrough {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let found = at(&mut self.windows, offset);
        let value = found.and_then(|(registers, at)| registers.read(at, width));
        value.map_or(Reply::ABSENT, Reply::value)
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, _cx: &mut Context) -> Reply {
        let found = at(&mut self.windows, offset);
        let done = found.is_some_and(|(registers, at)| registers.write(at, width, value));
        if done { Reply::DONE } else { Reply::ABSENT }
    }
}

const TAG: [u8; 8] = *b"passthru";
const VERSION: u32 = 1;

impl Object for Passthrough {
    /// Nothing can be done about a device that answers this with an error; its next
    /// guest finds out.
    fn reset(&mut self) {
        for Word { offset, value } in &self.reset {
            if let Some((registers, at)) = at(&mut self.windows, *offset) {
                registers.write(at, Width::Word, (*value).into());
            }
        }
    }

    /// That it is there. What a device of the board is in the middle of nobody can
    /// write down.
    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
    }

    /// Always an error: the device is not in the state that its guest left it in.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(TAG, VERSION)?;
        Err(RestoreError::Impossible)
    }
}
