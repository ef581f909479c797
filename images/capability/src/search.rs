//! Handles and functions at random: none of them must lead anywhere.

use evisor_abi::{Conduit, Error, function};
use evisor_guest::handles::{ByHvc, OWN};
use evisor_guest::random::Random;

/// How often one core tries.
pub const TRIES: u64 = 250_000;

/// How many handles of its own it looks out for.
const OWNED: usize = 8;

/// Functions that take a handle.
const TAKE_ONE: [u32; 7] = [
    function::NEXT,
    function::DESCRIBE,
    function::INVOKE,
    function::DERIVE,
    function::HAND_OVER,
    function::REVOKE,
    function::DROP,
];

/// Gives how many were answered.
pub fn any(seed: u64) -> u64 {
    let mut owned = [0; OWNED];
    let mut at = 0;
    for slot in &mut owned {
        let Ok(Some(held)) = OWN.next(at) else { break };
        at = held.handle;
        *slot = at;
    }
    let mut random = Random::new(seed);
    (0..TRIES).filter(|_| leads_somewhere(&mut random, &owned)).count() as u64
}

fn leads_somewhere(random: &mut Random, owned: &[u64; OWNED]) -> bool {
    let one = owned.get((random.number() % OWNED as u64) as usize).copied().unwrap_or(0);
    let any = random.number();
    let handle = match random.number() % 5 {
        0 => any,
        // Small ones, as there are.
        1 => (any >> 32 & 0xf) << 16 | any & 0x1ff,
        2 => one ^ 1 << (any & 63),
        3 => one.wrapping_add(any & 0xf).wrapping_sub(8),
        _ => one.wrapping_add((any & 0xf) << 16),
    };
    let mut arguments = [handle, random.number(), random.number(), 0, 0, one, random.number()];
    let which = random.number();
    let function = match which % 10 {
        7 => function::FIRST + (which >> 8) as u32 % 0x100,
        8 => 0x8600_0100 + (which >> 8) as u32 % 0xfe00,
        9 => 0xc600_0100 + (which >> 8) as u32 % 0xff00,
        known => TAKE_ONE.get(known as usize).copied().unwrap_or(function::DROP),
    };
    if matches!(function, function::VERSION | function::QUOTA) {
        return false;
    }
    if handle == 0 || owned.contains(&handle) {
        // Right by chance: then it is the way that is not.
        arguments[0] = one;
        arguments[5] = one ^ 1 << 40;
        if function != function::HAND_OVER {
            return false;
        }
    }
    let [x0, ..] = ByHvc.call(function, arguments);
    Error::of(x0).is_none()
}
