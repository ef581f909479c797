//! A vCPU: its register frame, its way into its VM's space, and the stack that
//! EL2 uses while its guest is on the core.

#![allow(
    unsafe_code,
    reason = "switches stacks, writes EL1's registers, and hands out memory by address"
)]

use crate::floating::FloatingPoint;
use crate::gic::{self, Acknowledged, Version};
use crate::stage2::Root;
use crate::switch::Saved;
use crate::trace::{Cursor, Exit, PLAIN_ACCESS, Ring};
use crate::{exit, gicv2, inject, layout, map, registers, trace};
use aarch64_cpu::registers::{
    CNTHCTL_EL2, CNTV_CTL_EL0, CNTVOFF_EL2, CPTR_EL2, HCR_EL2, MIDR_EL1, SCTLR_EL1, VMPIDR_EL2,
};
use alloc::alloc::{alloc, handle_alloc_error};
use alloc::boxed::Box;
use core::alloc::Layout;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use evisor_contract::{Context, Status};
use evisor_heap::room;
use evisor_router::{Caches, Space};
use tock_registers::interfaces::{Readable, Writeable};

/// A vCPU, at the top of the EL2 stack that its traps run on: while its guest is
/// on a core, SP_EL2 is its address.
#[repr(C, align(16))]
pub struct Vcpu {
    /// x0–x30. Number 31 is XZR: always zero.
    pub(crate) x: [u64; 32],
    /// Where the guest goes on; valid while it is not on a core.
    pub(crate) elr: u64,
    /// And in which state.
    pub(crate) spsr: u64,
    /// Where its next exit is put down; and what vectors.s finds beside that.
    cursor: Cursor,
    plain_access: u64,
    /// The effects of its traps, and what the kernel wants of it.
    pub context: Context,
    pub(crate) caches: Caches,
    /// What its VM holds.
    pub(crate) space: &'static Space,
    /// What the board's shared interrupts lead to.
    pub(crate) root: &'static Space,
    /// VMPIDR_EL2.
    mpidr: u64,
    /// The physical interrupt that is being dealt with.
    pub(crate) acknowledged: Acknowledged,
    /// Loads and stores refused, unknown registers, unsupported calls.
    pub(crate) refused: u64,
    /// One of them ends the guest.
    pub(crate) refusal_is_fatal: bool,
    /// Where `enter_guest` keeps the core's own stack pointer.
    home: u64,
    /// Its floating point, if it shares its core and so long as it is not in the
    /// registers; else null.
    pub(crate) floating_point: *mut FloatingPoint,
    /// Its last exits.
    ring: Ring,
}

const STACK: usize = 12 << 10;
const PAGE: usize = 4096;
/// A guard page, the stack, the vCPU.
const BLOCK: usize = PAGE + STACK + PAGE;
const _: () = assert!(BLOCK == room::VCPU && size_of::<Saved>() <= room::SAVED);

global_asm!(
    include_str!("vectors.s"),
    pending = const offset_of!(Vcpu, context),
    elr = const offset_of!(Vcpu, elr),
    cursor = const offset_of!(Vcpu, cursor),
    acknowledged = const offset_of!(Vcpu, acknowledged),
    gicc = const layout::GICC,
    dir = const gicv2::GICC_DIR,
    wrap = const trace::WRAP,
    serror = const trace::SERROR,
    absent = const Status::Absent as u64,
    held = const (Status::Held as u64).trailing_zeros(),
    told = const Left::TOLD.0,
    waits = const Left::WAITS.0,
    yields = const Left::YIELDS.0,
);

unsafe extern "C" {
    /// The vCPU by the address of its frame, which is what assembly knows of it.
    fn enter_guest(frame: *mut [u64; 32], home: *mut u64) -> u64;
}

/// The memory of one vCPU: it owns the block and lends out the [`Vcpu`] in it.
pub struct VcpuBlock {
    vcpu: *mut Vcpu,
    saved: Option<NonNull<Saved>>,
    /// It stands still: CNTV_CTL_EL0 as it was.
    resting: Option<u64>,
}

// SAFETY: 1. the block, and what is saved of it, is reached through `&mut self` only, but for the context's
// `attention`, which is atomic.
unsafe impl Send for VcpuBlock {}

