//! One vCPU, or an error.

use evisor_contract::{Choice, Share};
use evisor_testkit::CoreRig;

#[test]
fn the_only_one_runs_while_it_is_awake_and_nothing_ticks() {
    let mut core = CoreRig::new("evisor,partitioned", &[], &[Share::default()]).unwrap();
    let never = |member| Choice { member, until: u64::MAX, contended: false };
    assert_eq!(core.choose(), never(None));
    assert_eq!(core.wake(0), never(Some(0)));
    core.run_to(1 << 40);
    assert_eq!(core.wake(0), never(Some(0)));
    assert_eq!(core.sleep(0), never(None));
    assert_eq!(core.choices(), 4);
}

#[test]
fn two_are_refused() {
    let error = CoreRig::new("evisor,partitioned", &[], &[Share::default(); 2]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "evisor,cores: a core of it has one vCPU, and 2 run on one; put them on cores of their \
         own, or use another scheduler"
    );
}
