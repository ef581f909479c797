//! What the tests read manifests against: components that declare and describe
//! like the real ones and build nothing, a board, and a bundle.
#![allow(dead_code, reason = "each test uses its part")]

use evisor_contract::{
    BuildError, Declaration, GuestNode, Needs, Node, Rights, STOLEN_TIME_WINDOW, WindowNeed,
};
use evisor_fdt::{Aligned, Tree};
use evisor_manifest::{BoardFacts, BoardTree, Files, GicVersion, LeftOut, Surroundings};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

type Describe = fn(&Node<'_>, &mut dyn GuestNode) -> Result<(), BuildError>;

const fn component(
    name: &'static str,
    compatible: &'static [&'static str],
    needs: Needs,
    properties: &'static [&'static str],
    describe: Describe,
) -> Declaration {
    let build = |_: &Node<'_>, _: &mut dyn evisor_contract::Grants| {
        Err(BuildError::new("is not built in tests", "read it only"))
    };
    Declaration { name, compatible, needs, properties, build, describe }
}

const fn device(windows: &'static [WindowNeed], lines: usize) -> Needs {
    Needs { windows, lines, ..Needs::NONE }
}

const fn scheduler(shares: &'static [&'static str]) -> Needs {
    Needs { root: true, cores: true, shares, ..Needs::NONE }
}

const WORDS: WindowNeed =
    WindowNeed { access: Rights::READ32.union(Rights::WRITE32), ..WindowNeed::new(0x1000) };

