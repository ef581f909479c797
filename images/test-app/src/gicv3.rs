//! What only GICv3 has (IHI 0069 chapters 4 and 12): affinity routing, redistributors,
//! and the CPU interface in system registers. One security state.
#![allow(unsafe_code, reason = "system registers by encoding")]

use aarch64_cpu::asm::barrier;
use evisor_guest::gic::v3::{self, GICD_CTLR, GICR_TYPER, STRIDE, WAKER, redistributor};
use evisor_guest::gic::{self, SPURIOUS, Target, Version, distributor};
use evisor_guest::{cores, exception, map, mmio, read_register, write_register};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use crate::check::{Outcome, equal, holds, only_gic, only_on_evisor, require};
use crate::checks;
use crate::lines::{A, B, comes, comes_and_ends, with};
use crate::system_register::undefined;

checks! { "gicv3":
    affinity_routing one_security_state writes_settle identifier_bits no_lpis_on_evisor
    lpis_agree no_extended_ranges targets_reserved sgi_register_reserved
    sgi_pending_registers_reserved private_registers_reserved group_modifier_reserved
    router_readback router_mode router_reset_is_an_affinity router_by_words router_to_nobody
    clear_router_reaches_us
    redistributor_affinity redistributor_last redistributor_identification
    redistributor_typer_by_words redistributor_waker redistributor_lpis_off
    private_enable private_pending private_active private_priority private_priority_word
    private_configuration private_group sgi_by_redistributor
    system_registers_are_on control_fields binary_point_minimum group_enable_readback
    active_priorities sgi_by_affinity sgi_to_other_cluster
    acknowledge_is_read_only end_is_write_only sgi_is_write_only
    hypervisor_registers_undefined monitor_registers_undefined
    group_0_is_apart group_0_comes_by_its_own spurious_by_group_0
}

/// GICv3, or it does not apply.
fn v3() -> Outcome {
    only_gic(Version::V3)
}

/// §12.9.4, GICD_CTLR.ARE.
fn affinity_routing() -> Outcome {
    v3()?;
    holds("ARE", GICD_CTLR::ARE.read(distributor().ctlr.get()) == 1)
}

/// GICD_CTLR.DS or GICD_TYPER.SecurityExtn: one state, however that is said.
fn one_security_state() -> Outcome {
    v3()?;
    let disabled = GICD_CTLR::DS.read(distributor().ctlr.get()) == 1;
    let extended = distributor().typer.get() & 1 << 10 != 0;
    holds("one security state", disabled || !extended)
}

/// GICD_CTLR.RWP, GICR_CTLR.RWP: writes come into effect. (A hang, if not.)
fn writes_settle() -> Outcome {
    v3()?;
    with(&[A, 5], || {
        gic::disable_interrupt(A);
        gic::disable_interrupt(5);
        equal("GICD_CTLR.RWP", GICD_CTLR::RWP.read(distributor().ctlr.get()), 0_u32)
    })
}

/// §12.9.38, GICD_TYPER.IDbits: at least ten bits.
fn identifier_bits() -> Outcome {
    v3()?;
    holds("IDbits", (distributor().typer.get() >> 19 & 0x1f) + 1 >= 10)
}

/// eVisor has no LPIs, and says so.
fn no_lpis_on_evisor() -> Outcome {
    v3()?;
    only_on_evisor()?;
    equal("GICD_TYPER.LPIS", distributor().typer.get() & 1 << 17, 0_u32)?;
    equal("GICR_TYPER.PLPIS", redistributor(0).typer.read(GICR_TYPER::PLPIS), 0_u64)
}

/// §12.9.38 and §12.11.35: distributor and redistributor agree on LPIs.
fn lpis_agree() -> Outcome {
    v3()?;
    let distributor = distributor().typer.get() >> 17 & 1;
    equal("PLPIS", redistributor(0).typer.read(GICR_TYPER::PLPIS), distributor)
}

/// GICD_TYPER.ESPI clear: what the registers for them hold is nothing.
fn no_extended_ranges() -> Outcome {
    v3()?;
    require("there are extended SPIs", distributor().typer.get() & 1 << 8 == 0)?;
    // GICD_ISENABLER0E.
    mmio::store32(map::GICD + 0x1200, u32::MAX);
    equal("GICD_ISENABLER0E", mmio::load32(map::GICD + 0x1200), 0_u32)
}

