//! The mailboxes between a Raspberry Pi's Arm and its VideoCore, and the firmware
//! that answers there for what a VM is: its properties, by tag.
//!
//! A message that the guest writes is taken from mailbox 1 when the one before has
//! been answered, and its answer goes to mailbox 0. Most are answered before the
//! guest goes on; one with many tags, or with one that the board's firmware answers,
//! is gone on with by a deadline.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod answers;
mod fifo;
mod forward;
mod policy;
mod property;
mod spec;
mod state;
mod tags;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Context, Deadline, HostMailbox, Line, Mmio, Needs, Notify, Object, Parts, Reply, Rights, Told,
    Width, WindowNeed, component, tag,
};
use fifo::Fifo;
use policy::Policy;
use property::{Job, Progress};
use spec::{CHANNEL, CONFIG, FRAMEBUFFER_ADDRESS, channel, offset};
use tock_registers::LocalRegisterCopy;

component! {
    compatible: ["brcm,bcm2835-mbox"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(0x40) }],
        lines: 1,
        guest_memory: true,
        ..Needs::NONE
    },
    properties: [
        "evisor,board-revision",
        "evisor,mac-address",
        "evisor,serial",
        "evisor,firmware-tags",
    ],
    build: |node, grants| {
        let policy =
            Policy::new(node, grants.addresses(), grants.guest_memory()?, grants.clock())?;
        let ends = Ends {
            line: grants.line(0)?,
            deadline: grants.deadline()?,
            board: grants.host_mailbox(),
        };
        Ok(Parts::new(Mailbox::new(policy, ends)).mmio().notify().done())
    },
    describe: |_node, guest| {
        guest.set_cells("#mbox-cells", &[0]);
        Ok(())
    },
}

// The nodes by which a guest finds what is behind the mailbox: `mboxes` or `firmware`
// leads to it, and they have nothing of their own.
component! {
    compatible: ["raspberrypi,bcm2835-firmware", "raspberrypi,bcm2835-power"],
    needs: Needs::NONE,
    properties: [],
    build: |_node, _grants| Ok(Parts::new(Description).done()),
    describe: |_node, _guest| Ok(()),
}

/// The registers are words.
const ACCESS: Rights = Rights::READ32.union(Rights::WRITE32);

/// Tags that are answered in one go, each in up to 1,200 instructions: EL2 is left
/// after so many.
const TAGS: u32 = 4;
/// The guest goes on meanwhile, for that part of a second: 10 µs.
const TURNS: u64 = 100_000;
/// The board is looked after so many times a second.
const LOOKS: u64 = 10_000;
/// What an empty mailbox gives: nothing, on a channel that nobody has.
const EMPTY: u32 = 0xf;

struct Description;

impl Object for Description {
    fn reset(&mut self) {}
}

/// Where the device reaches the outside, besides memory and clock.
struct Ends {
    line: Line,
    deadline: Deadline,
    board: Option<&'static dyn HostMailbox>,
}

/// One pair of mailboxes, and the firmware.
struct Mailbox {
    /// Mailbox 0, to the guest.
    answers: Fifo,
    /// Mailbox 1, from the guest.
    requests: Fifo,
    /// The property buffer that is being answered.
    job: Option<Job>,
    /// What of it is kept: the enable and the errors.
    config: LocalRegisterCopy<u32, CONFIG::Register>,
    told: Told,
    policy: Policy,
    ends: Ends,
}

impl Mmio for Mailbox {
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        let word = match offset & !3 {
            offset::READ..=offset::READ_LAST => self.take(cx),
            offset::PEEK => self.answers.first().unwrap_or(EMPTY),
            offset::STATUS => self.answers.status(),
            offset::CONFIG => self.config(),
            offset::STATUS1 => self.requests.status(),
            _ => 0,
        };
        Reply::value(u64::from(word) >> (8 * (offset & 3)) & width.mask())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the router lets words through only")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        match offset & !3 {
            offset::CONFIG => self.set_config(value as u32),
            offset::WRITE..=offset::WRITE_LAST => self.put(value as u32),
            _ => {}
        }
        self.work(cx);
        Reply::DONE
    }
}

