//! Writes what the image has to say of its components: the `use x as _` lines
//! that linkme needs, and what was left out; and links by `evisor.ld`.
//!
//! The list is the optional dependencies of Cargo.toml. What a component answers
//! to is read from its own Cargo.toml (`[package.metadata.evisor]`), so that one
//! that was left out can still be named.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

type Failure = Box<dyn std::error::Error>;

/// An optional dependency.
struct Optional {
    name: String,
    compatible: Vec<String>,
    /// Only on the bare target: a board.
    bare: bool,
}

fn main() -> Result<(), Failure> {
    let folder = env::var("CARGO_MANIFEST_DIR")?;
    let bare = env::var("CARGO_CFG_TARGET_OS")? == "none";
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-changed=evisor.ld");
    if bare {
        println!("cargo:rustc-link-arg-bin=evisor=-T{folder}/evisor.ld");
        println!("cargo:rustc-link-arg-bin=evisor=-zmax-page-size=4096");
        // Cortex-A53 before r0p5: an ADRP at the end of a page (erratum 843419).
        println!("cargo:rustc-link-arg-bin=evisor=--fix-cortex-a53-843419");
        // Functions that came out the same are one: none is told from another by
        // its address.
        println!("cargo:rustc-link-arg-bin=evisor=--icf=all");
    }
    let optional = optional(Path::new(&folder))?;
    let mut text = registry(&optional, bare)?;
    let heap = heap(&fs::read_to_string(format!("{folder}/evisor.ld"))?)?;
    writeln!(text, "/// How many bytes EL2's heap has.\npub const HEAP: usize = {heap} << 10;")?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("registry.rs"), text)?;
    Ok(())
}

fn optional(folder: &Path) -> Result<Vec<Optional>, Failure> {
    let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))?.parse()?;
    let mut found = Vec::new();
    let dependencies =
        |table: &toml::Table| table.get("dependencies").and_then(|d| d.as_table()).cloned();
    let everywhere = dependencies(&manifest).unwrap_or_default();
    let targets = manifest.get("target").and_then(|t| t.as_table()).cloned().unwrap_or_default();
    let bare = targets.values().filter_map(|t| t.as_table()).filter_map(dependencies).flatten();
    let all = everywhere.into_iter().map(|d| (d, false)).chain(bare.map(|d| (d, true)));
    for ((name, dependency), bare) in all {
        if dependency.get("optional").and_then(toml::Value::as_bool) == Some(true) {
            let path = dependency.get("path").and_then(toml::Value::as_str);
            let compatible = path.map(|path| compatible(&folder.join(path))).transpose()?;
            found.push(Optional { name, compatible: compatible.unwrap_or_default(), bare });
        }
    }
    Ok(found)
}

/// What the component in `folder` says that it answers to.
fn compatible(folder: &Path) -> Result<Vec<String>, Failure> {
    let path = folder.join("Cargo.toml");
    println!("cargo:rerun-if-changed={}", path.display());
    let manifest: toml::Table = fs::read_to_string(path)?.parse()?;
    let list = manifest
        .get("package")
        .and_then(|p| p.get("metadata")?.get("evisor")?.get("compatible")?.as_array())
        .cloned()
        .unwrap_or_default();
    Ok(list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect())
}

/// How many KiB the linker script gives the heap.
fn heap(script: &str) -> Result<usize, Failure> {
    let line = script.lines().find_map(|line| line.strip_prefix("HEAP = "));
    let kibibytes = line.and_then(|line| line.strip_suffix("K;"));
    Ok(kibibytes.ok_or("evisor.ld has no line 'HEAP = …K;'")?.parse()?)
}

fn registry(optional: &[Optional], bare: bool) -> Result<String, Failure> {
    let is_in = |name: &str| {
        let variable = name.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{variable}")).is_some()
    };
    let mut uses = String::new();
    let (mut features, mut left_out) = (String::new(), String::new());
    for Optional { name, compatible, bare: only_bare } in optional {
        if is_in(name) && (bare || !only_bare) {
            writeln!(uses, "use {} as _;", name.replace('-', "_"))?;
        }
        match (is_in(name), only_bare) {
            (true, false) => write!(features, "{name:?}, ")?,
            (false, _) => write!(left_out, "({name:?}, &{compatible:?}), ")?,
            (true, true) => {}
        }
    }
    writeln!(uses, "/// The components that were built in.")?;
    writeln!(uses, "pub const FEATURES: &[&str] = &[{features}];")?;
    writeln!(uses, "/// Those that were left out, and what they answer to.")?;
    writeln!(uses, "pub const LEFT_OUT: &[(&str, &[&str])] = &[{left_out}];")?;
    Ok(uses)
}
