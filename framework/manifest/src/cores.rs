//! Which core each vCPU runs on, and who chooses where several share one.
//!
//! A vCPU stays where it is put here. Those that have fewer cores to choose from are
//! put first, then in the order of the manifest; each goes where fewest of its own VM
//! are, then where the least time is promised, then where fewest are, then to the
//! lowest number.

use crate::error::Faults;
use crate::objects::{self, Found};
use crate::plan::{CpuPlan, SchedulerPlan, VmPlan};
use crate::space::Space;
use crate::surroundings::Surroundings;
use crate::{cpus, words};
use alloc::format;
use alloc::vec::Vec;
use evisor_contract::Share;
use evisor_fdt::Node;

/// What a VM's node says for all of its vCPUs, and a cpu's node for itself.
pub(crate) const WORDS: [&str; 4] = [words::CORES, words::PRIORITY, words::BUDGET, words::PERIOD];
/// Those that are a scheduler's to know.
const SHARES: [&str; 3] = [words::PRIORITY, words::BUDGET, words::PERIOD];

/// Whether `node` has one of them.
pub(crate) fn says(node: Node<'_>) -> bool {
    let mut own = node.properties().filter(|property| property.name.starts_with(words::PREFIX));
    own.any(|property| WORDS.contains(&property.name))
}

fn cpus_of(vm: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let children = vm.child("cpus").into_iter().flat_map(|cpus| cpus.children());
    children.filter(|node| cpus::is_cpu(*node) && node.is_enabled())
}

/// Gives each vCPU of `vms`, whose nodes are `nodes`, its core and its share, and each
/// core that is used its scheduler.
pub(crate) fn place<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    root: Node<'t>,
    schedulers: &[Found<'t>],
    nodes: &[Node<'t>],
    vms: &mut [VmPlan],
) -> Vec<SchedulerPlan> {
    let said = |vm: &Node<'t>| says(*vm) || cpus_of(*vm).any(says);
    if schedulers.is_empty() && !nodes.iter().any(said) {
        // That one VM alone has too many is told already.
        let told = vms.iter().any(|vm| vm.cpus.len() > around.board.cores);
        let cpus = vms.iter_mut().flat_map(|vm| &mut vm.cpus);
        check_left(faults, around, root, &[], if told { 0 } else { place_alone(&[], cpus) });
        return Vec::new();
    }
    place_as_said(faults, around, root, schedulers, nodes, vms)
}

/// Each has a core of its own: the first ones that are not `named`. Gives how many there
/// are.
fn place_alone<'p>(named: &[usize], cpus: impl Iterator<Item = &'p mut CpuPlan>) -> usize {
    let free = (0..).filter(|core| !named.contains(core));
    let put = cpus.zip(free).map(|(cpu, core)| cpu.core = core);
    put.count()
}

/// So many that need a core of their own have one.
fn check_left(
    faults: &Faults,
    around: &Surroundings<'_>,
    root: Node<'_>,
    named: &[usize],
    asked: usize,
) {
    let (board, cores) = (&around.board.name, around.board.cores);
    let left = (0..cores).filter(|core| !named.contains(core)).count();
    if asked <= left {
        return;
    }
    if named.is_empty() {
        let message = format!("the VMs have {asked} cpus, and {board} has {cores} cores for them");
        let remedy = "remove cpu nodes, or let them share cores: see evisor,cores";
        return faults.node(root, message, remedy);
    }
    let message = format!(
        "{asked} of the VMs' cpus say no evisor,cores, and {board} has {left} cores that nobody \
         names"
    );
    faults.node(root, message, "remove cpu nodes, or write evisor,cores in more of them");
}

/// A vCPU that is to be put somewhere.
struct Placed<'t> {
    vm: usize,
    cpu: usize,
    /// Its node, and its VM's.
    nodes: [Node<'t>; 2],
    share: Share,
    /// Who says which cores, and which.
    cores: Option<(Node<'t>, Vec<usize>)>,
    core: Option<usize>,
}

impl<'t> Placed<'t> {
    /// Who says `word`: the vCPU's node before the VM's.
    fn holder(&self, word: &str) -> Option<Node<'t>> {
        self.nodes.into_iter().find(|node| node.has(word))
    }

    /// The time that it was promised, in millionths of its core's.
    fn promised(&self) -> u64 {
        let Share { budget, period, .. } = self.share;
        (u64::from(budget) * 1_000_000).checked_div(period.into()).unwrap_or(0)
    }
}

