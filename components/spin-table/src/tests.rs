//! The words of armstub8, and the bytes of the stub.

use crate::spec::STUB;
use evisor_testkit::{Event, Rig, Setup};

const AT: u64 = 0x4000_1000;

fn setup(vcpus: usize, at: u64) -> Setup {
    let address = u32::try_from(at).unwrap().to_be_bytes().to_vec();
    Setup { properties: vec![("evisor,address", address)], vcpus, ..Setup::default() }
}

#[test]
fn the_others_start_in_the_page_and_each_at_its_word() {
    let mut rig = Rig::with("evisor,spin-table", &setup(4, AT));
    rig.guest_memory().put(AT, &[0xff; 0x1000]);
    rig.reset();
    let expected = [(1, 0xe0), (2, 0xe8), (3, 0xf0)].map(|(index, word)| Event::Started {
        index,
        entry: AT,
        context: AT + word,
    });
    assert_eq!(rig.events(), expected);
    let page = rig.guest_memory().bytes(AT, 0x100);
    let stub: Vec<u8> = STUB.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(page[..20], stub, "the stub");
    assert!(page[20..0xf8].iter().all(|byte| *byte == 0), "and no core is released");
    assert_eq!(page[0xf8..], [0xff; 8], "what follows is the guest's");
}

#[test]
fn one_vcpu_alone_is_left_alone() {
    let mut rig = Rig::with("evisor,spin-table", &setup(1, AT));
    rig.reset();
    assert_eq!(rig.events(), []);
}

#[test]
#[should_panic(expected = "is not in the VM's memory")]
fn its_page_is_memory() {
    Rig::new("evisor,spin-table");
}

#[test]
#[should_panic(expected = "is not a page's")]
fn its_page_is_a_page() {
    Rig::with("evisor,spin-table", &setup(1, AT + 8));
}

#[test]
#[should_panic(expected = "is for four cpus")]
fn there_are_four_words() {
    Rig::with("evisor,spin-table", &setup(5, AT));
}
