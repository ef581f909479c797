//! A store of blocks, for those who hold it by a handle.
//!
//! Each VM that may come to hold one has a port of the store, as a device has, and one
//! request in it: so VMs take turns in the store and do not keep each other waiting, whoever
//! handed what to whom. The store answers when it is done. Bytes go between the port's buffer and
//! a guest's memory only while that guest calls, by a handle that is good for them: nothing
//! is written to a VM that was stopped, rolled back, or that the handle was revoked from.
//!
//! A request that is with the store is not called back. What it answers to a VM that started
//! anew is forgotten.

use crate::bound::BoundVm;
use crate::grants::{Common, leak};
use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::abi::store::{self, state};
use evisor_contract::abi::{Error, Kind};
use evisor_contract::{
    BLOCK, BLOCKS, BlockBuffer, BlockDone, BlockOpening, BlockOperation, BlockPort, BlockRequest,
    BuildError, Capability, Context, Effect, Invoke, InvokePort, Memory, Notify, Object,
    ObjectPort, Offer, Parts, Reply, Restore, RestoreError, Rights, Save, Through, Words, tag,
};
use evisor_manifest::{Deployment, GivenBlocks, GivenPlan, Target};

/// A part of a store that handles lead to.
pub struct HeldStore {
    /// The store: an index among the root's objects.
    pub store: usize,
    /// The part's number, 0 for all of it.
    pub part: u32,
    /// Nobody may write it.
    read_only: bool,
    /// The VMs that may come to hold it.
    vms: Vec<usize>,
    /// The way to it, once a handle leads there; its units are how many blocks it has.
    offer: Option<Offer>,
    /// What becomes as after power-on when the VM of that number does.
    pub(crate) objects: Vec<(usize, &'static dyn ObjectPort)>,
}

impl HeldStore {
    /// Those of `deployment`: who may come to hold one is given it, or could be handed it.
    pub fn all(deployment: &Deployment) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let vms = || deployment.vms.iter().zip(0..);
        let takes = || vms().filter_map(|(vm, index)| Some((vm.capabilities.as_ref()?, index)));
        for (given, vm) in takes().flat_map(|(own, vm)| own.given.iter().map(move |one| (one, vm)))
        {
            let Some((store, GivenBlocks { part, .. })) = blocks_of(given) else { continue };
            let at = all.iter().position(|one| (one.store, one.part) == (store, part));
            let at = at.unwrap_or_else(|| {
                let (vms, objects) = (Vec::new(), Vec::new());
                all.push(Self { store, part, read_only: true, vms, offer: None, objects });
                all.len() - 1
            });
            let Some(one) = all.get_mut(at) else { continue };
            one.read_only &= !given.rights.intersects(Rights::WRITE);
            let may = |holder: &usize| *holder == vm || given.rights.contains(Rights::GRANT);
            for holder in takes().map(|(_, holder)| holder).filter(may) {
                if !one.reaches(holder) {
                    one.vms.push(holder);
                }
            }
        }
        all
    }

    /// Whether VM number `vm` may come to hold it: then bytes are moved between it and the
    /// memory of that.
    pub fn reaches(&self, vm: usize) -> bool {
        self.vms.contains(&vm)
    }
}

/// The store and the blocks that a capability leads to, if it leads to such.
fn blocks_of(given: &GivenPlan) -> Option<(usize, GivenBlocks)> {
    let Target::Root(store) = given.target else { return None };
    Some((store, given.blocks?))
}

/// A holder's way to a store, and its blocks there.
pub(crate) struct Way {
    pub offer: Offer,
    pub first: u64,
    /// None where there is no medium.
    pub count: u64,
    /// The store itself.
    pub object: &'static dyn ObjectPort,
}

/// That of `given`, if it leads to a store.
///
/// # Errors
/// The store has no such part, or no port left.
pub(crate) fn given(
    common: &mut Common,
    stores: &mut [HeldStore],
    vms: &[BoundVm],
    given: &GivenPlan,
) -> Option<Result<Way, BuildError>> {
    let (store, GivenBlocks { part, first, count }) = blocks_of(given)?;
    let one = stores.iter_mut().find(|one| (one.store, one.part) == (store, part))?;
    let object = common.root.get(store)?.object;
    let opened = one.open(common, vms);
    Some(opened.map(|offer| {
        let rest = offer.units.saturating_sub(first);
        let whole = count.is_none_or(|count| count <= rest);
        if !whole && offer.units > 0 {
            log::warn!("{}: its window ends behind the blocks of the store", given.path);
        }
        // As of a partition that is not there.
        let count = if whole { count.unwrap_or(rest) } else { 0 };
        Way { offer, first, count, object }
    }))
}

