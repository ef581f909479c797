//! Memory through mappings of other kinds, and what stage 1 itself refuses (DDI 0487
//! chapters B2 and D8): a hypervisor's stage 2 must not take from it, nor add to it.
#![allow(unsafe_code, reason = "cache and TLB maintenance, exclusives")]

use core::arch::asm;
use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};

use evisor_guest::mmu::{Attribute, PAGE, Page, map, window};
use evisor_guest::{
    cores, exception, map as addresses, mmio, read_register, timer, write_register,
};

use crate::check::{self, Outcome, equal, holds, on, with_cores};
use crate::checks;

checks! { "memory_attribute":
    alias_is_the_same_memory non_cacheable_sees_cleaned cacheable_sees_uncached
    write_through_and_back device_mapping_of_ram device_by_early_acknowledgement
    two_pages_one_frame remapped_page unmapped_page_faults read_only_page_faults
    access_flag_faults never_executed_page_faults executable_page_runs
    translation_says_the_attribute translation_says_the_fault
    alignment_checked_when_asked unaligned_across_pages unaligned_device_mapping
    exclusive_pair exclusive_lost_by_clear load_acquire_store_release
    zero_block_uncached barriers_of_all_kinds instruction_cache_all
    uart_through_the_window own_image_through_the_window
    counter_on_two_cores message_between_cores exclusive_between_cores
    unmapped_for_all remapped_for_all code_for_all
}

#[repr(align(4096))]
struct Frames([[AtomicU64; 512]; 2]);

static FRAMES: Frames = Frames([const { [const { AtomicU64::new(0) }; 512] }; 2]);

fn frame(number: usize) -> usize {
    (&raw const FRAMES.0) as usize + number * PAGE
}

fn clean(address: usize) {
    // SAFETY: clean and invalidate: no data is lost.
    unsafe { asm!("dc civac, {}", "dsb sy", in(reg) address) };
}

/// Runs a check with pages of the window mapped; unmaps them after.
fn with_pages(pages: &[(usize, Page)], body: impl FnOnce() -> Outcome) -> Outcome {
    for &(number, page) in pages {
        map(number, page);
    }
    let outcome = body();
    for &(number, _) in pages {
        map(number, Page::INVALID);
    }
    outcome
}

fn with_one(page: Page, body: impl FnOnce(usize) -> Outcome) -> Outcome {
    with_pages(&[(0, page)], || body(window(0)))
}

fn alias_is_the_same_memory() -> Outcome {
    with_one(Page::new(frame(0), Attribute::WriteBack), |alias| {
        mmio::store64(frame(0) + 8, 0x1111);
        equal("through the alias", mmio::load64(alias + 8), 0x1111_u64)?;
        mmio::store64(alias + 16, 0x2222);
        equal("through the map", mmio::load64(frame(0) + 16), 0x2222_u64)
    })
}

/// B2.8 "Mismatched memory attributes": with maintenance in between it is the same
/// memory.
fn non_cacheable_sees_cleaned() -> Outcome {
    with_one(Page::new(frame(0), Attribute::NonCacheable), |alias| {
        mmio::store64(frame(0), 0x3333);
        clean(frame(0));
        equal("uncached", mmio::load64(alias), 0x3333_u64)
    })
}

fn cacheable_sees_uncached() -> Outcome {
    with_one(Page::new(frame(0), Attribute::NonCacheable), |alias| {
        clean(frame(0));
        mmio::store64(alias, 0x4444);
        clean(frame(0));
        equal("cached", mmio::load64(frame(0)), 0x4444_u64)
    })
}

fn write_through_and_back() -> Outcome {
    with_one(Page::new(frame(0), Attribute::WriteThrough), |alias| {
        clean(frame(0));
        mmio::store64(alias, 0x5555);
        clean(frame(0));
        equal("written through", mmio::load64(frame(0)), 0x5555_u64)
    })
}

fn device_mapping_of_ram() -> Outcome {
    with_one(Page::new(frame(0), Attribute::Device), |alias| {
        clean(frame(0));
        mmio::store32(alias + 4, 0x6666);
        mmio::store8(alias + 1, 0x77);
        let read = (mmio::load32(alias + 4), mmio::load8(alias + 1));
        clean(frame(0));
        equal("word", read.0, 0x6666_u32)?;
        equal("byte", read.1, 0x77_u8)?;
        equal("cached", mmio::load32(frame(0) + 4), 0x6666_u32)
    })
}

