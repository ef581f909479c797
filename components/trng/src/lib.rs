//! True random numbers for a guest, by the Arm TRNG Firmware Interface (DEN 0098)
//! 1.0.
//!
//! They are the machine's own and nobody else's: what the CPU's generator gives,
//! word by word, is handed on. Where the machine has none, there are none of these
//! functions either; nothing is made up from counters.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    CallRegisters, Calls, Context, Entropy, Needs, Object, Parts, Reply, component,
};
use spec::{code, function};

component! {
    compatible: ["evisor,trng"],
    needs: Needs::NONE,
    properties: [],
    build: |_node, grants| {
        let narrow = function::VERSION..=function::LAST;
        let wide = narrow.start() | function::SMC64..=narrow.end() | function::SMC64;
        Ok(Parts::new(Trng { entropy: grants.entropy() }).calls(&[narrow, wide]).done())
    },
    describe: |_node, _guest| Ok(()),
}

struct Trng {
    entropy: Option<&'static dyn Entropy>,
}

impl Object for Trng {
    fn reset(&mut self) {}
}

impl Calls for Trng {
    fn call(&mut self, function: u32, registers: &mut CallRegisters, _cx: &mut Context) -> Reply {
        let Some(entropy) = self.entropy else { return Reply::value(code::NOT_SUPPORTED) };
        Reply::value(match function {
            function::VERSION => spec::VERSION_1_0,
            function::FEATURES => features(registers[1]),
            function::GET_UUID => uuid(registers),
            function::RND32 => give(registers, narrow(entropy, registers[1] & 0xffff_ffff)),
            function::RND64 => give(registers, wide(entropy, registers[1])),
            _ => code::NOT_SUPPORTED,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the argument has 32 bits")]
fn features(asked: u64) -> u64 {
    match asked as u32 {
        function::VERSION
        | function::FEATURES
        | function::GET_UUID
        | function::RND32
        | function::RND64 => code::SUCCESS,
        _ => code::NOT_SUPPORTED,
    }
}

fn uuid(registers: &mut CallRegisters) -> u64 {
    let [first, second, third, fourth] = spec::UUID;
    (registers[1], registers[2], registers[3]) = (second, third, fourth);
    first
}

/// Entropy as the call returns it, the highest part in x1; or an error's code.
type Entropied = Result<[u64; 3], u64>;

/// What goes with an error is zero.
fn give(registers: &mut CallRegisters, entropy: Entropied) -> u64 {
    let (answer, words) = match entropy {
        Ok(words) => (code::SUCCESS, words),
        Err(answer) => (answer, [0; 3]),
    };
    [registers[1], registers[2], registers[3]] = words;
    answer
}

fn wide(entropy: &dyn Entropy, bits: u64) -> Entropied {
    if !(1..=spec::RND64_BITS).contains(&bits) {
        return Err(code::INVALID_PARAMETERS);
    }
    let word = |above: u64| match bits.saturating_sub(above) {
        0 => Ok::<u64, u64>(0),
        bits => Ok(entropy.word().ok_or(code::NO_ENTROPY)? & mask(bits)),
    };
    Ok([word(128)?, word(64)?, word(0)?])
}

/// Two of the three words of 32 bits come from one of the source's.
fn narrow(entropy: &dyn Entropy, bits: u64) -> Entropied {
    if bits > spec::RND32_BITS {
        return Err(code::INVALID_PARAMETERS);
    }
    let [_, high, low] = wide(entropy, bits)?;
    Ok([high, low >> 32, low & 0xffff_ffff])
}

/// The lowest `bits` of a word, at least one.
fn mask(bits: u64) -> u64 {
    u64::MAX >> 64_u64.saturating_sub(bits).min(63)
}