impl HeldStore {
    /// With a port for each VM that may come to hold it.
    fn open(&mut self, common: &mut Common, vms: &[BoundVm]) -> Result<Offer, BuildError> {
        if let Some(offer) = self.offer {
            return Ok(offer);
        }
        let mut holders: Box<[_]> = vms.iter().map(|_| None).collect();
        let mut units = 0;
        for (index, vm) in self.vms.clone().into_iter().filter_map(|at| Some((at, vms.get(at)?))) {
            let parts = self.holder(common, vm)?;
            self.objects.push((index, parts.object));
            if let Some((place, offer)) = holders.get_mut(index).zip(parts.invoke) {
                units = offer.units;
                *place = Some(offer.port);
            }
        }
        let port = Box::leak(Box::new(StoreBehind(holders)));
        Ok(*self.offer.insert(Offer { kind: Kind::BlockStore, units, port }))
    }

    fn holder(&self, common: &mut Common, vm: &BoundVm) -> Result<Parts, BuildError> {
        let silent = || BuildError::new("stores no blocks", "this is a defect of its component");
        let root = common.root.get(self.store).ok_or_else(silent)?;
        let (backend, notify) = root.backend.zip(root.notify).ok_or_else(silent)?;
        let next = common.ports.get_mut(self.store).ok_or_else(silent)?;
        let number = *next;
        *next += 1;
        let (part, read_only) = (self.part, self.read_only);
        let buffer: &'static BlockBuffer = Box::leak(Box::default());
        let blocks = backend.open(number, &BlockOpening { part, read_only, buffer })?;
        let to = leak(Capability::new(notify, Rights::CALL, number.into()));
        let port = BlockPort::new(to, number, blocks, read_only, buffer);
        let holder = Holder::new(port, vm.memory.ok_or_else(silent)?);
        let parts = Parts::new(holder).notify().invoke(Kind::BlockStore, blocks).done();
        let to = leak(Capability::new(parts.notify.ok_or_else(silent)?, Rights::CALL, 0));
        backend.held_by(number, Some(vm.vm.name.as_str()));
        let tag = tag::BLOCK_DONE;
        backend.connect(number, Effect { to, right: Rights::CALL, tag, value: 0 });
        Ok(parts)
    }
}

