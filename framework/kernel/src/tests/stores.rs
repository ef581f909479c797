//! Blocks by handles: of a store that answers when the test lets it.

use super::Fake;
use super::handles::{call, done, given, handles, holder, refusal};
use super::passed::{deployment, object};
use crate::{Bound, bind};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use evisor_contract::abi::{Error, function, rights, store};
use evisor_contract::{
    BLOCK, Backend, BlockBuffer, BlockDone, BlockOpening, BlockOperation, BlockPort, BlockRequest,
    BuildError, Context, Declaration, Effect, Memory, Needs, Notify, Object, Outside, Parts, Reply,
    Restore, Rights, Save, Status, tag,
};
use evisor_manifest::{
    BlockPlan, Deployment, GivenBlocks, GivenPlan, ManifestError, ObjectPlan, Target,
};
use evisor_router::{Cache, Delivery, deliver};
use proptest::prelude::*;
use spin::Mutex;

const BLOCKS: usize = 64;

std::thread_local! {
    static BROKEN: Cell<bool> = const { Cell::new(false) };
    /// It answers later: with what waits here.
    static LATE: Cell<bool> = const { Cell::new(false) };
    static WAITS: RefCell<Vec<Effect>> = const { RefCell::new(Vec::new()) };
    /// What it was asked for.
    static ASKED: RefCell<Vec<BlockRequest>> = const { RefCell::new(Vec::new()) };
}

/// It has two parts, of the same blocks, and four ports.
struct Disk {
    bytes: Vec<u8>,
    ports: [Option<(bool, &'static BlockBuffer, Option<Effect>)>; 4],
}

impl Object for Disk {
    fn reset(&mut self) {}
}

impl Backend for Disk {
    fn open(&mut self, port: u32, opening: &BlockOpening) -> Result<u64, BuildError> {
        let BlockOpening { part, read_only, buffer } = *opening;
        if part > 1 {
            return Err(BuildError::property("evisor,block", "has no such part", "write 1"));
        }
        self.ports[port as usize] = Some((read_only, buffer, None));
        Ok(if part == 0 { BLOCKS as u64 } else { 0 })
    }

    fn connect(&mut self, port: u32, holder: Effect) {
        self.ports[port as usize].as_mut().expect("open").2 = Some(holder);
    }
}

impl Notify for Disk {
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        if BROKEN.get() {
            return Reply::FAILED;
        }
        let (read_only, buffer, holder) = self.ports[tag as usize].expect("open");
        let request = BlockRequest::decode(value).expect("a request");
        assert!(request.fits(BLOCKS as u64, read_only), "{request:?}");
        ASKED.with_borrow_mut(|all| all.push(request));
        let (at, size) = (request.block as usize * BLOCK, request.count as usize * BLOCK);
        let own = &mut self.bytes[at..at + size];
        buffer.with(|bytes| match request.operation {
            BlockOperation::Read => bytes[..size].copy_from_slice(own),
            BlockOperation::Write => own.copy_from_slice(&bytes[..size]),
            BlockOperation::Flush => {}
        });
        let holder = holder.expect("connected");
        let answer = Effect { tag: tag::BLOCK_DONE, value: BlockDone::Done.encode(), ..holder };
        match LATE.get() {
            true => WAITS.with_borrow_mut(|all| all.push(answer)),
            false => cx.push(answer),
        }
        Reply::DONE
    }
}

static DISK: Declaration = Declaration {
    name: "disk",
    compatible: &["example,disk"],
    needs: Needs { root: true, store: true, ..Needs::NONE },
    properties: &[],
    build: |_, _| {
        let bytes = (0..BLOCKS * BLOCK).map(|at| (at / BLOCK) as u8).collect();
        Ok(Parts::new(Disk { bytes, ports: [None; 4] }).notify().backend().done())
    },
    describe: |_, _| Ok(()),
};

/// All that waits is answered.
fn answer() -> usize {
    let mut cx = Context::of_vm(2, 0);
    let all = WAITS.with_borrow_mut(core::mem::take);
    for effect in &all {
        cx.push(*effect);
        let _ = deliver(&mut cx);
    }
    all.len()
}

/// Where the VMs have memory, and how much: of the last page they cannot write.
const RAM: u64 = 0x4000_0000;
const SIZE: usize = 0x4000;

struct Ram(Mutex<Vec<u8>>);

impl Memory for Ram {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        let at = address.checked_sub(RAM).ok_or(Outside)? as usize;
        let bytes = self.0.lock();
        to.copy_from_slice(bytes.get(at..).and_then(|all| all.get(..to.len())).ok_or(Outside)?);
        Ok(())
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        let at = address.checked_sub(RAM).ok_or(Outside)? as usize;
        let mut bytes = self.0.lock();
        let own = bytes.get_mut(..SIZE - 0x1000).and_then(|all| all.get_mut(at..));
        own.and_then(|all| all.get_mut(..from.len())).ok_or(Outside)?.copy_from_slice(from);
        Ok(())
    }
}

