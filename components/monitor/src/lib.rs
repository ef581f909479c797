//! The monitor: a person at a console looks at VMs, and changes them.
//!
//! Which VMs, and whether they may be changed, is what the monitor's node was granted:
//! no others are there for it. What it knows of them it copies out fact by fact
//! ([`Inspect`](evisor_contract::Inspect)), a line of the answer at a time, as the
//! console takes it; what is left goes on with the next deadline. So a long answer keeps
//! no core from its guests, and one that nobody reads just stops.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod answer;
mod commands;
mod editor;
#[cfg(test)]
mod tests;
mod text;

use answer::Answer;
use core::ops::Range;
use editor::Editor;
use evisor_contract::{
    Bytes, Clock, ConsolePort, Context, Deadline, Messages, Needs, Notify, Object, Oversight,
    Parts, Reply, VmEvent, component, tag,
};
use text::{Ring, Text};

component! {
    compatible: ["evisor,monitor"],
    needs: Needs { root: true, console: true, oversees: true, ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        let monitor = Monitor::new(Ends {
            console: grants.console()?,
            messages: grants.messages(),
            deadline: grants.deadline()?,
            clock: grants.clock(),
            oversight: grants.oversight()?,
        });
        Ok(Parts::new(monitor).notify().done())
    },
    describe: |_node, _guest| Ok(()),
}

/// How many pieces of 32 bytes one invocation sends.
const PIECES: usize = 3;
/// So much room is needed for whatever one step writes.
const STEP: usize = 640;
/// How long vCPUs get to leave their guests, in milliseconds.
const LOOK: u64 = 5;
/// When the rest of an answer follows, in milliseconds.
const PAUSE: u64 = 1;

/// Where it reaches the outside.
struct Ends {
    console: ConsolePort,
    messages: Option<&'static dyn Messages>,
    deadline: Deadline,
    clock: &'static dyn Clock,
    oversight: Oversight,
}

struct Monitor {
    ends: Ends,
    editor: Editor,
    /// What was typed and is not looked at yet.
    typed: Ring<128>,
    /// What waits for the console.
    out: Text,
    answer: Option<Answer>,
    /// The count until which the answer waits, for vCPUs that leave their guests.
    until: u64,
    /// What VMs are to be asked, one after the other.
    wanted: Option<(Range<usize>, VmEvent)>,
    /// The console takes no more.
    full: bool,
    /// Somebody was there.
    greeted: bool,
}

impl Notify for Monitor {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        match tag {
            tag::CONSOLE_INPUT => self.hear(cx),
            tag::CONSOLE_FULL => self.full = true,
            tag::CONSOLE_READY => {
                self.full = false;
                self.greet();
                self.go_on(cx);
            }
            tag::DEADLINE => self.go_on(cx),
            _ => return Reply::ABSENT,
        }
        Reply::DONE
    }
}

impl Object for Monitor {
    /// It belongs to no VM.
    fn reset(&mut self) {}
}

impl Monitor {
    fn new(ends: Ends) -> Self {
        Self {
            ends,
            editor: Editor::default(),
            typed: Ring::new(),
            out: Text::new(),
            answer: None,
            until: 0,
            wanted: None,
            full: false,
            greeted: false,
        }
    }

    /// The first time that somebody may be there.
    fn greet(&mut self) {
        if !core::mem::replace(&mut self.greeted, true) {
            self.out.put("eVisor's monitor; help lists what it knows\r\n");
            self.prompt();
        }
    }

    fn prompt(&mut self) {
        self.out.put("> ");
    }

    fn hear(&mut self, cx: &mut Context) {
        self.greet();
        for &byte in cx.bytes() {
            // Ctrl-C ends an answer, and what was typed ahead of it.
            if byte == editor::CTRL_C && self.answer.is_some() {
                self.answer = None;
                self.typed.clear();
                self.out.clear();
                self.out.put("^C\r\n");
                self.prompt();
            } else {
                let _ = self.typed.push(byte);
            }
        }
        self.go_on(cx);
    }

    fn ask(&mut self, cx: &mut Context) {
        let Some((vms, event)) = &mut self.wanted else { return };
        match vms.next().and_then(|vm| self.ends.oversight.controls.get(vm)) {
            Some(control) => control.send(*event, cx),
            None => self.wanted = None,
        }
    }

    /// Does a piece of what there is to do, and asks to come again for the rest.
    fn go_on(&mut self, cx: &mut Context) {
        for _ in 0..PIECES {
            while self.out.len() < Bytes::MOST && self.step() {}
            self.ask(cx);
            if self.full || !self.send(cx) {
                break;
            }
        }
        let waits = self.answer.is_some() || self.wanted.is_some() || !self.typed.is_empty();
        if !self.out.is_empty() && self.full {
            return;
        }
        if waits || !self.out.is_empty() {
            let due = self.ends.clock.now().wrapping_add(self.milliseconds(PAUSE));
            self.ends.deadline.set(due.max(self.until), cx);
        }
    }

    fn milliseconds(&self, count: u64) -> u64 {
        self.ends.clock.frequency() / 1000 * count
    }

    /// False: nothing waits.
    fn send(&mut self, cx: &mut Context) -> bool {
        let bytes = self.out.take();
        if bytes.count() > 0 {
            self.ends.console.send(&bytes, cx);
        }
        bytes.count() > 0
    }

    /// A line of an answer, or a key. False: there is nothing to do now.
    fn step(&mut self) -> bool {
        if let Some(mut answer) = self.answer {
            if self.ends.clock.now() < self.until {
                return false;
            }
            let more = self.line_of(&mut answer);
            self.answer = more.then_some(answer);
            if !more {
                self.prompt();
            }
            return true;
        }
        let Some(byte) = self.typed.pop() else { return false };
        self.key(byte);
        true
    }

    /// Has what is known of `vms` be of now; the answer waits for it.
    fn look(&mut self, vms: Range<usize>) {
        vms.for_each(|vm| self.ends.oversight.inspect.look(vm));
        self.until = self.ends.clock.now().wrapping_add(self.milliseconds(LOOK));
    }
}
const _: () = assert!(PIECES * Bytes::MOST < 192 && STEP < text::ROOM - Bytes::MOST);
