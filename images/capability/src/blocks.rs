//! Blocks of a store that one VM reads and writes, hands a part of to another, and takes
//! back.
//!
//! `role=9` has them from its manifest, `role=10` is handed them. They meet by what is
//! written into the blocks, and by what is handed over.

use core::sync::atomic::{AtomicU64, Ordering};

use evisor_abi::{Error, Kind, Narrow, rights, store, vm};
use evisor_guest::handles::OWN;
use evisor_guest::println;
use evisor_guest::random::Random;

use crate::guest::{comes, report};

/// What the manifest calls them, and what is handed over.
const BLOCKS: u64 = 1;
const OTHER: u64 = 2;
const PART: u64 = 10;
const LOOK: u64 = 11;

/// The window, as the manifest has it.
const WINDOW: u64 = 64;
/// The part that goes over: where it starts in the window, and how long it is.
const FIRST: u64 = 8;
const COUNT: u64 = 8;
/// What is tried at random begins here.
const TRIED: u64 = 32;
const TRIES: u64 = 20_000;

/// A block, in doublewords.
const WORDS: usize = 64;
const MOST: usize = 8;

/// Where the VM's memory ends; what is not memory; and where another VM would have some.
const END: u64 = 0x4400_0000;
const NOWHERE: [u64; 4] = [0, 0x0900_0000, 0x6000_0000, u64::MAX - 7];

/// As many blocks as one request has at most, and one on either side that stays as it is.
static BYTES: [AtomicU64; (MOST + 2) * WORDS] = [const { AtomicU64::new(0) }; (MOST + 2) * WORDS];
const GUARD: u64 = 0x6775_6172_6467_7561;

fn blocks() -> &'static [AtomicU64] {
    BYTES.get(WORDS..(MOST + 1) * WORDS).unwrap_or_default()
}

fn address() -> u64 {
    blocks().as_ptr() as u64
}

fn guards() -> impl Iterator<Item = &'static AtomicU64> {
    let last = BYTES.get((MOST + 1) * WORDS..).unwrap_or_default();
    BYTES.iter().take(WORDS).chain(last)
}

fn fill(seed: u64) {
    for (place, number) in blocks().iter().zip(1..) {
        place.store(seed.wrapping_mul(number), Ordering::Relaxed);
    }
}

/// Whether the first `count` blocks are as [`fill`] makes them.
fn is_filled(count: u64, seed: u64) -> bool {
    let words = blocks().iter().zip(1..).take(count as usize * WORDS);
    words
        .into_iter()
        .all(|(place, number)| place.load(Ordering::Relaxed) == seed.wrapping_mul(number))
}

fn begin(handle: u64, operation: u32, block: u64, count: u64, ipa: u64) -> Result<u64, Error> {
    OWN.invoke(handle, operation, [block, count, ipa, 0, 0]).map(|[ticket, ..]| ticket)
}

/// When the store is done.
fn finish(handle: u64, ticket: u64, ipa: u64) -> Result<u64, Error> {
    let mut last = Err(Error::Busy);
    comes(|| {
        let answer = OWN.invoke(handle, store::FINISH, [ticket, ipa, 0, 0, 0]);
        last = answer.map(|[done, ..]| done);
        last != Err(Error::Busy)
    });
    last
}

fn read(handle: u64, block: u64, count: u64) -> Result<u64, Error> {
    finish(handle, begin(handle, store::READ, block, count, 0)?, address())
}

fn write(handle: u64, block: u64, count: u64) -> Result<u64, Error> {
    finish(handle, begin(handle, store::WRITE, block, count, address())?, 0)
}

fn flush(handle: u64) -> Result<u64, Error> {
    finish(handle, begin(handle, store::FLUSH, 0, 0, 0)?, 0)
}

const DONE: Result<u64, Error> = Ok(store::done::DONE);

