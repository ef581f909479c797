//! Where vCPUs are put, and which cores get which scheduler.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use evisor_contract::Share;
use evisor_fdt::Tree;
use evisor_manifest::{BoardFacts, Deployment, guest_tree, read};
use std::path::Path;
use support::{around, board, compile_strictly, tests, text_of};

/// A VM of `cpus` vCPUs with these words, and these in the node of vCPU n.
fn vm(name: &str, words: &str, cpus: &[&str]) -> String {
    let cpu = |(n, words): (usize, &&str)| {
        format!("cpu@{n} {{ compatible = \"arm,armv8\"; reg = <{n}>; {words} }};")
    };
    let cpus: String = cpus.iter().enumerate().map(cpu).collect();
    format!(
        "{name} {{ compatible = \"evisor,vm\"; #address-cells = <2>; #size-cells = <2>;
        evisor,image = \"guest\"; {words}
        cpus {{ #address-cells = <1>; #size-cells = <0>; {cpus} }};
        memory@40000000 {{ device_type = \"memory\"; reg = <0 0x40000000 0 0x1000000>; }}; }};"
    )
}

fn with<R>(name: &str, nodes: &[String], look: impl FnOnce(&Tree<'_>, Deployment) -> R) -> R {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cores-{name}.dts"));
    let source = format!("/dts-v1/; / {{ evisor,version = <1>; {} }};", nodes.join("\n"));
    std::fs::write(&file, source).unwrap();
    let bytes = compile_strictly(&file).unwrap();
    let tree = Tree::new(bytes.bytes()).unwrap();
    let board = BoardFacts { cores: 4, ..board() };
    let deployment = read(&tree, &around(&board)).unwrap_or_else(|errors| panic!("{errors:#?}"));
    look(&tree, deployment)
}

/// The cores of each VM's vCPUs.
fn cores(name: &str, nodes: &[String]) -> Vec<Vec<usize>> {
    let of = |deployment: Deployment| {
        let vms = deployment.vms.iter();
        vms.map(|vm| vm.cpus.iter().map(|cpu| cpu.core).collect()).collect()
    };
    with(name, nodes, |_, deployment| of(deployment))
}

fn scheduler(name: &str, kind: &str, cores: &str) -> String {
    format!("{name} {{ compatible = \"evisor,{kind}\"; evisor,cores = {cores}; }};")
}

const TWO: &[&str] = &["", ""];

#[test]
fn without_a_word_each_has_the_next_core() {
    let nodes = [vm("a", "", TWO), vm("b", "", TWO)];
    assert_eq!(cores("plain", &nodes), [[0, 1], [2, 3]]);
}

#[test]
fn those_who_say_nothing_get_the_cores_that_nobody_names() {
    let nodes = [
        vm("a", "", &[""]),
        vm("b", "evisor,cores = <0>;", &[""]),
        vm("c", "", &[""]),
        vm("d", "", &["evisor,cores = <2>;"]),
    ];
    assert_eq!(cores("named", &nodes), [[1], [0], [3], [2]]);
}

#[test]
fn the_vcpus_of_a_vm_are_spread() {
    let nodes = [
        scheduler("s", "fixed-priority", "<0 1>"),
        vm("rt", "evisor,cores = <0>; evisor,budget = <200>; evisor,period = <1000>;", &[""]),
        vm("linux", "evisor,cores = <0 1>;", TWO),
    ];
    assert_eq!(cores("spread", &nodes), [vec![0], vec![1, 0]]);
}

/// The second, which has no choice, is put first.
#[test]
fn who_can_choose_makes_room() {
    let nodes = [vm("a", "evisor,cores = <0 1>;", &[""]), vm("b", "evisor,cores = <0>;", &[""])];
    assert_eq!(cores("room", &nodes), [[1], [0]]);
}

#[test]
fn less_promised_time_counts_before_fewer_vcpus() {
    let budget = "evisor,cores = <0>; evisor,budget = <6>; evisor,period = <10>;";
    let nodes = [
        scheduler("s", "fixed-priority", "<0 1>"),
        vm("a", budget, &[""]),
        vm("b", "evisor,cores = <1>;", TWO),
        vm("c", "evisor,cores = <0 1>;", &[""]),
    ];
    assert_eq!(cores("promised", &nodes), [vec![0], vec![1, 1], vec![1]]);
}

/// A VM can have more vCPUs than the board has cores.
#[test]
fn many_share_few() {
    let six = [""; 6];
    let nodes = [scheduler("s", "round-robin", "<2 3>"), vm("a", "evisor,cores = <3 2>;", &six)];
    assert_eq!(cores("many", &nodes), [[2, 3, 2, 3, 2, 3]]);
}

#[test]
fn a_cpu_s_word_stands_before_its_vm_s() {
    let words = "evisor,cores = <0>; evisor,priority = <7>; evisor,budget = <1>;
        evisor,period = <10>;";
    let nodes = [
        scheduler("s", "fixed-priority", "<0 2>"),
        vm("a", words, &["", "evisor,cores = <2>; evisor,budget = <5>;"]),
    ];
    with("own", &nodes, |tree, deployment| {
        let shares: Vec<_> =
            deployment.vms[0].cpus.iter().map(|cpu| (cpu.core, cpu.share)).collect();
        let share = |budget| Share { priority: 7, budget, period: 10 };
        assert_eq!(shares, [(0, share(1)), (2, share(5))]);
        let guest = guest_tree(tree, &deployment.vms[0], None).unwrap();
        assert!(!text_of(&guest, "own").contains("evisor,"), "the guest is told nothing of it");
    });
}

#[test]
fn each_core_in_use_has_a_scheduler_of_its_own() {
    let nodes = [
        scheduler("s", "round-robin", "<3 0 1>"),
        scheduler("t", "partitioned", "<2>"),
        vm("a", "evisor,cores = <0 1 3>;", TWO),
        vm("b", "evisor,cores = <2>;", &[""]),
    ];
    with("instances", &nodes, |_, deployment| {
        let plans: Vec<_> = deployment
            .schedulers
            .iter()
            .map(|plan| (plan.core, plan.object.declaration.name, plan.object.path.as_str()))
            .collect();
        let rr = "round-robin";
        assert_eq!(plans, [(0, rr, "/s"), (1, rr, "/s"), (2, "partitioned", "/t")]);
        assert!(deployment.root_objects.is_empty());
    });
}

/// As a deployment adds them to what it includes.
#[test]
fn words_are_added_to_an_included_guest() {
    let nodes = [
        scheduler("s", "round-robin", "<0>"),
        vm("a", "", TWO),
        "}; / { a { cpus { cpu@0 { evisor,cores = <0>; }; cpu@1 { evisor,cores = <0>; }; }; };"
            .into(),
    ];
    assert_eq!(cores("added", &nodes), [[0, 0]]);
    assert!(tests().is_dir());
}
