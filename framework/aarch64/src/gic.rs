//! The physical interrupt controller, whichever version the board has.
//!
//! A board maps one, [`gicv2::map`] or [`gicv3::map`], which chooses. What is not
//! on the path of an interrupt asks at run time which it is; an exit does not:
//! each version has its own ([`CpuInterface`]), and a table of vectors that leads
//! there, which [`init_core`] puts in place.

use crate::gicv2::Gicv2;
use crate::gicv3::Gicv3;
use crate::{gicv2, gicv3, vcpu};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use evisor_contract::{SystemInterface, VirtualInterface};
use spin::Mutex;

/// The two that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V2,
    V3,
}

/// Whether it is a GICv3: said by the first core before the others are up.
static IS_V3: AtomicBool = AtomicBool::new(false);

/// This is the one that the board has.
pub(crate) fn choose(version: Version) {
    IS_V3.store(version == Version::V3, Ordering::Relaxed);
}

/// Which it is; any, before a board has chosen: nothing here is called then.
#[inline(always)]
pub(crate) fn version() -> Version {
    if IS_V3.load(Ordering::Relaxed) { Version::V3 } else { Version::V2 }
}

/// How many cores can be told apart by [`kick`].
pub const CORES: usize = 16;

/// What has to be written to send core n an interrupt; 0 before it is up.
static TARGETS: [AtomicU64; CORES] = [const { AtomicU64::new(0) }; CORES];

/// Everything off, and to this core. Once, by the first core, before anything
/// else here.
///
/// # Errors
/// The firmware keeps it from this core.
pub fn init_distributor() -> Result<(), &'static str> {
    match version() {
        Version::V2 => gicv2::init_distributor(),
        Version::V3 => gicv3::init_distributor()?,
    }
    Ok(())
}

/// What is this core's own; from now on it can be reached by [`kick`] as number
/// `core`, and takes its interrupts to the exits of its GIC.
///
/// # Errors
/// The firmware keeps it from this core, or the board's tree has not all of it.
pub fn init_core(core: usize) -> Result<(), &'static str> {
    let target = match version() {
        Version::V2 => gicv2::init_core(),
        Version::V3 => gicv3::init_core()?,
    };
    let entry = TARGETS.get(core).ok_or("the board has more cores than can be told apart")?;
    entry.store(target, Ordering::Release);
    vcpu::set_vectors();
    Ok(())
}

/// Lets `intid` come; `edge` says how a shared one is signalled. A shared one goes
/// to the core that called [`init_distributor`], a private one to this.
pub fn enable(intid: usize, edge: bool) {
    match version() {
        Version::V2 => gicv2::enable(intid, edge),
        Version::V3 => gicv3::enable(intid, edge),
    }
}

/// Lets the shared interrupt `intid` come, to this core; `edge` says how it is
/// signalled.
pub fn enable_here(intid: usize, edge: bool) {
    // Several interrupts share a register, and several cores enable theirs.
    let _one_at_a_time = SHARED.lock();
    match version() {
        Version::V2 => gicv2::target_here(intid),
        Version::V3 => gicv3::target_here(intid),
    }
    enable(intid, edge);
}

/// The shared interrupt `intid`, which is [`disable`]d, is signalled by edge if `edge` says
/// so, and goes to core number `core`, if that is up, once it is [`allow`]ed.
pub fn lead(intid: usize, edge: bool, core: usize) {
    let _one_at_a_time = SHARED.lock();
    let target = TARGETS.get(core).map_or(0, |target| target.load(Ordering::Acquire));
    match version() {
        _ if target == 0 => {}
        Version::V2 => gicv2::lead(intid, edge, target),
        Version::V3 => gicv3::lead(intid, edge, target),
    }
}

/// Whether the shared interrupt `intid` was acknowledged and not deactivated yet: a core has
/// it in hand, or a guest.
pub fn is_active(intid: usize) -> bool {
    match version() {
        Version::V2 => gicv2::is_active(intid),
        Version::V3 => gicv3::is_active(intid),
    }
}

/// Has the shared interrupt `intid` come once, whatever its line says.
pub fn pend(intid: usize) {
    match version() {
        Version::V2 => gicv2::pend(intid),
        Version::V3 => gicv3::pend(intid),
    }
}

