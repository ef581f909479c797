//! The `cpus` node: a VM's vCPUs.

use crate::error::Faults;
use crate::objects::Found;
use crate::plan::CpuPlan;
use crate::surroundings::Surroundings;
use crate::{MAX_VCPUS, cores, matching, words};
use alloc::format;
use alloc::vec::Vec;
use evisor_contract::Share;
use evisor_fdt::Node;

/// The bits of MPIDR_EL1 that are affinity (Arm ARM DDI 0487): Aff3, and Aff2 to
/// Aff0.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// Whether a node is a CPU.
pub(crate) fn is_cpu(node: Node<'_>) -> bool {
    node.string("device_type") == Some("cpu") || node.short_name() == "cpu"
}

/// Reads the vCPUs, and adds the object that answers for them.
pub(crate) fn read<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    vm: Node<'t>,
    objects: &mut Vec<Found<'t>>,
) -> Vec<CpuPlan> {
    let children = vm.child("cpus").into_iter().flat_map(|cpus| cpus.children());
    let (nodes, others): (Vec<_>, Vec<_>) = children.partition(|node| is_cpu(*node));
    others.iter().for_each(|node| words::check_all(faults, *node));
    let nodes: Vec<Node<'t>> = nodes.into_iter().filter(Node::is_enabled).collect();
    check_count(faults, around, vm, &nodes);
    one_component(faults, around, &nodes, objects);
    let mut cpus: Vec<CpuPlan> = Vec::new();
    for node in nodes {
        let cpu = CpuPlan {
            affinity: affinity(faults, node),
            path: node.path(),
            core: 0,
            share: Share::default(),
        };
        if let Some(other) = cpus.iter().find(|other| other.affinity == cpu.affinity) {
            let message = format!("{:#x} is the reg of {} too", cpu.affinity, other.path);
            faults.property(node, "reg", message, "give each cpu a number of its own");
        }
        cpus.push(cpu);
    }
    cpus
}

fn check_count(faults: &Faults, around: &Surroundings<'_>, vm: Node<'_>, nodes: &[Node<'_>]) {
    let (count, cores) = (nodes.len(), around.board.cores);
    // Where cores are shared it can have more than there are.
    let shared = count > cores && nodes.iter().chain([&vm]).any(|node| cores::says(*node));
    let most = if shared { MAX_VCPUS } else { cores.min(MAX_VCPUS) };
    if count == 0 {
        let remedy = "add cpus { cpu@0 { compatible = \"arm,armv8\"; reg = <0>; }; }";
        faults.node(vm, "has no cpu", remedy);
    } else if count > most {
        let message =
            format!("has {count} cpus, and a VM on {} can have {most}", around.board.name);
        faults.node(vm, message, "remove cpu nodes");
    }
}

fn affinity(faults: &Faults, node: Node<'_>) -> u64 {
    let remedy = "write one number; cpus has #address-cells = <1> and #size-cells = <0>";
    let numbers = node.reg().unwrap_or_default();
    match numbers.as_slice() {
        [number] if number.size == 0 && number.address & !AFFINITY == 0 => number.address,
        _ => {
            faults.property(node, "reg", "is not the number of a cpu", remedy);
            0
        }
    }
}

/// All CPUs are answered for by one object: the first one's node builds it.
fn one_component<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    nodes: &[Node<'t>],
    objects: &mut Vec<Found<'t>>,
) {
    let mut first: Option<Found<'t>> = None;
    for node in nodes {
        let Some(declaration) = matching::component(faults, around, *node) else { continue };
        words::check_either(faults, *node, declaration.properties, &cores::WORDS);
        words::check_inside(faults, *node, &[]);
        match &first {
            None => first = Some(Found { node: *node, declaration, is_cpu: true }),
            Some(first) if first.declaration.name != declaration.name => {
                let (this, that) = (declaration.name, first.declaration.name);
                let message = format!("{this} answers to it, and {that} to {}", first.node.path());
                faults.property(*node, "compatible", message, "name all cpus of a VM alike");
            }
            Some(_) => {}
        }
    }
    objects.extend(first);
}
