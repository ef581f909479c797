//! How often a VM restarts, against a list of all restarts that there were.

use crate::restarts::Restarts;
use evisor_manifest::RestartLimit;
use proptest::prelude::*;
use std::vec::Vec;

#[test]
fn without_a_limit_always() {
    let mut restarts = Restarts::new(None);
    assert!((0..1000).all(|_| restarts.allow(5, 1)));
}

#[test]
fn a_second_after_the_window_there_is_one_again() {
    let mut restarts = Restarts::new(Some(RestartLimit { restarts: 2, seconds: 10 }));
    let allowed = [0, 400, 999, 1000, 1399, 1400, 1401].map(|now| restarts.allow(now, 100));
    assert_eq!(allowed, [true, true, false, true, false, true, false]);
}

proptest! {
    #[test]
    fn never_more_than_the_limit_in_any_window(
        most in 1u32..6,
        seconds in 1u32..20,
        steps in prop::collection::vec(0u64..700, 1..200),
    ) {
        let mut restarts = Restarts::new(Some(RestartLimit { restarts: most, seconds }));
        let (mut now, mut made) = (0, Vec::new());
        for step in steps {
            now += step;
            let window = u64::from(seconds) * 100;
            let recent = made.iter().filter(|time| now - **time < window).count();
            let allowed = restarts.allow(now, 100);
            prop_assert_eq!(allowed, recent < most as usize);
            if allowed {
                made.push(now);
            }
        }
    }
}
