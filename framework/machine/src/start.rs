//! From the first Rust function to the first guest.

use crate::board::{BOARDS, Board};
use crate::host::Machine;
use crate::report::{Refused, refuse, refuse_for};
use crate::run::Around;
use crate::{card, load, report, run};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::convert::Infallible;
use evisor_aarch64::{Boot, Ram, cores, driven, gic};
use evisor_contract::{Declaration, components};
use evisor_fdt::Tree;
use evisor_kernel::{Bundle, bind};
use evisor_manifest::{BoardFacts, BoardTree, Deployment, LeftOut, Surroundings};
use log::{error, info};

/// What an image was built with: its build script writes it.
pub struct Image {
    /// The component crates that were built in.
    pub features: &'static [&'static str],
    /// Those that were left out, and what they would answer to.
    pub left_out: &'static [LeftOut<'static>],
}

/// Runs the deployment that the firmware passed. Comes back never.
pub fn start(boot: Boot, image: &Image) -> ! {
    // Without a board there is no line to say anything on.
    let Ok((board, tree)) = find_board(&boot) else { evisor_aarch64::halt() };
    let Err(Refused) = deploy(board, tree, boot, image);
    error!("nothing was started");
    stop(1)
}

/// The last VM is off, and how it ended is the machine's status.
pub(crate) fn stop(status: u8) -> ! {
    report::keep_no_more();
    report::line(format_args!("all VMs stopped, status {status}"));
    if let Some(board) = report::board() {
        (board.power_off)();
    }
    evisor_aarch64::halt()
}

/// Starts the board anew. Comes back only if that is not possible.
pub(crate) fn reset_board() {
    report::keep_no_more();
    if let Some(board) = report::board() {
        (board.reset)();
    }
}

fn find_board(boot: &Boot) -> Result<(&'static Board, Tree<'static>), ()> {
    let tree = Tree::new(boot.tree).map_err(|_| ())?;
    let root = tree.root();
    let answers = |board: &&Board| board.compatible.iter().any(|name| root.is_compatible(name));
    let board = BOARDS.iter().find(answers).ok_or(())?;
    Ok((board, tree))
}

fn deploy(
    board: &'static Board,
    tree: Tree<'static>,
    boot: Boot,
    image: &Image,
) -> Result<Infallible, Refused> {
    report::to(board);
    let mut hardware = (board.bring_up)(&tree).map_err(|problem| refuse_for(&problem))?;
    info!("eVisor {} on {}", env!("CARGO_PKG_VERSION"), board.name);
    let registry = components().map_err(|duplicate| refuse_for(&duplicate))?;
    check_registry(image, registry)?;
    if hardware.gic.is_none() {
        return Err(refuse(format_args!("the board has no GIC that this version drives")));
    }
    let (mut memory, archive) = claim_memory(&tree, boot)?;
    // What is read here is never freed: after the last VM the machine stops.
    let mut bundle = Bundle::read(archive).map_err(|error| refuse_for(&error))?;
    let manifest = Tree::new(bundle.manifest())
        .map_err(|error| refuse(format_args!("the manifest: {error}")))?;
    let manifest = &*Box::leak(Box::new(manifest));
    let tree = &*Box::leak(Box::new(tree));
    let cores = core::mem::take(&mut hardware.cores);
    let gic = hardware.gic;
    let serial = hardware.serial.as_ref().map(|(_, intid)| *intid);
    let clock_of = hardware.clock_of;
    let machine = Machine::new(board, tree, hardware);
    let lost = card::fetch(manifest, machine, &mut memory, &mut bundle);
    let bundle = &*Box::leak(Box::new(bundle));
    let facts = BoardFacts {
        name: board.name.to_string(),
        gic,
        memory: memory.iter().map(|ram| (ram.physical(), ram.size())).collect(),
        cores: cores.len(),
    };
    let devices = BoardTree { tree, driven, interrupts: serial.as_slice(), clock_of };
    let around = Surroundings {
        registry,
        left_out: image.left_out,
        board: &facts,
        devices: Some(&devices),
        files: bundle,
        lost: &lost,
    };
    let deployment = &*Box::leak(Box::new(read(manifest, &around)?));
    gic::init_distributor().map_err(|problem| refuse_for(&problem))?;
    let bound = bind(deployment, machine).map_err(|error| refuse_for(&error))?;
    let (vms, free) =
        load::place(deployment, manifest, bound.root, bound.vms, &bound.storage, bundle, memory)?;
    if let Some(intid) = serial {
        report::consoles_come_with(intid);
    }
    for &intid in &bound.interrupts {
        gic::enable(intid as usize, false);
    }
    let used =
        deployment.vms.iter().flat_map(|vm| &vm.cpus).fold(0_u64, |all, cpu| all | 1 << cpu.core);
    let around = Around {
        root: bound.root,
        bundle,
        lost: !lost.is_empty(),
        serial,
        free,
        handles: bound.handles,
        schedulers: bound.schedulers,
        timers: bound.timers,
        interrupts: bound.interrupts,
        serves: used.trailing_zeros() as usize,
    };
    run::run(around, vms, || {
        let others = cores.iter().enumerate().skip(1).filter(|(core, _)| used >> core & 1 != 0);
        let lost = others.filter(|&(core, &affinity)| !start_core(board, core, affinity));
        lost.count() == 0
    })
}