fn blocks(first: u64, count: Option<u64>, rights: Rights, label: u64) -> GivenPlan {
    let blocks = Some(GivenBlocks { part: 0, first, count });
    GivenPlan { blocks, ..given(Target::Root(0), rights, label) }
}

/// Two VMs with memory; the third has none of it.
fn bound(
    one: Vec<GivenPlan>,
    other: Vec<GivenPlan>,
) -> Result<(Bound, [&'static Ram; 2]), Box<ManifestError>> {
    let nothing = evisor_manifest::VmPlan { capabilities: None, ..holder("third", 2, Vec::new()) };
    let vms = Vec::from([holder("first", 0, one), holder("second", 1, other), nothing]);
    let disk = ObjectPlan { path: "/disk".into(), ..object("disk", &DISK) };
    let root_objects = Vec::from([disk]);
    let bound = bind(&Deployment { root_objects, ..deployment(vms) }, Fake::new())?;
    let rams = [0, 1].map(|vm: usize| {
        let ram: &Ram = Box::leak(Box::new(Ram(Mutex::new(vec![0xee; SIZE]))));
        bound.vms[vm].memory.inspect(|slot| slot.fill(ram));
        ram
    });
    Ok((bound, rams))
}

/// The first has half of the disk and may hand it on.
fn usual() -> (Bound, [&'static Ram; 2]) {
    let all = Rights::READ | Rights::WRITE | Rights::GRANT;
    let way = given(Target::Vm(1), Rights::GRANT, 2);
    bound(Vec::from([blocks(16, Some(32), all, 1), way]), Vec::new()).expect("sound")
}

fn ask(
    bound: &Bound,
    vm: usize,
    handle: u64,
    operation: u32,
    words: [u64; 3],
) -> Result<u64, Error> {
    let [a, b, c] = words;
    let arguments = [handle, operation.into(), a, b, c];
    let (status, [x0, x1, ..]) = call(bound, vm, function::INVOKE, &arguments);
    assert_eq!(status, Status::Done);
    Error::of(x0).map_or(Ok(x1), Err)
}

fn state(bound: &Bound, vm: usize, handle: u64) -> u64 {
    let [block, most, state] = done(bound, vm, function::INVOKE, &[handle, store::STATE.into()]);
    assert_eq!((block, most), (512, 8));
    state
}

#[test]
fn blocks_are_read_and_written_through_the_window() {
    let (bound, [ram, _]) = usual();
    let disk = handles(&bound, 0)[0];
    let ask = |operation, words| ask(&bound, 0, disk, operation, words);
    assert_eq!(done(&bound, 0, function::DESCRIBE, &[disk]), [16, 32, 0]);
    assert_eq!(state(&bound, 0, disk), store::state::NONE);
    let ticket = ask(store::READ, [2, 8, 0]).expect("it is asked");
    assert_eq!(state(&bound, 0, disk), store::state::ANSWERED);
    assert_eq!(ask(store::FINISH, [ticket, RAM + 8, 0]), Ok(store::done::DONE));
    assert_eq!(state(&bound, 0, disk), store::state::NONE);
    let bytes = ram.0.lock().clone();
    let read = (0..8 * BLOCK).map(|at| 18 + (at / BLOCK) as u8);
    assert!(bytes[8..8 + 8 * BLOCK].iter().copied().eq(read));
    assert!(bytes[..8].iter().chain(&bytes[8 + 8 * BLOCK..]).all(|byte| *byte == 0xee));
    let ticket = ask(store::WRITE, [31, 1, RAM + 0x3e00]).expect("it is asked");
    assert_eq!(ask(store::FINISH, [ticket, 0, 0]), Ok(store::done::DONE));
    let ticket = ask(store::FLUSH, [9, 9, 9]).expect("it is asked");
    assert_eq!(ask(store::FINISH, [ticket, 0, 0]), Ok(store::done::DONE));
    let ticket = ask(store::READ, [31, 1, 0]).expect("it is asked");
    assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Ok(store::done::DONE));
    assert!(ram.0.lock()[..BLOCK].iter().all(|byte| *byte == 0xee));
    let asked: Vec<_> =
        ASKED.take().iter().map(|one| (one.operation, one.block, one.count)).collect();
    let (read, write) = (BlockOperation::Read, BlockOperation::Write);
    let all = [(read, 18, 8), (write, 47, 1), (BlockOperation::Flush, 0, 0), (read, 47, 1)];
    assert_eq!(asked, all);
}

#[test]
fn what_is_out_of_range_is_an_error_and_does_nothing() {
    let (bound, [ram, _]) = usual();
    let disk = handles(&bound, 0)[0];
    let ask = |operation, words| ask(&bound, 0, disk, operation, words);
    for count in [0, 9, 1 << 32, u64::MAX] {
        assert_eq!(ask(store::READ, [0, count, 0]), Err(Error::InvalidParameter));
    }
    for (block, count) in
        [(32, 1), (31, 2), (25, 8), (u64::MAX, 1), (u64::MAX - 8, 8), (1 << 40, 1)]
    {
        assert_eq!(ask(store::READ, [block, count, 0]), Err(Error::Outside), "{block}");
        assert_eq!(ask(store::WRITE, [block, count, RAM]), Err(Error::Outside), "{block}");
    }
    let end = RAM + SIZE as u64;
    for address in [0, RAM - 8, RAM + 4, end - 504, end, u64::MAX - 7, u64::MAX] {
        assert_eq!(
            ask(store::WRITE, [0, 1, address]),
            Err(Error::InvalidParameter),
            "{address:#x}"
        );
    }
    assert!(ASKED.take().is_empty());
    let unknown = [disk, 99, 0];
    assert_eq!(call(&bound, 0, function::INVOKE, &unknown).0, Status::Absent);
    let ticket = ask(store::READ, [0, 2, 0]).expect("it is asked");
    for address in [0, RAM - 8, RAM + 4, end - 0x1000 - 0x200, end - 0x1000, u64::MAX - 7] {
        let refused = ask(store::FINISH, [ticket, address, 0]);
        assert_eq!(refused, Err(Error::InvalidParameter), "{address:#x}");
    }
    assert!(ram.0.lock().iter().all(|byte| *byte == 0xee));
    assert_eq!(ask(store::FINISH, [ticket + 1, RAM, 0]), Err(Error::WrongState));
    // Where it can be put it still is.
    assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Ok(store::done::DONE));
    assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Err(Error::WrongState));
}