/// The UART through Device-nGnRE.
fn device_by_early_acknowledgement() -> Outcome {
    with_one(Page::new(addresses::UART, Attribute::DeviceEarlyAck), |uart| {
        equal("UARTPeriphID0", mmio::load32(uart + 0xfe0), 0x11_u32)
    })
}

fn two_pages_one_frame() -> Outcome {
    let page = Page::new(frame(0), Attribute::WriteBack);
    with_pages(&[(0, page), (9, page)], || {
        mmio::store64(window(0) + 40, 0x8888);
        equal("the other page", mmio::load64(window(9) + 40), 0x8888_u64)
    })
}

fn remapped_page() -> Outcome {
    mmio::store64(frame(0), 1);
    mmio::store64(frame(1), 2);
    with_one(Page::new(frame(0), Attribute::WriteBack), |alias| {
        for round in 0..100 {
            let number = round & 1;
            map(0, Page::new(frame(number), Attribute::WriteBack));
            equal("the frame", mmio::load64(alias), number as u64 + 1)?;
        }
        Ok(())
    })
}

const DATA_ABORT: u64 = 0x25;
const WNR: u64 = 1 << 6;

/// A fault of stage 1 at level 3, with its kind and the address.
fn faults<T>(
    result: Result<T, exception::Exception>,
    kind: u64,
    address: usize,
    write: bool,
) -> Outcome {
    let taken = check::exception("access", result)?;
    equal("EC", taken.class(), DATA_ABORT)?;
    equal("DFSC", taken.fault_status(), kind)?;
    equal("WnR", taken.iss() & WNR != 0, write)?;
    equal("FAR", taken.far, address as u64)
}

const TRANSLATION_3: u64 = 0b00_0111;
const ACCESS_FLAG_3: u64 = 0b00_1011;
const PERMISSION_3: u64 = 0b00_1111;

fn unmapped_page_faults() -> Outcome {
    with_one(Page::new(frame(0), Attribute::WriteBack), |alias| {
        mmio::store64(alias, 1);
        map(0, Page::INVALID);
        let at = alias + 12;
        faults(exception::attempt(|| mmio::load32(at)), TRANSLATION_3, at, false)?;
        faults(exception::attempt(|| mmio::store32(at, 0)), TRANSLATION_3, at, true)
    })
}

fn read_only_page_faults() -> Outcome {
    with_one(Page::new(frame(0), Attribute::WriteBack).read_only(), |alias| {
        mmio::store64(frame(0), 9);
        equal("it can be read", mmio::load64(alias), 9_u64)?;
        faults(exception::attempt(|| mmio::store64(alias, 1)), PERMISSION_3, alias, true)?;
        equal("and is not written", mmio::load64(frame(0)), 9_u64)
    })
}

fn access_flag_faults() -> Outcome {
    with_one(Page::new(frame(0), Attribute::WriteBack).not_accessed(), |alias| {
        faults(exception::attempt(|| mmio::load64(alias)), ACCESS_FLAG_3, alias, false)
    })
}

const MOV_W0_42: u32 = 0x5280_0540;
const MOV_W0_43: u32 = 0x5280_0560;
const RET: u32 = 0xd65f_03c0;

/// Writes a function into a frame; what it returns is the operand of the first
/// instruction.
fn write_code(frame: usize, first: u32) {
    mmio::store32(frame, first);
    mmio::store32(frame + 4, RET);
    publish_code(frame);
}

/// By the address that it was written at; by another, all of the cache goes.
fn publish_code(frame: usize) {
    // SAFETY: maintenance.
    unsafe {
        asm!("dc cvau, {0}", "dsb ish", "ic ialluis", "dsb ish", "isb", in(reg) frame);
    }
}

fn call(address: usize) -> u32 {
    // SAFETY: what is there is a function of this type, or the fetch faults.
    let function = unsafe { mem::transmute::<usize, extern "C" fn() -> u32>(address) };
    function()
}

