//! A device of the board, from a plan to routes.

use super::Fake;
use crate::bind;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use evisor_contract::{
    Context, Declaration, HostWindow, LineState, Mmio, Needs, Object, Parts, Reply, Rights, Status,
    Width, Words,
};
use evisor_manifest::{
    Deployment, HostDevicePlan, HostInterrupt, HostWindowPlan, ImagePlan, LinePlan, LivesPlan,
    ManifestError, ObjectPlan, Outcome, VmPlan, WindowPlan,
};
use spin::Mutex;

/// What the interrupt controllers were told: tag and value.
static TOLD: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());

controller!(|tag, value| {
    TOLD.lock().push((tag, value));
    Reply::HELD
});

struct Device;

impl Object for Device {
    fn reset(&mut self) {}
}

impl Mmio for Device {
    fn read(&mut self, offset: u64, _: Width, _: &mut Context) -> Reply {
        Reply::value(offset)
    }
    fn write(&mut self, _: u64, _: Width, _: u64, _: &mut Context) -> Reply {
        Reply::DONE
    }
}

static DEVICE: Declaration = Declaration {
    name: "device",
    compatible: &["example,device"],
    needs: Needs { host_device: true, ..Needs::NONE },
    properties: &[],
    build: |node, grants| {
        for index in (0..).take_while(|index| node.window(*index).is_some()) {
            let direct = matches!(grants.host_window(index)?, HostWindow::Direct(_));
            assert_eq!(direct, index == 0, "as the plan says");
        }
        grants.host_line(0)?;
        Ok(Parts::new(Device).mmio().done())
    },
    describe: |_, _| Ok(()),
};

pub fn object(name: &str, declaration: &'static Declaration) -> ObjectPlan {
    ObjectPlan {
        path: alloc::format!("/vm/{name}"),
        name: name.to_string(),
        declaration,
        rights: Rights::all(),
        windows: Vec::new(),
        lines: Vec::new(),
        console: None,
        overseen: Vec::new(),
        host: None,
        image: None,
        storage: None,
        channel: None,
        block: None,
        properties: Vec::new(),
    }
}

/// A page that is the guest's, and registers that share theirs.
fn device(physical: u64, intid: u32) -> ObjectPlan {
    let access = Rights::READ | Rights::WRITE;
    ObjectPlan {
        windows: Vec::from([
            WindowPlan { ipa: 0x1000, size: 0x1000, access },
            WindowPlan { ipa: 0x3010, size: 0x20, access },
        ]),
        lines: Vec::from([LinePlan { controller: 0, intid: 40, level: false, shared: false }]),
        host: Some(HostDevicePlan {
            path: String::from("/device"),
            known: true,
            windows: Vec::from([
                HostWindowPlan { physical, direct: true },
                HostWindowPlan { physical: physical + 0x2010, direct: false },
            ]),
            interrupts: Vec::from([HostInterrupt { intid, level: false }]),
        }),
        ..object("device", &DEVICE)
    }
}

/// A VM with these objects and nothing else.
pub fn vm(name: &str, objects: Vec<ObjectPlan>) -> VmPlan {
    VmPlan {
        name: name.to_string(),
        path: alloc::format!("/{name}"),
        cpus: Vec::new(),
        memory: Vec::new(),
        image: ImagePlan { file: String::new(), packed: false, parts: Vec::new(), entry_ipa: 0 },
        initrd: None,
        files: Vec::new(),
        device_tree: None,
        bootargs: String::new(),
        lives: LivesPlan {
            on_crash: Outcome::Stop,
            on_reset: Outcome::Stop,
            refusal_is_fatal: false,
            restart_limit: None,
        },
        objects,
        capabilities: None,
        checkpoint: None,
    }
}

/// VMs, and nothing that serves all of them.
pub fn deployment(vms: Vec<VmPlan>) -> Deployment {
    Deployment { version: 1, root_objects: Vec::new(), vms, schedulers: Vec::new() }
}

fn bound(devices: Vec<ObjectPlan>) -> Result<crate::Bound, Box<ManifestError>> {
    bound_with(object("controller", &CONTROLLER), devices)
}

pub fn bound_with(
    controller: ObjectPlan,
    devices: Vec<ObjectPlan>,
) -> Result<crate::Bound, Box<ManifestError>> {
    let vm = vm("vm", [controller].into_iter().chain(devices).collect());
    bind(&deployment(Vec::from([vm])), Fake::new())
}

#[test]
fn windows_and_interrupts_are_linked() {
    let bound = bound(Vec::from([device(0xfe40_0000, 72)])).expect("sound");
    let passed = &bound.vms[0].passed;
    let [window] = passed.windows.as_slice() else { panic!("one page is the guest's") };
    assert_eq!((window.ipa, window.physical, window.size), (0x1000, 0xfe40_0000, 0x1000));
    assert_eq!(window.path, "/vm/device");
    assert_eq!(passed.objects.len(), 1);
    assert_eq!(passed.interrupts.len(), 1);
    assert_eq!((passed.interrupts[0].intid, passed.interrupts[0].edge), (72, true));
    let ranges: Vec<_> = bound.vms[0].space.mmio.granted().map(|route| route.names()).collect();
    assert_eq!(ranges, [(0x3010, 0x302f)], "only what shares its page traps");
    let words: Words = bound.root.interrupts.notify_shared(72, &mut Context::new(0));
    assert_eq!(words.status(), Status::Held, "it stays active until the guest is done");
    assert_eq!(*TOLD.lock(), [(40, LineState::Physical(72).encode())]);
}

#[test]
fn an_interrupt_without_the_right_stays_off() {
    let rights = Rights::READ | Rights::WRITE;
    let bound = bound(Vec::from([ObjectPlan { rights, ..device(0, 72) }])).expect("sound");
    assert!(bound.vms[0].passed.interrupts.is_empty());
    let words: Words = bound.root.interrupts.notify_shared(72, &mut Context::new(0));
    assert_eq!(words.status(), Status::Absent);
}

#[test]
fn an_interrupt_has_one_owner() {
    let other = ObjectPlan { windows: Vec::new(), ..device(0x9000, 72) };
    let error = bound(Vec::from([device(0, 72), other])).map(|_| ()).unwrap_err();
    assert_eq!(error.property.as_deref(), Some("interrupts"));
    assert!(error.message.contains("interrupt 72"), "{error}");
}

#[test]
fn what_evisor_drives_is_not_given() {
    let error = bound(Vec::from([device(super::DRIVEN, 72)])).map(|_| ()).unwrap_err();
    assert!(error.message.contains("/device cannot be given"), "{error}");
}
