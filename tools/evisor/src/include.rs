//! Follows a manifest's includes before dtc does: dtc reports a missing or a
//! cyclic one without saying where it stands.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Place};

/// Where includes are looked for, after the folder of the file that names them.
pub struct Search {
    pub folders: Vec<PathBuf>,
}

impl Search {
    /// Every include that `file` needs, or the first error.
    pub fn follow(&self, file: &Path) -> Result<(), Diagnostic> {
        self.visit(file, &mut vec![file.to_path_buf()])
    }

    fn visit(&self, file: &Path, stack: &mut Vec<PathBuf>) -> Result<(), Diagnostic> {
        let text = fs::read(file).map_err(|e| {
            Place::new(file, 1)
                .error(format!("cannot read it: {e}"), "Give the path of a device-tree source.")
        })?;
        for include in scan(&String::from_utf8_lossy(&text)) {
            let place = Place::new(file, include.line);
            let found = self.find(file, &include.name).ok_or_else(|| {
                place
                    .clone()
                    .error(format!("no file {} to include", include.name), self.searched(file))
            })?;
            if include.binary {
                continue;
            }
            if stack.contains(&found) {
                return Err(place.error(
                    format!("including {} here goes round in a circle", include.name),
                    "Remove this include, or move what both files need into a third.",
                ));
            }
            stack.push(found.clone());
            self.visit(&found, stack)?;
            stack.pop();
        }
        Ok(())
    }

    fn find(&self, from: &Path, name: &str) -> Option<PathBuf> {
        let own = from.parent().map(Path::to_path_buf);
        own.iter()
            .chain(&self.folders)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .and_then(|path| path.canonicalize().ok())
    }

    fn searched(&self, from: &Path) -> String {
        let own = from.parent().into_iter();
        let folders: BTreeSet<_> = own.chain(self.folders.iter().map(PathBuf::as_path)).collect();
        let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
        format!("Looked in: {}.", folders.join(", "))
    }
}

struct Include {
    name: String,
    line: usize,
    binary: bool,
}

/// The includes of a source, leaving out what stands in comments and strings.
fn scan(text: &str) -> Vec<Include> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        if let Some((name, binary)) = include_at(rest) {
            found.push(Include { name, line, binary });
        }
        let (skipped, after) = rest.split_at(step(rest));
        line += skipped.matches('\n').count();
        rest = after;
    }
    found
}

/// How far the next thing to look at is: past a comment, a string, a character.
fn step(rest: &str) -> usize {
    let past = |start: usize, end: &str| {
        rest.get(start..).and_then(|r| r.find(end)).map_or(rest.len(), |at| start + at + end.len())
    };
    if rest.starts_with("//") {
        past(2, "\n")
    } else if rest.starts_with("/*") {
        past(2, "*/")
    } else if rest.starts_with('"') {
        string_end(rest)
    } else {
        rest.chars().next().map_or(1, char::len_utf8)
    }
}

fn string_end(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

fn include_at(rest: &str) -> Option<(String, bool)> {
    let (after, binary) = match rest.strip_prefix("/include/") {
        Some(after) => (after, false),
        None => (rest.strip_prefix("/incbin/")?.trim_start().strip_prefix('(')?, true),
    };
    let quoted = after.trim_start().strip_prefix('"')?;
    Some((quoted.split_once('"')?.0.to_owned(), binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("evisor-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), text).unwrap();
        }
        folder.canonicalize().unwrap()
    }

    #[test]
    fn comments_and_strings_include_nothing() {
        let text = "// /include/ \"a\"\n/* /include/ \"b\" */ x = \"\\\"/include/\";\n/include/ \"c\"\n\
                    d = /incbin/(\"e\");";
        let found: Vec<_> = scan(text).into_iter().map(|i| (i.name, i.line, i.binary)).collect();
        assert_eq!(found, [("c".to_owned(), 3, false), ("e".to_owned(), 4, true)]);
    }

    #[test]
    fn a_missing_include_has_a_place() {
        let folder = folder("missing", &[("a.dts", "/dts-v1/;\n/include/ \"b.dtsi\"\n")]);
        let error = Search { folders: vec![] }.follow(&folder.join("a.dts")).unwrap_err();
        assert_eq!(error.place, Place::new(&folder.join("a.dts"), 2));
        assert!(error.message.contains("b.dtsi"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_circle_is_one_error_where_it_closes() {
        let files = [("a.dts", "/include/ \"b.dtsi\"\n"), ("b.dtsi", "\n\n/include/ \"a.dts\"\n")];
        let folder = folder("circle", &files);
        let error = Search { folders: vec![] }.follow(&folder.join("a.dts")).unwrap_err();
        assert_eq!(error.place, Place::new(&folder.join("b.dtsi"), 3));
        assert!(error.message.contains("circle"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_same_fragment_twice_is_no_circle() {
        let files = [("a.dts", "/include/ \"b.dtsi\"\n/include/ \"b.dtsi\"\n"), ("b.dtsi", "")];
        let folder = folder("twice", &files);
        Search { folders: vec![] }.follow(&folder.join("a.dts")).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