#[test]
fn a_store_that_answers_later_is_asked_one_thing_at_a_time() {
    let (bound, [ram, _]) = usual();
    let disk = handles(&bound, 0)[0];
    let ask = |operation, words| ask(&bound, 0, disk, operation, words);
    LATE.set(true);
    let ticket = ask(store::READ, [0, 1, 0]).expect("it is asked");
    assert_eq!(state(&bound, 0, disk), store::state::UNDER_WAY);
    assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Err(Error::Busy));
    for operation in [store::READ, store::WRITE, store::FLUSH] {
        assert_eq!(ask(operation, [0, 1, RAM]), Err(Error::Busy));
    }
    assert_eq!(answer(), 1);
    assert_eq!(ram.0.lock()[0], 0xee, "nothing is written while it does not call");
    // An answer that is not fetched gives way.
    let next = ask(store::READ, [1, 1, 0]).expect("it is asked");
    assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Err(Error::WrongState));
    assert_eq!((answer(), ask(store::FINISH, [next, RAM, 0])), (1, Ok(0)));
    assert_eq!(ram.0.lock()[0], 17);
    assert_eq!(ASKED.take().len(), 2);
}

#[test]
fn a_request_outlives_its_vm_and_is_nobodys_then() {
    let (bound, [ram, _]) = usual();
    let disk = handles(&bound, 0)[0];
    let ask = |operation, words| ask(&bound, 0, disk, operation, words);
    LATE.set(true);
    let ticket = ask(store::READ, [0, 1, 0]).expect("it is asked");
    for object in &bound.vms[0].objects {
        object.with(&mut |object| object.reset());
    }
    assert_eq!(state(&bound, 0, disk), store::state::UNDER_WAY);
    assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Err(Error::WrongState));
    // The store still has the buffer.
    assert_eq!(ask(store::WRITE, [0, 1, RAM]), Err(Error::Busy));
    assert_eq!((answer(), state(&bound, 0, disk)), (1, store::state::NONE));
    assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Err(Error::WrongState));
    assert_eq!(ram.0.lock()[0], 0xee);
    assert_eq!(ask(store::WRITE, [0, 1, RAM]), Ok(ticket + 1));
    assert_eq!(answer(), 1);
}