impl Notify for Mailbox {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        if tag != tag::DEADLINE {
            return Reply::ABSENT;
        }
        self.work(cx);
        Reply::DONE
    }
}

/// The registers.
impl Mailbox {
    fn new(policy: Policy, ends: Ends) -> Self {
        Self {
            answers: Fifo::default(),
            requests: Fifo::default(),
            job: None,
            config: LocalRegisterCopy::new(0),
            told: Told::LOW,
            policy,
            ends,
        }
    }

    fn take(&mut self, cx: &mut Context) -> u32 {
        let message = self.answers.pop();
        if message.is_none() {
            self.config.modify(CONFIG::UNDERFLOW::SET);
        }
        // There may have been no room for the next.
        self.work(cx);
        message.unwrap_or(EMPTY)
    }

    fn put(&mut self, message: u32) {
        if !self.requests.push(message) {
            self.config.modify(CONFIG::OVERFLOW::SET);
        }
    }

    fn config(&self) -> u32 {
        let mut config = self.config;
        if !self.answers.is_empty() {
            config.modify(CONFIG::DATA_PENDING::SET);
        }
        config.get()
    }

    /// Any write takes the errors away.
    fn set_config(&mut self, value: u32) {
        let value = LocalRegisterCopy::<u32, CONFIG::Register>::new(value);
        self.config.write(CONFIG::DATA_ENABLE.val(value.read(CONFIG::DATA_ENABLE)));
        if value.is_set(CONFIG::CLEAR) {
            self.answers.clear();
        }
    }

    /// The line follows mailbox 0.
    fn settle(&mut self, cx: &mut Context) {
        let up = self.config.is_set(CONFIG::DATA_ENABLE) && !self.answers.is_empty();
        self.told.set(&self.ends.line, up, cx);
    }
}

/// The firmware.
impl Mailbox {
    /// Answers what can be answered now.
    fn work(&mut self, cx: &mut Context) {
        while !self.answers.is_full() && self.has_job() {
            match self.advance() {
                Progress::Done => {
                    if let Some(job) = self.job.take() {
                        self.answers.push(job.message);
                    }
                }
                progress => {
                    self.go_on_later(progress, cx);
                    break;
                }
            }
        }
        self.settle(cx);
    }

    /// Whether there is a buffer to be answered: the next one, if none was begun.
    fn has_job(&mut self) -> bool {
        while self.job.is_none()
            && !self.answers.is_full()
            && let Some(message) = self.requests.pop()
        {
            match message & CHANNEL {
                channel::PROPERTY => self.begin(message),
                channel::FRAMEBUFFER => self.refuse_framebuffer(message),
                // Nobody listens there.
                _ => {}
            }
        }
        self.job.is_some()
    }

    fn begin(&mut self, message: u32) {
        self.job = Job::begin(message, self.policy.memory);
        if self.job.is_none() {
            // There is nothing to write an error to.
            self.answers.push(message);
        }
    }

    fn advance(&mut self) -> Progress {
        let Self { job, policy, ends, .. } = self;
        let advance = |job: &mut Job| job.advance(policy, ends.board, TAGS);
        job.as_mut().map_or(Progress::Done, advance)
    }

    fn go_on_later(&self, progress: Progress, cx: &mut Context) {
        let clock = self.policy.clock;
        let often = if progress == Progress::More { TURNS } else { LOOKS };
        let pause = clock.frequency() / often;
        self.ends.deadline.set(clock.now().wrapping_add(pause), cx);
    }

    /// Channel 1: there is no frame buffer, which its address of 0 says.
    fn refuse_framebuffer(&mut self, message: u32) {
        let address = u64::from(message & !CHANNEL);
        let none = |address: u64| {
            let at = address.saturating_add(FRAMEBUFFER_ADDRESS);
            self.policy.memory.write(at, &[0; 8])
        };
        let _ = none(address & spec::BUS_ADDRESS).or_else(|_| none(address));
        self.answers.push(channel::FRAMEBUFFER);
    }
}
