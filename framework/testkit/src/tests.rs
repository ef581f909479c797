//! That the kit catches what it should, with a component that does it all.

use crate::{Event, Rig, Setup, drive, save_and_restore};
use evisor_contract::*;

component! {
    compatible: ["test,culprit"],
    needs: Needs { windows: &[WindowNeed::new(0x1000)], lines: 1, ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        let culprit = Culprit { line: grants.line(0)?, deadline: grants.deadline()?, hidden: 0 };
        Ok(Parts::new(culprit).mmio().notify().done())
    },
    describe: |_node, _guest| Ok(()),
}

/// Does at each offset something that an object must not do, and well at 0 to 8.
struct Culprit {
    line: Line,
    deadline: Deadline,
    hidden: u64,
}

impl Object for Culprit {
    fn reset(&mut self) {
        self.hidden = 0;
    }
    /// Forgets `hidden`.
    fn save(&self, to: &mut Save) {
        to.begin(*b"culprit\0", 1);
    }
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(*b"culprit\0", 1)
    }
}

impl Mmio for Culprit {
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        match offset {
            0x800 => return Reply::value(0x100),
            0x804 => (0..=EFFECTS).for_each(|_| self.line.pulse(cx)),
            0x808 => return Reply::FAILED,
            _ => {}
        }
        Reply::value(self.hidden & width.mask())
    }
    fn write(&mut self, offset: u64, _: Width, value: u64, cx: &mut Context) -> Reply {
        match offset {
            0 => self.line.set(value & 1 != 0, cx),
            4 => self.deadline.set(value, cx),
            _ => self.hidden = value,
        }
        Reply::DONE
    }
}

impl Notify for Culprit {
    fn notify(&mut self, tag: u32, _: u64, cx: &mut Context) -> Reply {
        if tag == tag::DEADLINE {
            self.line.set(false, cx);
        }
        Reply::DONE
    }
}

fn rig() -> Rig {
    Rig::new("test,culprit")
}

#[test]
fn effects_are_decoded_and_the_deadline_comes() {
    let mut rig = rig();
    rig.write32(0, 1);
    assert!(rig.line(0));
    rig.write32(0, 0);
    assert!(!rig.line(0));
    rig.write32(4, 100);
    rig.advance(99);
    let line = |state| Event::Line { index: 0, state };
    let expected = [line(LineState::High), line(LineState::Low), Event::Deadline(Some(100))];
    assert_eq!(rig.events(), expected);
    rig.advance(1);
    assert_eq!(rig.events(), [line(LineState::Low)]);
}

#[test]
#[should_panic(expected = "does not fit")]
fn a_value_that_does_not_fit_is_caught() {
    let _ = rig().read(0x800, Width::Byte);
}

#[test]
#[should_panic(expected = "too many effects")]
fn too_many_effects_are_caught() {
    rig().read32(0x804);
}

#[test]
#[should_panic(expected = "answered")]
fn an_object_that_gives_up_is_caught() {
    rig().read32(0x808);
}

#[test]
#[should_panic(expected = "seed ")]
fn state_that_is_not_saved_is_caught() {
    save_and_restore("test,culprit", &Setup::default());
}

#[test]
#[should_panic(expected = "no component answers")]
fn a_component_that_is_not_linked_in_is_named() {
    drive("test,stranger", &[]);
}