/// Keeps the first VM, and gives what makes it that again; as `framework/machine` does, which
/// leaves alone what wrote nothing down.
fn keep(bound: &Bound) -> impl Fn() {
    let vm = &bound.vms[0];
    let kept: Vec<_> = vm
        .objects
        .iter()
        .map(|object| {
            let mut save = Save::default();
            object.with(&mut |object| object.save(&mut save));
            save.into_bytes()
        })
        .collect();
    move || {
        vm.stop_time();
        for (object, state) in vm.objects.iter().zip(&kept).filter(|(_, kept)| !kept.is_empty()) {
            object.with(&mut |object| {
                object.reset();
                object.restore(&mut Restore::new(state)).expect("it is sound");
            });
        }
        vm.roll_time_back(false);
        let _ = vm.start_time(&mut Context::new(0));
    }
}

#[test]
fn who_is_rolled_back_has_no_ticket_that_is_good() {
    let (bound, [ram, _]) = usual();
    let disk = handles(&bound, 0)[0];
    let ask = |operation, words| ask(&bound, 0, disk, operation, words);
    LATE.set(true);
    let ticket = ask(store::READ, [0, 1, 0]).expect("it is asked");
    let rolls_back = keep(&bound);
    let refused = |ticket| assert_eq!(ask(store::FINISH, [ticket, RAM, 0]), Err(Error::WrongState));
    // Before it is answered; and that is nobody's.
    rolls_back();
    assert_eq!(state(&bound, 0, disk), store::state::UNDER_WAY);
    refused(ticket);
    assert_eq!(ask(store::WRITE, [0, 1, RAM]), Err(Error::Busy));
    assert_eq!((answer(), state(&bound, 0, disk)), (1, store::state::NONE));
    refused(ticket);
    // With one of a life that is over, under way and answered; and what that wrote is there.
    for answered in [false, true] {
        let next = ask(store::WRITE, [1, 1, RAM]).expect("it is asked");
        assert!(next > ticket, "no number comes again");
        assert_eq!(answer(), 1);
        assert_eq!(ask(store::FINISH, [next, 0, 0]), Ok(store::done::DONE));
        let next = ask(store::READ, [1, 1, 0]).expect("it is asked");
        assert!(!answered || answer() == 1);
        rolls_back();
        refused(ticket);
        refused(next);
        assert_eq!(answer(), usize::from(!answered));
        refused(next);
        assert_eq!(state(&bound, 0, disk), store::state::NONE);
    }
    assert!(ram.0.lock().iter().all(|byte| *byte == 0xee), "nothing came to its memory");
    let next = ask(store::READ, [0, 2, 0]).expect("it is asked");
    assert_eq!((answer(), ask(store::FINISH, [next, RAM, 0])), (1, Ok(store::done::DONE)));
    let bytes = [16, 0xee].into_iter().flat_map(|byte| [byte; BLOCK]);
    assert!(ram.0.lock().iter().copied().take(2 * BLOCK).eq(bytes));
    ASKED.take();
}

/// A device that stores blocks, and what it was notified of.
struct Asker {
    port: BlockPort,
    told: Vec<(u32, u64)>,
}

impl Object for Asker {
    fn reset(&mut self) {}

    fn save(&self, to: &mut Save) {
        to.word(0);
    }
}

impl Notify for Asker {
    fn notify(&mut self, tag: u32, value: u64, _: &mut Context) -> Reply {
        self.told.push((tag, value));
        Reply::DONE
    }
}

static ASKER: Declaration = Declaration {
    name: "asker",
    compatible: &["example,asker"],
    needs: Needs { block: true, ..Needs::NONE },
    properties: &[],
    build: |_, grants| {
        Ok(Parts::new(Asker { port: grants.block()?, told: Vec::new() }).notify().done())
    },
    describe: |_, _| Ok(()),
};