fn never_executed_page_faults() -> Outcome {
    with_one(Page::new(frame(0), Attribute::WriteBack), |alias| {
        write_code(frame(0), MOV_W0_42);
        let taken = check::exception("fetch", exception::attempt(|| call(alias)))?;
        equal("EC", taken.class(), 0x21_u64)?;
        equal("IFSC", taken.fault_status(), PERMISSION_3)?;
        equal("FAR", taken.far, alias as u64)
    })
}

fn executable_page_runs() -> Outcome {
    write_code(frame(0), MOV_W0_42);
    with_one(Page::new(frame(0), Attribute::WriteBack).read_only().executable(), |alias| {
        equal("what it returned", call(alias), 42_u32)
    })
}

/// AT S1E1R (DDI 0487, PAR_EL1).
fn translate(address: usize) -> u64 {
    let result: u64;
    // SAFETY: it writes PAR_EL1 only.
    unsafe { asm!("at s1e1r, {}", "isb", "mrs {}, par_el1", in(reg) address, out(reg) result) };
    result
}

/// PAR_EL1.ATTR and .PA, for stage 1 alone.
fn translation_says_the_attribute() -> Outcome {
    with_pages(
        &[
            (0, Page::new(frame(0), Attribute::WriteBack)),
            (1, Page::new(frame(1), Attribute::NonCacheable)),
        ],
        || {
            let (cached, uncached) = (translate(window(0)), translate(window(1)));
            equal("PAR_EL1.F", (cached | uncached) & 1, 0_u64)?;
            equal("PA", cached & 0x0000_ffff_ffff_f000, frame(0) as u64)?;
            equal("PA of the other", uncached & 0x0000_ffff_ffff_f000, frame(1) as u64)?;
            equal("write-back", cached >> 56, 0xff_u64)?;
            equal("non-cacheable", uncached >> 56, 0x44_u64)
        },
    )
}

fn translation_says_the_fault() -> Outcome {
    with_one(Page::INVALID, |alias| {
        let result = translate(alias);
        equal("PAR_EL1.F", result & 1, 1_u64)?;
        equal("PAR_EL1.FST", result >> 1 & 0x3f, TRANSLATION_3)
    })
}

/// SCTLR_EL1.A.
fn alignment_checked_when_asked() -> Outcome {
    const A: u64 = 1 << 1;
    let control = read_register!("sctlr_el1");
    write_register!("sctlr_el1", control | A);
    let at = frame(0) + 1;
    let checked = exception::attempt(|| {
        // SAFETY: the frame; between ISBs so that SCTLR_EL1 holds for it alone.
        unsafe { asm!("isb", "ldr {0:w}, [{1}]", out(reg) _, in(reg) at) };
    });
    write_register!("sctlr_el1", control);
    aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
    faults(checked, 0b10_0001, at, false)
}

fn unaligned_across_pages() -> Outcome {
    with_pages(
        &[
            (0, Page::new(frame(1), Attribute::WriteBack)),
            (1, Page::new(frame(0), Attribute::WriteBack)),
        ],
        || {
            let at = window(1) - 3;
            mmio::store64(at, 0x8877_6655_4433_2211);
            equal("back", mmio::load64(at), 0x8877_6655_4433_2211_u64)?;
            equal("the end of one frame", mmio::load8(frame(1) + PAGE - 3), 0x11_u8)?;
            equal("the start of the other", mmio::load8(frame(0)), 0x44_u8)
        },
    )
}

/// Device memory takes aligned accesses only. QEMU 10 does not check.
fn unaligned_device_mapping() -> Outcome {
    with_one(Page::new(frame(0), Attribute::Device), |alias| {
        let Err(taken) = exception::attempt(|| mmio::load32(alias + 1)) else {
            return Err(check::Exit::Skip("the core does not check"));
        };
        equal("EC", taken.class(), DATA_ABORT)?;
        equal("DFSC", taken.fault_status(), 0b10_0001_u64)
    })
}

