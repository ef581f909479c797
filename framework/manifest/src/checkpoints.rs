//! What a VM's node says of its checkpoint: that there is to be room for one, and what its
//! time is when it is rolled back.
//!
//! What is outside of a VM cannot be rolled back with it: blocks that it wrote, what it
//! shares, the state of a device of the board. A VM that has such is refused, unless the
//! node says that it stays as it is. A device of the board does not.

use crate::error::Faults;
use crate::plan::{CheckpointPlan, GivenPlan, MemoryPlan, ObjectPlan};
use crate::words;
use alloc::format;
use evisor_contract::Rights;
use evisor_fdt::Node;

/// So much is set aside for the state of a VM's objects, in bytes. The largest, of a
/// VM of ours, takes a tenth of it.
pub const STATE: u64 = 256 << 10;

pub(crate) fn read(
    faults: &Faults,
    vm: Node<'_>,
    memory: &[MemoryPlan],
    objects: &[ObjectPlan],
) -> Option<CheckpointPlan> {
    let goes_on = match words::string(faults, vm, words::ROLLBACK_TIME) {
        None | Some("rolls-back") => false,
        Some("goes-on") => true,
        Some(other) => {
            let message = format!("\"{other}\" is not known here");
            let remedy = "write \"rolls-back\" or \"goes-on\"";
            faults.property(vm, words::ROLLBACK_TIME, message, remedy);
            false
        }
    };
    let Some(property) = vm.property(words::CHECKPOINTS) else {
        if vm.has(words::ROLLBACK_TIME) {
            let message = "is of a VM that has no checkpoint";
            let remedy = "remove it, or write evisor,checkpoints = <1>";
            faults.property(vm, words::ROLLBACK_TIME, message, remedy);
        }
        return None;
    };
    if property.cell() != Some(1) {
        let message = "is not a number of checkpoints that a VM can have";
        faults.property(vm, words::CHECKPOINTS, message, "write <1>, or leave it out");
    }
    objects.iter().for_each(|object| check(faults, vm, object));
    let written = memory.iter().filter(|region| region.writable).map(|region| region.size);
    let reserve = written.fold(STATE, u64::saturating_add);
    Some(CheckpointPlan { reserve, time_goes_on: goes_on })
}

/// Whether what is behind the object can stay as it is.
fn check(faults: &Faults, vm: Node<'_>, object: &ObjectPlan) {
    let Some(node) = vm.tree().find(&object.path) else { return };
    let needs = &object.declaration.needs;
    let refuse = |message: &str, remedy: &str| faults.node(node, message, remedy);
    let remove = "remove it, or evisor,checkpoints from the VM";
    if needs.host_device || node.has("evisor,pins") {
        refuse("is of the board, and cannot be rolled back with its VM", remove);
    } else if !node.has(words::NOT_ROLLED_BACK) {
        let word = words::NOT_ROLLED_BACK;
        if needs.channel {
            let message = "is shared with another VM, and is not rolled back with its own";
            let remedy = format!("write {word}, and both ends begin again then; or {remove}");
            refuse(message, &remedy);
        } else if needs.backing || object.block.is_some_and(|block| !block.read_only) {
            let remedy = format!("write {word}, and it stays as it is; or evisor,read-only");
            refuse("is written, and is not rolled back with its VM", &remedy);
        }
    }
}

/// Whether blocks that the VM writes by a handle can stay as they are.
pub(crate) fn check_given(faults: &Faults, root: Node<'_>, given: &GivenPlan) {
    let written = given.blocks.is_some() && given.rights.intersects(Rights::WRITE);
    let node = root.tree().find(&given.path).filter(|_| written);
    if let Some(node) = node.filter(|node| !node.has(words::NOT_ROLLED_BACK)) {
        let message = "is written, and is not rolled back with its VM";
        let remedy =
            "write evisor,not-rolled-back, and it stays as it is; or leave it no right to write";
        faults.node(node, message, remedy);
    }
}