/// What it hears of its store is the store's answers, one of each: the kernel makes up none.
#[test]
fn a_device_hears_of_its_store_alone_when_its_vm_is_rolled_back() {
    let block = Some(BlockPlan { store: 0, part: 0, read_only: false });
    let asker = ObjectPlan { block, ..object("asker", &ASKER) };
    let vm = holder("first", 0, Vec::new());
    let vms = Vec::from([evisor_manifest::VmPlan { objects: Vec::from([asker]), ..vm }]);
    let disk = ObjectPlan { path: "/disk".into(), ..object("disk", &DISK) };
    let root_objects = Vec::from([disk]);
    let bound = bind(&Deployment { root_objects, ..deployment(vms) }, Fake::new()).expect("sound");
    let with = |f: &mut dyn FnMut(&mut Asker)| {
        bound.vms[0].objects[0].with(&mut |object| f(object.downcast_mut().expect("the asker")));
    };
    let ask = || {
        let mut cx = Context::new(0);
        let flush = BlockRequest { operation: BlockOperation::Flush, block: 0, count: 0 };
        with(&mut |asker| asker.port.request(flush, &mut cx));
        let _ = deliver(&mut cx);
    };
    let told = || {
        let mut told = Vec::new();
        with(&mut |asker| told = core::mem::take(&mut asker.told));
        told
    };
    LATE.set(true);
    ask();
    let rolls_back = keep(&bound);
    rolls_back();
    assert_eq!(told(), []);
    assert_eq!(answer(), 1);
    let answers = [(tag::BLOCK_DONE, BlockDone::Done.encode())];
    assert_eq!(told(), answers);
    ask();
    assert_eq!(answer(), 1);
    rolls_back();
    assert_eq!(told(), answers);
    ASKED.take();
}

#[test]
fn each_right_and_each_window_is_kept_to() {
    let (bound, [ram, _]) = usual();
    let disk = handles(&bound, 0)[0];
    let derive = |rights: u32, first, count| {
        let arguments = [disk, rights.into(), first, count, 0];
        done(&bound, 0, function::DERIVE, &arguments)[0]
    };
    let [reads, writes, part] = [
        derive(rights::READ, 0, 0),
        derive(rights::WRITE, 0, 0),
        derive(rights::READ | rights::WRITE, 8, 4),
    ];
    let ask = |handle, operation, words| ask(&bound, 0, handle, operation, words);
    assert_eq!(ask(reads, store::WRITE, [0, 1, RAM]), Err(Error::NoRight));
    assert_eq!(ask(reads, store::FLUSH, [0; 3]), Err(Error::NoRight));
    assert_eq!(ask(writes, store::READ, [0, 1, 0]), Err(Error::NoRight));
    assert_eq!(state(&bound, 0, writes), store::state::NONE);
    let ticket = ask(part, store::READ, [3, 1, 0]).expect("it is asked");
    assert_eq!(ask(part, store::READ, [3, 2, 0]), Err(Error::Outside));
    // What was read is for who may read it: not by this handle, and by the other.
    assert_eq!(ask(writes, store::FINISH, [ticket, RAM, 0]), Err(Error::NoRight));
    assert_eq!(ask(reads, store::FINISH, [ticket, RAM, 0]), Ok(0));
    assert_eq!(ram.0.lock()[0], 16 + 8 + 3);
    let ticket = ask(disk, store::READ, [12, 1, 0]).expect("it is asked");
    assert_eq!(ask(part, store::FINISH, [ticket, RAM, 0]), Err(Error::Outside));
    let none = derive(rights::GRANT, 0, 0);
    assert_eq!(ask(none, store::STATE, [0; 3]), Err(Error::NoRight));
    ASKED.take();
}

