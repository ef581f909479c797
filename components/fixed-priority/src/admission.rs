//! Whether a core can keep what its vCPUs were promised.
//!
//! Response-time analysis: Joseph and Pandya, "Finding Response Times in a Real-Time
//! System" (The Computer Journal 29, 1986); a sporadic server asks no more of those below
//! it than a periodic task of its budget and period (Sprunt, Sha and Lehoczky, 1989).

use alloc::format;
use evisor_contract::{BuildError, Share};

/// Less would go into changing vCPUs, in microseconds.
const LEAST: u32 = 10;
/// Longer is no period but a share; in microseconds.
const LONGEST: u32 = 10_000_000;

/// Refuses what cannot be kept.
pub(crate) fn check(members: &[Share]) -> Result<(), BuildError> {
    let promised = |share: &&Share| share.budget > 0;
    let mut sum = 0;
    for (number, share) in members.iter().enumerate().filter(|(_, share)| promised(share)) {
        if share.budget < LEAST || share.period > LONGEST || share.budget > share.period {
            let problem =
                format!("{} asks for {} us in {} us", name(number), share.budget, share.period);
            let remedy = "give it 10 us or more, in 10 s or less";
            return Err(BuildError::property("evisor,cores", problem, remedy));
        }
        sum += u64::from(share.budget) * 1_000_000 / u64::from(share.period);
    }
    if sum > 1_000_000 {
        let problem = format!("the budgets of a core are {} % of its time", sum.div_ceil(10_000));
        let remedy = "write less in evisor,budget, or spread the vCPUs over more cores";
        return Err(BuildError::property("evisor,cores", problem, remedy));
    }
    let late = |(number, share): &(usize, &Share)| response(members, *number, share).is_none();
    match members.iter().enumerate().filter(|(_, share)| promised(share)).find(late) {
        None => Ok(()),
        Some((number, share)) => Err(refusal(number, share)),
    }
}

fn refusal(number: usize, share: &Share) -> BuildError {
    let Share { priority, budget, period } = *share;
    let problem = format!(
        "{}, of priority {priority}, cannot have its {budget} us in every {period} us after \
         those that go before it",
        name(number)
    );
    let remedy = "give a higher evisor,priority to shorter periods, or write less in evisor,budget";
    BuildError::property("evisor,cores", problem, remedy)
}

fn name(number: usize) -> alloc::string::String {
    format!("vCPU {number} (from 0, in the order of the VMs) of a core")
}

/// How long it can take until `member`, awake all the time, has had its budget; if that
/// is not too long. Equals are taken to go first.
fn response(members: &[Share], member: usize, share: &Share) -> Option<u64> {
    let (own, period) = (u64::from(share.budget), u64::from(share.period));
    let before = |(number, other): &(usize, &Share)| {
        *number != member && other.budget > 0 && other.priority >= share.priority
    };
    let mut response = own;
    loop {
        let others =
            members.iter().enumerate().filter(before).map(|(_, other)| {
                response.div_ceil(u64::from(other.period)) * u64::from(other.budget)
            });
        match own + others.sum::<u64>() {
            more if more > period => return None,
            same if same == response => return Some(response),
            more => response = more,
        }
    }
}
