//! The dependency rule: what a folder's README allows, cargo's metadata shows.

use std::path::Path;

use crate::workspace::{Crate, Dependency, crates};

const CONTRACT: &str = "framework/contract";
const TEST_KIT: &str = "framework/testkit";

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
            to == Path::new(CONTRACT) || (dependency.only_for_tests && to == Path::new(TEST_KIT))
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
        .flat_map(|c| {
            c.dependencies
                .iter()
                .filter_map(|d| objection(&c.folder, d, &is_bare))
        })
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
        ("devices/uart", depends("framework/router", false), false),
        ("components/psci", depends("devices/uart", false), false),
        (
            "boards/qemu-virt",
            depends("framework/aarch64", false),
            true,
        ),
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