#[test]
fn a_part_is_handed_over_and_revoked_while_it_is_read() {
    let (bound, [ram, others]) = usual();
    let [disk, way] = handles(&bound, 0)[..] else { panic!("two") };
    let all = u64::from(rights::ALL);
    let between = done(&bound, 0, function::DERIVE, &[disk, all, 4, 4, 0])[0];
    done(&bound, 0, function::HAND_OVER, &[between, all, 1, 2, 9, way]);
    let [theirs] = handles(&bound, 1)[..] else { panic!("one") };
    assert_eq!(done(&bound, 1, function::DESCRIBE, &[theirs]), [21, 2, 2]);
    LATE.set(true);
    // Each has a request of its own under way, and memory of its own.
    let mine = ask(&bound, 0, disk, store::READ, [0, 1, 0]).expect("it is asked");
    let ticket = ask(&bound, 1, theirs, store::READ, [1, 1, 0]).expect("it is asked");
    assert_eq!(answer(), 2);
    assert_eq!(ask(&bound, 1, theirs, store::FINISH, [ticket, RAM, 0]), Ok(0));
    assert_eq!(ask(&bound, 0, disk, store::FINISH, [mine, RAM, 0]), Ok(0));
    assert_eq!((ram.0.lock()[0], others.0.lock()[0]), (16, 22));
    let ticket = ask(&bound, 1, theirs, store::READ, [0, 1, 0]).expect("it is asked");
    done(&bound, 0, function::REVOKE, &[between]);
    assert_eq!(answer(), 1);
    let gone =
        [(store::FINISH, [ticket, RAM, 0]), (store::READ, [0, 1, 0]), (store::STATE, [0; 3])];
    for (operation, words) in gone {
        assert_eq!(ask(&bound, 1, theirs, operation, words), Err(Error::NoHandle));
    }
    assert_eq!(others.0.lock()[0], 22, "what was under way is put nowhere");
    let arguments = [between, all, 0, 0, 9, way];
    assert_eq!(refusal(&bound, 0, function::HAND_OVER, &arguments), None);
    let [theirs] = handles(&bound, 1)[..] else { panic!("one") };
    assert_eq!(ask(&bound, 1, theirs, store::FINISH, [ticket, RAM, 0]), Ok(0), "it may again");
    ASKED.take();
}

#[test]
fn who_cannot_be_handed_it_has_no_port_and_no_memory_of_it() {
    let reads = blocks(0, None, Rights::READ, 1);
    let (bound, _) = bound(Vec::from([reads]), Vec::new()).expect("sound");
    let has = |vm: usize| bound.vms[vm].memory.is_some();
    assert_eq!([has(0), has(1), has(2)], [true, false, false]);
    let disk = handles(&bound, 0)[0];
    assert_eq!(done(&bound, 0, function::DESCRIBE, &[disk]), [0, BLOCKS as u64, 0]);
    assert_eq!(ask(&bound, 0, disk, store::WRITE, [0, 1, RAM]), Err(Error::NoRight));
    let (bound, _) = usual();
    assert_eq!([0, 1, 2].map(|vm| bound.vms[vm].memory.is_some()), [true, true, false]);
}

#[test]
fn without_a_medium_there_are_no_blocks() {
    let all = Rights::READ | Rights::WRITE;
    let absent = GivenBlocks { part: 1, first: 0, count: None };
    let absent = GivenPlan { blocks: Some(absent), ..blocks(0, None, all, 1) };
    let too_far = blocks(60, Some(5), all, 2);
    let (bound, _) = bound(Vec::from([absent, too_far]), Vec::new()).expect("sound");
    for handle in handles(&bound, 0) {
        assert_eq!(done(&bound, 0, function::DESCRIBE, &[handle])[1], 0);
        assert_eq!(ask(&bound, 0, handle, store::READ, [0, 1, 0]), Err(Error::Outside));
        let derive = [handle, rights::ALL.into(), 0, 0, 0];
        assert_eq!(refusal(&bound, 0, function::DERIVE, &derive), Some(Error::Outside));
    }
    assert!(ASKED.take().is_empty());
}

#[test]
fn a_part_that_there_is_never_is_refused() {
    let blocks = Some(GivenBlocks { part: 2, first: 0, count: None });
    let plan = GivenPlan { blocks, ..given(Target::Root(0), Rights::all(), 1) };
    let error = bound(Vec::from([plan]), Vec::new()).err().expect("refused");
    assert_eq!(
        (error.node.as_str(), error.message.as_str()),
        ("/vm/capabilities/one", "has no such part")
    );
    assert_eq!(error.property.as_deref(), Some("evisor,object"));
}

