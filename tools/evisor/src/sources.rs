//! apt's sources: read from the machine, so that what we add (backports for
//! QEMU, another architecture for guests) comes from the mirror and is checked
//! with the key that the machine's owner chose.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Debian's components: what is free, and firmware that is not.
pub const MAIN: &str = "main";
pub const FIRMWARE: &str = "non-free-firmware";

/// One place that packages come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub uris: Vec<String>,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    /// The path of a keyring, or a key as deb822 spells it over many lines.
    pub signed_by: Option<String>,
}

impl Source {
    /// The same place with other suites and one component, as a deb822 stanza.
    fn stanza(&self, suites: &str, component: &str) -> String {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {suites}\nComponents: {component}\n",
            self.uris.join(" ")
        );
        if let Some(key) = &self.signed_by {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "Signed-By: {key}");
        }
        text
    }

    fn has_main(&self) -> bool {
        self.components.iter().any(|c| c == MAIN)
    }

    fn has_suite(&self, suite: &str) -> bool {
        self.suites.iter().any(|s| s == suite)
    }
}

/// The sources of this machine.
pub fn of_this_machine() -> Result<Vec<Source>> {
    read_folder(Path::new("/etc/apt"))
}

fn read_folder(apt: &Path) -> Result<Vec<Source>> {
    let mut sources = read_file(&apt.join("sources.list"))?;
    let mut parts: Vec<_> = fs::read_dir(apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    parts.sort();
    for part in parts {
        sources.append(&mut read_file(&part)?);
    }
    Ok(sources)
}

/// apt reads `.list` and `.sources` files and no others.
fn read_file(path: &Path) -> Result<Vec<Source>> {
    let parse = match path.extension().and_then(|e| e.to_str()) {
        Some("list") => parse_list,
        Some("sources") => parse_deb822,
        _ => return Ok(Vec::new()),
    };
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(parse(&text))
}

/// `deb [signed-by=KEY] URI SUITE COMPONENT…`, sources.list(5).
fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).filter(|s| !on_disc(s)).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracket) => bracket.split_once(']')?,
        None => ("", rest),
    };
    let signed_by =
        options.split_whitespace().find_map(|o| o.strip_prefix("signed-by=")).map(str::to_owned);
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

/// Stanzas of `Field: value`, parted by empty lines; deb822(5).
fn parse_deb822(text: &str) -> Vec<Source> {
    let uncommented: String = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| format!("{}\n", l.trim_end()))
        .collect();
    uncommented.split("\n\n").filter_map(parse_stanza).filter(|s| !on_disc(s)).collect()
}

fn parse_stanza(text: &str) -> Option<Source> {
    let words = |name| -> Vec<String> {
        field(text, name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let enabled = field(text, "Enabled").is_none_or(|v| !matches!(v.as_str(), "no" | "false"));
    if !enabled || !words("Types").iter().any(|t| t == "deb") {
        return None;
    }
    Some(Source {
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        signed_by: field(text, "Signed-By"),
    })
}

/// A field's value, with the lines that continue it.
fn field(stanza: &str, name: &str) -> Option<String> {
    let mut lines = stanza.lines();
    let first = lines.by_ref().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })?;
    let rest = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(rest.fold(first, |all, line| format!("{all}\n{line}")))
}

fn on_disc(source: &Source) -> bool {
    source.uris.iter().all(|uri| uri.starts_with("cdrom:"))
}

/// What to write so that apt knows `CODENAME-backports`; `None` where it does.
pub fn backports(sources: &[Source], codename: &str) -> Result<Option<String>> {
    let suite = format!("{codename}-backports");
    if sources.iter().any(|s| s.has_suite(&suite) && s.has_main()) {
        return Ok(None);
    }
    let archive =
        sources.iter().find(|s| s.has_suite(codename) && s.has_main()).with_context(|| {
            format!("apt's sources name no mirror for {codename}: add one and try again")
        })?;
    Ok(Some(archive.stanza(&suite, MAIN)))
}

/// One component of the release itself and its updates, without what is newer than the
/// release. A mirror that has `main` is taken to have the others.
pub fn release_only(sources: &[Source], codename: &str, component: &str) -> String {
    let wanted = ["", "-security", "-updates"].map(|tail| format!("{codename}{tail}"));
    let stanza = |source: &Source| {
        let suites: Vec<_> = wanted.iter().filter(|s| source.has_suite(s)).cloned().collect();
        (source.has_main() && !suites.is_empty())
            .then(|| source.stanza(&suites.join(" "), component))
    };
    sources.iter().filter_map(stanza).collect::<Vec<_>>().join("\n")
}

/// The name of the release that runs here, such as `bookworm`.
pub fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no VERSION_CODENAME: is this Debian?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a comment\n\
        deb [arch=amd64 signed-by=/usr/share/k.gpg] http://mirror.example/debian bookworm main contrib\n\
        deb-src http://mirror.example/debian bookworm main\n\
        deb cdrom:[Debian]/ bookworm main\n\
        deb http://mirror.example/security bookworm-security main # here\n";

    const DEB822: &str = "Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/k.gpg\n\n\n\
        Enabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: bookworm\nComponents: main\n\n\
        Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n";

    #[test]
    fn both_formats_say_the_same() {
        let (list, deb822) = (parse_list(LIST), parse_deb822(DEB822));
        assert_eq!(list.len(), 2);
        assert_eq!(deb822.len(), 2);
        assert_eq!(backports(&list, "bookworm").unwrap(), backports(&deb822, "bookworm").unwrap());
    }

    #[test]
    fn backports_come_from_the_machines_own_mirror_and_key() {
        let entry = backports(&parse_list(LIST), "bookworm").unwrap().unwrap();
        assert_eq!(
            entry,
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\n\
             Components: main\nSigned-By: /usr/share/k.gpg\n"
        );
    }

    #[test]
    fn backports_that_are_there_are_not_written_again() {
        let sources = parse_list("deb http://m.example/debian bookworm-backports main\n");
        assert_eq!(backports(&sources, "bookworm").unwrap(), None);
    }

    #[test]
    fn a_machine_without_a_mirror_is_told() {
        let error = backports(&[], "bookworm").unwrap_err();
        assert!(error.to_string().contains("bookworm"));
    }

    #[test]
    fn the_release_goes_without_backports() {
        let mut sources = parse_deb822(DEB822);
        sources.extend(parse_list("deb http://m.example/debian bookworm-backports main\n"));
        let text = release_only(&sources, "bookworm", FIRMWARE);
        assert!(text.contains("Suites: bookworm bookworm-updates\n"));
        assert!(text.contains("Components: non-free-firmware\n"));
        assert!(text.contains("Suites: bookworm-security\n"));
        assert!(!text.contains("backports"));
    }

    #[test]
    fn a_key_over_many_lines_is_kept() {
        let text = "Types: deb\nURIs: u\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN\n .\n -----END\n";
        let source = parse_deb822(text).remove(0);
        assert_eq!(source.signed_by.as_deref(), Some("\n -----BEGIN\n .\n -----END"));
        assert_eq!(parse_deb822(&source.stanza("s", MAIN)), vec![source]);
    }
}
