//! The component as the kernel finds and builds it.

use super::{Vcpus, interface, system};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use evisor_contract::{
    BuildError, Clock, ConsolePort, Context, Deadline, Declaration, Entropy, Grants, GuestNode,
    HostSerial, Line, Node, Parts, Register, Reply, SystemInterface, VcpuControl, VirtualInterface,
    VmControl, Width, components, tag,
};

struct Given {
    vcpus: usize,
    lists: usize,
}

fn none<T>() -> Result<T, BuildError> {
    Err(BuildError::new("not given", "do not ask"))
}

impl Grants for Given {
    fn line(&mut self, _: usize) -> Result<Line, BuildError> {
        none()
    }
    fn console(&mut self) -> Result<ConsolePort, BuildError> {
        none()
    }
    fn deadline(&mut self) -> Result<Deadline, BuildError> {
        none()
    }
    fn vm(&mut self) -> Result<VmControl, BuildError> {
        none()
    }
    fn vcpus(&mut self) -> Result<&'static dyn VcpuControl, BuildError> {
        Ok(Box::leak(Box::<Vcpus>::default()))
    }
    fn vcpu_count(&self) -> usize {
        self.vcpus
    }
    fn clock(&self) -> &'static dyn Clock {
        unreachable!("a GIC has no use for it")
    }
    fn virtual_interface(&mut self, window: usize) -> Result<VirtualInterface, BuildError> {
        assert_eq!(window, 1);
        Ok(interface(self.lists))
    }
    fn system_interface(&mut self) -> Result<SystemInterface, BuildError> {
        Ok(system::interface(self.lists))
    }
    fn entropy(&self) -> Option<&'static dyn Entropy> {
        None
    }
    fn hardware_line(&mut self, _: usize, _: u32) -> Result<(), BuildError> {
        none()
    }
    fn host_serial(&mut self) -> Result<Box<dyn HostSerial>, BuildError> {
        none()
    }
    fn host_register(&self, _: Register) -> Option<u64> {
        None
    }
}

const NAMES: [&str; 2] = ["arm,gic-400", "arm,gic-v3"];

fn declaration(compatible: &str) -> &'static Declaration {
    components().unwrap().iter().find(|d| d.compatible.contains(&compatible)).unwrap()
}

fn build(compatible: &str, vcpus: usize, lists: usize) -> Result<Parts, BuildError> {
    let needs = declaration(compatible).needs.windows;
    let reg: Vec<_> = needs.iter().map(|need| (0x0800_0000, need.size_for(vcpus))).collect();
    let node = Node::new("/vm/gic", &[], &reg);
    (declaration(compatible).build)(&node, &mut Given { vcpus, lists })
}

#[test]
fn found_built_and_used_through_its_ports() {
    for (compatible, expected) in NAMES.into_iter().zip([7 | 3 << 5, 0x0748_0007]) {
        assert_eq!(declaration(compatible).name, "vgic");
        let parts = build(compatible, 4, 4).unwrap();
        let cx = &mut Context::new(3);
        assert_eq!(parts.notify.unwrap().notify(tag::REFRESH, 0, cx), Reply::DONE);
        let typer = parts.mmio.unwrap().read(4, Width::Word, cx);
        assert_eq!(typer, Reply::value(expected));
        // A vCPU that the VM does not have.
        let cx = &mut Context::new(4);
        assert_eq!(parts.mmio.unwrap().read(0, Width::Word, cx), Reply::ABSENT);
        assert_eq!(parts.notify.unwrap().notify(27, 3 | 27 << 16, cx), Reply::ABSENT);
    }
}

#[test]
fn refused_when_it_cannot_be() {
    for compatible in NAMES {
        assert!(build(compatible, 0, 4).is_err());
        assert!(build(compatible, 9, 4).is_err());
        assert!(build(compatible, 1, 1).is_err());
    }
    assert!(build("arm,gic-v3", 1, 0).is_err());
}

#[test]
fn windows_are_as_the_bindings_say() {
    let sizes = |compatible, vcpus| {
        let needs = declaration(compatible).needs.windows.iter();
        needs.map(|need| need.size_for(vcpus)).collect::<Vec<_>>()
    };
    assert_eq!(sizes("evisor,gic-v2", 4), [0x1000, 0x2000]);
    assert_eq!(sizes("evisor,gic-v3", 1), [0x1_0000, 0x2_0000]);
    assert_eq!(sizes("evisor,gic-v3", 4), [0x1_0000, 0x8_0000]);
}

#[derive(Default)]
struct Tree(BTreeMap<String, Vec<u8>>);

impl GuestNode for Tree {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.insert(name.to_string(), value.to_vec());
    }
    fn fixed_clock(&mut self, _: u32) -> u32 {
        0
    }
}

#[test]
fn described_as_the_binding_says() {
    let expected: [&[u8]; 2] = [b"arm,gic-400\0arm,cortex-a15-gic\0", b"arm,gic-v3\0"];
    for (compatible, expected) in NAMES.into_iter().zip(expected) {
        let mut tree = Tree::default();
        let node = Node::new("/vm/gic", &[], &[]);
        (declaration(compatible).describe)(&node, &mut tree).unwrap();
        assert_eq!(tree.0["compatible"], expected);
        assert_eq!(tree.0["#interrupt-cells"], [0, 0, 0, 3]);
        assert_eq!(tree.0["#address-cells"], [0, 0, 0, 0]);
        assert!(tree.0["interrupt-controller"].is_empty());
    }
}
