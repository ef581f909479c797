//! Debian's arm64 kernel, some of its modules, busybox and U-Boot for the
//! demonstrations, a card with them, and the device tree of the Raspberry Pi 4 that
//! comes with the kernel, fetched once.
//!
//! apt fetches them with lists and a cache of their own, so that the machine's
//! package database never learns of another architecture. apt checks the
//! signatures; the digests that it names are checked again and kept beside the
//! files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::card::{Card, Partition};
use crate::deployment::File;
use crate::image::write_whole;
use crate::initramfs;
use crate::modules;
use crate::packages::{apt_get, have};
use crate::process::{capture, hold, long};
use crate::root_file_system;
use crate::sources;

const FETCH: Duration = Duration::from_secs(600);
const KERNEL: &str = "linux-image-arm64";
const BUSYBOX: &str = "busybox-static";
const U_BOOT: &str = "u-boot-qemu";
const U_BOOT_PI: &str = "u-boot-rpi";
const PI_TREE: &str = "bcm2711-rpi-4-b.dtb";
/// Another name whenever there are others in it, as what was fetched is kept.
const MODULES: &str = "modules-2.cpio";

/// What can be named, after `debian:`.
pub const NAMES: [&str; 7] = [
    "linux",
    "initramfs",
    "initramfs-storage",
    "card",
    "u-boot",
    "u-boot-rpi-4",
    "u-boot-rpi-arm64",
];

/// What U-Boot looks for on a card, and boots; the device tree is the one it was given.
const EXTLINUX: &str = "default linux
label linux
\tkernel /Image
\tinitrd /initrd
\tappend root=/dev/mmcblk0p2
";

/// The bytes of `debian:NAME`.
pub fn read(name: &str) -> Result<Vec<u8>> {
    let store = Store::open()?;
    // A card is made in the store, and what is fetched is unpacked there.
    let _alone = store.lock()?;
    match name {
        "linux" | "u-boot" | "u-boot-rpi-4" | "u-boot-rpi-arm64" => store.file(name),
        "initramfs" => initramfs::write(&store.file("busybox")?),
        "initramfs-storage" => storage(&store),
        "card" => card(&store),
        _ => bail!("there is no debian:{name}: the names are debian:{}", NAMES.join(", debian:")),
    }
}

/// Linux unpacks archives that lie behind each other.
fn storage(store: &Store) -> Result<Vec<u8>> {
    let first = initramfs::write(&store.file("busybox")?)?;
    Ok([first, store.file(MODULES)?].concat())
}

