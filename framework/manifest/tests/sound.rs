//! Sound manifests: what they come to, and what their guests read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use evisor_contract::Rights;
use evisor_fdt::{Aligned, Tree};
use evisor_manifest::{
    CheckpointPlan, Deployment, GivenBlocks, HostDevicePlan, HostDevices, HostInterrupt,
    HostWindowPlan, LivesPlan, ManifestError, Outcome, Surroundings, Target, guest_tree, read,
};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use support::{DEVICES, around, board, board_with_gicv3, compile_strictly, tests, text_of};

fn compiled(source: &Path) -> Aligned {
    compile_strictly(source).unwrap_or_else(|error| panic!("{source:?}: {error}"))
}

fn deployment(bytes: &Aligned) -> Deployment {
    let tree = Tree::new(bytes.bytes()).unwrap();
    read(&tree, &around(&board())).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn everything() -> Aligned {
    compiled(&tests().join("sound/everything.dts"))
}

fn deployments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests")
}

/// A deployment as text, without what the manifest says in the same words.
fn summary(deployment: &Deployment) -> String {
    let mut text = String::new();
    for object in &deployment.root_objects {
        writeln!(text, "root {} by {}", object.path, object.declaration.name).unwrap();
    }
    for vm in &deployment.vms {
        writeln!(text, "vm {} {:?}", vm.name, vm.lives).unwrap();
        writeln!(text, "  {:x?}\n  {:x?}", vm.image, vm.initrd).unwrap();
        writeln!(text, "  {:x?}, bootargs {:?}", vm.device_tree, vm.bootargs).unwrap();
        for cpu in &vm.cpus {
            writeln!(text, "  cpu {:#x}", cpu.affinity).unwrap();
        }
        for memory in &vm.memory {
            let (ipa, size, writable) = (memory.ipa, memory.size, memory.writable);
            writeln!(text, "  memory {ipa:#x} + {size:#x} writable {writable}").unwrap();
        }
        for (index, object) in vm.objects.iter().enumerate() {
            let (name, rights) = (object.declaration.name, object.rights.bits());
            write!(text, "  {index}: {} by {name}, rights {rights:03x}", object.path).unwrap();
            object.console.inspect(|index| write!(text, ", console {index}").unwrap());
            for window in &object.windows {
                let (ipa, size, access) = (window.ipa, window.size, window.access.bits());
                write!(text, ", window {ipa:#x} + {size:#x} access {access:02x}").unwrap();
            }
            for line in &object.lines {
                write!(text, ", line {} of {}", line.intid, line.controller).unwrap();
                write!(text, " {}", if line.level { "level" } else { "edge" }).unwrap();
                text += if line.shared { " shared" } else { "" };
            }
            text.push('\n');
        }
    }
    text
}

/// The kernel puts a gate in front; the guest sees what it is told.
#[test]
fn devices_may_share_a_line_by_level() {
    let bytes = compiled(&tests().join("sound/shared.dts"));
    let vm = &deployment(&bytes).vms[0];
    let lines = vm.objects.iter().flat_map(|object| &object.lines);
    let lines: Vec<_> = lines.map(|line| (line.intid, line.shared)).collect();
    assert_eq!(lines, [(33, true), (34, false), (33, true), (33, true), (35, false), (52, false)]);
    assert!(vm.objects.iter().all(|object| object.block.is_none()));
    let guest = guest_tree(&Tree::new(bytes.bytes()).unwrap(), vm, None).unwrap();
    insta::assert_snapshot!("guest-shared", text_of(&guest, "shared"));
}

#[test]
fn files_on_the_card_are_found_and_a_vm_without_one_is_left_out() {
    let bytes = compiled(&tests().join("sound/card.dts"));
    let tree = Tree::new(bytes.bytes()).unwrap();
    let files = evisor_manifest::card_files(&tree);
    let found: Vec<_> = files
        .iter()
        .map(|file| (file.name, file.node.path(), file.property, file.vm.map(|vm| vm.path())))
        .collect();
    let vm = Some("/vm".to_string());
    assert_eq!(
        found,
        [
            ("card:KERNEL.IMG", "/vm".to_string(), "evisor,image", vm.clone()),
            ("card:ETC/MORE", "/vm/memory@40000000".to_string(), "evisor,file", vm),
            ("card:DISK.IMG", "/disk".to_string(), "evisor,image", None),
        ]
    );
    let board = board();
    let lost = ["/vm".to_string()];
    let around = evisor_manifest::Surroundings { lost: &lost, ..around(&board) };
    let errors = read(&tree, &around).unwrap_err();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "/disk: evisor,image: \"card:DISK.IMG\" is not in the bundle; correct the name, or put the file there"
        ],
        "the VM that is lost is not looked at, the other is"
    );
}

#[test]
fn everything_comes_to_this_deployment() {
    insta::assert_snapshot!(summary(&deployment(&everything())));
}

