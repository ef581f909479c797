//! The modules of Debian's kernel with which Linux stores things: drivers of SD host
//! controllers, and a file system; with which it resets a Raspberry Pi and finds its
//! random numbers; and with which it talks to a virtio console.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::archive::Archive;

/// Where they are in the kernel's folder, in the order in which they can be loaded.
const MODULES: [&str; 16] = [
    "drivers/mmc/host/cqhci",
    "drivers/mmc/host/sdhci",
    "drivers/mmc/host/sdhci-pltfm",
    "drivers/mmc/host/sdhci-iproc",
    "drivers/mmc/host/sdhci-of-arasan",
    "crypto/crc32c_generic",
    "lib/crc16",
    "fs/mbcache",
    "fs/jbd2/jbd2",
    "fs/ext4/ext4",
    "drivers/watchdog/bcm2835_wdt",
    "drivers/char/hw_random/iproc-rng200",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio_mmio",
    "drivers/char/virtio_console",
];

/// Where the archive says in which order they are loaded, a path a line.
pub const ORDER: &str = "lib/modules/order";

/// A cpio archive of those that the kernel whose modules are in `folder`
/// (`lib/modules/RELEASE`) has not built in, to go behind an initramfs.
pub fn write(folder: &Path) -> Result<Vec<u8>> {
    let built_in = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
    let mut archive = Archive::new();
    for folder in ["lib", "lib/modules"] {
        archive.directory(folder)?;
    }
    let mut order = String::new();
    for module in MODULES {
        let file = format!("kernel/{module}.ko");
        if built_in.lines().any(|line| line == file) {
            continue;
        }
        let path = folder.join(&file);
        if !path.is_file() {
            bail!("Debian's kernel has no module {file} that is not compressed");
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = module.rsplit('/').next().unwrap_or(module);
        let member = format!("lib/modules/{name}.ko");
        archive.file(&member, 0o644, &bytes)?;
        order.push_str(&format!("/{member}\n"));
    }
    archive.file(ORDER, 0o644, order.as_bytes())?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_not_loaded() {
        let folder = std::env::temp_dir().join(format!("evisor-modules-{}", std::process::id()));
        for module in MODULES.iter().filter(|module| **module != "lib/crc16") {
            let path = folder.join(format!("kernel/{module}.ko"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, module).unwrap();
        }
        assert!(write(&folder).unwrap_err().to_string().contains("kernel/lib/crc16.ko"));
        fs::write(folder.join("modules.builtin"), "kernel/lib/crc16.ko\n").unwrap();
        let bytes = write(&folder).unwrap();
        fs::remove_dir_all(folder).unwrap();
        let files: Vec<_> = cpio_reader::iter_files(&bytes).collect();
        let order = files.iter().find(|file| file.name() == ORDER).unwrap();
        let order = String::from_utf8(order.file().to_vec()).unwrap();
        assert_eq!(order.lines().count(), MODULES.len() - 1);
        for path in order.lines() {
            assert!(files.iter().any(|file| path.strip_prefix('/') == Some(file.name())), "{path}");
        }
    }
}