/// The image of a card from which firmware boots Linux, whose root is the second
/// partition.
fn card(store: &Store) -> Result<Vec<u8>> {
    let linux = store.file("linux")?;
    let file = |name: &str, bytes| File { name: name.to_owned(), bytes };
    let files = vec![
        file("extlinux/extlinux.conf", EXTLINUX.as_bytes().to_vec()),
        file("Image", linux),
        file("initrd", storage(store)?),
    ];
    let (path, root) = (store.folder.join("card"), store.folder.join("root"));
    root_file_system::write(&store.file("busybox")?, &root)?;
    Card { files, partitions: vec![Partition::Copy(root)], size: None }.write(&path)?;
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The device tree of the Raspberry Pi 4 B, and where it is.
pub fn pi_tree() -> Result<(PathBuf, Vec<u8>)> {
    let store = Store::open()?;
    let _alone = store.lock()?;
    let bytes = store.file(PI_TREE)?;
    Ok((store.folder.join(PI_TREE), bytes))
}

/// The folder of fetched files, one for each release.
pub struct Store {
    pub folder: PathBuf,
    codename: String,
}

/// A package as apt describes it.
pub struct Package {
    name: String,
    version: String,
    sha256: String,
}

impl Package {
    /// A line of the record of what was fetched.
    pub fn record(&self) -> String {
        format!("{} {} sha256:{}\n", self.name, self.version, self.sha256)
    }
}

impl Store {
    pub fn open() -> Result<Self> {
        // Elsewhere than on Debian the files may have been put there by hand.
        let codename = sources::codename().unwrap_or_else(|_| "other".to_owned());
        let folder = cache_folder()?.join(format!("debian-{codename}-arm64"));
        Ok(Self { folder, codename })
    }

    /// Waits until nobody else uses the store; nobody does while the file is held.
    fn lock(&self) -> Result<fs::File> {
        hold(&self.folder.join("lock"))
    }

    fn file(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(name);
        if !path.is_file() {
            self.fetch().with_context(|| {
                format!(
                    "cannot fetch Debian's packages; {} may also be put there by hand",
                    path.display()
                )
            })?;
        }
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Fetches the packages and takes what is needed out of them.
    fn fetch(&self) -> Result<()> {
        self.with_apt(sources::MAIN, |apt| {
            let kernel = apt.depended_on_by(KERNEL)?;
            let others = [BUSYBOX, U_BOOT, U_BOOT_PI];
            let packages = [kernel.as_str()].into_iter().chain(others);
            let packages = packages.map(|name| apt.describe(name)).collect::<Result<Vec<_>>>()?;
            for package in &packages {
                apt.unpack(package)?;
            }
            self.keep(apt.work, &packages)
        })
    }

    /// Has something done with the packages of a component of the release.
    pub fn with_apt(
        &self,
        component: &str,
        what: impl FnOnce(&Apt<'_>) -> Result<()>,
    ) -> Result<()> {
        if !have("apt-get") {
            bail!("there is no apt-get on this machine");
        }
        let work = self.folder.join("fetching");
        // What an interrupted run left behind may be of an older version.
        if work.exists() {
            fs::remove_dir_all(&work)
                .with_context(|| format!("cannot remove {}", work.display()))?;
        }
        for folder in ["lists/partial", "cache/archives/partial", "packages", "files"] {
            fs::create_dir_all(work.join(folder))
                .with_context(|| format!("cannot write to {}", self.folder.display()))?;
        }
        let stanzas =
            sources::release_only(&sources::of_this_machine()?, &self.codename, component);
        if stanzas.is_empty() {
            bail!("apt's sources name no mirror for {}", self.codename);
        }
        fs::write(work.join("debian.sources"), stanzas)?;
        let apt = Apt { work: &work };
        long("reading Debian's arm64 package lists", apt.get().arg("update"), FETCH)?;
        what(&apt)?;
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
    }

    fn keep(&self, work: &Path, packages: &[Package]) -> Result<()> {
        let files = work.join("files");
        let release = packages.first().map(|p| p.name.trim_start_matches("linux-image-"));
        let release = release.unwrap_or_default();
        let kernel = files.join(format!("boot/vmlinuz-{release}"));
        let pi_tree = files.join(format!("usr/lib/linux-image-{release}/broadcom")).join(PI_TREE);
        let busybox = ["bin/busybox", "usr/bin/busybox"].map(|p| files.join(p));
        let busybox =
            busybox.iter().find(|p| p.is_file()).context("busybox-static holds no busybox")?;
        let u_boot = |board: &str| files.join(format!("usr/lib/u-boot/{board}/u-boot.bin"));
        let record: String = packages.iter().map(Package::record).collect();
        write_whole(&self.folder.join("packages.txt"), record.as_bytes())?;
        let kept = [
            ("busybox", busybox.clone()),
            ("linux", kernel),
            (PI_TREE, pi_tree),
            ("u-boot", u_boot("qemu_arm64")),
            ("u-boot-rpi-4", u_boot("rpi_4")),
            ("u-boot-rpi-arm64", u_boot("rpi_arm64")),
        ];
        for (name, path) in kept {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            write_whole(&self.folder.join(name), &bytes)?;
        }
        let folders = ["lib", "usr/lib"].map(|p| files.join(p).join("modules").join(release));
        let folder = folders.iter().find(|p| p.is_dir()).context("the kernel has no modules")?;
        write_whole(&self.folder.join(MODULES), &modules::write(folder)?)
    }
}

fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|p| !p.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = base.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("evisor"))
}

/// apt with lists, cache and sources of its own.
pub struct Apt<'a> {
    work: &'a Path,
}