#[test]
fn everything_gives_these_guest_trees() {
    let bytes = everything();
    let deployment = deployment(&bytes);
    let tree = Tree::new(bytes.bytes()).unwrap();
    for vm in &deployment.vms {
        let guest = guest_tree(&tree, vm, Some(&[1, 2, 3, 4])).unwrap();
        insta::assert_snapshot!(format!("guest-{}", vm.name), text_of(&guest, &vm.name));
    }
}

#[test]
fn the_repository_s_deployments_are_sound() {
    for name in ["linux", "serial", "test-app", "bench", "u-boot"] {
        let bytes = compiled(&deployments().join(format!("{name}.dts")));
        let tree = Tree::new(bytes.bytes()).unwrap();
        let deployment = deployment(&bytes);
        let guest = guest_tree(&tree, &deployment.vms[0], None).unwrap();
        Tree::new(Aligned::copy(&guest).bytes()).unwrap();
    }
}

#[test]
fn the_linux_guest_reads_this_tree() {
    let bytes = compiled(&deployments().join("linux.dts"));
    let tree = Tree::new(bytes.bytes()).unwrap();
    let guest = guest_tree(&tree, &deployment(&bytes).vms[0], None).unwrap();
    insta::assert_snapshot!(text_of(&guest, "deployed-linux"));
}

/// Windows and the guest's `reg` of the GIC that machine.dtsi becomes.
#[test]
fn one_node_becomes_what_the_board_gives() {
    let gicv2 = [(0x0800_0000, 0x1000), (0x0801_0000, 0x2000)];
    let gicv3 = [(0x0800_0000, 0x1_0000), (0x080a_0000, 0x2_0000)];
    for (board, windows) in [(board(), gicv2), (board_with_gicv3(), gicv3)] {
        let bytes = compiled(&deployments().join("linux.dts"));
        let tree = Tree::new(bytes.bytes()).unwrap();
        let deployment = read(&tree, &around(&board)).unwrap();
        let vm = &deployment.vms[0];
        let plan: Vec<_> = vm.objects[0].windows.iter().map(|w| (w.ipa, w.size)).collect();
        assert_eq!(plan, windows);
        let guest = Aligned::copy(&guest_tree(&tree, vm, None).unwrap());
        let guest = Tree::new(guest.bytes()).unwrap();
        let node = guest.find("/interrupt-controller@8000000").unwrap();
        let reg: Vec<_> = node.reg().unwrap().iter().map(|r| (r.address, r.size)).collect();
        assert_eq!(reg, windows);
    }
}

#[test]
fn a_fragment_can_be_included_twice() {
    let bytes = compiled(&tests().join("sound/twice.dts"));
    let deployment = deployment(&bytes);
    let names: Vec<_> = deployment.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["left", "right"]);
    assert!(deployment.vms.iter().all(|vm| vm.objects.iter().all(|o| o.console != Some(1))));
}

#[test]
fn defaults_are_these() {
    let deployment = deployment(&compiled(&deployments().join("linux.dts")));
    let vm = &deployment.vms[0];
    let lives = LivesPlan {
        on_crash: Outcome::Stop,
        on_reset: Outcome::Restart,
        refusal_is_fatal: false,
        restart_limit: None,
    };
    assert_eq!(vm.lives, lives);
    let rights = Rights::all().difference(Rights::GRANT);
    assert!(vm.objects.iter().all(|object| object.rights == rights));
}

#[test]
fn a_checkpoint_takes_as_much_as_can_be_written() {
    let deployment = deployment(&compiled(&tests().join("sound/kept.dts")));
    let vm = &deployment.vms[0];
    let written: u64 = vm.memory.iter().filter(|m| m.writable).map(|m| m.size).sum();
    assert!(vm.memory.iter().any(|region| !region.writable));
    let reserve = written + evisor_manifest::STATE;
    assert_eq!(vm.checkpoint, Some(CheckpointPlan { reserve, time_goes_on: false }));
}

#[test]
fn components_refuse_their_nodes_by_name() {
    let source = std::fs::read_to_string(tests().join("sound/everything.dts")).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused.dts");
    std::fs::write(&file, source.replace("evisor,epoch = <0>", "evisor,epoch = \"long ago\""))
        .unwrap();
    let bytes = compiled(&file);
    let tree = Tree::new(bytes.bytes()).unwrap();
    let error = guest_tree(&tree, &deployment(&bytes).vms[0], None).unwrap_err();
    let ManifestError { node, property, .. } = &*error;
    assert_eq!(node, "/main/soc@7e000000/rtc@7e202000");
    assert_eq!(property.as_deref(), Some("evisor,epoch"));
    let text = "evisor,epoch: is not one cell; write it as <number>";
    assert_eq!(error.to_string(), format!("{node}: {text}"));
}

/// What each object of `tests/sound/devices.dts` stands for, without its name.
fn hosts(devices: Option<&dyn HostDevices>) -> Vec<HostDevicePlan> {
    let bytes = compiled(&tests().join("sound/devices.dts"));
    let tree = Tree::new(bytes.bytes()).unwrap();
    let board = board();
    let around = Surroundings { devices, ..around(&board) };
    let deployment = read(&tree, &around).unwrap_or_else(|errors| panic!("{errors:#?}"));
    deployment.vms[0].objects.iter().filter_map(|object| object.host.clone()).collect()
}