/// §12.9.24: with affinity routing GICD_ITARGETSR is RES0.
fn targets_reserved() -> Outcome {
    v3()?;
    let Some(target) = distributor().itargetsr.get(A as usize) else { return Ok(()) };
    target.set(1);
    equal("GICD_ITARGETSR", target.get(), 0_u8)
}

/// §12.9.35: with affinity routing GICD_SGIR is RES0.
fn sgi_register_reserved() -> Outcome {
    v3()?;
    with(&[5], || {
        distributor().sgir.set(0b10 << 24 | 5);
        barrier::dsb(barrier::SY);
        comes("nothing comes", SPURIOUS)
    })
}

/// §12.9.36: so are GICD_SPENDSGIR and GICD_CPENDSGIR.
fn sgi_pending_registers_reserved() -> Outcome {
    v3()?;
    with(&[5], || {
        let [_, _, _, _, _, set, ..] = &distributor().spendsgir;
        set.set(1);
        equal("GICD_SPENDSGIR", set.get(), 0_u8)?;
        comes("nothing comes", SPURIOUS)
    })
}

/// §12.9.27: with affinity routing the distributor's registers of interrupts 0 to 31
/// are RES0; those are in the redistributors.
fn private_registers_reserved() -> Outcome {
    v3()?;
    let [enable, ..] = &distributor().isenabler;
    let [priority, ..] = &distributor().ipriorityr;
    let before = gic::is_enabled(15);
    enable.set(1 << 15);
    priority.set(0xa0);
    equal("GICD_ISENABLER0", enable.get(), 0_u32)?;
    equal("GICD_IPRIORITYR0", priority.get(), 0_u8)?;
    equal("GICR_ISENABLER0", gic::is_enabled(15), before)
}

/// §12.9.20, GICD_IGRPMODR: with one security state RES0.
fn group_modifier_reserved() -> Outcome {
    v3()?;
    mmio::store32(map::GICD + 0xd04, u32::MAX);
    equal("GICD_IGRPMODR1", mmio::load32(map::GICD + 0xd04), 0_u32)
}

fn router(intid: u32) -> usize {
    map::GICD + 0x6000 + 8 * intid as usize
}

/// §12.9.22: Aff2 to Aff0 read as written.
fn router_readback() -> Outcome {
    v3()?;
    mmio::store64(router(A), 0x0001_0203);
    let written = mmio::load64(router(A));
    gic::route(A, 0);
    equal("GICD_IROUTER", written, 0x0001_0203_u64)
}

/// GICD_IROUTER.Interrupt_Routing_Mode: writable unless GICD_TYPER.No1N.
fn router_mode() -> Outcome {
    v3()?;
    let none = distributor().typer.get() & 1 << 25 != 0;
    mmio::store64(router(A), 1 << 31);
    let written = mmio::load64(router(A)) >> 31 & 1;
    gic::route(A, 0);
    require("there is no 1 of N", !none || written == 0)?;
    equal("GICD_IROUTER", written, u64::from(!none))
}

/// What no one has written names no reserved bit.
fn router_reset_is_an_affinity() -> Outcome {
    v3()?;
    equal("reserved bits", mmio::load64(router(A + 15)) & 0xffff_ff00_7f00_0000, 0_u64)
}

/// §12.9.22: its halves can be accessed as words.
fn router_by_words() -> Outcome {
    v3()?;
    mmio::store32(router(A), 0x0000_0201);
    let whole = mmio::load64(router(A));
    let low = mmio::load32(router(A));
    gic::route(A, 0);
    equal("GICD_IROUTER", whole & 0xffff_ffff, 0x0201_u64)?;
    equal("its lower half", low, 0x0201_u32)
}

/// §4.1: routed to a core that is not there it is pending and goes nowhere.
fn router_to_nobody() -> Outcome {
    v3()?;
    with(&[A], || {
        mmio::store64(router(A), 0x00ff_ff00);
        gic::set_pending(A);
        comes("nobody's", SPURIOUS)?;
        holds("pending", gic::is_pending(A))?;
        gic::route(A, 0);
        comes_and_ends("ours", A)
    })
}

/// As above: the one of several that is ours comes.
fn clear_router_reaches_us() -> Outcome {
    v3()?;
    with(&[A, B], || {
        mmio::store64(router(A), 0x0000_ff00);
        gic::set_pending(A);
        gic::set_pending(B);
        comes_and_ends("the one that is ours", B)?;
        comes("not the other", SPURIOUS)
    })
}

