//! `evisor run`: boots a deployment and follows its console.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::card_file::CardFiles;
use crate::check;
use crate::console::{Console, End};
use crate::consoles::Consoles;
use crate::deployment::Deployment;
use crate::image::{Features, Image, write_whole};
use crate::machine::{Machine, Seat, need_qemu};
use crate::process::say;
use crate::script::{Print, Script, Send};
use crate::toolchain::Toolchain;
use crate::workspace;

#[derive(Args)]
pub struct Run {
    /// Device-tree source of the deployment
    #[arg(default_value = workspace::DEMONSTRATION)]
    manifest: PathBuf,
    /// End with status 0 when the console prints a match
    #[arg(long, value_name = "[@VM ]REGEX")]
    until: Option<Print>,
    /// End with status 1 after this time
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Type TEXT and Return after REGEX was printed (repeatable, in order)
    #[arg(long, value_name = "[@VM ]REGEX=TEXT")]
    send: Vec<Send>,
    /// Give each VM a console of its own, a pseudo-terminal; with DIR, keep what they
    /// print in DIR/NAME.log, and name the terminals DIR/NAME.pty
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    consoles: Option<Option<PathBuf>>,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    card_files: CardFiles,
}

/// What QEMU is given.
pub struct Files {
    pub kernel: PathBuf,
    pub bundle: PathBuf,
    pub image: Image,
}

impl Run {
    pub fn carry_out(self) -> Result<u8> {
        self.machine.supported()?;
        let files = prepare_with(&self.manifest, &self.machine, &self.card_files)?;
        need_qemu()?;
        self.machine.announce_gdb(&files.image.path);
        let scripted = self.until.is_some() || !self.send.is_empty();
        let person = !scripted && self.consoles.is_none() && at_a_terminal();
        let seat = if person { Seat::Person } else { Seat::Script };
        let mut console = Console::start(self.machine.boot(seat, &files.kernel, &files.bundle)?)?;
        if let Some(folder) = self.consoles {
            say("Ctrl-C ends the machine");
            console = console.split(Consoles::new(folder, scripted)?);
        }
        let limit = self.timeout.map(Duration::from_secs);
        let wants_match = self.until.is_some();
        let mut script = Script::ending(self.send, self.until);
        let end = if person {
            say("Ctrl-A X ends the machine");
            console.hand_over(limit)?
        } else {
            console.follow(&mut script, limit, &mut io::stdout())?
        };
        let (status, message) = judge(&end, wants_match, &script.awaited());
        if let Some(message) = message {
            say(&message);
        }
        Ok(status)
    }
}

fn at_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Builds everything that a deployment needs, and refuses a wrong one.
pub fn prepare(manifest: &Path, machine: &Machine) -> Result<Files> {
    prepare_with(manifest, machine, &CardFiles::default())
}

/// The same with files that are on the card.
pub fn prepare_with(manifest: &Path, machine: &Machine, card_files: &CardFiles) -> Result<Files> {
    let deployment = Deployment::load(manifest, card_files)?;
    check::examine(&deployment, machine.board, machine.gic, &Features::Default)?;
    let image = Image::build(Toolchain::chosen()?, "evisor", &Features::Default)?;
    let folder = results(&deployment.manifest.path);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (kernel, bundle) = (folder.join("evisor.bin"), folder.join("bundle.cpio"));
    write_whole(&kernel, &image.raw()?)?;
    write_whole(&bundle, &deployment.bundle()?)?;
    Ok(Files { kernel, bundle, image })
}

/// A folder for what is made of a manifest: manifests of one name may lie in
/// different places.
fn results(manifest: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    manifest.hash(&mut hasher);
    let name = manifest.file_stem().unwrap_or_default().to_string_lossy();
    let folder = format!("{name}-{:08x}", hasher.finish() >> 32);
    workspace::root().join("target/evisor").join(folder)
}

/// The command's status, and what to say about it.
fn judge(end: &End, wants_match: bool, awaited: &str) -> (u8, Option<String>) {
    match end {
        End::Matched => (0, None),
        End::TimedOut if awaited.is_empty() => (1, Some("the time is over".to_owned())),
        End::TimedOut => (1, Some(format!("the time is over; still waiting for '{awaited}'"))),
        End::Failed(how) => (1, Some(format!("QEMU {how}"))),
        End::Exited(_) if wants_match => {
            (1, Some(format!("the machine ended; still waiting for '{awaited}'")))
        }
        End::Exited(Some(status)) => (*status, None),
        End::Exited(None) => (1, Some("the machine ended, and eVisor gave no verdict".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_guests_unless_a_match_was_wanted() {
        assert_eq!(judge(&End::Exited(Some(3)), false, "").0, 3);
        assert_eq!(judge(&End::Exited(Some(0)), true, "x").0, 1);
        assert_eq!(judge(&End::Exited(None), false, "").0, 1);
        assert_eq!(judge(&End::Matched, true, "x").0, 0);
        assert_eq!(judge(&End::TimedOut, true, "x").0, 1);
        assert_eq!(judge(&End::TimedOut, false, "").0, 1);
        assert_eq!(judge(&End::Failed(String::new()), false, "").0, 1);
    }

    #[test]
    fn manifests_of_one_name_do_not_share_results() {
        assert_ne!(results(Path::new("/a/linux.dts")), results(Path::new("/b/linux.dts")));
    }
}