#[test]
fn a_store_that_failed_has_no_handles() {
    let (bound, _) = usual();
    let disk = handles(&bound, 0)[0];
    BROKEN.set(true);
    let mut calls = Cache::new(&bound.vms[0].space.calls).expect("a table");
    let mut registers = [0; 18];
    registers[1..=4].copy_from_slice(&[disk, store::READ.into(), 0, 1]);
    let mut cx = Context::new(0);
    let words = evisor_router::call(&mut calls, function::INVOKE, &mut registers, &mut cx);
    assert_eq!((words.status(), words.value()), (Status::Done, 0));
    let Delivery::Failed(to) = deliver(&mut cx) else { panic!("it failed") };
    assert!(bound.handles.expect("there are").quarantine(core::ptr::from_ref(to.port()).cast()));
    let state = [disk, store::STATE.into()];
    assert_eq!(call(&bound, 0, function::INVOKE, &state).0, Status::Absent);
}

/// A handle as the model has it: its VM's number, its rights and its window of the disk.
#[derive(Clone, Copy)]
struct Held {
    vm: usize,
    handle: u64,
    rights: u32,
    first: u64,
    count: u64,
}

/// What a VM asked for last.
#[derive(Clone, Copy, Debug)]
struct Request {
    ticket: u64,
    operation: u32,
    /// Of the disk.
    first: usize,
    count: usize,
}

/// What a VM's port, its memory and the disk come to, said in another way.
struct Model {
    disk: Vec<u8>,
    rams: [Vec<u8>; 2],
    /// What was read and not fetched.
    read: [Vec<u8>; 2],
    asked: [Option<Request>; 2],
    due: [bool; 2],
    tickets: [u64; 2],
}

impl Model {
    fn new() -> Self {
        let disk = (0..BLOCKS * BLOCK).map(|at| (at / BLOCK) as u8).collect();
        let rams = [0, 1].map(|_| vec![0xee; SIZE]);
        let (read, due, tickets) = ([Vec::new(), Vec::new()], [false; 2], [0; 2]);
        Self { disk, rams, read, asked: [None; 2], due, tickets }
    }

    /// So many bytes at an address that a guest says; of the last page nothing is written.
    fn place(address: u64, bytes: usize, writes: bool) -> Option<usize> {
        let end = u128::from(RAM) + SIZE as u128 - if writes { 0x1000 } else { 0 };
        let inside = address >= RAM && u128::from(address) + bytes as u128 <= end;
        (inside && address.is_multiple_of(8)).then(|| (address - RAM) as usize)
    }

    fn ask(&mut self, held: &Held, operation: u32, [a, b, c]: [u64; 3]) -> Result<u64, Error> {
        let Held { vm, rights, first, count, .. } = *held;
        let has = |right| if rights & right == right { Ok(()) } else { Err(Error::NoRight) };
        match operation {
            store::STATE => {
                let any = rights & (rights::READ | rights::WRITE) != 0;
                return if any { Ok(512) } else { Err(Error::NoRight) };
            }
            store::READ => has(rights::READ)?,
            store::WRITE | store::FLUSH => has(rights::WRITE)?,
            _ => return self.finish(held, a, b),
        }
        let (a, b) = if operation == store::FLUSH { (0, 0) } else { (a, b) };
        if operation != store::FLUSH {
            if !(1..=8).contains(&b) {
                return Err(Error::InvalidParameter);
            }
            if u128::from(a) + u128::from(b) > u128::from(count) {
                return Err(Error::Outside);
            }
        }
        if self.due[vm] {
            return Err(Error::Busy);
        }
        let (at, bytes) = ((first + a) as usize * BLOCK, b as usize * BLOCK);
        if operation == store::WRITE {
            let from = Self::place(c, bytes, false).ok_or(Error::InvalidParameter)?;
            self.disk[at..at + bytes].copy_from_slice(&self.rams[vm][from..from + bytes]);
        }
        self.read[vm] = self.disk[at..at + bytes].to_vec();
        self.tickets[vm] += 1;
        let ticket = self.tickets[vm];
        let request = Request { ticket, operation, first: (first + a) as usize, count: b as usize };
        (self.asked[vm], self.due[vm]) = (Some(request), LATE.get());
        Ok(ticket)
    }

