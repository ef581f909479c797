//! eVisor's own properties: which ones a node may have, and how they read.

use crate::error::Faults;
use alloc::format;
use alloc::string::String;
use evisor_fdt::{Node, Property};

/// What eVisor's own properties begin with.
pub(crate) const PREFIX: &str = "evisor,";

pub(crate) const VERSION: &str = "evisor,version";
pub(crate) const IMAGE: &str = "evisor,image";
pub(crate) const LOAD_ADDRESS: &str = "evisor,load-address";
pub(crate) const ENTRY_ADDRESS: &str = "evisor,entry-address";
pub(crate) const DEVICE_TREE_ADDRESS: &str = "evisor,device-tree-address";
pub(crate) const NO_DEVICE_TREE: &str = "evisor,no-device-tree";
pub(crate) const INITRD: &str = "evisor,initrd";
pub(crate) const BLOCK: &str = "evisor,block";
pub(crate) const SIZE: &str = "evisor,size";
pub(crate) const CHANNEL: &str = "evisor,channel";
pub(crate) const FILE: &str = "evisor,file";
pub(crate) const CONSOLE: &str = "evisor,console";
pub(crate) const ON_CRASH: &str = "evisor,on-crash";
pub(crate) const ON_RESET: &str = "evisor,on-reset";
pub(crate) const ON_REFUSED: &str = "evisor,on-refused";
pub(crate) const RESTART_LIMIT: &str = "evisor,restart-limit";
pub(crate) const CHECKPOINTS: &str = "evisor,checkpoints";
pub(crate) const ROLLBACK_TIME: &str = "evisor,rollback-time";
pub(crate) const NOT_ROLLED_BACK: &str = "evisor,not-rolled-back";
pub(crate) const RIGHTS: &str = "evisor,rights";
pub(crate) const VMS: &str = "evisor,vms";
pub(crate) const SHOWN: &str = "evisor,shown";
pub(crate) const READ_ONLY: &str = "evisor,read-only";
pub(crate) const CORES: &str = "evisor,cores";
pub(crate) const PRIORITY: &str = "evisor,priority";
pub(crate) const BUDGET: &str = "evisor,budget";
pub(crate) const DERIVATIONS: &str = "evisor,derivations";
pub(crate) const OBJECT: &str = "evisor,object";
pub(crate) const WITHHELD: &str = "evisor,withheld";
pub(crate) const PART: &str = "evisor,part";
pub(crate) const WINDOW: &str = "evisor,window";
pub(crate) const LABEL: &str = "evisor,label";
pub(crate) const PERIOD: &str = "evisor,period";

/// Refuses every `evisor,*` property of `node` that is not in `known`.
pub(crate) fn check(faults: &Faults, node: Node<'_>, known: &[&str]) {
    check_either(faults, node, known, &[]);
}

/// Refuses every one that is neither in `known` nor in `more`.
pub(crate) fn check_either(faults: &Faults, node: Node<'_>, known: &[&str], more: &[&str]) {
    for property in node.properties() {
        let name = property.name;
        if name.starts_with(PREFIX) && !known.contains(&name) && !more.contains(&name) {
            let remedy = match [known, more].concat().as_slice() {
                [] => String::from("remove it: no component owns this node"),
                all => format!("the words known here are {}", all.join(", ")),
            };
            faults.property(node, property.name, "is not known here", remedy);
        }
    }
}

/// Refuses them in all that lies in `node`.
pub(crate) fn check_inside(faults: &Faults, node: Node<'_>, known: &[&str]) {
    node.descendants().for_each(|inner| check(faults, inner, known));
}

/// Refuses them in `node` and in all that lies in it.
pub(crate) fn check_all(faults: &Faults, node: Node<'_>) {
    check(faults, node, &[]);
    check_inside(faults, node, &[]);
}

/// A property that must be one string, if it is there.
pub(crate) fn string<'t>(faults: &Faults, node: Node<'t>, name: &str) -> Option<&'t str> {
    let property = node.property(name)?;
    let string = property.string();
    if string.is_none() {
        faults.property(node, name, "is not one string", "write it as \"text\"");
    }
    string
}

/// A property that must be an address, if it is there.
pub(crate) fn address(faults: &Faults, node: Node<'_>, name: &str) -> Option<u64> {
    let number = node.property(name)?.number();
    if number.is_none() {
        faults.property(node, name, "is not one address", "write it as <0 0x40280000>");
    }
    number
}

/// The node that a property, one phandle, points at; the property must be there.
pub(crate) fn reference<'t>(
    faults: &Faults,
    node: Node<'t>,
    property: Property<'t>,
) -> Option<Node<'t>> {
    let Some(phandle) = property.cell() else {
        faults.property(node, property.name, "is not one phandle", "write it as <&label>");
        return None;
    };
    let target = node.tree().by_phandle(phandle);
    if target.is_none() {
        let message = format!("phandle {phandle:#x} leads nowhere");
        faults.property(node, property.name, message, "write a label, as in <&label>");
    }
    target
}
