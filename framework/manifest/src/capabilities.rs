//! What a VM holds by handles: its node `capabilities`.

use crate::error::Faults;
use crate::plan::{CapabilitiesPlan, GivenPlan, ObjectPlan, Target, VmPlan};
use crate::surroundings::Surroundings;
use crate::{blocks, checkpoints, rights, words};
use alloc::format;
use alloc::vec::Vec;
use evisor_fdt::Node;

/// What the node is called, and compatible with.
const NAME: &str = "capabilities";
const COMPATIBLE: &str = "evisor,capabilities";

/// How many derivations a VM may have if the manifest does not say, and at most.
const DERIVATIONS: u32 = 64;
const MOST_DERIVATIONS: u32 = 4096;
/// What is said of each capability that it is given; of blocks there is more.
const WORDS: [&str; 4] = [words::OBJECT, words::LABEL, words::RIGHTS, words::WITHHELD];

/// How many capabilities it is given at most.
const MOST_GIVEN: usize = 64;

/// Whether it is such a node. By its name first, which costs every other node least.
pub(crate) fn is_one(node: &Node<'_>) -> bool {
    node.name() == NAME && node.is_compatible(COMPATIBLE)
}

/// The VM's `nodes`, without what they lead to: that may be read later.
pub(crate) fn begin(faults: &Faults, nodes: &[Node<'_>]) -> Option<CapabilitiesPlan> {
    let (node, others) = nodes.split_first()?;
    for other in others {
        faults.node(*other, "is the second one of its VM", "leave one of them");
    }
    words::check(faults, *node, &[words::DERIVATIONS]);
    let derivations = derivations(faults, *node) as usize;
    Some(CapabilitiesPlan { path: node.path(), derivations, given: Vec::new() })
}

fn derivations(faults: &Faults, node: Node<'_>) -> u32 {
    let Some(property) = node.property(words::DERIVATIONS) else { return DERIVATIONS };
    property.cell().filter(|count| *count <= MOST_DERIVATIONS).unwrap_or_else(|| {
        let remedy = format!("write a number up to {MOST_DERIVATIONS}");
        faults.property(node, words::DERIVATIONS, "is not how many it may have", remedy);
        0
    })
}

/// All VMs are read: what their capabilities lead to.
pub(crate) fn finish(
    faults: &Faults,
    around: &Surroundings<'_>,
    root: Node<'_>,
    root_objects: &[ObjectPlan],
    vms: &mut [VmPlan],
) {
    for index in 0..vms.len() {
        let plan = vms.get(index).and_then(|vm| vm.capabilities.as_ref());
        let Some(node) = plan.and_then(|plan| root.tree().find(&plan.path)) else { continue };
        let children: Vec<_> = node.children().filter(Node::is_enabled).collect();
        if children.len() > MOST_GIVEN {
            let message = format!("has {} capabilities", children.len());
            faults.node(node, message, format!("leave {MOST_GIVEN} at most"));
        }
        let read = |(child, label): (&Node<'_>, u32)| {
            given(faults, around, root_objects, vms, *child, label)
        };
        let all: Vec<GivenPlan> = children.iter().zip(1..).filter_map(read).collect();
        if vms.get(index).is_some_and(|vm| vm.checkpoint.is_some()) {
            all.iter().for_each(|one| checkpoints::check_given(faults, root, one));
        }
        if let Some(plan) = vms.get_mut(index).and_then(|vm| vm.capabilities.as_mut()) {
            plan.given = all;
        }
    }
}

fn given(
    faults: &Faults,
    around: &Surroundings<'_>,
    root_objects: &[ObjectPlan],
    vms: &[VmPlan],
    node: Node<'_>,
    position: u32,
) -> Option<GivenPlan> {
    words::check_inside(faults, node, &[]);
    let remedy = "write the path of a VM, of what serves all VMs, or of a VM's device";
    let Some(path) = node.property(words::OBJECT).and_then(|property| property.string()) else {
        words::check_either(faults, node, &WORDS, &blocks::GIVEN_WORDS);
        faults.property(node, words::OBJECT, "is missing, or not one path", remedy);
        return None;
    };
    let found = target(path, root_objects, vms);
    let store = found.and_then(|target| store(target, root_objects));
    let known = if found.is_none() || store.is_some() { &blocks::GIVEN_WORDS[..] } else { &[] };
    words::check_either(faults, node, &WORDS, known);
    let label = node.property(words::LABEL).map_or(Some(position), |property| property.cell());
    if label.is_none() {
        faults.property(node, words::LABEL, "is not one number", "write it as <7>");
    }
    let lost = |lost: &alloc::string::String| path.strip_prefix(lost.as_str()).is_some_and(inside);
    if found.is_none() && !around.lost.iter().any(lost) {
        faults.property(node, words::OBJECT, format!("nothing is at {path}"), remedy);
    }
    Some(GivenPlan {
        path: node.path(),
        target: found?,
        rights: rights::read(faults, node),
        label: label?.into(),
        withheld: node.has(words::WITHHELD),
        blocks: store.map(|store| blocks::given(faults, node, store)),
    })
}

/// The store at the end of it, if it is one.
fn store(target: Target, root_objects: &[ObjectPlan]) -> Option<&ObjectPlan> {
    let Target::Root(index) = target else { return None };
    root_objects.get(index).filter(|object| object.declaration.needs.store)
}

/// Whether it is the end of a path.
fn inside(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

fn target(path: &str, root_objects: &[ObjectPlan], vms: &[VmPlan]) -> Option<Target> {
    if let Some(vm) = vms.iter().position(|vm| vm.path == path) {
        return Some(Target::Vm(vm));
    }
    if let Some(object) = root_objects.iter().position(|object| object.path == path) {
        return Some(Target::Root(object));
    }
    vms.iter().enumerate().find_map(|(vm, plan)| {
        let object = plan.objects.iter().position(|object| object.path == path)?;
        Some(Target::Object { vm, object })
    })
}
