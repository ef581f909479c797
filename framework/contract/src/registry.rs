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

/// What two strings share if they are equal, and seldom otherwise.
fn mark(text: &str) -> u8 {
    let last = text.bytes().rev().take(4);
    last.fold(text.len() as u8, |mark, byte| mark.wrapping_mul(37).wrapping_add(byte))
}

/// Every boot asks: so only strings with the mark of an earlier one are compared.
fn find_duplicate(all: &[Declaration]) -> Option<DuplicateCompatible> {
    let mut seen = [false; 256];
    let strings = all.iter().flat_map(|one| one.compatible);
    let mut again = |text: &&&'static str| {
        let seen = seen.get_mut(usize::from(mark(text)));
        seen.is_some_and(|seen| core::mem::replace(seen, true))
    };
    strings.filter(&mut again).find_map(|text| owners(all, text))
}

/// The two that answer to `text`, if there are two.
fn owners(all: &[Declaration], text: &'static str) -> Option<DuplicateCompatible> {
    let mut owners = all.iter().filter(|one| one.compatible.contains(&text));
    let (one, other) = owners.next().zip(owners.next())?;
    let owners = [one.name.min(other.name), one.name.max(other.name)];
    Some(DuplicateCompatible { compatible: text, owners })
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