pub static REGISTRY: [Declaration; 23] = [
    component(
        "pl011",
        &["arm,pl011"],
        Needs { console: true, ..device(&[WindowNeed::new(0x1000)], 1) },
        &[],
        |_, guest| {
            let clock = guest.fixed_clock(24_000_000);
            guest.set_strings("compatible", &["arm,pl011", "arm,primecell"]);
            guest.set_cells("clocks", &[clock, clock]);
            guest.set_strings("clock-names", &["uartclk", "apb_pclk"]);
            Ok(())
        },
    ),
    component("pl031", &["arm,pl031"], device(&[WORDS], 1), &["evisor,epoch"], |node, guest| {
        node.cell("evisor,epoch")?;
        let clock = guest.fixed_clock(24_000_000);
        guest.set_strings("compatible", &["arm,pl031", "arm,primecell"]);
        guest.set_cells("clocks", &[clock]);
        guest.set_strings("clock-names", &["apb_pclk"]);
        Ok(())
    }),
    component(
        "vgic-v2",
        &["evisor,gic-v2", "arm,gic-400", "arm,cortex-a15-gic"],
        Needs {
            interrupt_controller: true,
            ..device(&[WindowNeed::new(0x1000), WindowNeed::new(0x2000)], 0)
        },
        &[],
        |_, guest| {
            guest.set_strings("compatible", &["arm,gic-400", "arm,cortex-a15-gic"]);
            guest.set_flag("interrupt-controller");
            guest.set_cells("#interrupt-cells", &[3]);
            guest.set_cells("#address-cells", &[0]);
            Ok(())
        },
    ),
    component(
        "pflash",
        &["cfi-flash"],
        Needs { backing: true, ..device(&[WindowNeed::new(0)], 0) },
        &[],
        |_, guest| {
            guest.set_cells("bank-width", &[4]);
            Ok(())
        },
    ),
    component(
        "vgic-v3",
        &["evisor,gic-v3", "arm,gic-v3"],
        Needs {
            interrupt_controller: true,
            ..device(
                &[
                    WindowNeed::new(0x10000),
                    WindowNeed { per_vcpu: true, ..WindowNeed::new(0x20000) },
                ],
                0,
            )
        },
        &[],
        |_, guest| {
            guest.set_strings("compatible", &["arm,gic-v3"]);
            guest.set_flag("interrupt-controller");
            guest.set_cells("#interrupt-cells", &[3]);
            Ok(())
        },
    ),
    component(
        "arch-timer",
        &["arm,armv8-timer"],
        Needs { optional_lines: 1, ..device(&[], 1) },
        &[],
        |_, guest| {
            guest.set_strings("interrupt-names", &["virt"]);
            Ok(())
        },
    ),
    component(
        "passthrough",
        &["evisor,passthrough"],
        Needs { host_device: true, ..Needs::NONE },
        &["evisor,reset"],
        |node, guest| {
            guest.set_strings("compatible", &["arm,pl061", "arm,primecell"]);
            if let Some(hertz) = node.cell("evisor,clock-frequency")? {
                let clock = guest.fixed_clock(hertz);
                guest.set_cells("clocks", &[clock]);
            }
            Ok(())
        },
    ),
    component("psci", &["arm,psci-1.0", "arm,psci-0.2"], Needs::NONE, &[], |_, guest| {
        guest.set_strings("method", &["hvc"]);
        Ok(())
    }),
    component("smccc-services", &["evisor,smccc"], Needs::NONE, &[], |_, _| Ok(())),
    component("trng", &["evisor,trng"], Needs::NONE, &[], |_, _| Ok(())),
    component(
        "stolen-time",
        &["evisor,stolen-time"],
        Needs { windows: &[WindowNeed::new(STOLEN_TIME_WINDOW)], stolen_time: true, ..Needs::NONE },
        &[],
        |_, _| Ok(()),
    ),
    component("id-registers", &["arm,armv8"], Needs::NONE, &["evisor,hide"], |_, _| Ok(())),
    component(
        "banked",
        &["example,banked"],
        device(&[WindowNeed { per_vcpu: true, ..WORDS }], 0),
        &[],
        |_, _| Ok(()),
    ),
    component("other-cpu", &["example,cpu"], Needs::NONE, &[], |_, _| Ok(())),
    component(
        "console",
        &["evisor,console"],
        Needs { root: true, ..Needs::NONE },
        &["evisor,host-serial", "evisor,shown"],
        |_, _| Ok(()),
    ),
    component("partitioned", &["evisor,partitioned"], scheduler(&[]), &[], |_, _| Ok(())),
    component("round-robin", &["evisor,round-robin"], scheduler(&[]), &["evisor,slice"], |_, _| {
        Ok(())
    }),
    component(
        "fixed-priority",
        &["evisor,fixed-priority"],
        scheduler(&["evisor,priority", "evisor,budget", "evisor,period"]),
        &["evisor,slice"],
        |_, _| Ok(()),
    ),
    component(
        "monitor",
        &["evisor,monitor"],
        Needs { root: true, console: true, oversees: true, ..Needs::NONE },
        &[],
        |_, _| Ok(()),
    ),
    component(
        "ram-disk",
        &["evisor,ram-disk"],
        Needs { root: true, store: true, storage: true, ..Needs::NONE },
        &[],
        |_, _| Ok(()),
    ),
    component(
        "channel",
        &["evisor,channel"],
        Needs { root: true, shared: true, ..Needs::NONE },
        &[],
        |_, _| Ok(()),
    ),
    component(
        "channel",
        &["evisor,channel-end"],
        Needs { channel: true, ..device(&[WORDS, WindowNeed::new(0)], 1) },
        &[],
        |_, guest| {
            guest.set_strings("compatible", &["evisor-channel"]);
            Ok(())
        },
    ),
    component(
        "sdhci",
        &["example,sdhci"],
        Needs { block: true, guest_memory: true, ..device(&[WORDS], 1) },
        &[],
        |_, _| Ok(()),
    ),
];

