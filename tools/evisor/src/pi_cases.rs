//! What eVisor makes of the device trees that a Raspberry Pi 4 can come with: QEMU
//! shows one of them, Debian's, as QEMU changes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};

use crate::card_file::CardFiles;
use crate::cases::ENDS;
use crate::debian_guest;
use crate::deployment::Deployment;
use crate::image::write_whole;
use crate::machine::{Machine, Seat};
use crate::packages;
use crate::plan::Plan;
use crate::process::capture;
use crate::run::{self, Files};
use crate::steps::myself;
use crate::workspace;

const FOUR_CORES: &str = "manifests/test-app-smp.dts";

/// A property, as fdtput takes it: its kind, the node, the name, the value.
type Edit<'a> = [&'a [&'a str]];

/// The PL011 is on the pins.
const ON_PL011: &Edit<'_> = &[&["s", "/chosen", "stdout-path", "serial0:115200n8"]];

const WITH_PSCI: &Edit<'_> = &[
    &["s", "/cpus/cpu@0", "enable-method", "psci"],
    &["s", "/cpus/cpu@1", "enable-method", "psci"],
    &["s", "/cpus/cpu@2", "enable-method", "psci"],
    &["s", "/cpus/cpu@3", "enable-method", "psci"],
];

/// Where the kernel is, at a page and no more; the tree, at a multiple of four and no
/// more; and the bundle.
const KERNEL_AT: u64 = 0x28_1000;
const TREE_AT: u64 = 0x2eff_3c04;
const BUNDLE_AT: u64 = 0x1f00_0000;

/// A VM with 1 GiB.
const LARGE: &str = "/include/ \"serial.dts\"
/ { serial { memory@40000000 { reg = <0 0x40000000 0 0x40000000>; }; }; };
";

pub fn cases(plan: &mut Plan) {
    plan.need(|| packages::need("fdtput", ("device-tree-compiler", "changes device trees")));
    plan.case("one image file and one bundle boot on both boards", on_both);
    plan.case("a Pi's console is the PL011 where its tree says so", console_on_pl011);
    plan.case("a Pi's cores that want PSCI are left out", without_psci);
    plan.case("a Pi whose tree would let guests at parked cores is refused", unreserved);
    plan.case("a Pi's tree as its firmware leaves it", || {
        left_by_firmware("firmware", BUNDLE_AT, 0, &["goodbye"])
    });
    plan.case("an image for a Pi alone boots, and holds no SMC", alone);
    plan.case("a bundle that was loaded over eVisor is refused", || {
        left_by_firmware("over", KERNEL_AT + 0x10_0000, 1, &["where eVisor itself is"])
    });
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::root().join("target/evisor/pi");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Debian's tree, changed.
fn tree(name: &str, edits: &Edit<'_>) -> Result<PathBuf> {
    let path = folder()?.join(format!("{name}.dtb"));
    let (_, bytes) = debian_guest::pi_tree()?;
    write_whole(&path, &bytes)?;
    for edit in edits {
        let (kind, rest) = edit.split_first().context("an edit has a kind")?;
        capture(Command::new("fdtput").args(["-t", kind]).arg(&path).args(rest))?;
    }
    Ok(path)
}

fn with_tree(tree: PathBuf) -> Machine {
    Machine { tree: Some(tree), ..Machine::raspi4() }
}

fn ends_as(qemu: Command, status: u8, shows: &'static [&'static str]) -> Result<()> {
    ENDS.status(status).shows(shows).watch(qemu).map(drop)
}

fn boot(machine: &Machine, manifest: &str) -> Result<Command> {
    // What is there is checked at boot: of a Pi that is known here it may be right.
    let Files { kernel, bundle, .. } = run::prepare(Path::new(manifest), &Machine::raspi4())?;
    machine.boot(Seat::Script, &kernel, &bundle)
}

fn on_both() -> Result<()> {
    let files = run::prepare(Path::new(ENDS.manifest), &Machine::raspi4())?;
    for machine in [Machine::raspi4(), Machine::for_tests()] {
        let board = format!(" on {}", machine.board.name());
        let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
        let console = ENDS.watch(qemu)?;
        ensure!(console.contains(&board), "'{board}' is missing:\n{console}");
    }
    Ok(())
}

fn console_on_pl011() -> Result<()> {
    let machine = with_tree(tree("pl011", ON_PL011)?);
    ends_as(boot(&machine, ENDS.manifest)?, 0, &["on raspi4", "serial: goodbye"])
}

