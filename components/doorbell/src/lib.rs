//! A doorbell: interrupt lines of its VM that others, who hold it by a handle, raise.
//!
//! It says that something happened, and nothing else: no word comes with it, and two
//! rings before the guest looks are one. What there is to know lies elsewhere, as in
//! shared memory.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use evisor_contract::abi::{Error, Kind, doorbell};
use evisor_contract::{
    Context, Invoke, Line, Needs, Object, Parts, Reply, Rights, Through, component,
};

/// How many lines it has at most.
const LINES: usize = 16;

component! {
    compatible: ["evisor,doorbell"],
    needs: Needs { lines: 1, optional_lines: LINES - 1, ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        let first = grants.line(0)?;
        let others = (1..LINES).map_while(|index| grants.line(index).ok());
        let lines: Vec<Line> = core::iter::once(first).chain(others).collect();
        let count = lines.len() as u64;
        Ok(Parts::new(Doorbell { lines }).invoke(Kind::Doorbell, count).done())
    },
    describe: |_node, _guest| Ok(()),
}

struct Doorbell {
    lines: Vec<Line>,
}

impl Object for Doorbell {
    /// An edge that was not taken is the interrupt controller's to forget.
    fn reset(&mut self) {}
}

impl Invoke for Doorbell {
    fn invoke(
        &mut self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Reply {
        if operation != doorbell::RING {
            return Reply::ABSENT;
        }
        let [index, ..] = *words;
        let rung = through.takes(Rights::CALL).and_then(|()| self.line(index, through));
        match rung {
            Ok(line) => {
                line.pulse(cx);
                Reply::DONE
            }
            Err(error) => Reply::value(error.code()),
        }
    }
}

impl Doorbell {
    fn line(&self, index: u64, through: &Through) -> Result<&Line, Error> {
        let inside = Some(index).filter(|index| *index < through.count);
        let number = inside.and_then(|index| through.first.checked_add(index));
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.and_then(|number| self.lines.get(number)).ok_or(Error::Outside)
    }
}