/// Lets the shared interrupt `intid` come again, which was [`disable`]d: as it was set up
/// before, and at once if it came meanwhile.
pub fn allow(intid: usize) {
    match version() {
        Version::V2 => gicv2::allow(intid),
        Version::V3 => gicv3::allow(intid),
    }
}

/// Keeps `intid` from coming.
pub fn disable(intid: usize) {
    match version() {
        Version::V2 => Gicv2::disable(intid),
        Version::V3 => Gicv3::disable(intid),
    }
}

static SHARED: Mutex<()> = Mutex::new(());

/// Ends what is left of interrupt `intid` from the guest that had it, active or
/// pending: of a private one on this core. For a VM that starts anew.
pub fn clear(intid: usize) {
    match version() {
        Version::V2 => gicv2::clear(intid),
        Version::V3 => gicv3::clear(intid),
    }
}

/// Sends software-generated interrupt 0 to core number `core`, if it is up.
pub fn kick(core: usize) {
    let target = TARGETS.get(core).map_or(0, |target| target.load(Ordering::Acquire));
    match version() {
        _ if target == 0 => {}
        Version::V2 => gicv2::kick(target),
        Version::V3 => gicv3::kick(target),
    }
}

/// Sends software-generated interrupt `sgi`, one of the first sixteen, to core number
/// `core`, if it is up.
#[inline(always)]
pub fn signal(core: usize, sgi: u32) {
    let target = TARGETS.get(core).map_or(0, |target| target.load(Ordering::Acquire));
    match version() {
        _ if target == 0 => {}
        Version::V2 => gicv2::signal(target, sgi),
        Version::V3 => gicv3::signal(target, sgi),
    }
}

/// Has the controller look at its lines again, where it has to be asked: see
/// [`trap_wfi`](crate::vcpu::trap_wfi).
pub(crate) fn look_again() {
    if version() == Version::V2 {
        gicv2::look_again();
    }
}

/// Whether a list register of this core holds an interrupt that its guest has not
/// acknowledged.
pub(crate) fn has_virtual_interrupt() -> bool {
    match version() {
        Version::V2 => gicv2::has_virtual_interrupt(),
        Version::V3 => gicv3::has_virtual_interrupt(),
    }
}

/// Nothing is signalled to a guest on this core any more: its vCPU is off. The
/// VM's interrupt controller turns it on again when the vCPU starts.
pub(crate) fn quiet_guest() {
    match version() {
        Version::V2 => gicv2::quiet_guest(),
        Version::V3 => gicv3::quiet_guest(),
    }
}

/// Nothing is signalled to the guest on this core until [`release_guest`]: its vCPU
/// stands still. What is pending and active for it stays.
pub(crate) fn hold_guest() {
    match version() {
        Version::V2 => gicv2::signal_guest(false),
        Version::V3 => gicv3::signal_guest(false),
    }
}

/// See [`hold_guest`].
pub(crate) fn release_guest() {
    match version() {
        Version::V2 => gicv2::signal_guest(true),
        Version::V3 => gicv3::signal_guest(true),
    }
}

/// What a starting guest relies on of this core, beyond what its interrupt
/// controller sets up.
pub(crate) fn reset_guest() {
    if version() == Version::V3 {
        gicv3::reset_guest();
    }
}

/// ICC_SRE_EL1, as the guest on this core wrote it; of a GICv2, which has none, 0.
pub(crate) fn guest_sre() -> u64 {
    match version() {
        Version::V2 => 0,
        Version::V3 => gicv3::guest_sre(),
    }
}

/// Sets it.
pub(crate) fn set_guest_sre(value: u64) {
    if version() == Version::V3 {
        gicv3::set_guest_sre(value);
    }
}

/// The guest's half, where it is memory-mapped: a GICv2's.
pub fn virtual_interface() -> Option<VirtualInterface> {
    match version() {
        Version::V2 => gicv2::virtual_interface(),
        Version::V3 => None,
    }
}

/// The guest's half, where it is made of system registers: a GICv3's.
pub fn system_interface() -> Option<SystemInterface> {
    match version() {
        Version::V2 => None,
        Version::V3 => Some(gicv3::system_interface()),
    }
}