pub const LEFT_OUT: &[LeftOut<'_>] = &[("sp805", &["arm,sp805"])];

/// A file that starts with Linux's header and is zeros behind it.
fn linux(text_offset: u64, size: u64, length: usize) -> Vec<u8> {
    let mut file = vec![0; length];
    file[8..16].copy_from_slice(&text_offset.to_le_bytes());
    file[16..24].copy_from_slice(&size.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    file
}

/// An ELF file of one segment: 0x40 bytes of the file, 0x10000 of memory.
fn elf(address: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0".to_vec();
    for word in [0x8000_0010_u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    for word in [0x40, 0x8000_0000, address, 0x40, 0x10000, 4] {
        file.extend(word.to_le_bytes());
    }
    file.resize(0x80, 0);
    file
}

/// What `printf 'raw bytes' | gzip -n` gives.
const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03+J,WH\xaa,I-\x06\0\x98\0\xc5\x7d\x09\0\0\0";

static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let guest = linux(2 << 20, 0x18000, 0x8000);
    vec![
        // As Debian's: no text offset, 32 MiB with its bss.
        ("debian:linux", linux(0, 32 << 20, 30 << 20)),
        ("debian:u-boot", vec![0; 971_304]),
        ("debian:initramfs", vec![0; (8 << 20) + 123]),
        ("image:serial", guest.clone()),
        ("image:bench", guest.clone()),
        ("image:test-app", guest.clone()),
        ("guest", guest),
        ("raw", vec![0; 0x1001]),
        ("empty", Vec::new()),
        ("elf", elf(0x4000_0000)),
        ("elf-elsewhere", elf(0x8000_0000)),
        ("elf-cut", elf(0)[..70].to_vec()),
        ("gzip", GZIP.to_vec()),
        ("gzip-cut", GZIP[..12].to_vec()),
        ("zstd", b"\x28\xb5\x2f\xfd".to_vec()),
    ]
});

/// A bundle.
pub struct Bundle;

impl Files for Bundle {
    fn bytes_of(&self, name: &str) -> Option<&[u8]> {
        FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.as_slice())
    }
}

/// A board with 1 GiB for VMs.
pub fn board() -> BoardFacts {
    BoardFacts {
        name: "qemu-virt".into(),
        gic: Some(GicVersion::V2),
        memory: vec![(0x4800_0000, 0x3800_0000), (0x8000_0000, 0x0800_0000)],
        cores: 3,
    }
}

/// The same with a GICv3.
pub fn board_with_gicv3() -> BoardFacts {
    BoardFacts { gic: Some(GicVersion::V3), ..board() }
}

pub fn around(board: &BoardFacts) -> Surroundings<'_> {
    Surroundings {
        registry: &REGISTRY,
        left_out: LEFT_OUT,
        board,
        devices: Some(&*DEVICES),
        files: &Bundle,
        lost: &[],
    }
}

pub fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn dtc(arguments: &[&str], source: &Path) -> Result<Vec<u8>, String> {
    let folder = source.parent().expect("a source lies in a folder");
    let output = Command::new("dtc").args(arguments).arg(source).current_dir(folder).output();
    let output = output.expect("dtc (package device-tree-compiler) is there");
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The devices of the board, of which eVisor drives the GIC, the calendar and the
/// mini-UART.
pub static DEVICES: LazyLock<BoardTree<'static>> = LazyLock::new(|| {
    let tree = compile_strictly(&tests().join("support/board.dts")).expect("a board's tree");
    let tree = Tree::new(Box::leak(Box::new(tree)).bytes()).expect("a sound tree");
    BoardTree {
        tree: Box::leak(Box::new(tree)),
        driven: || vec![(0x0800_0000, 0x1000), (0x0901_0000, 0x1000), (0xfe21_5040, 0x40)],
        interrupts: &[125],
        clock_of: |path| (path == "/soc/serial@7e201000").then_some(48_000_000),
    }
});

/// Compiles a source. `-f`: what dtc itself refuses is for the reader to refuse.
pub fn compile(source: &Path) -> Result<Aligned, String> {
    Ok(Aligned::copy(&dtc(&["-q", "-f", "-I", "dts", "-O", "dtb"], source)?))
}

/// Compiles without force.
pub fn compile_strictly(source: &Path) -> Result<Aligned, String> {
    Ok(Aligned::copy(&dtc(&["-q", "-I", "dts", "-O", "dtb"], source)?))
}

/// A compiled tree as text.
pub fn text_of(tree: &[u8], name: &str) -> String {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.dtb"));
    std::fs::write(&file, tree).expect("the test can write to its folder");
    let text = dtc(&["-q", "-I", "dtb", "-O", "dts"], &file).expect("dtc reads what was made");
    String::from_utf8(text).expect("dtc writes text")
}