    fn finish(&mut self, held: &Held, ticket: u64, address: u64) -> Result<u64, Error> {
        let Held { vm, rights, first, count, .. } = *held;
        let asked = self.asked[vm].filter(|asked| asked.ticket == ticket);
        let Request { operation, first: block, count: blocks, .. } =
            asked.ok_or(Error::WrongState)?;
        let reads = operation == store::READ;
        let right = if reads { rights::READ } else { rights::WRITE };
        if rights & right != right {
            return Err(Error::NoRight);
        }
        let (first, end) = (first as usize, (first + count) as usize);
        if operation != store::FLUSH && (block < first || block + blocks > end) {
            return Err(Error::Outside);
        }
        if self.due[vm] {
            return Err(Error::Busy);
        }
        if reads {
            let bytes = self.read[vm].len();
            let to = Self::place(address, bytes, true).ok_or(Error::InvalidParameter)?;
            self.rams[vm][to..to + bytes].copy_from_slice(&self.read[vm]);
        }
        self.asked[vm] = None;
        Ok(store::done::DONE)
    }
}

/// Handles of both VMs with rights and windows of several kinds.
fn several(bound: &Bound) -> Vec<Held> {
    let [disk, way] = handles(bound, 0)[..] else { panic!("two") };
    let all = rights::READ | rights::WRITE;
    let mut held = vec![Held { vm: 0, handle: disk, rights: rights::ALL, first: 16, count: 32 }];
    for (rights, first, count) in [(rights::READ, 3, 9), (rights::WRITE, 8, 24)] {
        let arguments = [disk, rights.into(), first, count, 0];
        let [handle, ..] = done(bound, 0, function::DERIVE, &arguments);
        held.push(Held { vm: 0, handle, rights, first: 16 + first, count });
    }
    let handed = [(all, 0, 10), (rights::READ, 20, 12)];
    for (rights, first, count) in handed {
        done(bound, 0, function::HAND_OVER, &[disk, rights.into(), first, count, 0, way]);
    }
    for (handle, (rights, first, count)) in handles(bound, 1).into_iter().zip(handed) {
        held.push(Held { vm: 1, handle, rights, first: 16 + first, count });
    }
    held
}

#[derive(Clone, Debug)]
enum Step {
    /// By which handle; a ticket is as far from the last one as the first word says.
    Ask {
        by: usize,
        operation: u32,
        words: [u64; 3],
    },
    Answer,
    Late(bool),
    Reset {
        vm: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let number = || prop_oneof![4 => 0..36_u64, 1 => any::<u64>(), 1 => u64::MAX - 8..=u64::MAX];
    let address = prop_oneof![
        4 => (0..SIZE as u64 / 512 + 2).prop_map(|n| RAM - 512 + n * 512),
        2 => RAM - 16..RAM + 64,
        1 => any::<u64>(),
    ];
    let words = (number(), prop_oneof![4 => 0..10_u64, 1 => any::<u64>()], address);
    let ask = (0..5_usize, 0..5_u32, words);
    let ask =
        ask.prop_map(|(by, operation, (a, b, c))| Step::Ask { by, operation, words: [a, b, c] });
    prop_oneof![
        12 => ask,
        3 => Just(Step::Answer),
        1 => any::<bool>().prop_map(Step::Late),
        1 => (0..2_usize).prop_map(|vm| Step::Reset { vm }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Two VMs, any operation with any words, and a store that answers when it likes.
    #[test]
    fn any_requests_do_what_they_may(steps in proptest::collection::vec(step(), 1..120)) {
        LATE.set(false);
        WAITS.take();
        let (bound, rams) = usual();
        let (held, mut model) = (several(&bound), Model::new());
        for step in steps {
            match step {
                Step::Ask { by, operation, words: [a, b, c] } => {
                    let held = &held[by];
                    let words = match operation {
                        store::FINISH => [model.tickets[held.vm].saturating_sub(a / 16), c, b],
                        _ => [a, b, c],
                    };
                    let found = ask(&bound, held.vm, held.handle, operation, words);
                    prop_assert_eq!(found, model.ask(held, operation, words));
                }
                Step::Answer => {
                    answer();
                    model.due = [false; 2];
                }
                Step::Late(late) => LATE.set(late),
                Step::Reset { vm } => {
                    let objects = bound.vms[vm].objects.iter();
                    objects.for_each(|object| object.with(&mut |object| object.reset()));
                    model.asked[vm] = None;
                }
            }
            for (real, model) in rams.iter().zip(&model.rams) {
                prop_assert_eq!(&*real.0.lock(), model);
            }
        }
        ASKED.take();
    }
}