/// GICR_TYPER.Affinity_Value is MPIDR_EL1's.
fn redistributor_affinity() -> Outcome {
    v3()?;
    let mpidr = read_register!("mpidr_el1");
    let affinity = mpidr & 0xff_ffff | (mpidr >> 32 & 0xff) << 24;
    let own = redistributor(0).typer.read(GICR_TYPER::Affinity);
    equal("Affinity_Value", own, affinity)
}

/// One for each core, the last of which says so.
fn redistributor_last() -> Outcome {
    v3()?;
    for core in 0..cores::count() {
        let typer = &v3::redistributor_at(map::GICR + core * STRIDE).typer;
        equal("Last", typer.is_set(GICR_TYPER::Last), core + 1 == cores::count())?;
        equal("Processor_Number", typer.read(GICR_TYPER::ProcessorNumber), core as u64)?;
    }
    Ok(())
}

/// GICR_PIDR2.ArchRev.
fn redistributor_identification() -> Outcome {
    v3()?;
    equal("ArchRev", redistributor(0).pidr2.get() >> 4 & 0xf, 3_u32)
}

/// §12.11.35: its halves can be read as words.
fn redistributor_typer_by_words() -> Outcome {
    v3()?;
    let whole = redistributor(0).typer.get();
    let at = v3::address_of(0) + 8;
    let halves = u64::from(mmio::load32(at)) | u64::from(mmio::load32(at + 4)) << 32;
    equal("GICR_TYPER", halves, whole)
}

/// §12.11.42: asleep and awake, the children follow.
fn redistributor_waker() -> Outcome {
    v3()?;
    let waker = &redistributor(0).waker;
    let awake = waker.is_set(WAKER::ChildrenAsleep);
    gic::set_interface(false);
    waker.modify(WAKER::ProcessorSleep::SET);
    let asleep = waker.is_set(WAKER::ProcessorSleep);
    let limit = 100_000;
    let followed = evisor_guest::timer::wait_until(limit, || waker.is_set(WAKER::ChildrenAsleep));
    waker.modify(WAKER::ProcessorSleep::CLEAR);
    let again = evisor_guest::timer::wait_until(limit, || !waker.is_set(WAKER::ChildrenAsleep));
    gic::set_interface(true);
    holds("awake first", !awake)?;
    require("it does not sleep", asleep)?;
    holds("ChildrenAsleep follows", followed)?;
    holds("and back", again)
}

/// §12.11.2: without LPIs GICR_CTLR.EnableLPIs is RES0.
fn redistributor_lpis_off() -> Outcome {
    v3()?;
    let own = redistributor(0);
    require("there are LPIs", own.typer.read(GICR_TYPER::PLPIS) == 0)?;
    own.ctlr.modify(v3::GICR_CTLR::EnableLPIs::SET);
    holds("EnableLPIs", !own.ctlr.is_set(v3::GICR_CTLR::EnableLPIs))
}

/// §12.11.19 and §12.11.13, GICR_ISENABLER0 and GICR_ICENABLER0.
fn private_enable() -> Outcome {
    v3()?;
    with(&[5, 6], || {
        holds("set", gic::is_enabled(5))?;
        gic::disable_interrupt(5);
        holds("cleared", !gic::is_enabled(5))?;
        holds("its neighbour", gic::is_enabled(6))
    })
}

/// §12.11.22, GICR_ISPENDR0, of a PPI that nothing drives.
fn private_pending() -> Outcome {
    v3()?;
    with(&[QUIET_PPI], || {
        gic::set_pending(QUIET_PPI);
        holds("pending", gic::is_pending(QUIET_PPI))?;
        comes_and_ends("it comes", QUIET_PPI)?;
        gic::set_pending(QUIET_PPI);
        gic::clear_pending(QUIET_PPI);
        comes("withdrawn", SPURIOUS)
    })
}

/// PPI 0.
const QUIET_PPI: u32 = 16;

/// §12.11.18, GICR_ISACTIVER0.
fn private_active() -> Outcome {
    v3()?;
    with(&[QUIET_PPI], || {
        gic::set_active(QUIET_PPI);
        holds("active", gic::is_active(QUIET_PPI))?;
        gic::set_pending(QUIET_PPI);
        comes("while active", SPURIOUS)?;
        gic::clear_active(QUIET_PPI);
        holds("inactive", !gic::is_active(QUIET_PPI))?;
        comes_and_ends("then", QUIET_PPI)
    })
}