/// LDXP and STXP.
fn exclusive_pair() -> Outcome {
    mmio::store64(frame(0), 5);
    mmio::store64(frame(0) + 8, 6);
    let succeeded = (0..1000).any(|_| {
        let status: u64;
        // SAFETY: the frame.
        unsafe {
            asm!("ldxp {a}, {b}, [{at}]", "add {a}, {a}, #10", "add {b}, {b}, #10",
                "stxp {status:w}, {a}, {b}, [{at}]", a = out(reg) _, b = out(reg) _,
                status = out(reg) status, at = in(reg) frame(0));
        }
        status & 1 == 0
    });
    holds("a store succeeded", succeeded)?;
    equal("first", mmio::load64(frame(0)), 15_u64)?;
    equal("second", mmio::load64(frame(0) + 8), 16_u64)
}

fn exclusive_lost_by_clear() -> Outcome {
    mmio::store64(frame(0), 5);
    let status: u64;
    // SAFETY: the frame.
    unsafe {
        asm!("ldxr {0}, [{2}]", "clrex", "stxr {1:w}, xzr, [{2}]", out(reg) _,
            out(reg) status, in(reg) frame(0));
    }
    equal("status", status & 0xffff_ffff, 1_u64)?;
    equal("value", mmio::load64(frame(0)), 5_u64)
}

fn load_acquire_store_release() -> Outcome {
    let loaded: u64;
    // SAFETY: the frame.
    unsafe {
        asm!("stlr {0}, [{2}]", "ldar {1}, [{2}]", in(reg) 0x77_u64, out(reg) loaded,
            in(reg) frame(0));
    }
    equal("value", loaded, 0x77_u64)
}

/// DC ZVA works on any Normal memory.
fn zero_block_uncached() -> Outcome {
    with_one(Page::new(frame(0), Attribute::NonCacheable), |alias| {
        mmio::store64(alias, u64::MAX);
        // SAFETY: the page.
        unsafe { asm!("dc zva, {}", "dsb sy", in(reg) alias) };
        equal("zeroed", mmio::load64(alias), 0_u64)
    })
}

fn barriers_of_all_kinds() -> Outcome {
    let run = exception::attempt(|| {
        // SAFETY: barriers.
        unsafe {
            asm!(
                "dmb sy",
                "dmb ish",
                "dmb ishld",
                "dmb ishst",
                "dmb nsh",
                "dmb osh",
                "dsb sy",
                "dsb ish",
                "dsb ishst",
                "dsb ishld",
                "dsb nsh",
                "dsb osh",
                "dsb oshst",
                "isb"
            );
        }
    });
    check::no_exception("barriers", run)
}

fn instruction_cache_all() -> Outcome {
    let run = exception::attempt(|| {
        // SAFETY: maintenance.
        unsafe { asm!("ic iallu", "ic ialluis", "dsb ish", "isb") };
    });
    check::no_exception("maintenance", run)
}

/// Stage 2 knows the device wherever stage 1 puts it.
fn uart_through_the_window() -> Outcome {
    with_one(Page::new(addresses::UART, Attribute::Device), |uart| {
        equal("UARTPeriphID1", mmio::load32(uart + 0xfe4), 0x10_u32)?;
        let before = mmio::load32(uart + 0x24);
        mmio::store32(uart + 0x24, 77);
        let written = mmio::load32(addresses::UART + 0x24);
        mmio::store32(uart + 0x24, before);
        equal("UARTIBRD", written, 77_u32)
    })
}

