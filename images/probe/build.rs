//! Links the guest as `evisor-guest` lays it out.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-arg-bins=-Tguest.ld");
    }
}
