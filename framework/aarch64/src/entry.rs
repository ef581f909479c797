//! From assembly to the kernel: the heap, EL2's own map, and what the firmware
//! passed.

#![allow(unsafe_code, reason = "called by assembly; makes slices of what the firmware passed")]

use crate::map;
use crate::ram::Ram;
use crate::{heap, layout, vcpu};
use aarch64_paging::MapError;
use alloc::vec;
use alloc::vec::Vec;
use core::slice;

/// What the firmware passed, and where the image is.
pub struct Boot {
    /// A copy of the board's device tree. No more of it was looked at than how much
    /// is used.
    pub tree: &'static [u8],
    tree_at: Range,
    image: (u64, u64),
}

/// A range of physical memory: address and size.
pub type Range = (u64, u64);

/// What is left of the first ranges without the second.
pub type Subtract = fn(&[Range], &[Range]) -> Vec<Range>;

/// The size a device tree can have (Linux, arm64/booting.rst).
const TREE_LIMIT: u32 = 2 << 20;

impl Boot {
    /// Whether a range has memory in common with what eVisor occupies, which is more
    /// than its file has: a loader that does not look at the header's `image_size` may
    /// put something else there, and it is lost.
    pub fn occupies(&self, (at, size): Range) -> bool {
        let (image, image_size) = self.image;
        at < image + image_size && image < at.saturating_add(size)
    }

    /// Splits the machine's `memory` into what eVisor occupies, the `bundle`
    /// (which it maps), and the rest, which becomes the guests'. `subtract` gives
    /// what is left of ranges without others. Takes `self`: it can be done once.
    ///
    /// # Errors
    /// The bundle cannot be mapped.
    pub fn claim(
        self,
        memory: &[Range],
        reserved: &[Range],
        bundle: Range,
        subtract: Subtract,
    ) -> Result<(Vec<Ram>, &'static [u8]), MapError> {
        let page = |(at, size): Range| {
            let start = at & !0xfff;
            (start, (at + size - start).next_multiple_of(4096))
        };
        let mut taken: Vec<Range> = reserved.iter().copied().map(page).collect();
        taken.extend([page(self.image), page(self.tree_at), page(bundle)]);
        // SAFETY: 1. the firmware says that the bundle is there; it is taken out
        // of what guests get, so nobody writes to it.
        let archive = unsafe { map::read_only(layout::BUNDLE, bundle.0, bundle.1)? };
        // SAFETY: 1. it is memory as the firmware's tree says; eVisor's image, the
        // tree and the bundle are taken out. 2. `self` is gone: once.
        let left = subtract(memory, &taken).into_iter().map(|range| unsafe { Ram::new(range) });
        Ok((left.collect(), archive))
    }
}

/// The first Rust code: `boot.s` calls it with the physical addresses of the
/// device tree and of the image.
#[unsafe(no_mangle)]
extern "C" fn evisor_main(tree: u64, image: u64) -> ! {
    unsafe extern "Rust" {
        fn evisor_start(boot: Boot) -> !;
        static __image_end: u8;
    }
    vcpu::set_vectors();
    heap::init();
    let size = &raw const __image_end as u64 - layout::IMAGE;
    if map::init(image).is_err() {
        halt();
    }
    let Some((bytes, claimed)) = board_tree(tree) else { halt() };
    let boot = Boot { tree: bytes, tree_at: (tree, claimed), image: (image, size) };
    // SAFETY: 1. the image defines it, with `entry!`.
    unsafe { evisor_start(boot) }
}

/// Copies the tree, to words, wherever it lies. Its header is looked at for how much
/// there is: QEMU's claims 1 MiB, of which 8 KiB are used. Gives how much it claims,
/// too.
fn board_tree(at: u64) -> Option<(&'static [u8], u64)> {
    const HEADER: usize = 40;
    if at == 0 {
        return None;
    }
    // SAFETY: 1. the boot protocol passes a device tree; nobody writes to it.
    let header = unsafe { map::read_only(layout::BOARD_TREE, at, HEADER as u64).ok()? };
    let word = |index: usize| {
        let word = header.get(index * 4..)?.first_chunk()?;
        Some(u32::from_be_bytes(*word))
    };
    let (magic, claimed) = (word(0)?, word(1)?);
    // The two blocks (Devicetree Specification 5.2); the reservations come first.
    let end = |at: usize, size: usize| word(at)?.checked_add(word(size)?);
    let used = end(2, 9)?.max(end(3, 8)?);
    if magic != 0xd00d_feed || claimed > TREE_LIMIT || used > claimed || used < HEADER as u32 {
        return None;
    }
    // SAFETY: 1. as above.
    let bytes = unsafe { map::read_only(layout::BOARD_TREE, at, u64::from(used)).ok()? };
    let words = vec![0_u64; bytes.len().div_ceil(8)].leak();
    // SAFETY: 1. they are that long or longer. 2. any bytes are words and bytes.
    let copy = unsafe { slice::from_raw_parts_mut(words.as_mut_ptr().cast(), bytes.len()) };
    copy.copy_from_slice(bytes);
    copy.get_mut(4..8)?.copy_from_slice(&used.to_be_bytes());
    Some((copy, u64::from(claimed)))
}

/// Stops this core for good.
pub fn halt() -> ! {
    loop {
        aarch64_cpu::asm::wfe();
    }
}

/// Says which function the image starts with: `fn(Boot) -> !`.
#[macro_export]
macro_rules! entry {
    ($start:path) => {
        #[allow(unsafe_code, reason = "assembly finds it by name")]
        #[unsafe(no_mangle)]
        extern "Rust" fn evisor_start(boot: $crate::Boot) -> ! {
            $start(boot)
        }
    };
}
