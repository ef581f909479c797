//! Memory by address: a guest's, or a component's own.

use crate::fake::lock;
use evisor_contract::{Memory, Outside};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Mutex;

const PAGE: usize = 4096;

/// Memory in one range of addresses; zero where nothing was written.
#[derive(Debug)]
pub struct FakeRam {
    range: RangeInclusive<u64>,
    pages: Mutex<BTreeMap<u64, Box<[u8; PAGE]>>>,
}

impl FakeRam {
    pub(crate) fn new(range: RangeInclusive<u64>) -> Self {
        Self { range, pages: Mutex::default() }
    }

    /// `count` bytes at `address`, which must be in it.
    pub fn bytes(&self, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.read(address, &mut bytes).expect("an address in the memory");
        bytes
    }

    /// Puts `bytes` at `address`, which must be in it.
    pub fn put(&self, address: u64, bytes: &[u8]) {
        self.write(address, bytes).expect("an address in the memory");
    }

    pub(crate) fn copy(&self, other: &Self) {
        lock(&self.pages).clone_from(&lock(&other.pages));
    }

    fn check(&self, address: u64, count: usize) -> Result<(), Outside> {
        let last = address.checked_add((count as u64).saturating_sub(1)).ok_or(Outside)?;
        let inside = self.range.contains(&address) && self.range.contains(&last);
        if inside { Ok(()) } else { Err(Outside) }
    }

    /// The parts of `count` bytes from `address` on that lie in one page each: page,
    /// place in it, place among the bytes, and size.
    fn parts(address: u64, count: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = address + done as u64;
            let inside = usize::try_from(at % PAGE as u64).expect("less than a page");
            let part = (at / PAGE as u64, inside, done, (PAGE - inside).min(count - done));
            done += part.3;
            (part.3 > 0).then_some(part)
        })
    }
}

impl Memory for FakeRam {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        self.check(address, to.len())?;
        let pages = lock(&self.pages);
        for (page, inside, done, size) in Self::parts(address, to.len()) {
            match pages.get(&page) {
                Some(page) => to[done..done + size].copy_from_slice(&page[inside..inside + size]),
                None => to[done..done + size].fill(0),
            }
        }
        Ok(())
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        self.check(address, from.len())?;
        let mut pages = lock(&self.pages);
        for (page, inside, done, size) in Self::parts(address, from.len()) {
            let page = pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            page[inside..inside + size].copy_from_slice(&from[done..done + size]);
        }
        Ok(())
    }
}
