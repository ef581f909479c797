//! Links the program where `kernel8.ld` says.

fn main() {
    println!("cargo:rerun-if-changed=kernel8.ld");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-arg-bins=-T{folder}/kernel8.ld");
    }
}
