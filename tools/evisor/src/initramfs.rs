//! The first file system of the demonstration's Linux: busybox, and just enough
//! around it for a prompt on the console and an orderly end.

use anyhow::Result;

use crate::archive::Archive;

/// Linux starts the first of these; `mount` and the links come with busybox.
const INIT: &str = "#!/bin/busybox sh\nexec /bin/busybox init\n";

/// busybox init: `poweroff` and `reboot` signal it, and it ends the machine in
/// order. `cttyhack` gives the shell a controlling terminal, whatever the console
/// is called, so that Ctrl-C and job control work.
const INITTAB: &str = "\
::sysinit:/etc/start
::respawn:/bin/cttyhack /bin/sh -l
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/sync
";

const START: &str = "\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s
hostname evisor
[ ! -e /lib/modules/order ] || for module in $(cat /lib/modules/order); do insmod $module; done
echo
echo \"eVisor demonstration: Debian Linux $(uname -r)\"
echo \"poweroff ends the machine, reboot starts it again.\"
";

/// What `evisor bench --linux` starts instead of init: one thing, and the end.
const MEASURE: &str = "\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
case $1 in
    forks) n=0; while [ $n -lt 300 ]; do (:); n=$((n + 1)); done ;;
    dd) /bin/busybox dd if=/dev/zero of=/dev/null bs=1M count=1000 ;;
esac
echo \"measured: ${1:-boot}\"
/bin/busybox poweroff -f
";

const PROFILE: &str = "export PS1='~ # ' HOME=/root\ncd\n";

const FOLDERS: [&str; 11] =
    ["bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "root", "tmp"];

/// Linux's initramfs: a cpio archive, not compressed, so that nothing is unpacked
/// twice.
pub fn write(busybox: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    for folder in FOLDERS {
        archive.directory(folder)?;
    }
    // Linux opens it for init before anything is mounted.
    archive.character_device("dev/console", 5, 1)?;
    archive.file("bin/busybox", 0o755, busybox)?;
    for (link, target) in [("bin/sh", "busybox"), ("sbin/init", "../bin/busybox")] {
        archive.symlink(link, target)?;
    }
    archive.file("init", 0o755, INIT.as_bytes())?;
    archive.file("etc/inittab", 0o644, INITTAB.as_bytes())?;
    archive.file("etc/start", 0o755, START.as_bytes())?;
    archive.file("etc/measure", 0o755, MEASURE.as_bytes())?;
    archive.file("etc/profile", 0o644, PROFILE.as_bytes())?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_comes_before_what_is_in_it() {
        let bytes = write(b"busybox").unwrap();
        let mut seen = vec![String::new()];
        for entry in cpio_reader::iter_files(&bytes) {
            let name = entry.name().to_owned();
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            assert!(seen.iter().any(|s| s == folder), "{name} comes before {folder}");
            seen.push(name);
        }
        for needed in ["init", "bin/busybox", "dev/console", "etc/inittab"] {
            assert!(seen.iter().any(|s| s == needed), "{needed}");
        }
    }
}
