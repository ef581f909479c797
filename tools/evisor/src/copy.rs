//! A copy of the repository, for steps that change a file of it. They share it, and what is
//! built of it: most of that is the same for all of them. Both are kept between runs.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::new_device::write_changed;
use crate::workspace;

/// The group of the cases that use it.
pub const GROUP: &str = "a copy of the repository";

/// In the system's temporary folder.
pub struct Copy {
    pub folder: PathBuf,
    /// Where what is built of it goes.
    pub results: PathBuf,
}

impl Copy {
    pub fn of_repository() -> Self {
        let root = workspace::root();
        let mut hasher = DefaultHasher::new();
        root.hash(&mut hasher);
        let name = format!("evisor-copy-{:08x}", hasher.finish() >> 32);
        let folder = std::env::temp_dir().join(name).join("evisor");
        Self { folder, results: root.join("target/copy") }
    }

    /// A place next to it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.with_file_name(name)
    }

    /// Has it hold what the repository does, less what `wanted` changes of a file's bytes.
    /// Gives the files, relative to it.
    pub fn write(
        &self,
        wanted: impl Fn(&Path, Vec<u8>) -> Result<Vec<u8>>,
    ) -> Result<Vec<PathBuf>> {
        let root = workspace::root();
        let files = sources(&root, Path::new(""))?;
        for file in &files {
            let to = self.folder.join(file);
            fs::create_dir_all(to.parent().unwrap_or(&self.folder))?;
            write_changed(&to, &wanted(file, fs::read(root.join(file))?)?)?;
        }
        fs::create_dir_all(&self.results)?;
        let target = self.folder.join("target");
        if !target.is_symlink() {
            std::os::unix::fs::symlink(&self.results, &target)?;
        }
        Ok(files)
    }
}

/// The files of the repository, relative to it, less what was built.
fn sources(root: &Path, below: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let folder = root.join(below);
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (path, kind) = (below.join(entry.file_name()), entry.file_type()?);
        let built = [".git", "target", "build"].iter().any(|name| entry.file_name() == *name);
        if kind.is_dir() && !built {
            found.extend(sources(root, &path)?);
        } else if kind.is_file() && entry.file_name() != ".git" {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_not_copied() {
        let files = sources(&workspace::root(), Path::new("")).unwrap();
        assert!(files.contains(&PathBuf::from("images/evisor/Cargo.toml")));
        assert!(!files.iter().any(|file| file.starts_with("target") || file.starts_with(".git")));
    }
}
