//! The manifest's root: what serves all VMs, and the VMs.

use crate::error::{Faults, ManifestError};
use crate::objects::{self, Found};
use crate::plan::{Deployment, ObjectPlan, VmPlan};
use crate::space::{Space, mebibytes};
use crate::surroundings::Surroundings;
use crate::{
    VERSION, blocks, capabilities, channels, cores, host_device, matching, overseers, vm, words,
};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_fdt::{Node, Tree};

/// What a VM's node is compatible with.
pub(crate) const VM: &str = "evisor,vm";
/// What dtc and the specification put into a root, and no VM needs.
const IGNORED: [&str; 5] = ["aliases", "chosen", "__symbols__", "__fixups__", "__local_fixups__"];

/// Reads a manifest.
///
/// # Errors
/// All that is wrong with it, in the order in which it was found; at least one.
pub fn read(tree: &Tree<'_>, around: &Surroundings<'_>) -> Result<Deployment, Vec<ManifestError>> {
    let faults = Faults::default();
    let deployment = match version_is_known(&faults, tree.root()) {
        true => deployment(&faults, around, tree.root()),
        false => Deployment {
            version: 0,
            root_objects: Vec::new(),
            vms: Vec::new(),
            schedulers: Vec::new(),
        },
    };
    let faults = faults.into_found();
    if faults.is_empty() { Ok(deployment) } else { Err(faults) }
}

/// Another version's words mean other things: nothing else is looked at.
fn version_is_known(faults: &Faults, root: Node<'_>) -> bool {
    let message = match root.property(words::VERSION).map(|property| property.cell()) {
        Some(Some(VERSION)) => return true,
        Some(Some(other)) => format!("is {other}, and this eVisor reads {VERSION}"),
        Some(None) => String::from("is not one number"),
        None => String::from("is missing"),
    };
    let remedy = format!("write evisor,version = <{VERSION}>");
    faults.property(root, words::VERSION, message, remedy);
    false
}

fn deployment(faults: &Faults, around: &Surroundings<'_>, root: Node<'_>) -> Deployment {
    words::check(faults, root, &[words::VERSION]);
    let is_ignored = |node: &Node<'_>| IGNORED.contains(&node.name());
    let (ignored, nodes): (Vec<_>, Vec<_>) = root.children().partition(is_ignored);
    ignored.iter().for_each(|node| words::check_all(faults, *node));
    let lost = |node: &Node<'_>| around.lost.iter().any(|path| *path == node.path());
    let nodes = nodes.into_iter().filter(|node| node.is_enabled() && !lost(node));
    let (vms, others): (Vec<_>, Vec<_>) = nodes.partition(|node| node.is_compatible(VM));
    let found = others.iter().filter_map(|node| root_object(faults, around, *node));
    let (schedulers, mut found): (Vec<Found<'_>>, Vec<Found<'_>>) =
        found.partition(|object| object.declaration.needs.cores);
    // Who talks to a console is built after it.
    found.sort_by_key(|object| object.declaration.needs.console);
    let served: Vec<_> =
        found.iter().enumerate().map(|(index, object)| (index, object.node)).collect();
    found.iter().for_each(|object| overseers::check_shown(faults, around, &vms, object));
    let root_objects = found.iter().map(|object| ObjectPlan {
        console: overseers::console(faults, &served, object),
        overseen: overseers::read(faults, around, &vms, object),
        ..root_plan(faults, around, root, object)
    });
    let root_objects: Vec<ObjectPlan> = root_objects.collect();
    check_names(faults, root);
    if vms.is_empty() && around.lost.is_empty() {
        let remedy = "add a node with compatible = \"evisor,vm\"";
        faults.node(root, "there is no VM", remedy);
    }
    let nodes = vms;
    let read = |node: &Node<'_>| vm::read(faults, around, &served, *node);
    let mut vms: Vec<VmPlan> = nodes.iter().map(read).collect();
    let schedulers = cores::place(faults, around, root, &schedulers, &nodes, &mut vms);
    capabilities::finish(faults, around, root, &root_objects, &mut vms);
    channels::connect(faults, root, &root_objects, &mut vms);
    blocks::check_owners(faults, root, &vms);
    check_total(faults, around, root, &root_objects, &vms);
    host_device::check_owners(faults, root, &vms);
    Deployment { version: VERSION, root_objects, vms, schedulers }
}

fn root_object<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    node: Node<'t>,
) -> Option<Found<'t>> {
    let declaration = matching::component(faults, around, node)?;
    if !declaration.needs.root {
        let message = format!("{} serves one VM", declaration.name);
        faults.node(node, message, "put the node into a VM's");
        return None;
    }
    Some(Found { node, declaration, is_cpu: false })
}

/// What serves all VMs has no registers and no lines: there is no guest whose
/// they could be.
fn root_plan<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    root: Node<'t>,
    object: &Found<'t>,
) -> ObjectPlan {
    let (storage, image) = blocks::storage(faults, around.files, object);
    let plan = objects::plan(faults, root, object, &mut Space::default(), 0);
    let storage = storage.or_else(|| channels::size(faults, object));
    ObjectPlan { storage, image, ..plan }
}

/// dtc refuses two nodes of one name too, unless it is forced.
fn check_names(faults: &Faults, root: Node<'_>) {
    for around in core::iter::once(root).chain(root.descendants()) {
        let mut names: Vec<&str> = Vec::new();
        for node in around.children() {
            match names.binary_search(&node.name()) {
                Err(place) => names.insert(place, node.name()),
                Ok(_) => {
                    let kind = if node.is_compatible(VM) { "VMs" } else { "nodes" };
                    let message = format!("two {kind} have this name");
                    faults.node(node, message, "give each a name of its own");
                }
            }
        }
    }
}

fn check_total(
    faults: &Faults,
    around: &Surroundings<'_>,
    root: Node<'_>,
    root_objects: &[ObjectPlan],
    vms: &[VmPlan],
) {
    let memory = vms.iter().flat_map(|vm| &vm.memory).map(|memory| memory.size);
    let backed = vms.iter().flat_map(|vm| &vm.objects).filter(|o| o.declaration.needs.backing);
    let backed = backed.flat_map(|object| &object.windows).map(|window| window.size);
    let kept = vms.iter().filter_map(|vm| vm.checkpoint).map(|plan| plan.reserve);
    let own = root_objects.iter().filter_map(|object| object.storage);
    let asked = memory.chain(backed).chain(own).chain(kept).fold(0, u64::saturating_add);
    let board = around.board;
    let given = board.memory.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
    if asked > given {
        let message = format!(
            "the VMs ask for {} of memory, and {} has {} for them",
            mebibytes(asked),
            board.name,
            mebibytes(given)
        );
        let remedy = format!("take {} away from them", mebibytes(asked - given));
        faults.node(root, message, remedy);
    }
}
