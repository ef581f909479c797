//! The Distributor's registers, but for the hot ones that are tried first.
//!
//! Reserved registers and bits read as zero and ignore writes, and so does an
//! access of a byte to a register that allows words only (IHI 0048B.b §4.1.3).

use super::Gich;
use super::spec::{GICD_CTLR, GICD_IIDR, GICD_SGIR, GICD_TYPER, IDENTIFICATION, gicd};
use crate::Vgic;
use crate::files::{File, gather, scatter, word_in_row};
use crate::spec::{SGIS, files};
use crate::state::{INTIDS, Slot, WORDS, bits, word_of};
use evisor_contract::{Context, Width};

/// The last of the registers of a byte an INTID of a file.
const FILE: u64 = INTIDS as u64 - 1;

const PRIORITIES_LAST: u64 = files::IPRIORITYR + FILE;
const TARGETS_LAST: u64 = files::ITARGETSR + FILE;
const CONFIGURATION_LAST: u64 = files::ICFGR + INTIDS as u64 / 4 - 1;
const SOURCES_LAST: u64 = gicd::SPENDSGIR + SGIS as u64 - 1;

/// GICD_TYPER for so many vCPUs.
pub fn typer(vcpus: usize) -> u32 {
    let cpus = GICD_TYPER::CPU_NUMBER.val(vcpus.wrapping_sub(1) as u32);
    (cpus + GICD_TYPER::IT_LINES_NUMBER.val(WORDS as u32 - 1)).value
}

/// GICD_IIDR: product "e" in the numbering of Arm's implementer code, as other
/// hypervisors' GICs have theirs.
const IIDR: u32 =
    GICD_IIDR::IMPLEMENTER.val(0x43b).value | GICD_IIDR::PRODUCT_ID.val(b'e' as u32).value;

const CONTROL_BITS: u32 = GICD_CTLR::ENABLE_GRP0::SET.value | GICD_CTLR::ENABLE_GRP1::SET.value;

impl Vgic<Gich> {
    /// Any register but TYPER; None if it is to be read again.
    pub(super) fn read_register(&mut self, offset: u64, width: Width, here: usize) -> Option<u32> {
        Some(match offset {
            files::IPRIORITYR..=PRIORITIES_LAST => {
                self.read_priorities((offset - files::IPRIORITYR) as usize, width, here)
            }
            files::ITARGETSR..=TARGETS_LAST => self.read_targets(offset, width, here),
            gicd::CPENDSGIR..=SOURCES_LAST => self.read_sources(offset, width, here),
            _ if width != Width::Word => 0,
            gicd::CTLR => self.state.control,
            gicd::IIDR => IIDR,
            files::ICFGR..=CONFIGURATION_LAST => {
                let n = ((offset - files::ICFGR) >> 2) as usize;
                self.read_configuration(word_of(here, n / 2), n % 2 == 1)
            }
            gicd::IDENTIFICATION.. => {
                let at = (offset.wrapping_sub(gicd::IDENTIFICATION) >> 2) as usize;
                IDENTIFICATION.get(at).copied().map_or(0, u32::from)
            }
            _ => match File::at(offset).zip(word_in_row(offset)) {
                Some((file, n)) => return self.read_bits(file, word_of(here, n), here),
                None => 0,
            },
        })
    }

    fn read_targets(&self, offset: u64, width: Width, here: usize) -> u32 {
        let first = (offset - files::ITARGETSR) as usize;
        gather(width, |n| match Slot::new(here, first + n) {
            // With one processor all of ITARGETSR is RAZ/WI (§4.3.12).
            _ if self.state.vcpus == 1 => 0,
            slot if slot.is_shared() => self.state.interrupt(slot).targets,
            _ => 1 << here,
        })
    }

    fn read_sources(&mut self, offset: u64, width: Width, here: usize) -> u32 {
        let kicks = self.recall(here);
        let first = offset as usize & (SGIS - 1);
        let value = gather(width, |n| self.state.sources(here, first + n));
        self.settle(here, kicks);
        value
    }

    /// Any register but ISENABLER and SGIR.
    pub(super) fn write_register(&mut self, offset: u64, width: Width, value: u32, here: usize) {
        self.forget_question(here);
        match offset {
            files::IPRIORITYR..=PRIORITIES_LAST => {
                let first = (offset - files::IPRIORITYR) as usize;
                self.write_priorities(first, width, value, here, here);
            }
            files::ITARGETSR..=TARGETS_LAST => self.write_targets(offset, width, value, here),
            gicd::CPENDSGIR..=SOURCES_LAST => self.write_sources(offset, width, value, here),
            _ if width != Width::Word => {}
            gicd::CTLR => self.write_control(value & CONTROL_BITS, here),
            files::ICFGR..=CONFIGURATION_LAST => {
                let n = ((offset - files::ICFGR) >> 2) as usize;
                self.write_configuration(word_of(here, n / 2), n % 2 == 1, value, here);
            }
            _ => {
                if let Some((file, n)) = File::at(offset).zip(word_in_row(offset)) {
                    self.write_bits(file, word_of(here, n), value, here);
                }
            }
        }
    }

    /// One bit for each vCPU there is.
    fn present(&self) -> u8 {
        0xff >> (8 - self.state.vcpus.min(8))
    }

    fn write_targets(&mut self, offset: u64, width: Width, value: u32, here: usize) {
        let (first, present) = ((offset - files::ITARGETSR) as usize, self.present());
        if self.state.vcpus == 1 {
            return;
        }
        self.rewrite(first, width, here, here, |gic| {
            for (n, byte) in scatter(width, value) {
                let slot = Slot::new(here, first + n);
                if slot.is_shared() {
                    gic.state.set_targets(slot, byte & present);
                }
            }
        });
    }

    /// Banked: of the vCPU that asks (§4.3.16, §4.3.17).
    fn write_sources(&mut self, offset: u64, width: Width, value: u32, here: usize) {
        let present = self.present();
        let kicks = self.recall(here);
        let first = offset as usize & (SGIS - 1);
        for (n, byte) in scatter(width, value) {
            let sources = self.state.sources(here, first + n);
            let changed = match offset {
                gicd::SPENDSGIR.. => sources | byte & present,
                _ => sources & !byte,
            };
            self.state.set_sources(here, first + n, changed);
        }
        self.settle(here, kicks);
    }

    /// GICD_SGIR (§4.3.15).
    pub(super) fn send_sgi(&mut self, value: u32, here: usize, cx: &Context) {
        let sgi = GICD_SGIR::SGIINTID.read(value) as usize & (SGIS - 1);
        let all = u32::from(self.present());
        let targets = match GICD_SGIR::TARGET_LIST_FILTER.read(value) {
            0 => GICD_SGIR::CPU_TARGET_LIST.read(value) & all,
            1 => all & !(1 << here),
            2 => 1 << here,
            _ => 0,
        };
        for target in bits(targets) {
            let target = target as usize;
            let sources = self.state.sources(target, sgi) | 1 << (here & 7);
            self.state.set_sources(target, sgi, sources);
            self.offer(Slot::new(target, sgi), cx);
        }
    }
}