fn place_as_said<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    root: Node<'t>,
    schedulers: &[Found<'t>],
    nodes: &[Node<'t>],
    vms: &mut [VmPlan],
) -> Vec<SchedulerPlan> {
    let owners = owners(faults, around, schedulers);
    let mut placed: Vec<Placed<'t>> = Vec::new();
    for (vm, node) in nodes.iter().enumerate() {
        let of_vm = cpus_of(*node).enumerate();
        placed.extend(of_vm.map(|(cpu, own)| wish(faults, around, vm, cpu, [own, *node])));
    }
    let named = placed.iter().filter_map(|one| one.cores.as_ref());
    let mut named: Vec<usize> = named.flat_map(|(_, cores)| cores).copied().collect();
    check_used(faults, schedulers, &owners, &named);
    put(faults, &owners, &mut placed);
    named.extend(owners.iter().map(|(core, _)| *core));
    for one in &placed {
        if let Some(cpu) = vms.get_mut(one.vm).and_then(|vm| vm.cpus.get_mut(one.cpu)) {
            cpu.share = one.share;
            cpu.core = one.core.unwrap_or(0);
        }
    }
    let alone = |vm: usize, cpu: usize| {
        placed.iter().any(|one| (one.vm, one.cpu) == (vm, cpu) && one.cores.is_none())
    };
    let all = vms.iter_mut().enumerate().flat_map(|(vm, plan)| {
        plan.cpus.iter_mut().enumerate().map(move |(cpu, plan)| (vm, cpu, plan))
    });
    let rest = all.filter(|(vm, cpu, _)| alone(*vm, *cpu)).map(|(_, _, plan)| plan);
    check_left(faults, around, root, &named, place_alone(&named, rest));
    placed.iter().for_each(|one| check_words(faults, schedulers, &owners, one));
    let used = owners.iter().filter(|(core, _)| placed.iter().any(|one| one.core == Some(*core)));
    let plan = |(core, scheduler): &(usize, usize)| {
        let object = schedulers.get(*scheduler)?;
        let object = objects::plan(faults, root, object, &mut Space::default(), 0);
        Some(SchedulerPlan { core: *core, object })
    };
    used.filter_map(plan).collect()
}

/// The cores that have a scheduler, and which.
fn owners(
    faults: &Faults,
    around: &Surroundings<'_>,
    schedulers: &[Found<'_>],
) -> Vec<(usize, usize)> {
    let mut owners: Vec<(usize, usize)> = Vec::new();
    for (index, Found { node, .. }) in schedulers.iter().enumerate() {
        if !node.has(words::CORES) {
            faults.property(*node, words::CORES, "is missing", LIST);
        }
        for core in list(faults, around, *node) {
            let taken = owners.iter().find(|(other, _)| *other == core);
            match taken.and_then(|(_, other)| schedulers.get(*other)) {
                None => owners.push((core, index)),
                Some(other) => {
                    let message = format!("core {core} has {} already", other.node.path());
                    faults.property(*node, words::CORES, message, "name each core in one of them");
                }
            }
        }
    }
    owners
}

const LIST: &str = "list cores by number, as in <0 1>";

/// The cores that a node lists; none if it does not.
fn list(faults: &Faults, around: &Surroundings<'_>, node: Node<'_>) -> Vec<usize> {
    let Some(property) = node.property(words::CORES) else { return Vec::new() };
    let Some(cells) = property.cells().filter(|cells| cells.count_left() > 0) else {
        faults.property(node, words::CORES, "is not a list of cores", LIST);
        return Vec::new();
    };
    let (board, most) = (&around.board.name, around.board.cores);
    let mut cores: Vec<usize> = Vec::new();
    for core in cells.map(|cell| cell as usize) {
        if core >= most {
            let message = format!("{board} has no core {core}");
            let remedy = format!("it has cores 0 to {}", most.saturating_sub(1));
            faults.property(node, words::CORES, message, remedy);
        } else if cores.contains(&core) {
            let message = format!("names core {core} twice");
            faults.property(node, words::CORES, message, "name it once");
        } else {
            cores.push(core);
        }
    }
    cores
}

fn wish<'t>(
    faults: &Faults,
    around: &Surroundings<'_>,
    vm: usize,
    cpu: usize,
    nodes: [Node<'t>; 2],
) -> Placed<'t> {
    let mut one = Placed { vm, cpu, nodes, share: Share::default(), cores: None, core: None };
    one.cores = one.holder(words::CORES).map(|holder| (holder, list(faults, around, holder)));
    one.share = share(faults, &one);
    one
}

fn share(faults: &Faults, one: &Placed<'_>) -> Share {
    let [budget, period] =
        [words::BUDGET, words::PERIOD].map(|word| Some((one.holder(word)?, word)));
    let priority = one.holder(words::PRIORITY).map_or(0, |holder| priority(faults, holder));
    let share = Share { priority, ..Share::default() };
    match (budget, period) {
        (None, None) => share,
        (Some((budget, _)), Some((period, _))) => {
            let times =
                micros(faults, budget, words::BUDGET).zip(micros(faults, period, words::PERIOD));
            let Some((time, of)) = times else { return share };
            if time > of {
                let message = format!("{time} us do not fit into evisor,period, {of} us");
                faults.property(budget, words::BUDGET, message, "write less, or a longer period");
                return share;
            }
            Share { budget: time, period: of, ..share }
        }
        (Some((holder, word)), None) | (None, Some((holder, word))) => {
            let other = if word == words::BUDGET { words::PERIOD } else { words::BUDGET };
            let message = format!("stands without {other}");
            let remedy = format!("write {other} in microseconds too, or remove it");
            faults.property(holder, word, message, remedy);
            share
        }
    }
}

fn priority(faults: &Faults, holder: Node<'_>) -> u8 {
    let number = holder.cell(words::PRIORITY).and_then(|cell| u8::try_from(cell).ok());
    if number.is_none() {
        let message = "is not a number from 0 to 255";
        faults.property(holder, words::PRIORITY, message, "write one; the highest goes first");
    }
    number.unwrap_or(0)
}

/// A time, which is some.
fn micros(faults: &Faults, holder: Node<'_>, word: &str) -> Option<u32> {
    let number = holder.cell(word).filter(|cell| *cell > 0);
    if number.is_none() {
        let remedy = "write one number, as in <1000> for a millisecond";
        faults.property(holder, word, "is not a number of microseconds above 0", remedy);
    }
    number
}

/// A scheduler's cores are such as a vCPU may run on.
fn check_used(
    faults: &Faults,
    schedulers: &[Found<'_>],
    owners: &[(usize, usize)],
    named: &[usize],
) {
    for (core, scheduler) in owners.iter().filter(|(core, _)| !named.contains(core)) {
        let Some(Found { node, .. }) = schedulers.get(*scheduler) else { continue };
        let message = format!("no cpu may run on core {core}");
        let remedy = "name it in a VM's evisor,cores, or leave it out here";
        faults.property(*node, words::CORES, message, remedy);
    }
}

/// Puts each that says where.
fn put(faults: &Faults, owners: &[(usize, usize)], placed: &mut [Placed<'_>]) {
    let choices = |one: &Placed<'_>| one.cores.as_ref().map(|(_, cores)| cores.len());
    let mut order: Vec<(usize, usize)> = placed
        .iter()
        .enumerate()
        .filter_map(|(at, one)| choices(one).filter(|count| *count > 0).map(|count| (count, at)))
        .collect();
    order.sort_unstable();
    for (_, at) in order {
        let core = placed.get(at).and_then(|one| best(owners, placed, one));
        match (core, placed.get(at)) {
            (None, Some(one)) => full(faults, placed, one),
            _ => {
                if let Some(one) = placed.get_mut(at) {
                    one.core = core;
                }
            }
        }
    }
}

/// The core on which `one` is least in the way.
fn best(owners: &[(usize, usize)], placed: &[Placed<'_>], one: &Placed<'_>) -> Option<usize> {
    let (_, cores) = one.cores.as_ref()?;
    let on = |core: usize| placed.iter().filter(move |other| other.core == Some(core));
    let shared = |core: usize| owners.iter().any(|(owned, _)| *owned == core);
    let open = cores.iter().copied().filter(|core| shared(*core) || on(*core).next().is_none());
    open.min_by_key(|core| {
        let own = on(*core).filter(|other| other.vm == one.vm).count();
        let promised: u64 = on(*core).map(Placed::promised).sum();
        (own, promised, on(*core).count(), *core)
    })
}

/// All cores that `one` may run on are taken, and have no scheduler.
fn full(faults: &Faults, placed: &[Placed<'_>], one: &Placed<'_>) {
    let Some((holder, cores)) = &one.cores else { return };
    let taken = placed.iter().find(|other| other.core.is_some_and(|core| cores.contains(&core)));
    let Some((other, core)) = taken.and_then(|other| Some((other.nodes[0].path(), other.core?)))
    else {
        return;
    };
    let (own, of_vm) = (one.nodes[0].path(), holder != &one.nodes[0]);
    let whose = if of_vm { format!("{own} needs a core, and ") } else { Default::default() };
    let message = format!("{whose}{other} has core {core}, which has no scheduler");
    let remedy = format!(
        "name another core, or add a scheduler with evisor,cores = <{core}> next to the VMs"
    );
    faults.property(*holder, words::CORES, message, remedy);
}

/// The scheduler of its core keeps to all that is said of it.
fn check_words(
    faults: &Faults,
    schedulers: &[Found<'_>],
    owners: &[(usize, usize)],
    one: &Placed<'_>,
) {
    // That it has no core is told already.
    if one.cores.is_some() && one.core.is_none() {
        return;
    }
    let owner = owners.iter().find(|(core, _)| Some(*core) == one.core);
    let owner = owner.and_then(|(_, scheduler)| schedulers.get(*scheduler));
    let known = owner.map_or(&[][..], |owner| owner.declaration.needs.shares);
    for word in SHARES.into_iter().filter(|word| !known.contains(word)) {
        let Some(holder) = one.holder(word) else { continue };
        match (one.core, owner) {
            (Some(_), Some(owner)) => {
                let (name, path) = (owner.declaration.name, owner.node.path());
                let message = format!("{name}, which chooses in {path}, does not know it");
                faults.property(holder, word, message, "remove it, or use another scheduler");
            }
            _ => {
                let path = one.nodes[0].path();
                let message = format!("no scheduler chooses for {path}");
                let remedy = "name in evisor,cores a core that has one, or remove it";
                faults.property(holder, word, message, remedy);
            }
        }
    }
}
