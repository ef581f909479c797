//! Errors that point at a line of a manifest.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::workspace::shown;

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
}

/// One error: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Place,
    /// The path of the node that it is about; empty where it is about no node.
    pub node: String,
    pub message: String,
    pub remedy: String,
}

/// All that is wrong with a manifest.
#[derive(Debug)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Place {
    pub fn new(file: &Path, line: usize) -> Self {
        Self { file: file.to_path_buf(), line }
    }

    pub fn error(self, message: impl Into<String>, remedy: impl Into<String>) -> Diagnostic {
        Diagnostic {
            place: self,
            node: String::new(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl Diagnostic {
    pub fn at_node(mut self, node: &str) -> Self {
        node.clone_into(&mut self.node);
        self
    }
}

impl From<Diagnostic> for anyhow::Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic]).into()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown(&self.file), self.line)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: error: ", self.place)?;
        if !self.node.is_empty() {
            write!(f, "{}: ", self.node)?;
        }
        f.write_str(&self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "\n    {}", self.remedy)?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
