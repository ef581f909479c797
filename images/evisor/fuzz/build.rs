//! Compiles the manifest that mutants are made of, with dtc (Debian's
//! device-tree-compiler).

use std::path::Path;
use std::process::Command;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let manifests = root.join("manifests");
    let tree = Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("manifest.dtb");
    println!("cargo:rerun-if-changed={}", manifests.display());
    let dtc = Command::new("dtc")
        .args(["-q", "-I", "dts", "-O", "dtb", "-o"])
        .arg(tree)
        .arg("linux.dts")
        .current_dir(manifests)
        .status();
    assert!(dtc.expect("dtc runs").success(), "dtc has said why");
}
