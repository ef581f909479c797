//! Memory for guests, which EL2 maps only a slice at a time, while it is filled; but what
//! a component was granted as the memory behind its window stays mapped.

#![allow(unsafe_code, reason = "memory named by physical address")]

use crate::map::{DATA, SliceWindow, change};
use crate::{gic, layout, maintenance};
use aarch64_paging::MapError;
use aarch64_paging::descriptor::VirtualAddress;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::{Mutex, MutexGuard};

/// Each window from [`layout::SLICE_AT`] on is one core's at a time; it has its table once
/// it was used.
static SLICES: [Mutex<Option<SliceWindow>>; gic::CORES] = [const { Mutex::new(None) }; _];
static NEXT_BACKING: AtomicU64 = AtomicU64::new(layout::BACKING);

/// A window that nobody has, as there are as many as cores: nobody waits for a VM that is
/// being filled on another core. The first one serves whoever is alone.
fn free_window() -> (u64, MutexGuard<'static, Option<SliceWindow>>) {
    let places = (layout::SLICE_AT..).step_by(layout::SLICE as usize);
    loop {
        let free = places.clone().zip(&SLICES).find_map(|(at, lock)| Some((at, lock.try_lock()?)));
        if let Some(window) = free {
            return window;
        }
    }
}

/// Runs `fill` on each slice of `ram` from `offset` on for `bytes`: `fill` gets the
/// EL2 address, the distance from `offset`, and the size. The slice is cleaned to
/// the point of coherency afterwards.
fn each_slice(
    ram: &Ram,
    offset: u64,
    bytes: u64,
    mut fill: impl FnMut(*mut u8, u64, usize),
) -> Result<(), MapError> {
    let start = ram.part(offset, bytes)?;
    let (window_at, mut taken) = free_window();
    let window = match &mut *taken {
        Some(window) => window,
        empty => empty.insert(SliceWindow::new(window_at)?),
    };
    let mut done = 0;
    while done < bytes {
        let from = start + done;
        let inside = from % layout::SLICE;
        let size = (layout::SLICE - inside).min(bytes - done);
        let at = window_at + inside;
        window.map(inside, from, size);
        fill(at as *mut u8, done, size as usize);
        maintenance::clean_and_invalidate(at, size);
        window.unmap(inside, size);
        done += size;
    }
    Ok(())
}

/// Memory for guests: a range of it that has one owner, who may fill it while no
/// guest runs in it.
#[derive(Debug)]
pub struct Ram {
    physical: u64,
    size: u64,
}

impl Ram {
    /// # Safety
    /// 1. It is memory that nothing of eVisor lies in.
    /// 2. No other `Ram` overlaps it.
    pub(crate) unsafe fn new((physical, size): (u64, u64)) -> Self {
        Self { physical, size }
    }

    /// Where it starts.
    pub fn physical(&self) -> u64 {
        self.physical
    }

    /// How long it is, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How much is left from its first multiple of `alignment` on.
    pub fn aligned(&self, alignment: u64) -> Option<u64> {
        let start = self.physical.checked_next_multiple_of(alignment)?;
        (self.physical + self.size).checked_sub(start)
    }

    /// Takes `size` bytes from its first multiple of `alignment` on, and gives
    /// what is left before and behind; `None` if it is too short.
    pub fn split(self, alignment: u64, size: u64) -> Option<(Self, Vec<Self>)> {
        let left = self.aligned(alignment)?.checked_sub(size)?;
        let start = self.physical + self.size - left - size;
        let part = |physical, size| Self { physical, size };
        let rest = [part(self.physical, start - self.physical), part(start + size, left)];
        Some((part(start, size), rest.into_iter().filter(|ram| ram.size > 0).collect()))
    }

    /// Copies `bytes` to `offset`. A guest that runs in it would see the bytes
    /// arrive in no order.
    ///
    /// # Errors
    /// They do not fit, or EL2's tables say no.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MapError> {
        let size = bytes.len() as u64;
        each_slice(self, offset, size, |at, done, size| {
            if let Some(part) = bytes.get(done as usize..done as usize + size) {
                // SAFETY: 1. `at` is mapped for `size` bytes, which are ours.
                unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len()) };
            }
        })
    }

    /// Maps it for good, for a component that it was granted to, and says where.
    pub(crate) fn keep(&self) -> Result<u64, MapError> {
        let whole = self.size.next_multiple_of(layout::SLICE);
        let at = NEXT_BACKING.fetch_add(whole, Ordering::Relaxed);
        change(at, self.physical, self.size, DATA)?;
        Ok(at)
    }

    /// Lends all of it, for good.
    ///
    /// # Errors
    /// EL2's tables say no.
    pub fn lend(self) -> Result<&'static mut [u8], MapError> {
        let at = self.keep()? as *mut u8;
        // SAFETY: 1. mapped for good, and ours alone. 2. any bytes are bytes.
        Ok(unsafe { core::slice::from_raw_parts_mut(at, self.size as usize) })
    }

    /// Zeroes `bytes` from `offset` on.
    ///
    /// # Errors
    /// It does not have them, or EL2's tables say no.
    pub fn zero(&mut self, offset: u64, bytes: u64) -> Result<(), MapError> {
        each_slice(self, offset, bytes, |at, _, size| {
            // SAFETY: 1. `at` is mapped for `size` bytes, which are ours.
            unsafe { maintenance::zero(at as u64, size as u64) };
        })
    }

    /// Copies `bytes` from `other`, at `from` there, to `offset`. False: another core copies,
    /// and nothing was done.
    ///
    /// What a guest wrote with its cache off, or by attributes that do not look into one,
    /// is in memory behind the point of coherency: lines of EL2's that would hide it are
    /// gone before it is read (DDI 0487, B2.8, Mismatched memory attributes).
    ///
    /// # Errors
    /// One of the two does not have them, or EL2's tables say no.
    pub fn copy(
        &mut self,
        offset: u64,
        (other, from): (&Self, u64),
        bytes: u64,
    ) -> Result<bool, MapError> {
        // Two windows at once: cores that each have one would wait for each other.
        static COPIES: Mutex<()> = Mutex::new(());
        let Some(_alone) = COPIES.try_lock() else { return Ok(false) };
        let mut copied = Ok(());
        each_slice(other, from, bytes, |source, done, size| {
            maintenance::clean_and_invalidate(source as u64, size as u64);
            let put = each_slice(self, offset + done, size as u64, |at, inside, size| {
                let source = source.wrapping_add(inside as usize);
                // SAFETY: 1. both are mapped for so much, and of two `Ram`s, which do not
                // overlap; the guest that has one of them stands still.
                unsafe { core::ptr::copy_nonoverlapping(source, at, size) };
            });
            if put.is_err() {
                copied = put;
            }
        })?;
        copied.map(|()| true)
    }

    /// Copies what is at `offset`.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), MapError> {
        let size = to.len() as u64;
        each_slice(self, offset, size, |at, done, size| {
            if let Some(part) = to.get_mut(done as usize..done as usize + size) {
                // SAFETY: 1. `at` is mapped for `size` bytes, which are ours.
                unsafe { core::ptr::copy_nonoverlapping(at, part.as_mut_ptr(), part.len()) };
            }
        })
    }

    /// Where `bytes` from `offset` on are.
    fn part(&self, offset: u64, bytes: u64) -> Result<u64, MapError> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.size => Ok(self.physical + offset),
            _ => Err(MapError::AddressRange(VirtualAddress(offset as usize))),
        }
    }
}
