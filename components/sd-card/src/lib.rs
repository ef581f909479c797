//! The board's card as a store of blocks.
//!
//! A port is a window onto the card: all of it, or a partition. What its holder asks
//! for is checked against that window and waits in the port; the ports take turns,
//! and one transfer at a time is with the board's driver. The driver never waits: it
//! is asked to go on when it interrupts, and every 10 ms. A transfer that begins goes on
//! at a deadline that has passed already, so that guests run in between.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod part;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use evisor_contract::{
    Backend, BlockBuffer, BlockDone, BlockOpening, BlockOperation, BlockRequest, BuildError, Clock,
    Context, Deadline, DiskProgress, EFFECTS, Effect, HostDisk, Needs, Notify, Object, Parts,
    Reply, component, tag,
};
use part::Part;

component! {
    compatible: ["evisor,sd-card"],
    needs: Needs { root: true, store: true, ..Needs::NONE },
    properties: [],
    build: |node, grants| {
        let card = SdCard {
            path: String::from(node.path()),
            disk: grants.host_disk()?,
            ports: [NO_PORT; PORTS],
            served: None,
            last: PORTS - 1,
            deadline: grants.deadline()?,
            clock: grants.clock(),
        };
        card.report();
        Ok(Parts::new(card).notify().backend().done())
    },
    describe: |_node, _guest| Ok(()),
}

/// How many ports there are.
const PORTS: usize = 8;
const NO_PORT: Option<Port> = None;
/// The driver is looked after so many times a second, if it does not interrupt.
const LOOKS: u64 = 100;

/// All ports' flushes, a transfer's end and the deadline are the most at once.
const _: () = assert!(PORTS + 2 <= EFFECTS);

/// A port that was opened.
struct Port {
    part: Part,
    read_only: bool,
    buffer: &'static BlockBuffer,
    holder: Option<Effect>,
    /// What was asked, fits, and is not answered.
    asked: Option<BlockRequest>,
}

impl Port {
    fn answer(&mut self, done: BlockDone, cx: &mut Context) {
        self.asked = None;
        self.tell(done, cx);
    }

    fn tell(&self, done: BlockDone, cx: &mut Context) {
        if let Some(holder) = self.holder {
            cx.push(Effect { tag: tag::BLOCK_DONE, value: done.encode(), ..holder });
        }
    }
}

struct SdCard {
    /// Its node's, for the log.
    path: String,
    disk: Option<Box<dyn HostDisk>>,
    ports: [Option<Port>; PORTS],
    /// The port whose transfer is under way.
    served: Option<usize>,
    /// The port that had its turn last.
    last: usize,
    deadline: Deadline,
    clock: &'static dyn Clock,
}

impl Object for SdCard {
    /// It belongs to no VM: what was asked goes on when one restarts.
    fn reset(&mut self) {}
}

impl Backend for SdCard {
    fn open(&mut self, port: u32, opening: &BlockOpening) -> Result<u64, BuildError> {
        let BlockOpening { part: number, read_only, buffer } = *opening;
        let part = self.part(number)?;
        let full = || BuildError::property("evisor,block", "the card has 8 ports", "name it less");
        *self.ports.get_mut(port as usize).ok_or_else(full)? =
            Some(Port { part, read_only, buffer, holder: None, asked: None });
        Ok(part.count)
    }

    fn connect(&mut self, port: u32, holder: Effect) {
        if let Some(Some(port)) = self.ports.get_mut(port as usize) {
            port.holder = Some(holder);
        }
    }
}

impl Notify for SdCard {
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        match tag {
            tag::HOST_INTERRUPT | tag::DEADLINE => self.look(cx),
            port => {
                let Some(Some(port)) = self.ports.get_mut(port as usize) else {
                    return Reply::ABSENT;
                };
                match BlockRequest::decode(value) {
                    Some(request)
                        if port.asked.is_none()
                            && request.fits(port.part.count, port.read_only) =>
                    {
                        port.asked = Some(request);
                        self.go_on(cx);
                    }
                    _ => port.tell(BlockDone::Refused, cx),
                }
            }
        }
        Reply::DONE
    }
}

/// Opening.
impl SdCard {
    /// Says that there is nothing to open; why, the board has said.
    fn report(&self) {
        if self.disk.as_deref().is_none_or(|disk| disk.blocks() == 0) {
            log::warn!("{}: the board has no card, so there are no blocks", self.path);
        }
    }

    fn part(&self, number: u32) -> Result<Part, BuildError> {
        let wrong = || {
            let remedy = "write 0 for all of it, or 1 to 4 for a partition";
            BuildError::property("evisor,block", "the card never has such a part", remedy)
        };
        let Some(disk) = self.disk.as_deref().filter(|disk| disk.blocks() > 0) else {
            return part::exists(number).then_some(Part::NONE).ok_or_else(wrong);
        };
        let found = part::find(disk.blocks(), disk.partitions(), number).ok_or_else(wrong)?;
        Ok(found.unwrap_or_else(|problem| {
            log::warn!("{}: partition {number} of the card {problem}", self.path);
            Part::NONE
        }))
    }
}

/// Transfers.
impl SdCard {
    /// Begins what is next, if nothing is under way.
    fn go_on(&mut self, cx: &mut Context) {
        while self.served.is_none()
            && let Some(next) = self.next()
        {
            self.last = next;
            self.begin(next, cx);
        }
    }

    /// The port whose turn it is: the first behind the last that waits.
    fn next(&self) -> Option<usize> {
        let turns = (1..=PORTS).map(|step| (self.last + step) % PORTS);
        turns.into_iter().find(|at| {
            let port = self.ports.get(*at).and_then(Option::as_ref);
            port.is_some_and(|port| port.asked.is_some())
        })
    }

    /// Begins what port `at` asked for, or answers it where that is all.
    fn begin(&mut self, at: usize, cx: &mut Context) {
        let Some(Some(port)) = self.ports.get_mut(at) else { return };
        let Some(request) = port.asked else { return };
        let write = match request.operation {
            BlockOperation::Flush => return port.answer(BlockDone::Done, cx),
            operation => operation == BlockOperation::Write,
        };
        // A part has blocks only where there is a card.
        let Some(disk) = &mut self.disk else { return port.answer(BlockDone::Failed, cx) };
        disk.start(write, port.part.first.saturating_add(request.block), request.count);
        self.served = Some(at);
        self.deadline.set(self.clock.now(), cx);
    }

    fn look_later(&self, cx: &mut Context) {
        let pause = self.clock.frequency() / LOOKS;
        self.deadline.set(self.clock.now().wrapping_add(pause), cx);
    }

    /// Has the driver go on. Its interrupt is quieted also where nothing is under way.
    fn look(&mut self, cx: &mut Context) {
        let Some(disk) = &mut self.disk else { return };
        let Some(Some(port)) = self.served.and_then(|at| self.ports.get_mut(at)) else {
            let _ = disk.advance(&mut []);
            return;
        };
        match port.buffer.with_words(|words| disk.advance(words)) {
            DiskProgress::Busy => return self.look_later(cx),
            DiskProgress::Done => port.answer(BlockDone::Done, cx),
            DiskProgress::Failed => port.answer(BlockDone::Failed, cx),
        }
        self.served = None;
        self.go_on(cx);
        if self.served.is_none() {
            self.deadline.clear(cx);
        }
    }
}
