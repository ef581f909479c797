//! Compiling a manifest with dtc, and turning dtc's complaints into places.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::include::Search;
use crate::packages;
use crate::source::{Places, Property};
use crate::workspace;

/// Properties whose strings name files that the bundle must hold.
const REFERENCES: [&str; 3] = ["evisor,image", "evisor,initrd", "evisor,file"];

/// A compiled manifest, and where its parts stand in the source.
pub struct Manifest {
    pub path: PathBuf,
    pub tree: Vec<u8>,
    pub places: Places,
}

/// A file that a manifest names.
pub struct Reference<'a> {
    pub name: &'a str,
    pub property: &'a Property,
}

impl Manifest {
    /// Compiles the source at `path`; one that is not in the current folder is
    /// looked for in the repository.
    pub fn compile(path: &Path) -> Result<Self> {
        packages::need("dtc", ("device-tree-compiler", "compiles manifests"))?;
        let path = locate(path)?;
        let search =
            Search { folders: vec![workspace::root().join("manifests"), folder_of(&path)] };
        search.follow(&path)?;
        let tree = dtc(&path, &search, &["-O", "dtb"])?;
        let annotated = dtc(&path, &search, &["-O", "dts", "-T", "-T"])?;
        let places = Places::read(&String::from_utf8_lossy(&annotated));
        Ok(Self { path, tree, places })
    }

    /// The files that it names, each once, in the order of the source.
    pub fn references(&self) -> Vec<Reference<'_>> {
        let mut found: Vec<Reference<'_>> = Vec::new();
        for property in self.places.properties() {
            if !REFERENCES.contains(&property.name.as_str()) {
                continue;
            }
            for name in &property.strings {
                if !found.iter().any(|r| r.name == name) {
                    found.push(Reference { name, property });
                }
            }
        }
        found
    }

    /// The folder that file names are relative to.
    pub fn folder(&self) -> PathBuf {
        folder_of(&self.path)
    }

    /// The place of an error, however little is known of it.
    pub fn place(&self, node: &str, property: Option<&str>) -> Place {
        self.places.find(node, property).unwrap_or_else(|| Place::new(&self.path, 1))
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn locate(path: &Path) -> Result<PathBuf> {
    let in_repository = workspace::root().join(path);
    let found = [path, &in_repository].into_iter().find(|p| p.is_file());
    let found = found.with_context(|| format!("there is no manifest {}", path.display()))?;
    found.canonicalize().with_context(|| format!("cannot read {}", found.display()))
}

fn dtc(path: &Path, search: &Search, output: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new("dtc");
    command.args(["-q", "-I", "dts"]).args(output).stdin(Stdio::null());
    for folder in &search.folders {
        command.arg("-i").arg(folder);
    }
    let output = command.arg(path).output().context("cannot run dtc")?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(complaints(&String::from_utf8_lossy(&output.stderr), path).into())
}

/// dtc's errors with their places; what has none is about the whole file.
fn complaints(text: &str, path: &Path) -> Diagnostics {
    let placed: Vec<_> = text.lines().filter_map(complaint).collect();
    if !placed.is_empty() {
        return Diagnostics(placed);
    }
    let message = text.trim().trim_start_matches("FATAL ERROR: ").to_owned();
    Diagnostics(vec![Place::new(path, 1).error(message, "")])
}

/// `Error: FILE:2.3-4 MESSAGE` of the parser, or
/// `FILE:2.3-4.5: ERROR (CHECK): NODE: MESSAGE` of the checks.
fn complaint(line: &str) -> Option<Diagnostic> {
    let (place, rest) = split_place(line.trim_start_matches("Error: "))?;
    let Some(check) = rest.strip_prefix(": ERROR ") else {
        return Some(place.error(rest.trim(), "See the device-tree specification for the syntax."));
    };
    let (_check, rest) = check.split_once(": ")?;
    let (node, message) = rest.split_once(": ").unwrap_or(("", rest));
    Some(place.error(message.trim(), "").at_node(node))
}

fn split_place(text: &str) -> Option<(Place, &str)> {
    text.match_indices(':').find_map(|(at, _)| {
        let (file, position) = (text.get(..at)?, text.get(at + 1..)?);
        let (line, rest) = position.split_once('.')?;
        let line = line.parse().ok()?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-')?;
        Some((Place::new(Path::new(file), line), rest.get(end..)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_errors_have_places() {
        let text =
            "Error: /a/b:c/bad.dts:3.2-13 syntax error\nFATAL ERROR: Unable to parse input tree\n";
        let found = complaints(text, Path::new("x")).0;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, Place::new(Path::new("/a/b:c/bad.dts"), 3));
        assert_eq!(found[0].message, "syntax error");
    }

    #[test]
    fn the_checks_errors_name_their_nodes() {
        let text = "m.dts:2.7-4.23: ERROR (phandle_references): /a: Reference to \"foo\"\n\n\
                    ERROR: Input tree has errors, aborting (use -f to force output)\n";
        let found = complaints(text, Path::new("x")).0;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "m.dts:2: error: /a: Reference to \"foo\"");
    }

    #[test]
    fn what_has_no_place_is_about_the_file() {
        let found = complaints("FATAL ERROR: out of memory\n", Path::new("x.dts")).0;
        assert_eq!(found[0].to_string(), "x.dts:1: error: out of memory");
    }
}