/// Brings up another core; false, and a line that says so, if it does not come.
fn start_core(board: &Board, core: usize, affinity: u64) -> bool {
    let release = |entry| (board.start_core)(affinity, entry);
    let up = cores::start(core, affinity, run::run_core, release);
    if !up {
        refuse(format_args!("core {core} (affinity {affinity:#x}) does not start"));
    }
    up
}

/// More component crates than any image has.
const FEATURES: usize = 256;

/// A component that was asked for and that the linker dropped, or one that nobody
/// asked for, means that the image was not linked as it must be.
fn check_registry(image: &Image, linked: &[Declaration]) -> Result<(), Refused> {
    let mut found = [false; FEATURES];
    let mut wrong = Ok(());
    for component in linked {
        let at = image.features.iter().position(|name| *name == component.name);
        match at.and_then(|at| found.get_mut(at)) {
            Some(found) => *found = true,
            None => {
                wrong = Err(refuse(format_args!(
                    "component {} is in the registry, and no feature has its name; name the dependency after the crate",
                    component.name
                )))
            }
        }
    }
    for (name, _) in image.features.iter().zip(found).filter(|(_, found)| !found) {
        wrong = Err(refuse(format_args!(
            "component {name} was built in but is not in the registry; keep linkme's sections in the linker script"
        )));
    }
    wrong
}

/// The memory that is left for guests, and the bundle.
fn claim_memory(tree: &Tree<'_>, boot: Boot) -> Result<(Vec<Ram>, &'static [u8]), Refused> {
    let nowhere = || {
        refuse_for(
            &"the firmware passed no initial RAM disk; pass bundle.cpio as one (QEMU: -initrd)",
        )
    };
    let chosen = tree.find("/chosen").ok_or_else(nowhere)?;
    let at = |name: &str| chosen.property(name).and_then(|property| property.number());
    let (start, end) = at("linux,initrd-start").zip(at("linux,initrd-end")).ok_or_else(nowhere)?;
    if end <= start {
        return Err(nowhere());
    }
    let bundle = (start, end - start);
    if boot.occupies(bundle) {
        return Err(refuse(format_args!(
            "the firmware loaded the bundle to {start:#x}, where eVisor itself is; have it loaded elsewhere"
        )));
    }
    let memory = tree.root().children().filter(|node| node.string("device_type") == Some("memory"));
    let memory: Vec<(u64, u64)> = memory
        .flat_map(|node| node.reg().unwrap_or_default())
        .map(|r| (r.address, r.size))
        .collect();
    let mut taken = tree.reserved().to_vec();
    // One without `reg` is room that its owner may choose: for nobody here.
    for node in tree.find("/reserved-memory").into_iter().flat_map(|node| node.children()) {
        let regions = node.reg().map_err(|problem| {
            refuse(format_args!("the board's tree: {}: reg {problem}", node.path()))
        })?;
        taken.extend(regions.iter().map(|region| (region.address, region.size)));
    }
    boot.claim(&memory, &taken, bundle, evisor_kernel::subtract)
        .map_err(|error| refuse(format_args!("cannot map the bundle: {error}")))
}

fn read(manifest: &Tree<'_>, around: &Surroundings<'_>) -> Result<Deployment, Refused> {
    let deployment = evisor_manifest::read(manifest, around)
        .map_err(|errors| errors.iter().fold(Refused, |_, error| refuse_for(error)))?;
    // Why its VMs are lost was said.
    if deployment.vms.is_empty() { Err(Refused) } else { Ok(deployment) }
}