#[test]
fn devices_are_found_on_the_board() {
    let window = |physical, direct| HostWindowPlan { physical, direct };
    let interrupt = |intid, level| HostInterrupt { intid, level };
    let plan = |path: &str, windows, interrupts| HostDevicePlan {
        path: path.into(),
        known: true,
        windows,
        interrupts,
    };
    assert_eq!(
        hosts(Some(&*DEVICES)),
        [
            plan("/gpio@9030000", vec![window(0x0903_0000, true)], vec![interrupt(39, true)]),
            plan(
                "/soc/serial@7e201000",
                vec![window(0xfe20_1000, false)],
                vec![interrupt(153, true)]
            ),
            plan(
                "/soc/dual@7e400000",
                vec![window(0xfe40_0000, true), window(0xfe40_2010, true)],
                vec![interrupt(72, true), interrupt(73, false)]
            ),
        ]
    );
}

/// On a workstation: what the manifest says by itself is checked, and nothing is
/// known of the board.
#[test]
fn devices_of_a_board_that_is_not_at_hand() {
    let hosts = hosts(None);
    assert_eq!(hosts.len(), 3);
    assert!(hosts.iter().all(|host| !host.known && host.interrupts.is_empty()));
    assert_eq!(hosts[1].path, "serial0");
    assert_eq!(hosts[2].windows.len(), 2);
}

/// The clock's rate is the board's where the manifest says none.
#[test]
fn devices_are_described() {
    let bytes = compiled(&tests().join("sound/devices.dts"));
    let deployment = deployment(&bytes);
    let tree = Tree::new(bytes.bytes()).unwrap();
    let guest = guest_tree(&tree, &deployment.vms[0], None).unwrap();
    let text = text_of(&guest, "devices");
    let gpio = text.split("gpio@9030000 {").nth(1).unwrap().split("};").next().unwrap();
    assert!(!text.contains("evisor,"), "{text}");
    assert!(gpio.contains("clocks = <") && gpio.contains("gpio-controller;"), "{gpio}");
    assert!(text.contains("clock-frequency = <0x16e3600>;"), "{text}");
    assert!(text.contains("clock-frequency = <0xf4240>;"), "{text}");
}

/// Two that are not withheld are refused: `broken/device-given-in-turn-to-two.dts`.
#[test]
fn two_have_one_device_in_turn() {
    let deployment = deployment(&compiled(&tests().join("sound/taken.dts")));
    let hosts = deployment.vms.iter().flat_map(|vm| &vm.objects).filter_map(|o| o.host.as_ref());
    let hosts: Vec<_> = hosts.map(|host| (host.path.as_str(), host.interrupts.len())).collect();
    assert_eq!(hosts, [("/gpio@9030000", 1), ("/gpio@9030000", 1)]);
    let given = &deployment.vms[0].capabilities.as_ref().unwrap().given;
    let withheld: Vec<_> = given.iter().map(|given| given.withheld).collect();
    assert_eq!(withheld, [false, true]);
}

#[test]
fn handles_lead_to_vms_and_to_what_serves_them() {
    let bytes = compiled(&tests().join("sound/handles.dts"));
    let deployment = deployment(&bytes);
    let vm = &deployment.vms[0];
    let plan = vm.capabilities.as_ref().unwrap();
    assert_eq!((plan.path.as_str(), plan.derivations), ("/vm/capabilities", 5));
    let [itself, words] = plan.given.as_slice() else { panic!("{:?}", plan.given) };
    assert_eq!((itself.target, itself.label), (Target::Vm(0), 0x77));
    assert_eq!(itself.rights, Rights::CONTROL | Rights::GRANT);
    assert!(matches!(words.target, Target::Root(_)));
    assert_eq!((words.rights, words.label), (Rights::all() - Rights::GRANT, 2));
    // The guest asks eVisor, and not its tree.
    let tree = Tree::new(bytes.bytes()).unwrap();
    let guest = guest_tree(&tree, vm, None).unwrap();
    let guest = Aligned::copy(&guest);
    assert!(Tree::new(guest.bytes()).unwrap().find("/capabilities").is_none());
}

#[test]
fn handles_lead_to_blocks() {
    let bytes = compiled(&tests().join("sound/blocks.dts"));
    let deployment = deployment(&bytes);
    let plan = deployment.vms[0].capabilities.as_ref().unwrap();
    let blocks: Vec<_> = plan.given.iter().map(|given| given.blocks.unwrap()).collect();
    let window = |first, count| GivenBlocks { part: 0, first, count: Some(count) };
    assert_eq!(blocks, [window(0, 100), window(100, 1948), window(200, 10)]);
    assert_eq!(plan.given[2].rights, Rights::READ | Rights::GRANT);
}
