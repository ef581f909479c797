//! What is wrong with a manifest.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use evisor_contract::{BuildError, Problem};
use evisor_fdt::Node;

/// One fault: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The path of the node.
    pub node: String,
    /// The property, if one is at fault.
    pub property: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.node)?;
        if let Some(property) = &self.property {
            write!(f, "{property}: ")?;
        }
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

impl ManifestError {
    /// What a component says of the node at `path`.
    #[must_use]
    pub fn from_component(path: &str, error: BuildError) -> Box<Self> {
        let Problem { property, problem, remedy } = error.into_problem();
        Box::new(Self {
            node: path.to_string(),
            property: property.map(Cow::into_owned),
            message: problem.into_owned(),
            remedy: remedy.into_owned(),
        })
    }
}

/// All that was found so far. Reading goes on after a fault, with what can be
/// assumed in its place, so that one look tells all.
#[derive(Default)]
pub(crate) struct Faults {
    found: RefCell<Vec<ManifestError>>,
}

impl Faults {
    /// A fault of a node as a whole.
    pub fn node(&self, node: Node<'_>, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(ManifestError {
            node: node.path(),
            property: None,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    /// A fault of a property.
    pub fn property(
        &self,
        node: Node<'_>,
        property: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(ManifestError {
            node: node.path(),
            property: Some(property.to_string()),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    fn add(&self, error: ManifestError) {
        let mut found = self.found.borrow_mut();
        if !found.contains(&error) {
            found.push(error);
        }
    }

    pub fn into_found(self) -> Vec<ManifestError> {
        self.found.into_inner()
    }
}
