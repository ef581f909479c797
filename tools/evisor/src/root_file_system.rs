//! An ext4 file system with the demonstration's Linux, to be its root on a disk.
//!
//! mke2fs takes it from a folder; debugfs then gives it to root, whoever is here. Equal
//! input gives equal bytes: times and the volume's identifier are constants.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::initramfs::{FOLDERS, LINKS, files};
use crate::packages::{Package, administrators};
use crate::process::capture;

pub const E2FSPROGS: Package = ("e2fsprogs", "makes and reads ext4 file systems");

/// What the files take, and room for some more.
const SIZE: &str = "16M";
const IDENTIFIER: &str = "45564953-0000-4000-8000-000000000001";
/// The first second of 1980, as on the card's FAT.
const MADE: &str = "315532800";
/// The same to debugfs.
const TIME: &str = "@315532800";

/// Writes the image, which a reader never sees half written.
pub fn write(busybox: &[u8], path: &Path) -> Result<()> {
    let work = path.with_extension(format!("unfinished-{}", std::process::id()));
    let made = make(busybox, &work).and_then(|()| {
        fs::rename(work.join("image"), path)
            .with_context(|| format!("cannot write {}", path.display()))
    });
    let removed = fs::remove_dir_all(&work);
    made.and(removed.with_context(|| format!("cannot remove {}", work.display())))
}

/// Makes the image in a folder of its own.
fn make(busybox: &[u8], work: &Path) -> Result<()> {
    let (root, image) = (work.join("root"), work.join("image"));
    fill(busybox, &root).with_context(|| format!("cannot write {}", root.display()))?;
    let mut make = Command::new(administrators("mke2fs", E2FSPROGS)?);
    make.args(["-q", "-t", "ext4", "-L", "root", "-U", IDENTIFIER, "-d"]).arg(&root);
    make.args(["-E", &format!("hash_seed={IDENTIFIER},root_owner=0:0")]).arg(&image).arg(SIZE);
    capture(make.env("E2FSPROGS_FAKE_TIME", MADE))?;
    give_to_root(&image, &work.join("requests"))
}

fn fill(busybox: &[u8], root: &Path) -> std::io::Result<()> {
    fs::create_dir_all(root)?;
    FOLDERS.iter().try_for_each(|folder| fs::create_dir(root.join(folder)))?;
    LINKS.iter().try_for_each(|(link, target)| symlink(target, root.join(link)))?;
    for (name, permissions, bytes) in files(busybox) {
        fs::write(root.join(name), bytes)?;
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(permissions))?;
    }
    Ok(())
}

/// Everything in it, and the root itself.
fn give_to_root(image: &Path, requests: &Path) -> Result<()> {
    const FIELDS: [(&str, &str); 6] = [
        ("uid", "0"),
        ("gid", "0"),
        ("atime", TIME),
        ("ctime", TIME),
        ("mtime", TIME),
        ("crtime", TIME),
    ];
    let names = FOLDERS.into_iter().chain(LINKS.map(|(link, _)| link));
    let names = names.chain(files(&[]).map(|(name, ..)| name)).chain(["", "lost+found"]);
    let text: String = names
        .flat_map(|name| FIELDS.map(|(field, value)| format!("sif /{name} {field} {value}\n")))
        .collect();
    fs::write(requests, text).with_context(|| format!("cannot write {}", requests.display()))?;
    let mut debugfs = Command::new(administrators("debugfs", E2FSPROGS)?);
    debugfs.arg("-w").arg("-f").arg(requests).arg(image).env("E2FSPROGS_FAKE_TIME", MADE);
    capture(&mut debugfs).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_input_gives_equal_bytes_that_are_roots() {
        let folder = std::env::temp_dir().join(format!("evisor-root-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let images = ["one", "two"].map(|name| folder.join(name));
        images.iter().for_each(|image| write(b"busybox", image).unwrap());
        let stat = |name: &str| {
            let mut debugfs = Command::new(administrators("debugfs", E2FSPROGS).unwrap());
            let text = capture(debugfs.arg("-R").arg(format!("stat {name}")).arg(&images[0]));
            String::from_utf8(text.unwrap()).unwrap()
        };
        for name in ["/", "/bin/busybox", "/sbin/init", "/etc/start", "/mnt"] {
            let text = stat(name);
            assert!(text.contains("User:     0   Group:     0 "), "{name}: {text}");
            assert_eq!(text.matches(": 0x12cea600:00000000").count(), 4, "{name}: {text}");
        }
        assert!(stat("/etc/start").contains("Mode:  0755"));
        let mut check = Command::new(administrators("e2fsck", E2FSPROGS).unwrap());
        capture(check.args(["-f", "-n"]).arg(&images[0])).unwrap();
        let [one, two] = images.map(|image| fs::read(image).unwrap());
        fs::remove_dir_all(folder).unwrap();
        assert!(one == two);
    }
}
