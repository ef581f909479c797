use crate::spec::{ID, TELL, offset};
use evisor_testkit::{Rig, Setup, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "example,@NAME@";

#[test]
fn reads_are_counted() {
    let mut device = Rig::new(COMPATIBLE);
    assert_eq!(device.read32(offset::COUNT), 0);
    assert_eq!(device.read32(offset::COUNT), 1);
    device.write32(offset::COUNT, 0xffff_ffff);
    assert_eq!(device.read32(offset::COUNT), 0xffff_ffff);
    assert_eq!(device.read32(offset::COUNT), 0);
    assert_eq!(device.read32(offset::ID), ID);
}

#[test]
fn the_function_tells_and_does_not_count() {
    let mut device = Rig::new(COMPATIBLE);
    device.write32(offset::COUNT, 7);
    assert_eq!(device.call(TELL, &[])[0], 7);
    assert_eq!(device.call(TELL, &[])[0], 7);
}

#[test]
fn what_is_not_there_reads_as_zero() {
    let mut device = Rig::new(COMPATIBLE);
    device.write32(0x008, 1);
    assert_eq!(device.read32(0x008), 0);
    assert_eq!(device.read32(0xffc), 0);
}

#[test]
fn saved_and_restored_it_goes_on() {
    save_and_restore(COMPATIBLE, &Setup::default());
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}