fn own_image_through_the_window() -> Outcome {
    let here = own_image_through_the_window as fn() -> Outcome as usize;
    with_one(Page::new(here, Attribute::WriteBack).read_only(), |alias| {
        equal("code", mmio::load32(alias + here % PAGE), mmio::load32(here))
    })
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

const INCREMENTS: u64 = 5_000;

fn count(number: u64) -> u64 {
    for turn in 0..number {
        COUNTER.fetch_add(1, Ordering::Relaxed);
        if turn % 500 == 0 {
            timer::let_others();
        }
    }
    number
}

fn counter_on_two_cores() -> Outcome {
    with_cores(2)?;
    COUNTER.store(0, Ordering::SeqCst);
    for core in 1..cores::count() {
        holds("it is free", cores::begin(core, count, INCREMENTS))?;
    }
    count(INCREMENTS);
    for core in 1..cores::count() {
        check::answer(core)?;
    }
    equal("sum", COUNTER.load(Ordering::SeqCst), INCREMENTS * cores::count() as u64)
}

static DATA: AtomicU64 = AtomicU64::new(0);
static FLAG: AtomicU64 = AtomicU64::new(0);

const MESSAGES: u64 = 200;

/// Answers each message with its double.
fn double(number: u64) -> u64 {
    let mut last = 0;
    for turn in 1..=number {
        if !timer::wait_until(1_000_000, || FLAG.load(Ordering::Acquire) == 2 * turn - 1) {
            break;
        }
        DATA.store(2 * DATA.load(Ordering::Relaxed), Ordering::Relaxed);
        FLAG.store(2 * turn, Ordering::Release);
        last = turn;
    }
    last
}

/// Release and acquire (B2.3): who sees the flag sees the data.
fn message_between_cores() -> Outcome {
    with_cores(2)?;
    FLAG.store(0, Ordering::SeqCst);
    holds("it is free", cores::begin(1, double, MESSAGES))?;
    for turn in 1..=MESSAGES {
        DATA.store(turn * 3, Ordering::Relaxed);
        FLAG.store(2 * turn - 1, Ordering::Release);
        let back = timer::wait_until(1_000_000, || FLAG.load(Ordering::Acquire) == 2 * turn);
        holds("an answer", back)?;
        equal("its data", DATA.load(Ordering::Relaxed), turn * 6)?;
    }
    equal("messages", check::answer(1)?, MESSAGES)
}

fn write_plainly(address: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "an address of this machine")]
    mmio::store64(address as usize, 99);
    0
}

/// Between a load-exclusive and its store another core writes: the store fails.
fn exclusive_between_cores() -> Outcome {
    with_cores(2)?;
    mmio::store64(frame(0), 1);
    let status: u64;
    // SAFETY: the frame.
    unsafe { asm!("ldxr {0}, [{1}]", out(reg) _, in(reg) frame(0)) };
    on(1, write_plainly, frame(0) as u64)?;
    // SAFETY: the frame.
    unsafe { asm!("stxr {0:w}, xzr, [{1}]", out(reg) status, in(reg) frame(0)) };
    equal("status", status & 0xffff_ffff, 1_u64)?;
    equal("value", mmio::load64(frame(0)), 99_u64)
}

/// What a load of the window's first page gives: the value, or the fault's status.
fn look(_: u64) -> u64 {
    match exception::attempt(|| mmio::load64(window(0))) {
        Ok(value) => value,
        Err(taken) => 1 << 63 | taken.fault_status(),
    }
}

/// TLBI ...IS reaches every core.
fn unmapped_for_all() -> Outcome {
    with_cores(2)?;
    mmio::store64(frame(0), 21);
    with_one(Page::new(frame(0), Attribute::WriteBack), |_| {
        for core in 1..cores::count() {
            equal("mapped", on(core, look, 0)?, 21_u64)?;
        }
        map(0, Page::INVALID);
        for core in 1..cores::count() {
            equal("unmapped", on(core, look, 0)?, 1 << 63 | TRANSLATION_3)?;
        }
        Ok(())
    })
}

fn remapped_for_all() -> Outcome {
    with_cores(2)?;
    mmio::store64(frame(0), 31);
    mmio::store64(frame(1), 32);
    with_one(Page::new(frame(0), Attribute::WriteBack), |_| {
        for round in 0..20 {
            let number = round & 1;
            map(0, Page::new(frame(number), Attribute::WriteBack));
            for core in 1..cores::count() {
                equal("the frame", on(core, look, 0)?, 31 + number as u64)?;
            }
        }
        Ok(())
    })
}

fn run_code(_: u64) -> u64 {
    // SAFETY: a context synchronization event, after maintenance elsewhere.
    unsafe { asm!("isb") };
    call(window(0)).into()
}

/// IC IALLUIS reaches every core.
fn code_for_all() -> Outcome {
    with_cores(2)?;
    write_code(frame(0), MOV_W0_42);
    with_one(Page::new(frame(0), Attribute::WriteBack).read_only().executable(), |_| {
        for (first, value) in [(MOV_W0_42, 42_u64), (MOV_W0_43, 43), (MOV_W0_42, 42)] {
            write_code(frame(0), first);
            for core in 1..cores::count() {
                equal("what it returned", on(core, run_code, 0)?, value)?;
            }
        }
        Ok(())
    })
}