/// Errors, each of which does nothing.
fn refuses(handle: u64) -> bool {
    let any = [store::READ, store::WRITE];
    let fails = |operation, block, count, error| {
        begin(handle, operation, block, count, address()) == Err(error)
    };
    let counts = [0, MOST as u64 + 1, 1 << 32, u64::MAX];
    let counts = any
        .iter()
        .all(|one| counts.iter().all(|count| fails(*one, 0, *count, Error::InvalidParameter)));
    let places = [(WINDOW, 1), (WINDOW - 1, 2), (u64::MAX, 1), (u64::MAX - 7, 8), (1 << 52, 1)];
    let places = any
        .iter()
        .all(|one| places.iter().all(|(block, count)| fails(*one, *block, *count, Error::Outside)));
    let bad = || NOWHERE.into_iter().chain([END, END - 8, END - 1016, address() + 4]);
    let from =
        bad().all(|ipa| begin(handle, store::WRITE, 0, 2, ipa) == Err(Error::InvalidParameter));
    let Ok(ticket) = begin(handle, store::READ, 0, 2, 0) else { return false };
    let to = bad().all(|ipa| finish(handle, ticket, ipa) == Err(Error::InvalidParameter));
    let unknown = finish(handle, ticket + 1, address()) == Err(Error::WrongState);
    let once = finish(handle, ticket, END - 1024) == DONE
        && finish(handle, ticket, END - 1024) == Err(Error::WrongState);
    counts && places && from && to && unknown && once
}

/// Any operations with any words, by handles of blocks that nobody needs. Gives how many were
/// answered that must not be.
fn any(owned: &[u64; 3], seed: u64) -> u64 {
    let (mut random, mut last) = (Random::new(seed), 0);
    let found = (0..TRIES).filter(|_| {
        let handle = owned.get((random.number() % 3) as usize).copied().unwrap_or(0);
        let operation = random.number() as u32 % 6;
        let mut near = |most: u64| match random.number() % 4 {
            0 => random.number(),
            _ => random.number() % most,
        };
        let (block, count) = (near(WINDOW), near(12));
        // What is read fits there; or it comes nowhere.
        let ipa = match random.number() % 4 {
            which @ 0..2 => address() + which * 4,
            which => NOWHERE.get(which as usize).copied().unwrap_or(0),
        };
        if operation == store::FINISH {
            let ticket = last + (block % 3);
            let known = ticket == last;
            let answer = OWN.invoke(handle, operation, [ticket, ipa, 0, 0, 0]);
            return answer.is_ok() && !known;
        }
        let Ok(ticket) = begin(handle, operation, block, count, ipa) else { return false };
        match operation {
            store::READ | store::WRITE | store::FLUSH => last = ticket,
            _ => {}
        }
        let moves = matches!(operation, store::READ | store::WRITE);
        let fits = count > 0 && count <= MOST as u64 && block < WINDOW - TRIED;
        operation > store::FINISH || moves && !fits
    });
    let found = found.count() as u64;
    let _ = finish(owned[0], last, address());
    found
}

fn try_at_random(handle: u64) -> bool {
    let derive = |rights, first| {
        let narrow = Narrow { first, ..Narrow::nothing(0).to(rights) };
        OWN.derive(handle, narrow)
    };
    let both = rights::READ | rights::WRITE;
    let all = [derive(both, TRIED), derive(rights::READ, TRIED + 7), derive(rights::WRITE, TRIED)];
    let [Ok(one), Ok(other), Ok(third)] = all else { return false };
    guards().for_each(|word| word.store(GUARD, Ordering::Relaxed));
    let found = any(&[one, other, third], 9);
    println!("{TRIES} random operations and words");
    let kept = guards().all(|word| word.load(Ordering::Relaxed) == GUARD);
    let dropped = OWN.revoke(handle).is_ok() && comes(|| OWN.quota().is_ok_and(|(a, b)| a == b));
    let idle = || OWN.invoke(handle, store::STATE, [0; 5]);
    found == 0
        && kept
        && dropped
        && comes(|| idle().is_ok_and(|[.., s]| s != store::state::UNDER_WAY))
}

