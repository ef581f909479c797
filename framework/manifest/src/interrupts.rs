//! `interrupts` and `interrupt-parent`: lines onto a VM's interrupt controllers.

use crate::error::Faults;
use crate::objects::Found;
use crate::plan::{LinePlan, ObjectPlan};
use crate::words;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_fdt::Node;

/// Cells of one interrupt in the GIC's binding: type, number, flags.
const CELLS: usize = 3;
/// SPIs are INTIDs 32 to 1019, PPIs 16 to 31 (IHI 0048B.b §2.2.1).
const SPIS: u32 = 988;
const PPIS: u32 = 16;

/// How many devices one line can have: a gate has as many inputs.
const SHARERS: usize = 64;

/// A line that a node lists.
#[derive(Clone, Copy)]
struct Taken<'t> {
    line: LinePlan,
    node: Node<'t>,
    /// A device of the board drives it.
    host: bool,
}

/// The lines of a VM, as they are found.
pub(crate) struct Lines<'f, 't> {
    faults: &'f Faults,
    vm: Node<'t>,
    /// The interrupt controllers, with their indices among the VM's objects.
    controllers: Vec<(usize, Node<'t>)>,
    /// There may be more of them.
    incomplete: bool,
    taken: Vec<Taken<'t>>,
    /// Those that several objects have.
    shared: Vec<LinePlan>,
}

impl<'f, 't> Lines<'f, 't> {
    /// No lines yet, onto the controllers among `objects`.
    pub fn new(faults: &'f Faults, vm: Node<'t>, objects: &[Found<'t>], incomplete: bool) -> Self {
        let is_controller = |object: &Found<'_>| object.declaration.needs.interrupt_controller;
        let controllers = objects.iter().enumerate().filter(|(_, object)| is_controller(object));
        let controllers = controllers.map(|(index, object)| (index, object.node)).collect();
        Self { faults, vm, controllers, incomplete, taken: Vec::new(), shared: Vec::new() }
    }

    /// The lines of an object, as many as it needs.
    pub fn of(&mut self, object: &Found<'t>) -> Vec<LinePlan> {
        let node = object.node;
        if node.has("interrupts-extended") {
            let remedy = "write interrupts, and interrupt-parent where there is a choice";
            self.faults.property(node, "interrupts-extended", "is not read here", remedy);
            return Vec::new();
        }
        let interrupts = self.cells(node);
        let (has, needs) = (interrupts.len(), &object.declaration.needs);
        // Of a device of the board as many as it has, which is checked with it.
        let most = if needs.host_device { has } else { needs.lines + needs.optional_lines };
        if !(needs.lines..=most).contains(&has) {
            let name = object.declaration.name;
            let takes = match needs.optional_lines {
                0 => format!("{most}"),
                _ => format!("{} to {most}", needs.lines),
            };
            let message = format!("lists {has} interrupts, and {name} takes {takes}");
            self.faults.property(node, "interrupts", message, format!("list {takes}"));
            return Vec::new();
        }
        let controller = if has == 0 { None } else { self.controller(node) };
        let Some(controller) = controller else { return Vec::new() };
        let line = |cells: &[u32; CELLS]| self.line(object, controller, *cells);
        interrupts.iter().filter_map(line).collect()
    }

    fn cells(&self, node: Node<'_>) -> Vec<[u32; CELLS]> {
        let Some(property) = node.property("interrupts") else { return Vec::new() };
        let cells: Vec<u32> = property.cells().into_iter().flatten().collect();
        let (interrupts, rest) = cells.as_chunks();
        if !rest.is_empty() || cells.len() * 4 != property.value.len() {
            let remedy = "write <type number flags> each, as the GIC's binding says";
            self.faults.property(node, "interrupts", "is not a whole number of interrupts", remedy);
        }
        interrupts.to_vec()
    }

    /// The controller that the interrupts of `node` go to.
    fn controller(&self, node: Node<'t>) -> Option<usize> {
        let mut around = node.lineage().take_while(|holder| self.vm.contains(*holder));
        let named = around.find_map(|holder| Some((holder, holder.property("interrupt-parent")?)));
        if let Some((holder, property)) = named {
            let parent = words::reference(self.faults, holder, property)?;
            return self.named(holder, parent);
        }
        let (message, remedy) = match self.controllers.as_slice() {
            [(index, only)] if *only != node => return Some(*index),
            // That a node has no component is told already.
            [] if self.incomplete => return None,
            [_] | [] => ("is there, and the VM has no interrupt controller for it", "add one"),
            _ => ("could go to several interrupt controllers", "name one in interrupt-parent"),
        };
        self.faults.property(node, "interrupts", message, remedy);
        None
    }

    fn named(&self, holder: Node<'_>, parent: Node<'_>) -> Option<usize> {
        let found = self.controllers.iter().find(|(_, node)| *node == parent);
        if found.is_none() && !self.incomplete {
            let message = format!("{} is not an interrupt controller of this VM", parent.path());
            let remedy = "point it at one, or remove it";
            self.faults.property(holder, "interrupt-parent", message, remedy);
        }
        found.map(|(index, _)| *index)
    }

    fn line(
        &mut self,
        object: &Found<'t>,
        controller: usize,
        cells: [u32; CELLS],
    ) -> Option<LinePlan> {
        let node = object.node;
        let line = match decode(cells) {
            Ok((intid, level)) => LinePlan { controller, intid, level, shared: false },
            Err((message, remedy)) => {
                self.faults.property(node, "interrupts", message, remedy);
                return None;
            }
        };
        let taken = Taken { line, node, host: object.declaration.needs.host_device };
        self.check_sharing(taken, &name(cells));
        self.taken.push(taken);
        Some(line)
    }

    /// A line has one owner, or several emulated devices that all raise it by level.
    fn check_sharing(&mut self, new: Taken<'_>, name: &str) {
        let mut others = self.taken.iter().filter(|other| same(other.line, new.line));
        let Some(other) = others.next() else { return };
        let (path, own) = (other.node.path(), "give each a line of its own");
        let (message, remedy) = if new.line.intid < 32 || other.node == new.node {
            (format!("interrupt {name} is taken by {path}"), own)
        } else if new.host || other.host {
            let whose = if new.host { "it" } else { "that" };
            let message =
                format!("shares interrupt {name} with {path}, and {whose} is the board's");
            (message, "give the board's device a line of its own")
        } else if new.line.level != other.line.level {
            let how = if new.line.level { "edge" } else { "level" };
            (format!("interrupt {name} comes by {how} at {path}"), "share it by level, or not")
        } else if !new.line.level {
            let message = format!("shares interrupt {name} with {path}, and it comes by edge");
            (message, "give each a line of its own: a shared one comes by level")
        } else if others.count() + 1 >= SHARERS {
            (format!("interrupt {name} has {SHARERS} devices, of them {path}"), own)
        } else {
            return self.shared.push(new.line);
        };
        self.faults.property(new.node, "interrupts", message, remedy);
    }

    /// Marks the lines of `objects` that several have.
    pub fn mark_shared(&self, objects: &mut [ObjectPlan]) {
        for &one in &self.shared {
            let lines = objects.iter_mut().flat_map(|object| &mut object.lines);
            lines.filter(|line| same(**line, one)).for_each(|line| line.shared = true);
        }
    }
}

fn same(one: LinePlan, other: LinePlan) -> bool {
    (one.controller, one.intid) == (other.controller, other.intid)
}

fn name([kind, number, _]: [u32; CELLS]) -> String {
    format!("{} {number}", if kind == 0 { "SPI" } else { "PPI" })
}

/// INTID and whether by level, from type, number and flags.
fn decode(cells: [u32; CELLS]) -> Result<(u32, bool), (String, &'static str)> {
    let [kind, number, flags] = cells;
    let intid = match kind {
        0 if number < SPIS => 32 + number,
        1 if number < PPIS => 16 + number,
        0 | 1 => {
            let remedy = "SPIs go from 0 to 987, PPIs from 0 to 15";
            return Err((format!("there is no {}", name(cells)), remedy));
        }
        _ => return Err((format!("there is no type {kind}"), "write 0 for an SPI, 1 for a PPI")),
    };
    // Bits 8 to 15 say which CPUs a PPI belongs to: all of them, here. A PPI's
    // polarity is its device's affair; an SPI cannot be active low (§4.3.13).
    match (flags & 0xf, kind) {
        (1, _) | (2, 1) => Ok((intid, false)),
        (4, _) | (8, 1) => Ok((intid, true)),
        (trigger, _) => {
            let message = format!("{} cannot have trigger {trigger}", name(cells));
            Err((message, "write 1 for a rising edge, 4 for a high level"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intids_of_the_binding() {
        for (cells, expected) in [
            ([0, 0, 4], Some((32, true))),
            ([0, 987, 1], Some((1019, false))),
            ([0, 988, 1], None),
            ([1, 11, 0xf08], Some((27, true))),
            ([1, 11, 0x104], Some((27, true))),
            ([1, 15, 2], Some((31, false))),
            ([1, 16, 4], None),
            ([0, 1, 8], None),
            ([0, 1, 2], None),
            ([0, 1, 0], None),
            ([0, 1, 5], None),
            ([2, 1, 4], None),
            ([0, u32::MAX, 4], None),
        ] {
            assert_eq!(decode(cells).ok(), expected, "{cells:?}");
        }
    }
}
