//! A VM's node.

use crate::blocks::{self, Served};
use crate::error::Faults;
use crate::interrupts::Lines;
use crate::objects::{self, Contents, Found};
use crate::plan::{ObjectPlan, VmPlan};
use crate::space::{self, Space};
use crate::surroundings::Surroundings;
use crate::{capabilities, checkpoints, chosen, cpus, host_device, image, lives, words};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use evisor_fdt::Node;

/// What a console's node is compatible with.
const CONSOLE: &str = "evisor,console";

const WORDS: [&str; 17] = [
    words::IMAGE,
    words::LOAD_ADDRESS,
    words::ENTRY_ADDRESS,
    words::INITRD,
    words::DEVICE_TREE_ADDRESS,
    words::NO_DEVICE_TREE,
    words::CONSOLE,
    words::ON_CRASH,
    words::ON_RESET,
    words::ON_REFUSED,
    words::RESTART_LIMIT,
    words::CHECKPOINTS,
    words::ROLLBACK_TIME,
    words::CORES,
    words::PRIORITY,
    words::BUDGET,
    words::PERIOD,
];

/// Reads a VM's node.
pub(crate) fn read<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    served: &Served<'t>,
    vm: Node<'t>,
) -> VmPlan {
    words::check(faults, vm, &WORDS);
    let mut contents = Contents::default();
    contents.gather(faults, around, vm);
    let cpus = cpus::read(faults, around, vm, &mut contents.objects);
    let mut space = Space::default();
    let memory = space::memory(faults, vm, &contents.memory, &mut space);
    let nodes = contents.memory.clone();
    let capabilities = capabilities::begin(faults, &contents.capabilities);
    // That there is no cpu is told already.
    let vcpus = cpus.len().max(1);
    let objects = objects(faults, around, served, vm, contents, &mut space, vcpus);
    space.check_overlaps(faults);
    let boot = image::place(faults, around.files, vm, &memory, &nodes, &objects);
    let lives = lives::read(faults, vm);
    let checkpoint = checkpoints::read(faults, vm, &memory, &objects);
    VmPlan {
        name: vm.name().to_string(),
        path: vm.path(),
        cpus,
        memory,
        image: boot.image,
        initrd: boot.initrd,
        files: boot.files,
        device_tree: boot.device_tree,
        bootargs: chosen::read(faults, vm),
        lives,
        objects,
        capabilities,
        checkpoint,
    }
}

fn objects<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    served: &Served<'t>,
    vm: Node<'t>,
    contents: Contents<'t>,
    space: &mut Space<'t>,
    vcpus: usize,
) -> Vec<ObjectPlan> {
    let mut found = contents.objects;
    found.retain(|object| serves_a_vm(faults, object));
    // Controllers first; apart from this, the order is that of the manifest.
    let mut controllers = 0;
    for at in 0..found.len() {
        if found.get(at).is_some_and(|object| object.declaration.needs.interrupt_controller) {
            if let Some(between) = found.get_mut(controllers..=at) {
                between.rotate_right(1);
            }
            controllers += 1;
        }
    }
    let mut lines = Lines::new(faults, vm, &found, contents.incomplete);
    let consoles: Vec<_> = served.iter().filter(|(_, node)| is_console(node)).copied().collect();
    let consoles = consoles.as_slice();
    let default = vm.has(words::CONSOLE).then(|| named_console(faults, consoles, vm));
    let mut plan = |object: &Found<'t>| {
        let plan = objects::plan(faults, vm, object, space, vcpus);
        let mut plan = objects::with_lines(plan, object, &mut lines);
        let host = host_device::read(faults, around, object, &mut plan, space);
        let needed = object.declaration.needs.console;
        let console = needed.then(|| console(faults, consoles, default, object.node)).flatten();
        let image = image::behind(faults, around.files, object, &plan);
        let block = blocks::read(faults, served, object);
        ObjectPlan { console, host, image, block, ..plan }
    };
    let mut plans: Vec<_> = found.iter().map(&mut plan).collect();
    lines.mark_shared(&mut plans);
    plans
}

pub(crate) fn is_console(node: &Node<'_>) -> bool {
    node.is_compatible(CONSOLE)
}

fn serves_a_vm(faults: &Faults, object: &Found<'_>) -> bool {
    if object.declaration.needs.root {
        let message = format!("{} serves the whole deployment", object.declaration.name);
        faults.node(object.node, message, "put the node next to the VMs, and point at it");
    }
    !object.declaration.needs.root
}

/// The console of a device: its own, the VM's, or the only one.
pub(crate) fn console<'t>(
    faults: &Faults,
    consoles: &Served<'t>,
    default: Option<Option<usize>>,
    node: Node<'t>,
) -> Option<usize> {
    if node.has(words::CONSOLE) {
        return named_console(faults, consoles, node);
    }
    let (message, remedy) = match (default, consoles) {
        (Some(default), _) => return default,
        (None, [(only, _)]) => return Some(*only),
        (None, []) => (
            "talks to a console, and the deployment has none",
            "add console { compatible = \"evisor,console\"; } next to the VMs",
        ),
        (None, _) => {
            ("could talk to several consoles", "name one in evisor,console, here or in the VM")
        }
    };
    faults.node(node, message, remedy);
    None
}

fn named_console<'t>(faults: &Faults, consoles: &Served<'t>, holder: Node<'t>) -> Option<usize> {
    let target = words::reference(faults, holder, holder.property(words::CONSOLE)?)?;
    let found = consoles.iter().find(|(_, console)| *console == target);
    if found.is_none() {
        let message = format!("{} is not a console", target.path());
        faults.property(holder, words::CONSOLE, message, "point it at an \"evisor,console\"");
    }
    found.map(|(index, _)| *index)
}
