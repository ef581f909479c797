//! A program for the bare machine prints the same lines on the machine and in a VM,
//! whatever form its file has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::console::{Console, End};
use crate::deployment::guest;
use crate::image::write_whole;
use crate::machine::{Machine, Seat};
use crate::plan::{Plan, Shared};
use crate::process::capture;
use crate::run;
use crate::workspace;

const MANIFEST: &str = "manifests/bare.dts";
const GUEST: &str = "bare";
/// Where it is linked, as the manifest says too.
const ADDRESS: &str = "0x40280000";

const LIMIT: Duration = Duration::from_secs(180);

/// The forms of its file: name, whether it is the ELF file, whether compressed.
const FORMS: [(&str, bool, bool); 3] =
    [("bare.elf", true, false), ("bare.elf.gz", true, true), ("bare.bin.gz", false, true)];

pub fn cases(plan: &mut Plan) {
    plan.case("a raw binary prints the same in a VM as on the machine", || same(MANIFEST.as_ref()));
    for (name, elf, packed) in FORMS {
        plan.case(format!("{name} prints it too"), move || same(&write_form(name, elf, packed)?));
    }
}

fn same(manifest: &Path) -> Result<()> {
    static NATIVELY: Shared<Vec<String>> = Shared::new();
    let natively = NATIVELY.get(|| on_machine(&Machine::for_tests()))?;
    let virtually = in_vm(manifest)?;
    ensure!(*natively == virtually, "on the machine: {natively:?}\nin a VM: {virtually:?}");
    Ok(())
}

/// Writes the file and a manifest that boots it.
fn write_form(name: &str, elf: bool, packed: bool) -> Result<PathBuf> {
    let guest = guest(GUEST)?;
    let mut bytes = if elf { guest.elf().to_vec() } else { guest.raw()? };
    let (file, source) = (folder()?.join(name), folder()?.join(format!("{name}.dts")));
    if packed {
        let raw = file.with_extension("raw");
        write_whole(&raw, &bytes)?;
        bytes = capture(Command::new("gzip").arg("-nc").arg(raw))?;
    }
    write_whole(&file, &bytes)?;
    let whole = fs::read_to_string(workspace::root().join(MANIFEST))?;
    let load = format!("evisor,load-address = <{ADDRESS}>;");
    let named = whole.replace("image:bare", name).replace(&load, if elf { "" } else { &load });
    write_whole(&source, named.as_bytes())?;
    Ok(source)
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::root().join("target/evisor/native");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn on_machine(machine: &Machine) -> Result<Vec<String>> {
    let file = folder()?.join("bare.bin");
    write_whole(&file, &guest(GUEST)?.raw()?)?;
    let mut qemu = machine.without_hypervisor(Seat::Script, "1G")?;
    let device = format!("loader,file={},addr={ADDRESS},cpu-num=0,force-raw=on", file.display());
    qemu.args(["-device", &device]);
    lines(Console::start(qemu)?)
}

fn in_vm(manifest: &Path) -> Result<Vec<String>> {
    let machine = Machine::for_tests();
    let files = run::prepare(manifest, &machine)?;
    lines(Console::start(machine.boot(Seat::Script, &files.kernel, &files.bundle)?)?)
}

/// What the program itself printed, until the machine went off.
fn lines(console: Console) -> Result<Vec<String>> {
    let (end, printed) = console.watch(Vec::new(), LIMIT)?;
    ensure!(matches!(end, End::Exited(_)), "it ended with {end:?}; its console:\n{printed}");
    let own = printed.lines().map(str::trim_end).filter(|line| line.starts_with("bare: "));
    let own: Vec<_> = own.map(str::to_owned).collect();
    ensure!(own.last().is_some_and(|line| line == "bare: off"), "it printed {own:?}");
    Ok(own)
}
