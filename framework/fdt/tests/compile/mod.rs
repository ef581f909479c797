//! Device-tree sources of this folder, compiled.

use std::path::Path;
use std::process::Command;

/// Compiles `tests/trees/<name>.dts`.
pub fn compile(name: &str) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/trees/{name}.dts"));
    let output = Command::new("dtc").args(["-q", "-I", "dts", "-O", "dtb"]).arg(source).output();
    let output = output.expect("dtc (package device-tree-compiler) is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
