//! What a component's Cargo.toml says that it answers to, which is what an image
//! knows of one that was left out, is what it declares.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use evisor::{FEATURES, link};
use evisor_contract::components;
use std::fs;
use std::path::{Path, PathBuf};

fn table(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders of the components, by feature.
fn folder(feature: &str) -> PathBuf {
    let image = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = table(&image.join("Cargo.toml"));
    let path = manifest.get("dependencies").and_then(|d| d.get(feature)?.get("path")?.as_str());
    image.join(path.unwrap_or_else(|| panic!("{feature} has no path")))
}

fn announced(feature: &str) -> Vec<String> {
    let manifest = table(&folder(feature).join("Cargo.toml"));
    let package = manifest.get("package").and_then(toml::Value::as_table);
    let list =
        package.and_then(|p| p.get("metadata")?.get("evisor")?.get("compatible")?.as_array());
    let list = list.unwrap_or_else(|| {
        panic!("{feature}: its Cargo.toml has no [package.metadata.evisor] compatible = [...]")
    });
    list.iter().map(|string| string.as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_component_announces_what_it_declares() {
    link();
    let declared = components().unwrap();
    let mut names: Vec<&str> = declared.iter().map(|component| component.name).collect();
    let mut features = FEATURES.to_vec();
    names.sort_unstable();
    names.dedup();
    features.sort_unstable();
    assert_eq!(names, features);
    for name in names {
        // A crate may declare several models of one device.
        let of = declared.iter().filter(|component| component.name == name);
        let mut compatible: Vec<&str> =
            of.flat_map(|component| component.compatible).copied().collect();
        let mut announced = announced(name);
        compatible.sort_unstable();
        announced.sort_unstable();
        assert_eq!(announced, compatible, "{name}");
    }
}
