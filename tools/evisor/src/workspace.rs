//! The repository: where it is, and what crates it has.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::capture;
use crate::toolchain::Toolchain;

/// The root of the repository: the script says where it is; a binary that is
/// started by itself knows where it was built.
pub fn root() -> PathBuf {
    if let Some(root) = std::env::var_os("EVISOR_ROOT") {
        return PathBuf::from(root);
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    built.ancestors().nth(2).unwrap_or(built).to_path_buf()
}

/// The deployment that is booted, or put on a card, where none is named.
pub const DEMONSTRATION: &str = "manifests/demo.dts";

/// A crate of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub struct Crate {
    pub name: String,
    /// Its folder, relative to the root: `devices/pl011`.
    pub folder: PathBuf,
    /// Whether it only builds for the bare machine:
    /// `[package.metadata.evisor] bare = true`.
    pub bare: bool,
    pub programs: Vec<Program>,
    pub default_features: Vec<String>,
    pub dependencies: Vec<Dependency>,
}

/// A program of a crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    pub required_features: Vec<String>,
}

/// What a crate depends on.
#[derive(Debug, PartialEq, Eq)]
pub struct Dependency {
    pub name: String,
    /// The folder, for a crate of this workspace.
    pub folder: Option<PathBuf>,
    pub only_for_tests: bool,
}

/// The crates of the workspace, as cargo sees them.
pub fn crates() -> Result<Vec<Crate>> {
    let root = root();
    let mut cargo = Toolchain::of_host().host_cargo();
    cargo.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(&root);
    let text = capture(&mut cargo).context("cannot read the workspace")?;
    let metadata: Value = serde_json::from_slice(&text).context("cargo metadata is not JSON")?;
    Ok(list(&metadata, "packages").iter().filter_map(|p| read_crate(p, &root)).collect())
}

/// What a crate is built with where nothing else is said.
pub fn default_features(package: &str) -> Result<Vec<String>> {
    Ok(find(package)?.default_features)
}

/// What a program is not built without.
pub fn required_features(package: &str, program: &str) -> Result<Vec<String>> {
    let programs = find(package)?.programs;
    let program = programs.into_iter().find(|p| p.name == program);
    Ok(program
        .with_context(|| format!("the crate {package} has no such program"))?
        .required_features)
}

fn find(package: &str) -> Result<Crate> {
    let found = crates()?.into_iter().find(|c| c.name == package);
    found.with_context(|| format!("the workspace has no crate {package}"))
}

fn read_crate(package: &Value, root: &Path) -> Option<Crate> {
    let manifest = Path::new(package.get("manifest_path")?.as_str()?);
    let targets = list(package, "targets");
    Some(Crate {
        name: package.get("name")?.as_str()?.to_owned(),
        folder: manifest.parent()?.strip_prefix(root).ok()?.to_path_buf(),
        bare: package.pointer("/metadata/evisor/bare") == Some(&Value::Bool(true)),
        programs: targets.iter().filter_map(read_program).collect(),
        default_features: package.get("features").map(|f| words(f, "default")).unwrap_or_default(),
        dependencies: list(package, "dependencies")
            .iter()
            .filter_map(|d| read_dependency(d, root))
            .collect(),
    })
}

fn read_program(target: &Value) -> Option<Program> {
    let is_program = words(target, "kind").iter().any(|k| k == "bin");
    let name = target.get("name")?.as_str()?.to_owned();
    is_program.then(|| Program { name, required_features: words(target, "required-features") })
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn words(value: &Value, name: &str) -> Vec<String> {
    list(value, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn read_dependency(dependency: &Value, root: &Path) -> Option<Dependency> {
    let path = dependency.get("path").and_then(Value::as_str).map(Path::new);
    Some(Dependency {
        name: dependency.get("name")?.as_str()?.to_owned(),
        folder: path.map(|p| p.strip_prefix(root).unwrap_or(p).to_path_buf()),
        only_for_tests: dependency.get("kind").and_then(Value::as_str) == Some("dev"),
    })
}

/// A path for people: relative to the current folder where it lies below.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