/// §12.11.21, GICR_IPRIORITYR: bytes.
fn private_priority() -> Outcome {
    v3()?;
    gic::set_priority(5, 0xa0);
    gic::set_priority(6, 0x50);
    let read = (gic::priority(5), gic::priority(6));
    gic::set_priority(5, 0);
    let neighbour = gic::priority(6);
    gic::set_priority(6, 0);
    equal("first", read.0, 0xa0_u8)?;
    equal("second", read.1, 0x50_u8)?;
    equal("second after the first", neighbour, 0x50_u8)
}

fn private_priority_word() -> Outcome {
    v3()?;
    let word = v3::address_of(0) + v3::SGI_FRAME + 0x404;
    mmio::store32(word, 0x40c0_8010);
    let written = mmio::load32(word);
    let second = gic::priority(5);
    mmio::store32(word, 0);
    equal("word", written, 0x40c0_8010_u32)?;
    equal("its second byte", second, 0x80_u8)
}

/// §12.11.7, GICR_ICFGR0: SGIs are edge-triggered.
fn private_configuration() -> Outcome {
    v3()?;
    let [sgis, ..] = &gic::bank(0).icfgr;
    sgis.set(0);
    equal("GICR_ICFGR0", sgis.get() & 0xaaaa_aaaa, 0xaaaa_aaaa_u32)
}

/// §12.11.14, GICR_IGROUPR0.
fn private_group() -> Outcome {
    v3()?;
    let [groups, ..] = &gic::bank(0).igroupr;
    groups.set(0xffff_0f0f);
    let written = groups.get() & 0xffff;
    groups.set(u32::MAX);
    equal("GICR_IGROUPR0", written, 0x0f0f_u32)
}

/// §12.11.22: GICR_ISPENDR0 sets SGIs too.
fn sgi_by_redistributor() -> Outcome {
    v3()?;
    with(&[5], || {
        gic::set_pending(5);
        holds("pending", gic::is_pending(5))?;
        comes_and_ends("it comes", 5)?;
        gic::send_to_self(5);
        gic::clear_pending(5);
        comes("withdrawn", SPURIOUS)
    })
}

/// §12.2.40, ICC_SRE_EL1.SRE.
fn system_registers_are_on() -> Outcome {
    v3()?;
    equal("SRE", read_register!("S3_0_C12_C12_5") & 1, 1_u64)
}

/// §12.2.7, ICC_CTLR_EL1: at least 16 priorities, and 16 or 24 bits of INTID.
fn control_fields() -> Outcome {
    v3()?;
    let control = read_register!("S3_0_C12_C12_4");
    holds("PRIbits", (control >> 8 & 7) + 1 >= 4)?;
    holds("IDbits", control >> 11 & 7 <= 1)
}

/// §12.2.6: a value below the minimum sets the minimum, which is 1 to 4.
fn binary_point_minimum() -> Outcome {
    v3()?;
    gic::set_binary_point(0);
    let least = gic::binary_point();
    gic::set_binary_point(7);
    let most = gic::binary_point();
    gic::set_binary_point(0);
    holds("minimum", least <= 4)?;
    equal("maximum", most, 7_u32)
}

/// §12.2.15 and §12.2.16.
fn group_enable_readback() -> Outcome {
    v3()?;
    equal("ICC_IGRPEN1_EL1", read_register!("S3_0_C12_C12_7") & 1, 1_u64)?;
    gic::set_interface(false);
    let off = read_register!("S3_0_C12_C12_7") & 1;
    gic::set_interface(true);
    equal("off", off, 0_u64)
}

/// §12.2.5, ICC_AP1R0_EL1: a bit for each active priority.
fn active_priorities() -> Outcome {
    v3()?;
    let active = || read_register!("S3_0_C12_C9_0").count_ones();
    with(&[A], || {
        equal("before", active(), 0_u32)?;
        gic::set_pending(A);
        comes("it comes", A)?;
        equal("while active", active(), 1_u32)?;
        gic::end(A);
        equal("after", active(), 0_u32)
    })
}

/// §12.2.37, ICC_SGI1R_EL1: a list of cores within a cluster.
fn sgi_by_affinity() -> Outcome {
    v3()?;
    with(&[5], || {
        gic::send(5, Target::Cores(1));
        comes_and_ends("to this core", 5)?;
        comes("once", SPURIOUS)
    })
}