pub fn keep() -> u8 {
    let found = OWN.find(Kind::BlockStore, BLOCKS).zip(OWN.find(Kind::Vm, OTHER));
    let Some((own, other)) = found else { return report("it holds blocks", false) };
    let all = rights::READ | rights::WRITE | rights::GRANT;
    let (own, other, rights) = (own.handle, other.handle, own.rights);
    let window = OWN.describe(own).is_ok_and(|window| window.count == WINDOW);
    let facts = OWN.invoke(own, store::STATE, [0; 5]);
    let facts = facts.is_ok_and(|[bytes, most, state]| (bytes, most, state) == (512, 8, 0));
    let mut failed = report("it holds blocks", window && facts && rights == all);
    failed |= report("what is out of range is an error", refuses(own));
    failed |= report("nothing else comes of any words", try_at_random(own));
    fill(3);
    let written = write(own, 0, 8) == DONE && flush(own) == DONE;
    fill(0);
    let back = read(own, 0, 8) == DONE && is_filled(8, 3);
    failed |= report("what was written is read", written && back);
    fill(5);
    failed |= report("it writes what the other is to find", write(own, FIRST, COUNT) == DONE);
    failed | lend(own, other)
}

/// Hands a part over, sees what the other wrote there, and takes it back.
fn lend(own: u64, other: u64) -> u8 {
    let part = Narrow { first: FIRST, count: COUNT, ..Narrow::nothing(0) };
    let Ok(part) = OWN.derive(own, part) else { return report("it derives a part", false) };
    let narrow = Narrow::nothing(PART).to(rights::READ | rights::WRITE);
    let mut failed = report("a part is handed over", OWN.hand_over(part, other, narrow).is_ok());
    let seen = comes(|| read(own, FIRST, COUNT) == DONE && is_filled(COUNT, 7));
    failed |= report("the other wrote to it", seen);
    let revoked = OWN.revoke(part).is_ok();
    // From now on it finds that the part is gone.
    let look = Narrow { count: FIRST, ..Narrow::nothing(LOOK).to(rights::READ) };
    let given = OWN.hand_over(own, other, look).is_ok();
    failed |= report("it is revoked", revoked && given);
    let off = || {
        let state = OWN.invoke(other, vm::STATE, [0; 5]);
        state.is_ok_and(|[state, ..]| state == vm::state::OFF)
    };
    failed |= report("the other is off", comes(off));
    let kept = read(own, FIRST, COUNT) == DONE && is_filled(COUNT, 7);
    failed | report("it wrote no more", kept)
}

pub fn use_part() -> u8 {
    let mut found = None;
    comes(|| {
        found = OWN.find(Kind::BlockStore, PART);
        found.is_some()
    });
    let Some(part) = found else { return report("it is handed a part", false) };
    let handle = part.handle;
    let window = OWN.describe(handle).is_ok_and(|window| window.count == COUNT);
    let narrow = window && part.rights == rights::READ | rights::WRITE;
    let mut failed = report("it is handed a part", narrow);
    failed |= report("it reads what is there", read(handle, 0, 8) == DONE && is_filled(8, 5));
    let outside = begin(handle, store::READ, COUNT, 1, 0) == Err(Error::Outside)
        && begin(handle, store::READ, COUNT - 1, 2, 0) == Err(Error::Outside);
    failed |= report("and nothing else", outside);
    fill(7);
    failed |= report("it writes", write(handle, 0, 8) == DONE);
    fill(11);
    // It writes and reads on until it is gone: with something under way, more often than not.
    let mut ticket = 0;
    let gone = comes(|| {
        fill(7);
        match begin(handle, store::WRITE, 0, 8, address()) {
            Ok(one) => ticket = one,
            Err(error) => return error == Error::NoHandle,
        }
        false
    });
    let answer = finish(handle, ticket, address());
    failed |= report("it went while it was used", gone && answer == Err(Error::NoHandle));
    let mut found = None;
    comes(|| {
        found = OWN.find(Kind::BlockStore, LOOK);
        found.is_some()
    });
    let Some(look) = found else { return report("it is handed another", false) };
    fill(0);
    let denied = begin(handle, store::READ, 0, 1, 0) == Err(Error::NoHandle)
        && begin(handle, store::WRITE, 0, 1, address()) == Err(Error::NoHandle)
        && OWN.find(Kind::BlockStore, PART).is_none();
    failed |= report("it is denied after", denied);
    let mut idle = || OWN.invoke(look.handle, store::STATE, [0; 5]);
    let idle = comes(|| idle().is_ok_and(|[.., state]| state != store::state::UNDER_WAY));
    let only = begin(look.handle, store::WRITE, 0, 1, address()) == Err(Error::NoRight);
    let read = read(look.handle, 0, 8) == DONE && is_filled(8, 3);
    failed | report("another is only read", idle && only && read)
}