impl VcpuBlock {
    /// A vCPU with number `index` in VM number `vm`, for core number `core`, not
    /// started. `None` if `space` is not one that was built.
    pub fn new(
        vm: u16,
        index: u16,
        core: u16,
        affinity: u64,
        space: &'static Space,
        root: &'static Space,
    ) -> Option<Self> {
        let caches = Caches::new(space)?;
        let layout = Layout::from_size_align(BLOCK, PAGE).ok()?;
        // SAFETY: 1. the layout is not empty.
        let block = unsafe { alloc(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        map::guard(block as u64);
        // SAFETY: 1. inside the block.
        let at = unsafe { block.add(PAGE + STACK) }.cast::<Vcpu>();
        let vcpu = Vcpu {
            x: [0; 32],
            elr: 0,
            spsr: 0,
            cursor: Cursor::at(at as u64 + offset_of!(Vcpu, ring) as u64),
            plain_access: PLAIN_ACCESS,
            context: Context::of_vm(vm, index).on_core(core),
            caches,
            space,
            root,
            mpidr: 1 << 31 | affinity,
            acknowledged: Acknowledged::NONE,
            refused: 0,
            refusal_is_fatal: false,
            home: 0,
            floating_point: null_mut(),
            ring: Ring::EMPTY,
        };
        const { assert!(size_of::<Vcpu>() <= PAGE) };
        // SAFETY: 1. the last page of the block is there, aligned and ours.
        unsafe { at.write(vcpu) };
        Some(Self { vcpu: at, saved: None, resting: None })
    }

    /// It is to share its core: makes room for its state while it is out. Its VM has
    /// these private interrupts, as bits, and this stage 2.
    pub fn share(&mut self, root: Root, private: u32) {
        let saved = Box::leak(Box::new(Saved::new(root, private)));
        self.vcpu().floating_point = &raw mut saved.floating_point;
        self.saved = Some(NonNull::from(saved));
    }

    /// Its state while it is out, if it shares its core.
    #[inline(always)]
    pub(crate) fn saved(&mut self) -> Option<&mut Saved> {
        // SAFETY: 1. leaked by `share`, and borrowed as long as the block is. Its floating
        // point is reached by the core that it is on, which has the block, and through no
        // reference.
        self.saved.map(|mut saved| unsafe { saved.as_mut() })
    }

    /// The host's count at which its timer would interrupt it, which is out and whose
    /// VM's count lags `offset` behind; `u64::MAX` is never.
    #[inline]
    pub fn deadline(&mut self, offset: u64) -> u64 {
        self.saved().map_or(u64::MAX, |saved| saved.deadline(offset))
    }

    /// The vCPU.
    pub fn vcpu(&mut self) -> &mut Vcpu {
        // SAFETY: 1. written by `new`, and borrowed as long as the block is.
        unsafe { &mut *self.vcpu }
    }

    /// From now on a load, store, fetch or instruction that is refused is a crash.
    pub fn crash_when_refused(&mut self) {
        self.vcpu().refusal_is_fatal = true;
    }

    /// What any core may set to get the vCPU's attention.
    pub fn attention(&self) -> &'static core::sync::atomic::AtomicU32 {
        // SAFETY: 1. blocks are never freed; the field is atomic.
        unsafe { &(*self.vcpu).context.attention }
    }

    /// Runs the guest on this core until the kernel wants it to leave. The
    /// caller has loaded the VM's stage 2 and set the core up for guests.
    pub fn run(&mut self) -> Left {
        VMPIDR_EL2.set(self.vcpu().mpidr);
        let home = &raw mut self.vcpu().home;
        // SAFETY: 1. the block is ours until it comes back; the stack below the
        // vCPU is used by nobody else.
        Left(unsafe { enter_guest(self.vcpu.cast(), home) })
    }

    /// Puts the vCPU to the state of a core that was just started by PSCI
    /// (DEN 0022 §6.4; Linux's booting protocol asks for the same): its first
    /// instruction is at guest-physical `pc`, with `x0`. `attention` is what the
    /// kernel wants to do before.
    pub fn start(&mut self, pc: u64, x0: u64, attention: u32) {
        self.resting = None;
        let vcpu = self.vcpu();
        vcpu.x = [0; 32];
        vcpu.x[0] = x0;
        vcpu.elr = pc;
        vcpu.spsr = inject::EL1H_MASKED;
        // Added to what others want of it since it was told to start.
        vcpu.context.attention.fetch_or(attention, Ordering::Relaxed);
        while vcpu.context.pop().is_some() {}
    }

    /// This core has nothing to run: waits for an interrupt, which may be for
    /// anybody, and deals with it.
    pub fn idle(&mut self) {
        // Nobody reads its time now, and what is pending for it would keep some
        // cores, and QEMU, from waiting.
        self.quiet();
        aarch64_cpu::asm::wfi();
        exit::take_interrupt(self.vcpu());
    }

    /// The vCPU, which is on this core and goes on later, stands still: neither its timer
    /// nor an interrupt that is pending for it comes, and nothing of it is lost.
    pub fn rest(&mut self) {
        if self.resting.is_none() {
            self.resting = Some(CNTV_CTL_EL0.get());
            CNTV_CTL_EL0.set(0);
            gic::hold_guest();
        }
    }

    /// CNTV_CTL_EL0, as it was when it began to stand still.
    pub(crate) fn resting(&self) -> Option<u64> {
        self.resting
    }

    /// It stands still from now on, and this was its CNTV_CTL_EL0.
    pub(crate) fn rest_as(&mut self, control: u64) {
        CNTV_CTL_EL0.set(0);
        gic::hold_guest();
        self.resting = Some(control);
    }

    /// The same core has it again, and it is about to go on; its VM's count lags `offset`
    /// behind the host's by now.
    pub fn wake(&mut self, offset: u64) {
        if let Some(control) = self.resting.take() {
            CNTVOFF_EL2.set(offset);
            CNTV_CTL_EL0.set(control);
            gic::release_guest();
        }
    }

    /// As [`idle`](Self::idle), of a vCPU that goes on later. What the kernel wants of it
    /// waits until then.
    pub fn idle_resting(&mut self) {
        self.rest();
        gic::look_again();
        aarch64_cpu::asm::wfi();
        exit::take_interrupt_only(self.vcpu());
    }

    /// This core has something else to do than to run the vCPU: deals with an interrupt
    /// that came, which may be for anybody.
    pub fn look(&mut self) {
        self.quiet();
        exit::take_interrupt(self.vcpu());
    }

    /// As [`look`](Self::look), of a vCPU that goes on later.
    pub fn look_resting(&mut self) {
        self.rest();
        exit::take_interrupt_only(self.vcpu());
    }

    fn quiet(&self) {
        CNTV_CTL_EL0.set(0);
        gic::quiet_guest();
    }

    /// As [`idle`](Self::idle) on a core that is shared, whose vCPUs all wait or are off; it is this
    /// one's. `off` says whether this one is. Gives what the kernel wants of it since.
    pub fn idle_shared(&mut self, off: bool) -> u32 {
        if off {
            CNTV_CTL_EL0.set(0);
            gic::quiet_guest();
        }
        gic::look_again();
        aarch64_cpu::asm::wfi();
        self.take_shared()
    }

    /// The same where EL2 itself has something to do: looks for an interrupt, and does not
    /// wait for one.
    pub fn look_shared(&mut self) -> u32 {
        gic::look_again();
        self.take_shared()
    }

    fn take_shared(&mut self) -> u32 {
        exit::take_interrupt_only(self.vcpu());
        self.vcpu().context.attention.swap(0, Ordering::Acquire)
    }
}

/// Why a vCPU left its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left(u64);

impl Left {
    /// The kernel wanted it to.
    pub const TOLD: Self = Self(1);
    /// It waits in WFI; on a core that is shared.
    pub const WAITS: Self = Self(2);
    /// It waits in WFE, for what others do; where [`Switch`](crate::switch::Switch) has that
    /// trap.
    pub const YIELDS: Self = Self(3);
}

impl Vcpu {
    /// x0 to x30, and 0: for the record of a crash.
    pub fn registers(&self) -> &[u64; 32] {
        &self.x
    }