/// Aff1 1: nobody's.
fn sgi_to_other_cluster() -> Outcome {
    v3()?;
    with(&[5], || {
        write_register!("S3_0_C12_C11_5", 1 << 16 | 5 << 24 | 1);
        barrier::isb(barrier::SY);
        comes("nothing comes", SPURIOUS)
    })
}

/// §12.2.14: MSR to ICC_IAR1_EL1 is UNDEFINED.
fn acknowledge_is_read_only() -> Outcome {
    v3()?;
    undefined(exception::attempt(|| write_register!("S3_0_C12_C12_0", 0)))?;
    undefined(exception::attempt(|| write_register!("S3_0_C12_C11_3", 0)))
}

/// §12.2.10 and §12.2.8: MRS from ICC_EOIR1_EL1 and ICC_DIR_EL1 is UNDEFINED.
fn end_is_write_only() -> Outcome {
    v3()?;
    undefined(exception::attempt(|| read_register!("S3_0_C12_C12_1")))?;
    undefined(exception::attempt(|| read_register!("S3_0_C12_C11_1")))
}

/// §12.2.37.
fn sgi_is_write_only() -> Outcome {
    v3()?;
    undefined(exception::attempt(|| read_register!("S3_0_C12_C11_5")))
}

/// ICC_SRE_EL2, ICH_HCR_EL2, ICH_VTR_EL2 and ICH_LR0_EL2 are EL2's.
fn hypervisor_registers_undefined() -> Outcome {
    v3()?;
    undefined(exception::attempt(|| read_register!("S3_4_C12_C9_5")))?;
    undefined(exception::attempt(|| read_register!("S3_4_C12_C11_0")))?;
    undefined(exception::attempt(|| read_register!("S3_4_C12_C11_1")))?;
    undefined(exception::attempt(|| write_register!("S3_4_C12_C12_0", 0)))
}

/// ICC_SRE_EL3, ICC_IGRPEN1_EL3 and ICC_CTLR_EL3 are EL3's.
fn monitor_registers_undefined() -> Outcome {
    v3()?;
    undefined(exception::attempt(|| read_register!("S3_6_C12_C12_5")))?;
    undefined(exception::attempt(|| read_register!("S3_6_C12_C12_7")))?;
    undefined(exception::attempt(|| read_register!("S3_6_C12_C12_4")))
}

/// Runs a check with A in Group 0 and both groups on.
fn with_group_0(body: impl FnOnce() -> Outcome) -> Outcome {
    v3()?;
    let [_, groups, ..] = &distributor().igroupr;
    with(&[A, B], || {
        groups.set(groups.get() & !(1 << (A % 32)));
        let both = GICD_CTLR::EnableGrp0::SET + GICD_CTLR::EnableGrp1::SET + GICD_CTLR::ARE::SET;
        distributor().ctlr.set(both.value);
        write_register!("S3_0_C12_C12_6", 1);
        barrier::isb(barrier::SY);
        let outcome = body();
        write_register!("S3_0_C12_C12_6", 0);
        groups.set(u32::MAX);
        gic::set_distributor(true);
        outcome
    })
}

/// §4.6: ICC_IAR1_EL1 does not acknowledge Group 0.
fn group_0_is_apart() -> Outcome {
    with_group_0(|| {
        gic::set_pending(A);
        comes("ICC_IAR1_EL1", SPURIOUS)?;
        holds("pending", gic::is_pending(A))
    })
}

/// §12.2.13, §12.2.9, §12.2.11: ICC_HPPIR0, ICC_IAR0, ICC_EOIR0.
fn group_0_comes_by_its_own() -> Outcome {
    with_group_0(|| {
        gic::set_pending(A);
        equal("ICC_HPPIR0_EL1", read_register!("S3_0_C12_C8_2"), A)?;
        equal("ICC_IAR0_EL1", read_register!("S3_0_C12_C8_0"), A)?;
        holds("active", gic::is_active(A))?;
        write_register!("S3_0_C12_C8_1", u64::from(A));
        barrier::isb(barrier::SY);
        holds("ended", !gic::is_active(A))
    })
}

/// And ICC_IAR0_EL1 does not acknowledge Group 1.
fn spurious_by_group_0() -> Outcome {
    with_group_0(|| {
        gic::set_pending(B);
        equal("ICC_IAR0_EL1", read_register!("S3_0_C12_C8_0"), SPURIOUS)?;
        comes_and_ends("ICC_IAR1_EL1", B)
    })
}
