//! The distributor as one core sees it: where GICv2 and GICv3 agree (IHI 0048B.b §4.3;
//! IHI 0069 §12.9, whose registers of these names say the same).

use evisor_guest::gic::{self, TYPER, Version, distributor};
use evisor_guest::{exception, map, mmio};
use tock_registers::interfaces::{Readable, Writeable};

use crate::check::{self, Outcome, equal, holds, only_gic, require};
use crate::checks;

checks! { "distributor":
    typer typer_is_read_only iidr identification ctlr_readback
    enable_set_and_clear enable_other_bits_stay enable_beyond_lines
    pending_set_and_clear active_set_and_clear
    priority_bytes priority_word priority_levels
    configuration_spi configuration_sgi targets_of_one_core
    sgi_pending_bits reserved_reads_zero write_only_reads doubleword
}

/// SPIs 12 and 13: lines that nothing drives.
const QUIET: u32 = 44;
const QUIET_TOO: u32 = 45;

/// §4.3.2: at least the SPIs of the first 32; no Security Extensions.
fn typer() -> Outcome {
    let typer = &distributor().typer;
    holds("ITLinesNumber", typer.read(TYPER::ITLinesNumber) >= 1)?;
    equal("SecurityExtn", typer.get() & (1 << 10), 0_u32)
}

fn typer_is_read_only() -> Outcome {
    let before = distributor().typer.get();
    let write = exception::attempt(|| mmio::store32(map::GICD + 4, !before));
    check::no_exception("write", write)?;
    equal("GICD_TYPER", distributor().typer.get(), before)
}

/// §4.3.3.
fn iidr() -> Outcome {
    let read = exception::attempt(|| distributor().iidr.get());
    check::no_exception("read", read).map(|_| ())
}

/// §4.3.18, GICD_ICPIDR2; IHI 0069 §12.9.18, GICD_PIDR2: the architecture's version.
fn identification() -> Outcome {
    let (offset, revision) = match gic::version() {
        Version::V2 => (0xfe8, 2_u32),
        Version::V3 => (0xffe8, 3),
    };
    equal("ArchRev", (mmio::load32(map::GICD + offset) >> 4) & 0xf, revision)
}

/// §4.3.1.
fn ctlr_readback() -> Outcome {
    gic::set_distributor(false);
    let off = distributor().ctlr.get();
    gic::set_distributor(true);
    equal("off", off & 0b11, 0_u32)?;
    holds("on", distributor().ctlr.get() & 0b11 != 0)
}

/// §4.3.5 and §4.3.6: ones act, both read the same.
fn enable_set_and_clear() -> Outcome {
    let [_, set, ..] = &distributor().isenabler;
    let [_, clear, ..] = &distributor().icenabler;
    gic::enable_interrupt(QUIET);
    holds("set", gic::is_enabled(QUIET))?;
    equal("ICENABLER reads as ISENABLER", clear.get(), set.get())?;
    set.set(0);
    holds("zeros do nothing", gic::is_enabled(QUIET))?;
    gic::disable_interrupt(QUIET);
    holds("cleared", !gic::is_enabled(QUIET))
}

fn enable_other_bits_stay() -> Outcome {
    gic::enable_interrupt(QUIET);
    gic::enable_interrupt(QUIET_TOO);
    gic::disable_interrupt(QUIET);
    let (other, third) = (gic::is_enabled(QUIET_TOO), gic::is_enabled(QUIET_TOO + 1));
    gic::disable_interrupt(QUIET_TOO);
    holds("the other", other)?;
    holds("a third is off as before", !third)
}

/// §4.1.2: what has no interrupt reads as zero and ignores writes.
fn enable_beyond_lines() -> Outcome {
    let lines = distributor().typer.read(TYPER::ITLinesNumber) as usize;
    let beyond = distributor().isenabler.get(lines + 1);
    require("every line is there", beyond.is_some())?;
    let Some(beyond) = beyond else { return Ok(()) };
    beyond.set(u32::MAX);
    equal("ISENABLER beyond", beyond.get(), 0_u32)
}

/// §4.3.7 and §4.3.8.
fn pending_set_and_clear() -> Outcome {
    gic::set_pending(QUIET);
    let set = gic::is_pending(QUIET);
    gic::clear_pending(QUIET);
    holds("set", set)?;
    holds("cleared", !gic::is_pending(QUIET))
}

/// §4.3.9 and §4.3.10, which save and restore needs.
fn active_set_and_clear() -> Outcome {
    let [_, set, ..] = &distributor().isactiver;
    set.set(1 << (QUIET % 32));
    let active = gic::is_active(QUIET);
    gic::clear_active(QUIET);
    holds("set", active)?;
    holds("cleared", !gic::is_active(QUIET))
}

