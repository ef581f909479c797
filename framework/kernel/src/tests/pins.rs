//! Pins of the board, and whose they are.

use super::Fake;
use super::passed::{deployment, object, vm};
use crate::bind;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use evisor_contract::{Declaration, Needs, Object, Parts};
use evisor_manifest::{ManifestError, ObjectPlan};

struct Holder;

impl Object for Holder {
    fn reset(&mut self) {}
}

static HOLDER: Declaration = Declaration {
    name: "holder",
    compatible: &["example,holder"],
    needs: Needs::NONE,
    properties: &["evisor,pins"],
    build: |node, grants| {
        let pins = node.cell("evisor,pins")?.unwrap_or_default().into();
        let held = grants.host_pins(pins)?;
        assert_eq!((held.pins(), held.levels()), (pins, pins), "and no others");
        Ok(Parts::new(Holder).done())
    },
    describe: |_, _| Ok(()),
};

fn holder(vm: &str, pins: u32) -> ObjectPlan {
    ObjectPlan {
        path: alloc::format!("/{vm}/gpio"),
        properties: Vec::from([("evisor,pins".to_string(), pins.to_be_bytes().into())]),
        ..object("gpio", &HOLDER)
    }
}

/// Two VMs with these pins each, by a bit.
fn two(has_pins: bool, pins: [u32; 2]) -> Result<crate::Bound, Box<ManifestError>> {
    let [one, two] = pins;
    let vms =
        [vm("one", Vec::from([holder("one", one)])), vm("two", Vec::from([holder("two", two)]))];
    let host: &'static Fake = Box::leak(Box::new(Fake { has_pins, ..Fake::default() }));
    bind(&deployment(vms.into()), host)
}

/// Path, property and message of what is refused.
fn refusal(has_pins: bool, pins: [u32; 2]) -> (String, Option<String>, String) {
    let error = *two(has_pins, pins).map(|_| ()).unwrap_err();
    (error.node, error.property, error.message)
}

#[test]
fn who_has_pins_is_reset_when_its_vm_stops() {
    let bound = two(true, [1 << 17 | 1 << 18, 1 << 27]).expect("sound");
    for vm in &bound.vms {
        assert_eq!((vm.passed.objects.len(), vm.passed.windows.len()), (1, 0));
    }
}

#[test]
fn a_pin_has_one_owner() {
    let (node, property, message) = refusal(true, [3 << 17, 1 << 18]);
    assert_eq!((node.as_str(), property.as_deref()), ("/two/gpio", Some("evisor,pins")));
    assert_eq!(message, "pin 18 is given to /one/gpio");
}

#[test]
fn what_the_board_needs_is_not_given() {
    let (node, property, message) = refusal(true, [1 << 4, 1 << 4 | 1 << 15]);
    assert_eq!((node.as_str(), property.as_deref()), ("/two/gpio", Some("evisor,pins")));
    assert_eq!(message, "pin 15 is the board's own");
}

#[test]
fn a_board_without_pins_gives_none() {
    let (node, property, message) = refusal(false, [1, 2]);
    assert_eq!((node.as_str(), property.as_deref()), ("/one/gpio", Some("evisor,pins")));
    assert_eq!(message, "the board has no pins to give");
}
