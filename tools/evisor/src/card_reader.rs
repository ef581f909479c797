//! The SD card of a board in QEMU.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::machine::Board;

/// What is in the board's card slot.
#[derive(Args, Clone, Debug, Default)]
pub struct CardReader {
    /// Image of the SD card that is in the board; guests may write to it
    #[arg(long = "card", value_name = "FILE")]
    card: Option<PathBuf>,
    /// Forget what is written to the card when QEMU ends
    #[arg(long = "card-snapshot", requires = "card")]
    snapshot: bool,
}

impl CardReader {
    /// A card that keeps nothing of what is written to it.
    pub fn trying(card: PathBuf) -> Self {
        Self { card: Some(card), snapshot: true }
    }

    /// A card that keeps what is written to it.
    pub fn keeping(card: PathBuf) -> Self {
        Self { card: Some(card), snapshot: false }
    }

    /// QEMU's arguments for it.
    pub fn arguments(&self, board: Board) -> Result<Vec<String>> {
        let Some(card) = &self.card else {
            return Ok(Vec::new());
        };
        let shown = card.display();
        ensure!(
            board == Board::Raspi4,
            "--card: the board {} has no SD card: use --board raspi4",
            board.name()
        );
        let size =
            fs::metadata(card).with_context(|| format!("--card: cannot read {shown}"))?.len();
        ensure!(
            size.is_power_of_two(),
            "--card: QEMU takes cards of a power of two only: truncate -s {} {shown}",
            size.next_power_of_two()
        );
        // A comma ends an option's value; two stand for one.
        let path = shown.to_string().replace(',', ",,");
        let snapshot = if self.snapshot { ",snapshot=on" } else { "" };
        Ok(vec!["-drive".to_owned(), format!("if=sd,format=raw,file={path}{snapshot}")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_a_drive_of_the_board_that_has_a_slot() {
        let path = std::env::temp_dir().join(format!("evisor,card-{}", std::process::id()));
        fs::write(&path, [0; 512]).unwrap();
        let reader = CardReader::trying(path.clone());
        let arguments = reader.arguments(Board::Raspi4).unwrap().join(" ");
        fs::write(&path, [0; 600]).unwrap();
        let odd = reader.arguments(Board::Raspi4).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        assert!(arguments.starts_with("-drive if=sd,format=raw,file="), "{arguments}");
        assert!(arguments.contains("/evisor,,card-"), "{arguments}");
        assert!(arguments.ends_with(",snapshot=on"), "{arguments}");
        assert!(odd.contains("truncate -s 1024"), "{odd}");
        assert!(reader.arguments(Board::Raspi4).is_err());
        let other = reader.arguments(Board::QemuVirt).unwrap_err().to_string();
        assert!(other.contains("--board raspi4"), "{other}");
    }

    #[test]
    fn without_a_card_there_is_no_drive() {
        assert!(CardReader::default().arguments(Board::QemuVirt).unwrap().is_empty());
    }
}
