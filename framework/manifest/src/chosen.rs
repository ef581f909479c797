//! The VM's `chosen` node: what it boots with, and where it talks.

use crate::error::Faults;
use crate::words;
use alloc::format;
use alloc::string::{String, ToString};
use evisor_fdt::Node;

/// What Linux takes on arm64 (COMMAND_LINE_SIZE), the NUL included.
const BOOTARGS: usize = 2048;

/// Checks `chosen` and gives its `bootargs`.
pub(crate) fn read(faults: &Faults, vm: Node<'_>) -> String {
    let Some(chosen) = vm.child("chosen") else { return String::new() };
    let path = words::string(faults, chosen, "stdout-path");
    if let Some(path) = path.filter(|path| resolve(vm, path).is_none()) {
        let message = format!("\"{path}\" leads nowhere in this VM");
        let remedy = "write a path such as \"/serial@9000000\"";
        faults.property(chosen, "stdout-path", message, remedy);
    }
    let bootargs = words::string(faults, chosen, "bootargs").unwrap_or_default();
    if bootargs.len() >= BOOTARGS {
        let message = format!("has {} bytes", bootargs.len());
        faults.property(chosen, "bootargs", message, format!("shorten it below {BOOTARGS}"));
    }
    bootargs.to_string()
}

/// The node that a guest's path names: from the VM's node, or by one of its
/// aliases, and with options behind a colon.
fn resolve<'t>(vm: Node<'t>, path: &str) -> Option<Node<'t>> {
    let path = path.split_once(':').map_or(path, |(path, _)| path);
    if let Some(inner) = guest_path(vm, path).strip_prefix('/') {
        return vm.descend(inner);
    }
    let target = vm.child("aliases")?.string(path)?;
    vm.descend(guest_path(vm, target).strip_prefix('/')?)
}

/// A path as the guest sees it: dtc writes `&label` as a path from the root of
/// the manifest, and the guest's root is the VM's node.
pub(crate) fn guest_path<'p>(vm: Node<'_>, path: &'p str) -> &'p str {
    let inner = path.strip_prefix(vm.path().as_str());
    inner.filter(|inner| inner.starts_with('/')).unwrap_or(path)
}