/// One core is enough for one VM; there is no second.
fn without_psci() -> Result<()> {
    let machine = with_tree(tree("psci", WITH_PSCI)?);
    const LEFT_OUT: &str = "/cpus/cpu@3 is left out: its enable-method is psci";
    ends_as(boot(&machine, ENDS.manifest)?, 0, &[LEFT_OUT, "serial: goodbye"])?;
    const REFUSED: &str = "/test-app: has 4 cpus, and a VM on raspi4 can have 1";
    ends_as(boot(&machine, FOUR_CORES)?, 1, &[LEFT_OUT, REFUSED])
}

fn unreserved() -> Result<()> {
    let path = tree("unreserved", &[])?;
    let mut bytes = fs::read(&path)?;
    // The reservation block (Devicetree Specification v0.4 §5.3) becomes empty.
    let at = bytes.get(16..20).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes);
    let at = at.context("the tree has no header")? as usize;
    bytes.get_mut(at..at + 16).context("the tree has no reservations")?.fill(0);
    write_whole(&path, &bytes)?;
    const REFUSED: &str = "the tree does not reserve the memory that the other cores wait in";
    ends_as(boot(&with_tree(path), ENDS.manifest)?, 1, &[REFUSED])
}

/// There is nobody to call: an SMC would be lost.
fn alone() -> Result<()> {
    let folder = folder()?.join("alone");
    let mut build = myself("build");
    build.args([ENDS.manifest, "--minimal", "--board", "raspi4", "-o"]).arg(&folder);
    capture(build.current_dir(workspace::root()))?;
    let whole = run::prepare(Path::new(ENDS.manifest), &Machine::raspi4())?;
    ensure!(
        holds_smc(whole.image.elf())?,
        "the image with both boards holds none, so none is found"
    );
    let elf = folder.join("evisor.elf");
    let elf = fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    ensure!(!holds_smc(&elf)?, "it holds one");
    let (image, bundle) = (folder.join("evisor.bin"), folder.join("bundle.cpio"));
    ENDS.watch(Machine::raspi4().boot(Seat::Script, &image, &bundle)?).map(drop)
}

/// Whether its code has the instruction (DDI 0487, SMC).
fn holds_smc(elf: &[u8]) -> Result<bool> {
    let file = object::File::parse(elf)?;
    let text = file.section_by_name(".text").context("it has no .text")?.data()?;
    let words = text.as_chunks().0.iter().copied().map(u32::from_le_bytes);
    Ok(words.into_iter().any(|word| word & 0xffe0_001f == 0xd400_0003))
}

/// Not by QEMU's loader: memory in two regions without the VideoCore's, `chosen` with
/// numbers of one cell, a tree that does not lie at a multiple of eight. The VM takes
/// all of the second region. What the stub does is what the firmware's does last.
fn left_by_firmware(
    name: &str,
    bundle_at: u64,
    status: u8,
    shown: &'static [&'static str],
) -> Result<()> {
    let Files { kernel, .. } = run::prepare(Path::new(ENDS.manifest), &Machine::raspi4())?;
    let file = |ending: &str| Ok::<_, anyhow::Error>(folder()?.join(format!("{name}.{ending}")));
    let (source, bundle) = (file("dts")?, file("cpio")?);
    write_whole(&source, LARGE.as_bytes())?;
    // QEMU's own tree has no room for it.
    let large = Deployment::load(&source, &CardFiles::default())?.bundle()?;
    write_whole(&bundle, &large)?;
    let end = bundle_at + large.len() as u64;
    let (start, end) = (format!("{bundle_at:x}"), format!("{end:x}"));
    let memory =
        ["x", "/memory@0", "reg", "0", "0", "3b400000", "0", "40000000", "40000000"].as_slice();
    let chosen = |name, value| ["x", "/chosen", name, value];
    let initrd = [chosen("linux,initrd-start", &start), chosen("linux,initrd-end", &end)];
    let tree = tree(name, &[memory, &initrd[0], &initrd[1]])?;
    let stub = file("bin")?;
    write_whole(&stub, &stub_bytes())?;
    let mut qemu = Machine::raspi4().qemu(Seat::Script)?;
    qemu.arg("-kernel").arg(stub);
    for (file, at) in [(&kernel, KERNEL_AT), (&tree, TREE_AT), (&bundle, bundle_at)] {
        let file = file.display();
        qemu.arg("-device").arg(format!("loader,file={file},addr={at:#x},force-raw=on"));
    }
    ends_as(qemu, status, shown)
}

/// Goes to the kernel with the tree in x0, as Linux's boot protocol has it.
fn stub_bytes() -> Vec<u8> {
    const CODE: [u32; 4] = [
        0x5800_0080, // ldr x0, .+16
        0x5800_00a1, // ldr x1, .+20
        0xd61f_0020, // br  x1
        0,
    ];
    let code = CODE.into_iter().flat_map(u32::to_le_bytes);
    code.chain([TREE_AT, KERNEL_AT].into_iter().flat_map(u64::to_le_bytes)).collect()
}
