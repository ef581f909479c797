//! The demonstration's Linux: busybox, and just enough around it for a prompt on the
//! console and an orderly end. It is the initramfs, and what that goes on from where
//! `root=` on the command line names a disk.

use anyhow::Result;

use crate::archive::Archive;

/// Linux starts it first. It loads what disks need, and leaves for the one that `root=`
/// names, which may take its time to be found; without any, this is what there is.
const INIT: &str = "\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
[ ! -e /lib/modules/order ] || for module in $($b cat /lib/modules/order); do $b insmod $module; done
for word in $($b cat /proc/cmdline); do
    case $word in root=*) root=${word#root=} ;; esac
done
if [ -n \"$root\" ]; then
    tries=100
    while [ ! -b $root ] && [ $tries -gt 0 ]; do $b sleep 0.1; tries=$((tries - 1)); done
    if $b mount -t ext4 -o ro $root /mnt; then
        for folder in proc sys dev; do $b mount --move /$folder /mnt/$folder; done
        exec $b switch_root /mnt /sbin/init
    fi
    echo \"There is no file system to be mounted on $root: this is the initramfs.\"
fi
exec $b init
";

/// busybox init: `poweroff` and `reboot` signal it, and it ends the machine in
/// order. `cttyhack` gives the shell a controlling terminal, whatever the console
/// is called, so that Ctrl-C and job control work.
const INITTAB: &str = "\
::sysinit:/etc/start
::respawn:/bin/cttyhack /bin/sh -l
::ctrlaltdel:/sbin/reboot
::shutdown:/etc/say farewell
::shutdown:/bin/mount -o remount,ro /
";

/// What the kernel warns of stays in its log from here on, and out of what a shell prints.
const START: &str = "\
#!/bin/busybox sh
/bin/busybox mount -o remount,rw /
/bin/busybox --install -s
hostname evisor
dmesg -n 4
echo
echo \"eVisor demonstration: Debian Linux $(uname -r)\"
/etc/say greeting || echo \"poweroff ends the machine, reboot starts it again.\"
";

/// Prints the lines that the machine's device tree has under a name in its `chosen` node:
/// a deployment's words for who sits here.
const SAY: &str = "\
#!/bin/busybox sh
lines=/proc/device-tree/chosen/$1
[ -e $lines ] && /bin/busybox tr '\\0' '\\n' <$lines
";

/// What `evisor bench --linux` starts instead of init: one thing, and the end. `load` is for
/// `evisor bench --latency`, and has none: four things at once, each of which says when it
/// has done one more.
const MEASURE: &str = "\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
case $1 in
    forks) n=0; while [ $n -lt 300 ]; do (:); n=$((n + 1)); done ;;
    dd) /bin/busybox dd if=/dev/zero of=/dev/null bs=1M count=1000 ;;
    load)
        b=/bin/busybox
        again() { while :; do \"$@\" || break; echo \"load: $1\"; done & }
        pipe() { $b dd if=/dev/zero bs=64k count=8 2>/dev/null | $b sha1sum >/dev/null; }
        fork() { n=0; while [ $n -lt 20 ]; do $b true; n=$((n + 1)); done; }
        print() { $b cat /proc/interrupts; $b usleep 20000; }
        nap() { n=0; while [ $n -lt 20 ]; do $b usleep 500; n=$((n + 1)); done; }
        for kind in pipe fork print nap; do again $kind; done
        wait ;;
esac
echo \"measured: ${1:-boot}\"
/bin/busybox poweroff -f
";

const PROFILE: &str = "export PS1='~ # ' HOME=/root\ncd\n";

pub const FOLDERS: [&str; 12] = [
    "bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "root", "tmp", "mnt",
];

pub const LINKS: [(&str, &str); 2] = [("bin/sh", "busybox"), ("sbin/init", "../bin/busybox")];

/// A file's name, its permissions and its bytes.
pub type Member<'a> = (&'static str, u32, &'a [u8]);

/// What is in the initramfs, and on the disk.
pub fn files(busybox: &[u8]) -> [Member<'_>; 5] {
    [
        ("bin/busybox", 0o755, busybox),
        ("etc/inittab", 0o644, INITTAB.as_bytes()),
        ("etc/start", 0o755, START.as_bytes()),
        ("etc/say", 0o755, SAY.as_bytes()),
        ("etc/profile", 0o644, PROFILE.as_bytes()),
    ]
}

/// Linux's initramfs: a cpio archive, not compressed, so that nothing is unpacked
/// twice.
pub fn write(busybox: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    for folder in FOLDERS {
        archive.directory(folder)?;
    }
    // Linux opens it for init before anything is mounted.
    archive.character_device("dev/console", 5, 1)?;
    for (link, target) in LINKS {
        archive.symlink(link, target)?;
    }
    archive.file("init", 0o755, INIT.as_bytes())?;
    archive.file("etc/measure", 0o755, MEASURE.as_bytes())?;
    for (name, permissions, bytes) in files(busybox) {
        archive.file(name, permissions, bytes)?;
    }
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