impl Apt<'_> {
    /// Where packages are unpacked to.
    pub fn files(&self) -> PathBuf {
        self.work.join("files")
    }

    fn get(&self) -> Command {
        self.configure(apt_get())
    }

    fn cache(&self) -> Command {
        self.configure(Command::new("apt-cache"))
    }

    fn configure(&self, mut command: Command) -> Command {
        let work = self.work.display();
        command
            .args(["-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64"])
            .args(["-oDir::State::status=/dev/null", "-oAPT::Sandbox::User="])
            .arg(format!("-oDir::State::Lists={work}/lists"))
            .arg(format!("-oDir::Cache={work}/cache"))
            .arg(format!("-oDir::Etc::SourceList={work}/debian.sources"))
            .arg("-oDir::Etc::SourceParts=-");
        command
    }

    /// The package that an empty package stands for.
    fn depended_on_by(&self, package: &str) -> Result<String> {
        let text = self.show(package)?;
        let depends = field(&text, "Depends").unwrap_or_default();
        let first = depends.split([' ', ',']).next().unwrap_or_default();
        if first.is_empty() {
            bail!("{package} depends on no kernel");
        }
        Ok(first.to_owned())
    }

    pub fn describe(&self, package: &str) -> Result<Package> {
        let text = self.show(package)?;
        let need =
            |name| field(&text, name).with_context(|| format!("apt gives no {name} of {package}"));
        Ok(Package { name: package.to_owned(), version: need("Version")?, sha256: need("SHA256")? })
    }

    fn show(&self, package: &str) -> Result<String> {
        let mut command = self.cache();
        let text = capture(command.args(["show", "--no-all-versions", package]))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Downloads a package and adds its files to [`files`](Self::files).
    pub fn unpack(&self, package: &Package) -> Result<()> {
        let folder = self.work.join("packages");
        let mut download = self.get();
        download
            .args(["download", &format!("{}={}", package.name, package.version)])
            .current_dir(&folder);
        long(&format!("downloading {}", package.name), &mut download, FETCH)?;
        let archive = find_archive(&folder, &package.name)?;
        check_digest(&archive, &package.sha256)?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(&archive).arg(self.files());
        long(&format!("unpacking {}", package.name), &mut unpack, FETCH).map(drop)
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|l| Some(l.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
}

fn find_archive(folder: &Path, package: &str) -> Result<PathBuf> {
    let start = format!("{package}_");
    let mut entries = fs::read_dir(folder)?.flatten();
    entries
        .find(|e| e.file_name().to_string_lossy().starts_with(&start))
        .map(|e| e.path())
        .with_context(|| format!("apt downloaded no {package}"))
}

fn check_digest(file: &Path, wanted: &str) -> Result<()> {
    let line = capture(Command::new("sha256sum").arg(file))?;
    let line = String::from_utf8_lossy(&line).into_owned();
    if line.split_whitespace().next().map(|d| d.trim_start_matches('\\')) != Some(wanted) {
        bail!("{} is not what the package list says: its SHA-256 is not {wanted}", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_their_whole_name() {
        let text = "Package: x\nSHA256: abc\nPre-Depends: no\nDepends: linux-image-6 (= 1), y\n";
        assert_eq!(field(text, "Depends").unwrap(), "linux-image-6 (= 1), y");
        assert_eq!(field(text, "SHA256").unwrap(), "abc");
        assert_eq!(field(text, "SHA2"), None);
    }

    #[test]
    fn an_altered_file_is_refused() {
        let file = std::env::temp_dir().join(format!("evisor-digest-{}", std::process::id()));
        fs::write(&file, "abc").unwrap();
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check_digest(&file, right).unwrap();
        assert!(check_digest(&file, &right.replace('b', "c")).is_err());
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn an_unknown_name_lists_the_known() {
        let error = read("windows").unwrap_err().to_string();
        assert!(
            error.contains(
                "debian:initramfs-storage, debian:card, debian:u-boot, debian:u-boot-rpi-4, debian:u-boot-rpi-arm64"
            ),
            "{error}"
        );
    }
}
