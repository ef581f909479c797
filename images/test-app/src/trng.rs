//! The calls of SMCCC that find things out (Arm DEN 0028), and random numbers (Arm
//! DEN 0098): each is there as specified, or says that it is not.

use evisor_guest::call::{NOT_SUPPORTED, hvc};
use smccc::arch::{SMCCC_ARCH_FEATURES, SMCCC_VERSION};

use crate::check::{Outcome, equal, holds, only_on_evisor, require};
use crate::checks;

checks! { "trng":
    version features features_of_others uuid no_bits random_32 random_64 upper_bits_are_zero
    too_many_bits differs narrow_call_takes_narrow_bits
    workarounds_answered workaround_1_returns workaround_2_returns workaround_3_returns
    soc_id_agrees reserved_owners upper_half_of_function_id
}

const TRNG_VERSION: u32 = 0x8400_0050;
const TRNG_FEATURES: u32 = 0x8400_0051;
const TRNG_GET_UUID: u32 = 0x8400_0052;
const TRNG_RND32: u32 = 0x8400_0053;
const TRNG_RND64: u32 = 0xC400_0053;

const INVALID_PARAMETERS: u32 = -2_i32 as u32;
const NO_ENTROPY: u32 = -3_i32 as u32;

#[allow(clippy::cast_possible_truncation, reason = "the code has 32 bits")]
fn code(function: u32, argument: u64) -> u32 {
    let [x0, ..] = hvc(function, [argument, 0, 0]);
    x0 as u32
}

/// Whether there are random numbers; if not, TRNG_VERSION says NOT_SUPPORTED.
fn present() -> Outcome {
    let version = code(TRNG_VERSION, 0);
    require("there is no TRNG", version.cast_signed() != -1)
}

/// DEN 0098 §2.1: bit 31 clear, at least 1.0.
fn version() -> Outcome {
    present()?;
    let version = code(TRNG_VERSION, 0);
    equal("bit 31", version >> 31, 0_u32)?;
    holds("at least 1.0", version >= 0x1_0000)
}

/// §2.2: 0 or more for each function.
fn features() -> Outcome {
    present()?;
    for function in [TRNG_VERSION, TRNG_FEATURES, TRNG_GET_UUID, TRNG_RND32, TRNG_RND64] {
        holds("there", code(TRNG_FEATURES, function.into()).cast_signed() >= 0)?;
    }
    Ok(())
}

fn features_of_others() -> Outcome {
    present()?;
    let unknown = code(TRNG_FEATURES, 0x8400_0054);
    equal("unknown", unknown.cast_signed().cast_unsigned(), u32::MAX)
}

/// §2.3: not all ones in the first word, which is NOT_SUPPORTED.
fn uuid() -> Outcome {
    present()?;
    let [first, second, third, fourth] = hvc(TRNG_GET_UUID, [0; 3]);
    holds("a UUID", first & 0xffff_ffff != 0xffff_ffff)?;
    for word in [first, second, third, fourth] {
        equal("32 bits each", word >> 32, 0_u64)?;
    }
    holds("not zero", first | second | third | fourth != 0)
}

/// §2.4: 0 bits is an error, and so is more than there are registers for.
fn no_bits() -> Outcome {
    present()?;
    equal("RND32", code(TRNG_RND32, 0), INVALID_PARAMETERS)?;
    equal("RND64", code(TRNG_RND64, 0), INVALID_PARAMETERS)
}

fn too_many_bits() -> Outcome {
    present()?;
    equal("RND32", code(TRNG_RND32, 97), INVALID_PARAMETERS)?;
    equal("RND64", code(TRNG_RND64, 193), INVALID_PARAMETERS)?;
    equal("all ones", code(TRNG_RND64, u64::MAX), INVALID_PARAMETERS)
}

/// Asks until there is entropy; x1 to x3.
fn random(function: u32, bits: u64) -> Result<[u64; 3], crate::check::Exit> {
    for _ in 0..1000 {
        let [x0, x1, x2, x3] = hvc(function, [bits, 0, 0]);
        #[allow(clippy::cast_possible_truncation, reason = "the code has 32 bits")]
        let code = x0 as u32;
        if code != NO_ENTROPY {
            equal("code", code, 0_u32)?;
            return Ok([x1, x2, x3]);
        }
    }
    Err(crate::check::Exit::Skip("there is no entropy now"))
}