/// What a guest has in its CPU interface and list registers, and of the core's private
/// interrupts, while its vCPU is not on its core. The registers are as they were read.
pub(crate) struct GuestInterface {
    /// GICH_HCR or ICH_HCR_EL2.
    pub hcr: u64,
    /// GICH_VMCR or ICH_VMCR_EL2.
    pub vmcr: u64,
    /// GICH_APR; ICH_AP0R<n>_EL2 and ICH_AP1R<n>_EL2.
    pub active_priorities: [u64; 8],
    /// GICH_LR<n> or ICH_LR<n>_EL2, if they hold anything.
    pub lists: [u64; LISTS],
    /// They do.
    pub used: bool,
    /// ICC_SRE_EL1, as the guest wrote it.
    pub sre: u64,
    /// The private interrupts that it has not ended: active at the GIC.
    pub active: u32,
}

/// As many list registers as there can be.
pub(crate) const LISTS: usize = 16;

impl GuestInterface {
    /// Nothing is signalled.
    pub const OFF: Self = Self {
        hcr: 0,
        vmcr: 0,
        active_priorities: [0; _],
        lists: [0; _],
        used: false,
        sre: 0,
        active: 0,
    };
}

/// This core's interrupt controller, as vCPUs are switched on it.
pub(crate) struct Switched {
    here: Kind,
    /// The private interrupts that may come.
    enabled: u32,
    /// The list registers may hold something of the one that was taken off.
    left: bool,
}

enum Kind {
    V2(gicv2::Switched),
    V3(gicv3::Switched),
}

impl Switched {
    /// Of this core; `None` before [`init_core`].
    pub fn here() -> Option<Self> {
        let here = match version() {
            Version::V2 => Kind::V2(gicv2::Switched::here()),
            Version::V3 => Kind::V3(gicv3::Switched::here()?),
        };
        Some(Self { here, enabled: 0, left: true })
    }

    /// Takes a guest's off the core, whose private interrupts are these: none of them is
    /// active any more.
    #[inline(always)]
    pub fn save(&mut self, guest: &mut GuestInterface, private: u32) {
        match &self.here {
            Kind::V2(here) => here.save(guest, private),
            Kind::V3(here) => here.save(guest, private),
        }
        self.left = guest.used;
    }

    /// Puts a guest's onto it. Of the private interrupts exactly its own may come then.
    #[inline(always)]
    pub fn load(&mut self, guest: &GuestInterface, private: u32) {
        // What is in an empty list register does not matter.
        let lists = guest.used || self.left;
        match &self.here {
            Kind::V2(here) => here.load(guest, lists),
            Kind::V3(here) => here.load(guest, lists),
        }
        if private != self.enabled {
            self.enable(private);
        }
    }

    /// Whether a list register holds anything.
    #[inline(always)]
    pub fn holds_any(&self) -> bool {
        match &self.here {
            Kind::V2(here) => here.holds_any(),
            Kind::V3(here) => here.holds_any(),
        }
    }

    #[cold]
    #[inline(never)]
    fn enable(&mut self, private: u32) {
        for intid in (0..32).filter(|intid| (private ^ self.enabled) >> intid & 1 != 0) {
            match private >> intid & 1 {
                0 => disable(intid),
                _ => enable(intid, false),
            }
        }
        self.enabled = private;
    }
}

/// What a core acknowledged: what the register said, whatever it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged(pub u64);

impl Acknowledged {
    /// Nothing.
    pub const NONE: Self = Self(SPURIOUS);
}

/// There is none (INTID 1023). From 1020 on they are not interrupts; what comes
/// behind those, LPIs and extended ranges, is off.
const SPURIOUS: u64 = 1023;

/// The CPU interface of one version, as the exits use it. Priority drop and
/// deactivation are apart (EOImode 1): an interrupt handed to a guest stays active
/// until the guest deactivates it.
pub(crate) trait CpuInterface {
    /// Acknowledges what is signalled to this core. What was written before the
    /// interrupt was sent is seen by what is read after this.
    fn acknowledge() -> Acknowledged;
    /// Which it is.
    fn intid(acknowledged: Acknowledged) -> usize;
    /// Lets others of its priority come. Not for numbers that are no interrupts.
    fn drop_priority(acknowledged: Acknowledged);
    /// It has been dealt with.
    fn deactivate(acknowledged: Acknowledged);
    /// Keeps `intid` from coming.
    fn disable(intid: usize);
}
