//! Links the floor at its own place in RAM.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=floor.ld");
    let bare = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    if let (true, Ok(folder)) = (bare, env::var("CARGO_MANIFEST_DIR")) {
        println!("cargo:rustc-link-arg-bins=-T{folder}/floor.ld");
    }
}
