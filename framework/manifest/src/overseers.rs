//! What looks at VMs from outside: which ones, and where it talks to people; and whom a
//! console shows.

use crate::blocks::Served;
use crate::error::Faults;
use crate::objects::Found;
use crate::surroundings::Surroundings;
use crate::{vm, words};
use alloc::format;
use alloc::vec::Vec;
use evisor_fdt::Node;

/// All VMs. No node can be called so.
const ALL: &str = "*";

/// The console of an object that serves the whole deployment, if it needs one.
pub(crate) fn console<'t>(
    faults: &Faults,
    served: &Served<'t>,
    object: &Found<'t>,
) -> Option<usize> {
    if !object.declaration.needs.console {
        return None;
    }
    let consoles = served.iter().filter(|(_, node)| vm::is_console(node)).copied();
    vm::console(faults, &consoles.collect::<Vec<_>>(), None, object.node)
}

/// The VMs that `evisor,vms` names, as indices into `vms`.
pub(crate) fn read(
    faults: &Faults,
    around: &Surroundings<'_>,
    vms: &[Node<'_>],
    object: &Found<'_>,
) -> Vec<usize> {
    if !object.declaration.needs.oversees {
        return Vec::new();
    }
    let node = object.node;
    let remedy = "list names of VMs, or write \"*\" for all";
    let Some(names) = node.property(words::VMS).and_then(|property| property.strings()) else {
        faults.property(node, words::VMS, "is missing, or no list of strings", remedy);
        return Vec::new();
    };
    let mut overseen = Vec::new();
    for name in names {
        let found = vms.iter().position(|vm| vm.name() == name);
        match found {
            _ if name == ALL => overseen.extend(0..vms.len()),
            Some(index) => overseen.push(index),
            None if is_lost(around, name) => {}
            None => no_vm(faults, node, words::VMS, name, remedy),
        }
    }
    // Each once, in the order of the manifest.
    overseen.sort_unstable();
    overseen.dedup();
    overseen
}

/// The VM that a console shows at first has to be there, for whoever knows the word.
pub(crate) fn check_shown(
    faults: &Faults,
    around: &Surroundings<'_>,
    vms: &[Node<'_>],
    object: &Found<'_>,
) {
    if !object.declaration.properties.contains(&words::SHOWN) {
        return;
    }
    let node = object.node;
    let Some(name) = words::string(faults, node, words::SHOWN) else { return };
    if !vms.iter().any(|vm| vm.name() == name) && !is_lost(around, name) {
        no_vm(faults, node, words::SHOWN, name, "write the name of a VM");
    }
}

fn is_lost(around: &Surroundings<'_>, name: &str) -> bool {
    around.lost.iter().any(|path| path.strip_prefix('/') == Some(name))
}

fn no_vm(faults: &Faults, node: Node<'_>, word: &str, name: &str, remedy: &str) {
    faults.property(node, word, format!("there is no VM \"{name}\""), remedy);
}
