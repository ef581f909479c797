//! Broken manifests: each is refused with exactly the messages that its source
//! expects, in `// expect:` lines; or by dtc, with what its `// dtc:` line says.
//! `// gic: 3` is for a board with a GICv3.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::{Path, PathBuf};
use support::{around, board, board_with_gicv3, compile, compile_strictly, tests};

fn sources() -> Vec<PathBuf> {
    let files = std::fs::read_dir(tests().join("broken")).unwrap();
    let mut sources: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "dts"));
    sources.sort();
    sources
}

/// The lines of a source that begin with `// word: `, without that.
fn header(source: &Path, word: &str) -> Vec<String> {
    let text = std::fs::read_to_string(source).unwrap();
    let prefix = format!("// {word}: ");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(String::from).collect()
}

fn messages(source: &Path) -> Vec<String> {
    let bytes = compile(source).unwrap();
    let tree = evisor_fdt::Tree::new(bytes.bytes()).unwrap();
    let gicv3 = header(source, "gic").iter().any(|version| version == "3");
    let board = if gicv3 { board_with_gicv3() } else { board() };
    match evisor_manifest::read(&tree, &around(&board)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn each_broken_manifest_gives_its_message() {
    let mut wrong = String::new();
    for source in sources() {
        let expected = header(&source, "expect");
        if expected.is_empty() {
            continue;
        }
        let found = messages(&source);
        if found != expected {
            let name = source.file_name().unwrap().to_string_lossy();
            wrong += &format!("{name}\n  expected {expected:#?}\n  found {found:#?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn dtc_refuses_what_is_not_a_source() {
    for source in sources() {
        let (refused, expected) = (header(&source, "dtc"), header(&source, "expect"));
        assert!(refused.len() + expected.len() > 0, "{source:?} expects nothing");
        for message in refused {
            let error = compile_strictly(&source).map(|_| ()).unwrap_err();
            assert!(error.contains(&message), "{source:?}: {error}");
        }
    }
}

#[test]
fn there_are_many_of_them() {
    assert!(sources().len() >= 25);
}

#[test]
fn a_truncated_manifest_is_refused() {
    let bytes = compile(&tests().join("sound/everything.dts")).unwrap();
    let cut = &bytes.bytes()[..1000];
    let error = evisor_fdt::Tree::new(cut).unwrap_err();
    assert_eq!(error.to_string(), format!("is truncated: 1000 bytes of {}", bytes.bytes().len()));
}