    /// Where its guest goes on, guest-virtual, while it is out of it.
    pub fn pc(&self) -> u64 {
        self.elr
    }

    /// Its last exits, the oldest first.
    pub fn exits(&self) -> impl Iterator<Item = Exit> {
        self.ring.exits(self.cursor)
    }

    /// How many of its accesses were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Sets this core up to run guests: what traps, what does not. Once a core.
pub fn init_core() {
    HCR_EL2.write(
        HCR_EL2::VM::Enable
            + HCR_EL2::SWIO::SET
            + HCR_EL2::FMO::EnableVirtualFIQ
            + HCR_EL2::IMO::EnableVirtualIRQ
            + HCR_EL2::AMO::SET
            + HCR_EL2::RW::EL1IsAarch64,
    );
    // FB and BSU: a guest's TLB and barrier operations reach every core that its
    // vCPUs may be on. TSC, TID3, TIDCP, TACR: calls, identification registers,
    // implementation-defined registers and ACTLR go through the router.
    let wait = u64::from(TRAP_WFI.load(Ordering::Relaxed)) << 13;
    let traps = wait | 1 << 9 | 0b01 << 10 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21;
    // TLOR, TERR: LORegions and error records, which no guest is told of.
    let hidden = registers::trap(7, 1, 16, 35) | registers::trap(4, 0, 28, 36);
    HCR_EL2.set(HCR_EL2.get() | traps | hidden);
    // RES1, SVE, SME, trace registers and activity monitors (TAM) trap; floating
    // point is the guest's.
    CPTR_EL2.set(0x33ff | 1 << 20 | registers::trap(4, 0, 44, 30));
    registers::trap_debug_and_pmu();
    // The physical count and timer are their component's: the host's count is not
    // the VM's, and the host's timer is nobody's.
    CNTHCTL_EL2.set(0);
    registers::set_vpidr(MIDR_EL1.get());
}

static TRAP_WFI: AtomicBool = AtomicBool::new(false);

/// Has every core wait for its guest, in WFI: for boards whose interrupt
/// controller has to be looked after then. Before [`init_core`].
///
/// QEMU's GICv2 does not look at a level line again when a guest's end of
/// interrupt deactivates the physical one through a list register (§5.2.2 of IHI
/// 0048B.b says that it is pending then): a deadline that passes between the two
/// would stay unseen until something else touches the controller, and a guest
/// that waits would wait for ever.
///
/// One that does not wait is looked after every so often: see [`traps_wfi`].
pub fn trap_wfi() {
    TRAP_WFI.store(true, Ordering::Relaxed);
}

/// Whether the interrupt controller has to be looked after: to take an interrupt at
/// EL2, of its timer say, is enough.
pub fn traps_wfi() -> bool {
    TRAP_WFI.load(Ordering::Relaxed)
}

/// Takes this core's EL2 exceptions to the table of `vectors.s` for its GIC, as
/// far as that is known; until it is, no interrupt comes. From the first Rust code
/// on: a defect that early leaves a record too.
pub(crate) fn set_vectors() {
    unsafe extern "C" {
        static vectors_v2: u8;
        static vectors_v3: u8;
    }
    set_vectors_to(match gic::version() {
        Version::V2 => &raw const vectors_v2,
        Version::V3 => &raw const vectors_v3,
    });
}

/// The same of a core that several vCPUs share.
pub(crate) fn set_shared_vectors() {
    unsafe extern "C" {
        static shared_vectors_v2: u8;
        static shared_vectors_v3: u8;
    }
    set_vectors_to(match gic::version() {
        Version::V2 => &raw const shared_vectors_v2,
        Version::V3 => &raw const shared_vectors_v3,
    });
}

fn set_vectors_to(at: *const u8) {
    // SAFETY: 1. it is a table of vectors.
    unsafe { asm!("msr vbar_el2, {}", "isb", in(reg) at, options(nostack)) };
}

/// Resets the EL1 registers that a starting guest may rely on (DEN 0022 §6.4),
/// and the VM's time: its count is the host's less `offset`.
pub fn reset_el1(offset: u64) {
    CNTVOFF_EL2.set(offset);
    SCTLR_EL1.set(inject::SCTLR_EL1_RESET);
    // SAFETY: 1. EL1 is not running on this core, and EL2 uses none of these.
    unsafe {
        asm!(
            "msr cpacr_el1, xzr",
            "msr ttbr0_el1, xzr",
            "msr ttbr1_el1, xzr",
            "msr mair_el1, xzr",
            "msr amair_el1, xzr",
            "msr vbar_el1, xzr",
            "msr contextidr_el1, xzr",
            "msr tpidr_el1, xzr",
            "msr tpidr_el0, xzr",
            "msr tpidrro_el0, xzr",
            "msr cntkctl_el1, xzr",
            "msr cntv_ctl_el0, xzr",
            "msr cntv_cval_el0, xzr",
            "msr sp_el0, xzr",
            "msr sp_el1, xzr",
            "msr elr_el1, xzr",
            "msr spsr_el1, xzr",
            "msr esr_el1, xzr",
            "msr far_el1, xzr",
            "msr afsr0_el1, xzr",
            "msr afsr1_el1, xzr",
            "msr par_el1, xzr",
            "msr csselr_el1, xzr",
            // Last, as it lets tables be walked again: see `Root::load`.
            "isb",
            "msr tcr_el1, xzr",
            "isb",
            options(nostack, nomem),
        );
    }
    reset_floating_point();
    gic::reset_guest();
}

/// The registers that EL2 never uses, so that nothing else clears them.
fn reset_floating_point() {
    // SAFETY: 1. as above; CPTR_EL2 lets EL2 at them.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "movi v\\n\\().2d, #0",
            ".endr",
            "msr fpcr, xzr",
            "msr fpsr, xzr",
            options(nostack, nomem),
        );
    }
}
