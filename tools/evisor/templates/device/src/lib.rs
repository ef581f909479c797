//! A register that counts how often it was read, and a function that tells.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    CallRegisters, Calls, Context, Mmio, Needs, Object, Parts, Reply, Restore, RestoreError,
    Rights, Save, Width, WindowNeed, component,
};
use spec::offset;

component! {
    compatible: ["example,@NAME@"],
    needs: Needs {
        windows: &[WindowNeed {
            access: Rights::READ32.union(Rights::WRITE32),
            ..WindowNeed::new(spec::WINDOW)
        }],
        ..Needs::NONE
    },
    properties: [],
    build: |_node, _grants| {
        let counter = Counter { count: 0 };
        Ok(Parts::new(counter).mmio().calls(&[spec::TELL..=spec::TELL]).done())
    },
    describe: |_node, _guest| Ok(()),
}

struct Counter {
    count: u32,
}

const TAG: [u8; 8] = *b"counter\0";
const VERSION: u32 = 1;

impl Object for Counter {
    fn reset(&mut self) {
        self.count = 0;
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        to.word(self.count);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(TAG, VERSION)?;
        self.count = from.word()?;
        Ok(())
    }
}

impl Mmio for Counter {
    /// Narrower accesses than a word do not come here, but what drives a device in
    /// a test tries them: a value fits its width.
    fn read(&mut self, offset: u64, width: Width, _: &mut Context) -> Reply {
        let value = match offset {
            offset::COUNT => {
                let count = self.count;
                self.count = count.wrapping_add(1);
                u64::from(count)
            }
            offset::ID => spec::ID,
            _ => 0,
        };
        Reply::value(value & width.mask())
    }

    fn write(&mut self, offset: u64, _: Width, value: u64, _: &mut Context) -> Reply {
        if offset == offset::COUNT {
            // Only words are written: nothing is cut off.
            self.count = value as u32;
        }
        Reply::DONE
    }
}

impl Calls for Counter {
    fn call(&mut self, _: u32, _: &mut CallRegisters, _: &mut Context) -> Reply {
        Reply::value(u64::from(self.count))
    }
}
