//! The registry: every component that was linked in.
//!
//! linkme gathers the declarations; their order means nothing. A declaration is
//! lost unless the final image names the crate (`use pl011 as _`), which its
//! build script writes, and unless its linker script keeps linkme's sections.

use crate::declaration::Declaration;
use core::fmt;

#[doc(hidden)]
#[linkme::distributed_slice]
pub static COMPONENTS: [Declaration];

/// Two components answer to one `compatible` string.
#[derive(Debug, PartialEq, Eq)]
pub struct DuplicateCompatible {
    /// The string.
    pub compatible: &'static str,
    /// Who declared it, in alphabetical order.
    pub owners: [&'static str; 2],
}

impl fmt::Display for DuplicateCompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.owners;
        write!(
            f,
            "components {a} and {b} both answer to \"{}\"; leave one of them out",
            self.compatible
        )
    }
}

/// The components in this image.
///
/// # Errors
/// Two of them answer to one `compatible` string.
pub fn components() -> Result<&'static [Declaration], DuplicateCompatible> {
    let all: &'static [Declaration] = &COMPONENTS;
    match find_duplicate(all) {
        Some(duplicate) => Err(duplicate),
        None => Ok(all),
    }
}

fn find_duplicate(all: &[Declaration]) -> Option<DuplicateCompatible> {
    all.iter().enumerate().find_map(|(at, one)| {
        all.iter().skip(at + 1).find_map(|other| {
            let shared = one.compatible.iter().find(|c| other.compatible.contains(c))?;
            let owners = [one.name.min(other.name), one.name.max(other.name)];
            Some(DuplicateCompatible { compatible: shared, owners })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BuildError, Needs};

    fn declaration(name: &'static str, compatible: &'static [&'static str]) -> Declaration {
        Declaration {
            name,
            compatible,
            needs: Needs::NONE,
            properties: &[],
            build: |_, _| Err(BuildError::new("never", "built")),
            describe: |_, _| Ok(()),
        }
    }

    #[test]
    fn two_owners_of_one_compatible_are_both_named() {
        let all = [declaration("zeta", &["a,one", "a,two"]), declaration("alpha", &["a,two"])];
        let duplicate = find_duplicate(&all);
        let expected = DuplicateCompatible { compatible: "a,two", owners: ["alpha", "zeta"] };
        assert_eq!(duplicate, Some(expected));
    }

    #[test]
    fn different_strings_are_fine() {
        let all = [declaration("a", &["x,a"]), declaration("b", &["x,b"])];
        assert_eq!(find_duplicate(&all), None);
    }
}