/// A part of a store as handles lead to it: to the port of who calls.
struct StoreBehind(Box<[Option<&'static dyn InvokePort>]>);

impl InvokePort for StoreBehind {
    fn invoke(
        &self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Words {
        match self.0.get(cx.vm()) {
            Some(Some(holder)) => holder.invoke(operation, words, through, cx),
            _ => Words::ABSENT,
        }
    }
}

/// A VM's port of a part.
struct Holder {
    port: BlockPort,
    memory: &'static dyn Memory,
    /// What it asked for last, until it fetched the answer.
    asked: Option<Asked>,
    /// The store has the buffer: for what was asked, or for what nobody waits for any more.
    due: bool,
    /// How many were asked for, in all of its VM's lives: a guest that was rolled back has
    /// tickets of before, and none that will be.
    tickets: u64,
}

/// A request, by blocks of the part.
#[derive(Clone, Copy)]
struct Asked {
    ticket: u64,
    request: BlockRequest,
    done: Option<BlockDone>,
}

impl Holder {
    const fn new(port: BlockPort, memory: &'static dyn Memory) -> Self {
        Self { port, memory, asked: None, due: false, tickets: 0 }
    }
}

impl Object for Holder {
    /// What it asked for goes on, and is nobody's.
    fn reset(&mut self) {
        self.asked = None;
    }

    /// What its VM asked for before it was kept: said only so that it is reset when that is
    /// rolled back.
    fn save(&self, to: &mut Save) {
        to.double(self.asked.map_or(0, |asked| asked.ticket));
    }

    /// Nothing: no ticket of then is good, and the numbers of all that were given stay
    /// given.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.double().map(|_| ())
    }
}

impl Notify for Holder {
    /// The store is done.
    fn notify(&mut self, tag: u32, value: u64, _cx: &mut Context) -> Reply {
        if tag != tag::BLOCK_DONE {
            return Reply::ABSENT;
        }
        if core::mem::take(&mut self.due)
            && let Some(asked) = self.asked.as_mut()
        {
            asked.done = Some(BlockDone::decode(value));
        }
        Reply::DONE
    }
}

impl Invoke for Holder {
    fn invoke(
        &mut self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Reply {
        let [a, b, address, ..] = *words;
        let answer = match operation {
            store::STATE => self.state(through),
            store::READ => self.ask(BlockOperation::Read, (a, b, None), through, cx),
            store::WRITE => self.ask(BlockOperation::Write, (a, b, Some(address)), through, cx),
            store::FLUSH => self.ask(BlockOperation::Flush, (0, 0, None), through, cx),
            store::FINISH => self.finish(a, b, through),
            _ => return Reply::ABSENT,
        };
        match answer {
            Ok([x1, x2, x3]) => {
                *words = [x1, x2, x3, 0, 0];
                Reply::DONE
            }
            Err(error) => Reply::value(error.code()),
        }
    }
}

/// x1 to x3.
type Answer = Result<[u64; 3], Error>;

impl Holder {
    fn state(&self, through: &Through) -> Answer {
        if !through.rights.intersects(Rights::READ | Rights::WRITE) {
            return Err(Error::NoRight);
        }
        let state = match self.asked {
            _ if self.due => state::UNDER_WAY,
            Some(_) => state::ANSWERED,
            None => state::NONE,
        };
        Ok([BLOCK as u64, BLOCKS as u64, state])
    }

    /// Asks for `count` blocks from `block` of the window on, which come from the address if
    /// there is one.
    fn ask(
        &mut self,
        operation: BlockOperation,
        (block, count, from): (u64, u64, Option<u64>),
        through: &Through,
        cx: &mut Context,
    ) -> Answer {
        through.takes(right(operation))?;
        let request = request(operation, block, count, through)?;
        if !request.fits(self.port.blocks(), self.port.read_only()) {
            return Err(Error::Outside);
        }
        if self.due {
            return Err(Error::Busy);
        }
        if let Some(address) = from {
            self.fetch(address, &request)?;
        }
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = self.tickets;
        (self.asked, self.due) = (Some(Asked { ticket, request, done: None }), true);
        self.port.request(request, cx);
        Ok([ticket, 0, 0])
    }

    /// Says how what was asked for ended, and has what was read be at `address`.
    fn finish(&mut self, ticket: u64, address: u64, through: &Through) -> Answer {
        let asked = self.asked.filter(|asked| asked.ticket == ticket);
        let Asked { request, done, .. } = asked.ok_or(Error::WrongState)?;
        through.takes(right(request.operation))?;
        if !holds(through, &request) {
            return Err(Error::Outside);
        }
        let done = done.ok_or(Error::Busy)?;
        if (request.operation, done) == (BlockOperation::Read, BlockDone::Done) {
            self.put(address, &request)?;
        }
        self.asked = None;
        Ok([done.encode(), 0, 0])
    }

    fn fetch(&self, address: u64, request: &BlockRequest) -> Result<(), Error> {
        let memory = self.memory;
        self.with_bytes(address, request, |bytes| memory.read(address, bytes).is_ok())
    }

    fn put(&self, address: u64, request: &BlockRequest) -> Result<(), Error> {
        let memory = self.memory;
        self.with_bytes(address, request, |bytes| memory.write(address, bytes).is_ok())
    }

    /// Nothing of it is done unless all of it is memory, for which `copy` says no.
    fn with_bytes(
        &self,
        address: u64,
        request: &BlockRequest,
        copy: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<(), Error> {
        let copied = address.is_multiple_of(ALIGNMENT)
            && self
                .port
                .buffer()
                .with(|bytes| bytes.get_mut(..request.count as usize * BLOCK).is_some_and(copy));
        if copied { Ok(()) } else { Err(Error::InvalidParameter) }
    }
}

/// What is copied by doublewords only takes the time that it is to take.
const ALIGNMENT: u64 = 8;

const fn right(operation: BlockOperation) -> Rights {
    match operation {
        BlockOperation::Read => Rights::READ,
        BlockOperation::Write | BlockOperation::Flush => Rights::WRITE,
    }
}

/// By blocks of the part, of what a guest said.
fn request(
    operation: BlockOperation,
    block: u64,
    count: u64,
    through: &Through,
) -> Result<BlockRequest, Error> {
    if operation == BlockOperation::Flush {
        return Ok(BlockRequest { operation, block: 0, count: 0 });
    }
    if count == 0 || count > BLOCKS as u64 {
        return Err(Error::InvalidParameter);
    }
    let inside = block.checked_add(count).is_some_and(|end| end <= through.count);
    let block = through.first.checked_add(block).filter(|_| inside).ok_or(Error::Outside)?;
    Ok(BlockRequest { operation, block, count: count as u32 })
}

/// Whether the window has the blocks of the request: it may have come by another handle.
fn holds(through: &Through, request: &BlockRequest) -> bool {
    let offset = request.block.checked_sub(through.first);
    let end = offset.and_then(|offset| offset.checked_add(request.count.into()));
    request.count == 0 || end.is_some_and(|end| end <= through.count)
}
