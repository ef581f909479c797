//! Puts `guest.ld` on the linker's search path of every crate that depends on
//! this one; each guest's own build script then says `-Tguest.ld`.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=guest.ld");
    if let Ok(folder) = env::var("CARGO_MANIFEST_DIR") {
        println!("cargo:rustc-link-search={folder}");
    }
}
