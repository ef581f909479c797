//! The rules of the folders: who may depend on whom, as cargo's metadata shows,
//! and where `unsafe` may be opened.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::{Crate, Dependency, crates, root};

const CONTRACT: &str = "framework/contract";
const TEST_KIT: &str = "framework/testkit";
/// What several devices have in common and is no device: a data sheet of its own, over the
/// contract. It holds no authority; what a device was granted, the device hands it.
const DATA_SHEETS: [&str; 1] = ["framework/virtio"];

/// Why a crate may not depend on another, or nothing where it may.
fn objection(
    from: &Path,
    dependency: &Dependency,
    is_bare: &dyn Fn(&Path) -> bool,
) -> Option<String> {
    let to = dependency.folder.as_deref()?;
    let top = from.components().next()?.as_os_str().to_str()?;
    let allowed = match top {
        "images" => true,
        "framework" | "boards" => to.starts_with("framework"),
        "components" | "devices" => {
            let is_data_sheet = DATA_SHEETS.iter().any(|folder| to == Path::new(folder));
            to == Path::new(CONTRACT)
                || is_data_sheet
                || (dependency.only_for_tests && to == Path::new(TEST_KIT))
        }
        "tools" => to.starts_with("framework") && !is_bare(to),
        _ => false,
    };
    (!allowed).then(|| format!("{} may not depend on {}", from.display(), to.display()))
}

fn objections(crates: &[Crate]) -> Vec<String> {
    let is_bare = |folder: &Path| crates.iter().any(|c| c.folder == folder && c.bare);
    crates
        .iter()
        .flat_map(|c| c.dependencies.iter().filter_map(|d| objection(&c.folder, d, &is_bare)))
        .collect()
}

#[test]
fn every_crate_keeps_its_folders_rule() {
    let crates = crates().unwrap();
    assert!(!crates.is_empty());
    assert_eq!(objections(&crates), Vec::<String>::new());
}

#[test]
fn a_device_that_reaches_into_the_framework_is_refused() {
    let depends = |to: &str, only_for_tests| Dependency {
        name: String::new(),
        folder: Some(to.into()),
        only_for_tests,
    };
    let cases = [
        ("devices/uart", depends(CONTRACT, false), true),
        ("devices/uart", depends(TEST_KIT, true), true),
        ("devices/uart", depends(TEST_KIT, false), false),
        ("devices/uart", depends("framework/virtio", false), true),
        ("devices/uart", depends("framework/router", false), false),
        ("components/psci", depends("devices/uart", false), false),
        ("boards/qemu-virt", depends("framework/aarch64", false), true),
        ("boards/qemu-virt", depends("devices/uart", false), false),
        ("framework/router", depends("devices/uart", true), false),
        ("tools/evisor", depends("framework/fdt", false), true),
        ("tools/evisor", depends("framework/aarch64", false), false),
        ("images/evisor", depends("devices/uart", false), true),
        ("manifests/x", depends(CONTRACT, false), false),
    ];
    let is_bare = |folder: &Path| folder == Path::new("framework/aarch64");
    for (from, dependency, allowed) in cases {
        let objection = objection(Path::new(from), &dependency, &is_bare);
        assert_eq!(objection.is_none(), allowed, "{from} {dependency:?}");
    }
}

/// Where the workspace's denial of `unsafe` may be lifted, module by module.
const UNSAFE: [&str; 4] = ["framework/aarch64", "framework/fdt", "boards", "images"];

/// The Rust sources below a folder, what cargo made aside.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn unsafe_is_opened_nowhere_else() {
    for package in crates().unwrap() {
        if UNSAFE.iter().any(|folder| package.folder.starts_with(folder)) {
            continue;
        }
        for source in sources(&root().join(&package.folder)) {
            let text = fs::read_to_string(&source).unwrap();
            let opens =
                ["allow", "expect"].iter().any(|w| text.contains(&format!("{w}(unsafe_code")));
            assert!(!opens, "{} opens unsafe code", source.display());
        }
    }
}

#[test]
fn devices_and_components_forbid_unsafe() {
    let plugins = crates().unwrap().into_iter().map(|c| c.folder);
    for folder in plugins.filter(|f| f.starts_with("devices") || f.starts_with("components")) {
        let library = root().join(&folder).join("src/lib.rs");
        let text = fs::read_to_string(&library).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{} does not", library.display());
    }
}
