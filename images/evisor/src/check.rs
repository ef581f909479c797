//! `evisor-check`: says what is wrong with a bundle before anything boots.
//!
//! It is the image's own reader and binder, with the components that its features
//! select, built for a workstation: what it accepts, eVisor accepts. The host
//! command calls it and turns nodes into lines of source.
//!
//! `evisor-check BUNDLE --board BOARD --gic VERSION` prints one JSON object a line:
//! of each error `node`, `property`, `message`, `remedy`; or, if all is right,
//! `features`: the components that the manifest needs, `trees`: by VM, the bytes of
//! the device tree that its guest will read, and `authority`: what each VM can reach.
//! Status 0 if it is right, 1 if not, 2 if it could not be read.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
mod authority;
#[cfg(all(test, not(target_os = "none")))]
mod metadata;
#[cfg(not(target_os = "none"))]
mod pretend;

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    match hosted::check() {
        Ok(true) => 0.into(),
        Ok(false) => 1.into(),
        Err(problem) => {
            eprintln!("evisor-check: {problem}");
            2.into()
        }
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[cfg(not(target_os = "none"))]
mod hosted {
    use crate::authority;
    use crate::pretend::PretendedHost;
    use evisor::{LEFT_OUT, link};
    use evisor_contract::components;
    use evisor_fdt::{Aligned, Tree};
    use evisor_gpio::FREE_ON_RASPBERRY_PI_4;
    use evisor_image::{Refusal, Stopped, unpack};
    use evisor_kernel::{Bundle, bind};
    use evisor_manifest::{
        BoardFacts, Deployment, GicVersion, ManifestError, Surroundings, VmPlan, guest_tree, read,
    };
    use serde_json::{Value, json};
    use std::collections::{BTreeMap, BTreeSet};
    use std::convert::Infallible;
    use std::fs;

    type Problem = Box<dyn std::error::Error>;
    type Outcome = Result<Right, Vec<ManifestError>>;

    /// A deployment with nothing wrong.
    struct Right {
        deployment: Deployment,
        /// The device trees of its VMs, by name.
        trees: BTreeMap<String, Vec<u8>>,
        /// What they can reach.
        authority: Value,
    }

    pub fn check() -> Result<bool, Problem> {
        link();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [path, "--board", board, "--gic", gic] = arguments.as_slice() else {
            return Err("usage: evisor-check BUNDLE --board BOARD --gic VERSION".into());
        };
        let board = board_facts(board, gic);
        let known = "board and GIC are not one of: qemu-virt 2, qemu-virt 3, raspi4 2";
        let board = board.ok_or(known)?;
        let archive = fs::read(path)?;
        let bundle = Bundle::read(&archive).map_err(|error| error.to_string())?;
        Ok(report(examine(&bundle, &board)?))
    }

    /// What `evisor run` gives QEMU, less what eVisor and a bundle take up.
    fn board_facts(name: &str, gic: &str) -> Option<BoardFacts> {
        let virt = || vec![(0x4020_0000, 0x3400_0000)];
        let (memory, gic) = match (name, gic) {
            ("qemu-virt", "2") => (virt(), GicVersion::V2),
            ("qemu-virt", "3") => (virt(), GicVersion::V3),
            // Around the bundle, which QEMU puts at 128 MiB; up to the VideoCore's.
            ("raspi4", "2") => {
                let (below, above) = ((0x60_0000, 0x7a0_0000), (0xc00_0000, 0x3000_0000));
                (vec![below, above], GicVersion::V2)
            }
            _ => return None,
        };
        Some(BoardFacts { name: name.to_string(), gic: Some(gic), memory, cores: 4 })
    }

    fn examine(bundle: &Bundle<'_>, board: &BoardFacts) -> Result<Outcome, Problem> {
        let registry = components().map_err(|duplicate| duplicate.to_string())?;
        let aligned = Aligned::copy(bundle.manifest());
        let tree = Tree::new(aligned.bytes()).map_err(|error| format!("the manifest: {error}"))?;
        let around = Surroundings {
            registry,
            left_out: LEFT_OUT,
            board,
            devices: None,
            files: bundle,
            lost: &[],
        };
        Ok(read(&tree, &around).and_then(|deployment| build(&tree, bundle, deployment, board)))
    }

    /// Builds everything, as eVisor does when it starts.
    fn build(
        tree: &Tree<'_>,
        bundle: &Bundle<'_>,
        deployment: Deployment,
        board: &BoardFacts,
    ) -> Outcome {
        let mut trees = BTreeMap::new();
        for vm in &deployment.vms {
            let tree = guest_tree(tree, vm, None).map_err(|error| vec![*error])?;
            trees.insert(vm.name.clone(), tree);
            check_packed(bundle, vm).map_err(|error| vec![*error])?;
        }
        let pins = (board.name == "raspi4").then_some(FREE_ON_RASPBERRY_PI_4);
        let bound = bind(&deployment, PretendedHost::new(board.gic, pins));
        let authority = authority::report(&deployment, &bound.map_err(|error| vec![*error])?);
        Ok(Right { deployment, trees, authority })
    }

    /// Unpacks a compressed image: the reader looked at its beginning.
    fn check_packed(bundle: &Bundle<'_>, vm: &VmPlan) -> Result<(), Box<ManifestError>> {
        let name = &vm.image.file;
        let file = bundle.file(name).filter(|_| vm.image.packed);
        let taken = file.map(|file| unpack(file, |_, _| Ok::<_, Infallible>(())));
        let Some(Err(Stopped::Refused(Refusal { problem, remedy }))) = taken else {
            return Ok(());
        };
        Err(Box::new(ManifestError {
            node: vm.path.clone(),
            property: Some("evisor,image".to_string()),
            message: format!("\"{name}\" {problem}"),
            remedy: remedy.to_string(),
        }))
    }

    fn report(outcome: Outcome) -> bool {
        match &outcome {
            Ok(Right { deployment, trees, authority }) => {
                let vms = deployment.vms.iter().flat_map(|vm| &vm.objects);
                let schedulers = deployment.schedulers.iter().map(|plan| &plan.object);
                let objects = deployment.root_objects.iter().chain(vms).chain(schedulers);
                let features: BTreeSet<&str> = objects.map(|o| o.declaration.name).collect();
                println!(
                    "{}",
                    json!({ "features": features, "trees": trees, "authority": authority })
                );
            }
            Err(errors) => {
                for error in errors {
                    let ManifestError { node, property, message, remedy } = error;
                    println!(
                        "{}",
                        json!({ "node": node, "property": property, "message": message, "remedy": remedy })
                    );
                }
            }
        }
        outcome.is_ok()
    }
}
