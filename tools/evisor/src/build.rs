//! `evisor build`: the image and the bundle as files, with what went in.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::card_file::CardFiles;
use crate::check;
use crate::deployment::Deployment;
use crate::image::{Features, Image, write_whole};
use crate::machine::Board;
use crate::toolchain::Toolchain;
use crate::workspace;

#[derive(Args)]
pub struct Build {
    /// Device-tree source of the deployment
    manifest: PathBuf,
    /// Folder to write evisor.bin, evisor.elf and bundle.cpio to
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Build only the components that the manifest needs
    #[arg(long)]
    minimal: bool,
    /// The board that it is to boot on
    #[arg(long, value_enum, default_value_t = Board::QemuVirt)]
    board: Board,
    /// Version of the board's interrupt controller; the image drives either
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    gic: u8,
    #[command(flatten)]
    card_files: CardFiles,
}

impl Build {
    pub fn carry_out(self) -> Result<u8> {
        let deployment = Deployment::load(&self.manifest, &self.card_files)?;
        let mut needed =
            check::examine(&deployment, self.board, self.gic, &Features::Default)?.features;
        let (features, components) = if self.minimal {
            // No manifest names a board.
            needed.push(self.board.feature());
            (Features::Only(needed.clone()), needed)
        } else {
            (Features::Default, workspace::default_features("evisor")?)
        };
        let image = Image::build(Toolchain::chosen()?, "evisor", &features)?;
        let (raw, bundle) = (image.raw()?, deployment.bundle()?);
        fs::create_dir_all(&self.output)
            .with_context(|| format!("cannot make {}", self.output.display()))?;
        write_whole(&self.output.join("evisor.bin"), &raw)?;
        write_whole(&self.output.join("bundle.cpio"), &bundle)?;
        let elf = self.output.join("evisor.elf");
        write_whole(&elf, image.elf())?;
        print!("{}", report(&image, raw.len(), &deployment, bundle.len(), &components)?);
        Ok(0)
    }
}

fn report(
    image: &Image,
    raw: usize,
    deployment: &Deployment,
    bundle: usize,
    components: &[String],
) -> Result<String> {
    let sizes = image.sizes()?;
    let mut text = String::new();
    let mut row = |name: &str, bytes: u64| text.push_str(&format!("{name:<28}{bytes:>12}\n"));
    row("text", sizes.text);
    row("rodata", sizes.rodata);
    row("data", sizes.data);
    row("bss", sizes.bss);
    row("text + rodata + data", sizes.text + sizes.rodata + sizes.data);
    row("own memory", sizes.text + sizes.rodata + sizes.data + sizes.bss);
    row("evisor.bin", raw as u64);
    for file in &deployment.files {
        row(&format!("  {}", file.name), file.bytes.len() as u64);
    }
    row("bundle.cpio", bundle as u64);
    text.push_str(&format!("components: {}\n", components.join(", ")));
    Ok(text)
}