/// §2.4: 96 bits in three words.
fn random_32() -> Outcome {
    present()?;
    let words = random(TRNG_RND32, 96)?;
    holds("32 bits each", words.iter().all(|word| word >> 32 == 0))?;
    holds("not all zero", words.iter().any(|word| *word != 0))
}

fn random_64() -> Outcome {
    present()?;
    let words = random(TRNG_RND64, 192)?;
    holds("none is zero", words.iter().all(|word| *word != 0))
}

/// §2.4: what was not asked for is zero; the lowest bits are in x3.
fn upper_bits_are_zero() -> Outcome {
    present()?;
    for bits in [1_u64, 7, 63] {
        let [high, middle, low] = random(TRNG_RND64, bits)?;
        equal("x1", high, 0_u64)?;
        equal("x2", middle, 0_u64)?;
        equal("x3", low >> bits, 0_u64)?;
    }
    let [high, middle, _] = random(TRNG_RND64, 65)?;
    equal("x1 of 65 bits", high, 0_u64)?;
    equal("x2 of 65 bits", middle >> 1, 0_u64)?;
    let [high, middle, low] = random(TRNG_RND32, 33)?;
    equal("w1 of 33 bits", high, 0_u64)?;
    equal("w2 of 33 bits", middle >> 1, 0_u64)?;
    equal("w3 of 33 bits", low >> 32, 0_u64)
}

fn differs() -> Outcome {
    present()?;
    let (first, second) = (random(TRNG_RND64, 192)?, random(TRNG_RND64, 192)?);
    holds("not the same twice", first != second)
}

/// DEN 0028 §2.7: a 32-bit call has 32-bit arguments.
fn narrow_call_takes_narrow_bits() -> Outcome {
    present()?;
    let [.., low] = random(TRNG_RND32, 0xffff_ffff_0000_0020)?;
    equal("w3", low >> 32, 0_u64)
}

const WORKAROUND_1: u32 = 0x8000_8000;
const WORKAROUND_2: u32 = 0x8000_7FFF;
const WORKAROUND_3: u32 = 0x8000_3FFF;

fn feature(function: u32) -> i32 {
    code(SMCCC_ARCH_FEATURES, function.into()).cast_signed()
}

/// DEN 0028 §7.5 to §7.7: NOT_SUPPORTED, 0, or 1 for a core that needs none; the second
/// also NOT_REQUIRED.
fn workarounds_answered() -> Outcome {
    only_on_evisor()?;
    holds("the first", matches!(feature(WORKAROUND_1), -1..=1))?;
    holds("the second", matches!(feature(WORKAROUND_2), -2..=1))?;
    holds("the third", matches!(feature(WORKAROUND_3), -1..=1))
}

/// What is announced can be called, from any core, and does not say that it is unknown.
fn returns(workaround: u32, argument: u64) -> Outcome {
    only_on_evisor()?;
    require("it is not announced", feature(workaround) >= 0)?;
    let [answer, ..] = hvc(workaround, [argument, 0, 0]);
    holds("not NOT_SUPPORTED", answer & 0xffff_ffff != NOT_SUPPORTED & 0xffff_ffff)
}

fn workaround_1_returns() -> Outcome {
    returns(WORKAROUND_1, 0)
}

fn workaround_2_returns() -> Outcome {
    returns(WORKAROUND_2, 1)
}

fn workaround_3_returns() -> Outcome {
    returns(WORKAROUND_3, 0)
}

/// DEN 0028 §7.4, SMCCC_ARCH_SOC_ID: called only if it is announced, else
/// NOT_SUPPORTED.
fn soc_id_agrees() -> Outcome {
    const SOC_ID: u32 = 0x8000_0002;
    only_on_evisor()?;
    let announced = feature(SOC_ID) >= 0;
    equal("its answer", code(SOC_ID, 0).cast_signed() >= 0, announced)
}

/// DEN 0028 table "Service call ranges": owners 7 to 47 are reserved.
fn reserved_owners() -> Outcome {
    for owner in [7_u32, 20, 47] {
        for width in [0, 1 << 30] {
            let answer = code(1 << 31 | width | owner << 24, 0);
            equal("answer", answer, u32::MAX)?;
        }
    }
    Ok(())
}

/// DEN 0028 §2.5: the function identifier is w0; what stands above does not count.
/// (QEMU 10 looks at x0.)
fn upper_half_of_function_id() -> Outcome {
    only_on_evisor()?;
    let [plain, ..] = hvc(SMCCC_VERSION, [0; 3]);
    equal("version", crate::transfer::call_with(0xdead_0000_0000_0000, SMCCC_VERSION), plain)
}
