//! The nodes that components own, and what each of them comes to.

use crate::error::Faults;
use crate::interrupts::Lines;
use crate::plan::{ObjectPlan, WindowPlan};
use crate::space::{self, Space};
use crate::surroundings::Surroundings;
use crate::{capabilities, gic, host_device, matching, rights, words};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use evisor_contract::{Declaration, Rights, WindowNeed};
use evisor_fdt::{Node, Region};

/// A node and the component that owns it.
#[derive(Clone, Copy)]
pub(crate) struct Found<'t> {
    pub node: Node<'t>,
    pub declaration: &'static Declaration,
    /// A CPU's `reg` is its number and not a window.
    pub is_cpu: bool,
}

/// What lies in a VM's node.
#[derive(Default)]
pub(crate) struct Contents<'t> {
    pub objects: Vec<Found<'t>>,
    pub memory: Vec<Node<'t>>,
    /// What it holds by handles.
    pub capabilities: Vec<Node<'t>>,
    /// A node found no component: it may have been any of them.
    pub incomplete: bool,
}

/// Nodes that only describe, and carry no authority.
const DESCRIPTIONS: [&str; 1] = ["fixed-clock"];
/// Nodes that the reader understands by itself, by name.
const STANDARD: [&str; 5] = ["chosen", "aliases", "reserved-memory", "cpus", "thermal-zones"];

impl<'t> Contents<'t> {
    /// Sorts the children of `node`, the VM's or a bus's.
    pub fn gather(&mut self, faults: &Faults, around: &Surroundings<'_>, node: Node<'t>) {
        for child in node.children().filter(Node::is_enabled) {
            if child.is_compatible("simple-bus") {
                words::check(faults, child, &[]);
                self.gather(faults, around, child);
            } else if space::is_memory(child) {
                self.memory.push(child);
            } else if child.name() == "cpus" {
                // Its children are checked with their component.
                words::check(faults, child, &[]);
            } else if capabilities::is_one(&child) {
                self.capabilities.push(child);
            } else if is_understood(child) {
                words::check_all(faults, child);
            } else {
                self.own(matching::component(faults, around, child), child);
            }
        }
    }

    fn own(&mut self, owner: Option<&'static Declaration>, node: Node<'t>) {
        match owner {
            Some(declaration) => self.objects.push(Found { node, declaration, is_cpu: false }),
            None => self.incomplete = true,
        }
    }
}

fn is_understood(node: Node<'_>) -> bool {
    STANDARD.contains(&node.name()) || DESCRIPTIONS.iter().any(|name| node.is_compatible(name))
}

/// What the object's node comes to, without lines and console.
pub(crate) fn plan<'t>(
    faults: &Faults,
    vm: Node<'t>,
    object: &Found<'t>,
    space: &mut Space<'t>,
    vcpus: usize,
) -> ObjectPlan {
    let Found { node, declaration, is_cpu } = *object;
    if !is_cpu {
        check_words(faults, node, declaration);
    }
    let rights = rights::read(faults, node);
    let regions = if is_cpu { None } else { space.claim(faults, vm, node) };
    let regions = regions.and_then(|regions| gic::pick(faults, object, regions, vcpus));
    let reg = regions.as_deref().and_then(|windows| gic::reg_of_guest(object, windows));
    let mut properties = properties_of(node);
    if let Some((_, value)) = properties.iter_mut().find(|(name, _)| name == "reg") {
        *value = reg.unwrap_or(core::mem::take(value));
    }
    let windows = regions.map(|regions| windows(faults, object, &regions, rights, vcpus));
    ObjectPlan {
        path: node.path(),
        name: node.name().to_string(),
        declaration,
        rights,
        windows: windows.unwrap_or_default(),
        lines: Vec::new(),
        console: None,
        overseen: Vec::new(),
        host: None,
        image: None,
        storage: None,
        block: None,
        channel: None,
        properties,
    }
}

/// All of a node's properties.
pub(crate) fn properties_of(node: Node<'_>) -> Vec<(String, Vec<u8>)> {
    node.properties().map(|p| (p.name.to_string(), p.value.to_vec())).collect()
}

/// With its lines.
pub(crate) fn with_lines<'t>(
    plan: ObjectPlan,
    object: &Found<'t>,
    lines: &mut Lines<'_, 't>,
) -> ObjectPlan {
    let lines = if object.is_cpu { Vec::new() } else { lines.of(object) };
    ObjectPlan { lines, ..plan }
}

fn check_words(faults: &Faults, node: Node<'_>, declaration: &Declaration) {
    let mut known = Vec::from([words::RIGHTS]);
    if declaration.needs.console {
        known.push(words::CONSOLE);
    }
    if declaration.needs.oversees {
        known.push(words::VMS);
    }
    if declaration.needs.backing {
        known.push(words::IMAGE);
    }
    if declaration.needs.storage {
        known.extend([words::IMAGE, words::SIZE]);
    }
    if declaration.needs.shared {
        known.push(words::SIZE);
    }
    if declaration.needs.channel {
        known.push(words::CHANNEL);
    }
    if declaration.needs.block {
        known.extend([words::BLOCK, words::READ_ONLY]);
    }
    let outside = declaration.needs.block || declaration.needs.channel;
    if outside || declaration.needs.backing {
        known.push(words::NOT_ROLLED_BACK);
    }
    if declaration.needs.host_device {
        known.extend(host_device::WORDS);
    }
    if declaration.needs.cores {
        known.push(words::CORES);
    }
    known.extend_from_slice(declaration.properties);
    words::check(faults, node, &known);
    words::check_inside(faults, node, declaration.properties);
}

fn windows(
    faults: &Faults,
    object: &Found<'_>,
    regions: &[Region],
    rights: Rights,
    vcpus: usize,
) -> Vec<WindowPlan> {
    if object.declaration.needs.host_device {
        return host_device::windows(faults, object.node, regions, rights);
    }
    let name = object.declaration.name;
    let needs = object.declaration.needs.windows;
    let has = regions.len();
    if has != needs.len() {
        let message = format!("lists {has} windows, and {name} takes {}", needs.len());
        faults.property(object.node, "reg", message, format!("list {}", needs.len()));
    }
    let pairs = regions.iter().zip(needs);
    let sized = |need: &WindowNeed| WindowNeed { size: need.size_for(vcpus), ..*need };
    pairs.map(|(region, need)| window(faults, object, *region, sized(need), rights)).collect()
}

fn window(
    faults: &Faults,
    object: &Found<'_>,
    region: Region,
    need: WindowNeed,
    rights: Rights,
) -> WindowPlan {
    let needs = &object.declaration.needs;
    let any = need.size == 0 && (needs.backing || needs.channel);
    if region.size != need.size && region.size != 0 && !any {
        let name = object.declaration.name;
        let message =
            format!("{region} is {:#x} bytes, and {name} has {:#x}", region.size, need.size);
        faults.property(object.node, "reg", message, format!("write {:#x}", need.size));
    }
    WindowPlan { ipa: region.address, size: region.size, access: need.access & rights }
}
