//! Links the program where `bare.ld` says.

fn main() {
    println!("cargo:rerun-if-changed=bare.ld");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-arg-bins=-T{folder}/bare.ld");
    }
}