/// §4.3.11: bytes, each its own.
fn priority_bytes() -> Outcome {
    gic::set_priority(QUIET, 0xa0);
    gic::set_priority(QUIET_TOO, 0x50);
    equal("first", gic::priority(QUIET), 0xa0_u8)?;
    equal("second", gic::priority(QUIET_TOO), 0x50_u8)?;
    gic::set_priority(QUIET, 0);
    equal("second after the first", gic::priority(QUIET_TOO), 0x50_u8)?;
    gic::set_priority(QUIET_TOO, 0);
    Ok(())
}

fn priority_word() -> Outcome {
    let word = map::GICD + 0x400 + QUIET as usize;
    mmio::store32(word, 0x40c0_8010);
    equal("word", mmio::load32(word), 0x40c0_8010_u32)?;
    equal("its second byte", gic::priority(QUIET_TOO), 0x80_u8)?;
    mmio::store32(word, 0);
    Ok(())
}

/// §3.3: at least 16 levels, the low bits missing first.
fn priority_levels() -> Outcome {
    gic::set_priority(QUIET, 0xff);
    let implemented = gic::priority(QUIET);
    gic::set_priority(QUIET, 0);
    holds("at least 16", implemented >= 0xf0)?;
    equal("contiguous", implemented.leading_ones(), 8 - implemented.trailing_zeros())
}

/// §4.3.13: bit 1 of each field is edge; SPIs may be set.
fn configuration_spi() -> Outcome {
    let [_, _, icfgr, ..] = &distributor().icfgr;
    let field = 0b10 << (2 * (QUIET % 16));
    let before = icfgr.get();
    icfgr.set(before | field);
    equal("edge", icfgr.get() & field, field)?;
    icfgr.set(before & !field);
    equal("level", icfgr.get() & field, 0_u32)?;
    icfgr.set(before);
    Ok(())
}

/// §4.3.13: SGIs are edge-triggered, and it cannot be changed.
fn configuration_sgi() -> Outcome {
    let [icfgr, ..] = &gic::bank(0).icfgr;
    icfgr.set(0);
    equal("GICD_ICFGR0", icfgr.get() & 0xaaaa_aaaa, 0xaaaa_aaaa_u32)
}

/// §4.3.12: "In a uniprocessor implementation, all interrupts target the one
/// processor, and the GICD_ITARGETSRs are RAZ/WI."
fn targets_of_one_core() -> Outcome {
    only_gic(Version::V2)?;
    let cores = distributor().typer.read(TYPER::CPUNumber) + 1;
    require("more than one core", cores == 1)?;
    let Some(target) = distributor().itargetsr.get(QUIET as usize) else {
        return Ok(());
    };
    target.set(1);
    equal("GICD_ITARGETSR", target.get(), 0_u8)
}

/// §4.3.16 and §4.3.17: a bit for each source.
fn sgi_pending_bits() -> Outcome {
    only_gic(Version::V2)?;
    let [_, _, _, set, ..] = &distributor().spendsgir;
    let [_, _, _, clear, ..] = &distributor().cpendsgir;
    set.set(1);
    let pending = (set.get(), clear.get(), gic::is_pending(3));
    clear.set(1);
    equal("GICD_SPENDSGIR", pending.0, 1_u8)?;
    equal("GICD_CPENDSGIR", pending.1, 1_u8)?;
    holds("GICD_ISPENDR0", pending.2)?;
    equal("cleared", set.get(), 0_u8)
}

/// Table 4-1: 0x040 to 0x07c are reserved; of them IHI 0069 uses those up to 0x05c.
fn reserved_reads_zero() -> Outcome {
    let reserved = map::GICD + 0x70;
    let write = exception::attempt(|| mmio::store32(reserved, u32::MAX));
    check::no_exception("write", write)?;
    let read = exception::attempt(|| mmio::load32(reserved));
    equal("read", check::no_exception("read", read)?, 0_u32)
}

/// GICD_SGIR is write-only; reading it is unpredictable, but harmless.
fn write_only_reads() -> Outcome {
    let read = exception::attempt(|| mmio::load32(map::GICD + 0xf00));
    match read {
        Ok(_) => Ok(()),
        Err(taken) => equal("EC", taken.class(), 0x25_u64),
    }
}

/// §4.1.4 does not offer doublewords; whatever comes, the guest goes on.
fn doubleword() -> Outcome {
    let read = exception::attempt(|| mmio::load64(map::GICD));
    match read {
        Ok(_) => Ok(()),
        Err(taken) => equal("EC", taken.class(), 0x25_u64),
    }
}
