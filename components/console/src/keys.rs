//! What is typed: whose it is, and what a person at a plain terminal can ask for.

use crate::request::Noticed;
use crate::text::{SANE, decimal};
use crate::view::View;
use crate::{Console, Holder, INPUTS};
use evisor_contract::frames::{CONTROL, Control, Step, VERSION};
use evisor_contract::{Bytes, Context, tag};

/// The keyboard's side.
#[derive(Default)]
pub struct Keys {
    /// The prefix key was typed, and what it introduces not yet.
    prefixed: bool,
}

/// What was typed and is not handed on yet.
struct Typed {
    bytes: Bytes,
    handed: usize,
}

/// How long a byte that may begin a request is held back, in milliseconds.
const HELD: u64 = 50;

impl Console {
    /// Reads what was typed, two effects' bytes at most, and hands it on.
    pub fn receive(&mut self, cx: &mut Context) {
        let mut typed = Typed { bytes: Bytes::NONE, handed: 0 };
        for _ in 0..INPUTS * Bytes::MOST {
            if typed.handed >= INPUTS {
                break;
            }
            let Some(byte) = self.ends.serial.try_read() else { break };
            match self.view {
                View::Frames => self.hear_frame(byte, &mut typed, cx),
                _ => self.hear(byte, &mut typed, cx),
            }
        }
        self.hand_on(&mut typed, cx);
        if !self.request.is_empty() {
            self.come_again(HELD, cx);
        }
    }

    fn hear(&mut self, byte: u8, typed: &mut Typed, cx: &mut Context) {
        match self.request.take(byte) {
            Noticed::Maybe => {}
            Noticed::Asked(version) => {
                self.hand_on(typed, cx);
                self.asked(version, cx);
            }
            Noticed::Typed if self.request.is_empty() => self.key(byte, typed, cx),
            Noticed::Typed => {
                self.release(typed, cx);
                // It may begin one itself.
                if self.request.take(byte) == Noticed::Typed {
                    self.key(byte, typed, cx);
                }
            }
        }
    }

    fn release(&mut self, typed: &mut Typed, cx: &mut Context) {
        let (held, count) = self.request.held();
        held.iter().take(count).for_each(|byte| self.key(*byte, typed, cx));
    }

    /// What was held back long enough was typed.
    pub fn let_go(&mut self, cx: &mut Context) {
        if !self.request.is_empty() {
            let mut typed = Typed { bytes: Bytes::NONE, handed: 0 };
            self.release(&mut typed, cx);
            self.hand_on(&mut typed, cx);
        }
    }

    /// A key: the selected one's, or a command.
    fn key(&mut self, byte: u8, typed: &mut Typed, cx: &mut Context) {
        let prefix = self.settings.prefix;
        let prefixed = core::mem::take(&mut self.keys.prefixed);
        if self.channels.len() < 2 || byte != prefix && !prefixed {
            return self.pass(byte, typed, cx);
        }
        if !prefixed {
            self.keys.prefixed = true;
        } else if byte == prefix {
            self.pass(byte, typed, cx);
        } else {
            self.hand_on(typed, cx);
            self.command(byte);
            self.announce(byte, cx);
            // What a command writes takes time: the next one has the next interrupt.
            typed.handed = INPUTS;
        }
    }

    fn pass(&mut self, byte: u8, typed: &mut Typed, cx: &mut Context) {
        if typed.bytes.count() as usize == Bytes::MOST {
            self.hand_on(typed, cx);
        }
        typed.bytes.push(byte);
        if typed.bytes.count() as usize == Bytes::MOST {
            self.hand_on(typed, cx);
        }
    }

    fn hand_on(&mut self, typed: &mut Typed, cx: &mut Context) {
        let index = self.viewed.selected;
        self.hand(index, &typed.bytes, cx);
        typed.handed += usize::from(typed.bytes.count() > 0);
        typed.bytes.clear();
    }

    /// To the first port of `index`.
    fn hand(&mut self, index: usize, bytes: &Bytes, cx: &mut Context) {
        if bytes.count() == 0 {
            return;
        }
        match self.holders.iter().flatten().find(|holder| holder.channel == index) {
            Some(holder) => holder.hand(bytes, cx),
            None => self.lost = self.lost.wrapping_add(u64::from(bytes.count())),
        }
    }

    fn hear_frame(&mut self, byte: u8, typed: &mut Typed, cx: &mut Context) {
        let mut decoder = core::mem::take(&mut self.decoder);
        match decoder.take(byte) {
            Step::Frame { port: CONTROL, payload } => match Control::read(payload) {
                Some(Control::Ask(version)) => self.asked(version, cx),
                Some(Control::Plain) => self.end_frames(),
                _ => {}
            },
            Step::Frame { port, payload } => {
                for part in payload.chunks(Bytes::MOST) {
                    self.hand(usize::from(port), &Bytes::new(part), cx);
                    typed.handed += 1;
                }
            }
            Step::Stray(bytes) => self.lost = self.lost.wrapping_add(bytes.len() as u64),
            Step::Nothing => {}
        }
        self.decoder = decoder;
    }

    /// A host wants frames of `version`.
    fn asked(&mut self, version: u8, cx: &mut Context) {
        if version == VERSION {
            self.begin_frames();
        } else {
            let (mut asked, mut have) = ([0; 20], [0; 20]);
            self.say(&[
                b"frames of version ",
                decimal(u64::from(version), &mut asked),
                b" were asked for, and version ",
                decimal(u64::from(VERSION), &mut have),
                b" is what there is",
            ]);
            self.control(Control::Refused(VERSION));
        }
        if self.view == View::Plain {
            self.drain(cx);
            self.await_room(!self.ring.is_empty());
        }
    }

    fn end_frames(&mut self) {
        self.view = if self.channels.len() > 1 { View::All } else { View::One };
    }

    /// The monitor hears that somebody came to it.
    fn announce(&self, byte: u8, cx: &mut Context) {
        let is_monitor = |holder: &&Holder| {
            self.channels.get(holder.channel).is_some_and(|channel| channel.monitor)
        };
        if byte == b'm'
            && let Some(holder) = self.holders.iter().flatten().find(is_monitor)
        {
            holder.tell(tag::CONSOLE_READY, 0, cx);
        }
    }

    fn command(&mut self, byte: u8) {
        let count = self.consoles().count();
        match byte {
            b'1'..=b'9' => self.select(usize::from(byte - b'1')),
            b'0' => self.select(9),
            b'n' => self.step(1),
            b'p' => self.step(count.saturating_sub(1)),
            b'l' => self.list(),
            b'm' => self.monitor(),
            b'a' => self.toggle_all(),
            b'?' => self.help(),
            _ => self.say(&[b"no such command; ? lists them"]),
        }
    }

    /// The consoles that have a number: all but the monitor.
    pub fn consoles(&self) -> impl Iterator<Item = usize> {
        let ours = self.channels.iter().enumerate().filter(|(_, channel)| !channel.monitor);
        ours.map(|(index, _)| index)
    }

    fn select(&mut self, number: usize) {
        let found = self.consoles().nth(number);
        match found {
            Some(index) => self.switch(index),
            None => self.say(&[b"there is no such console; l lists them"]),
        }
    }

    fn step(&mut self, by: usize) {
        let count = self.consoles().count();
        let at = self.consoles().position(|index| index == self.viewed.selected);
        if let Some(next) = at.map_or(Some(0), |at| (at + by).checked_rem(count)) {
            self.select(next);
        }
    }

    fn monitor(&mut self) {
        match self.channels.iter().position(|channel| channel.monitor) {
            Some(index) => self.switch(index),
            None => self.say(&[b"there is no monitor in this deployment"]),
        }
    }

    /// Shows `index` alone, what is kept of it first.
    fn switch(&mut self, index: usize) {
        self.leave();
        self.viewed.selected = index;
        self.view = View::One;
        if let Some(channel) = self.channels.get_mut(index) {
            channel.escape = crate::escape::Escape::default();
            self.name_shown();
        }
    }

    /// Who is shown alone.
    pub fn name_shown(&mut self) {
        if let Some(channel) = self.channels.get(self.viewed.selected) {
            let name = channel.name;
            self.say(&[name.as_slice(), b" is shown and typed to"]);
        }
    }

    fn toggle_all(&mut self) {
        if self.view == View::All {
            return self.switch(self.viewed.selected);
        }
        self.leave();
        self.view = View::All;
        if let Some(channel) = self.channels.get(self.viewed.selected) {
            let name = channel.name;
            self.say(&[b"all are shown; ", name.as_slice(), b" is typed to"]);
        }
    }

    /// Nothing of who was shown alone stays on the terminal's mind.
    fn leave(&mut self) {
        self.fresh_line();
        if self.view == View::One {
            self.puts(SANE);
        }
    }

    fn list(&mut self) {
        let mut number = 0;
        for index in 0..self.channels.len() {
            let Some(channel) = self.channels.get(index) else { return };
            number += u64::from(!channel.monitor);
            let key = if channel.monitor { b'm' } else { b'0' + (number % 10) as u8 };
            let key = if number > 10 { b' ' } else { key };
            let here = if index == self.viewed.selected { b'>' } else { b' ' };
            let (unread, lost, name) = (channel.len() as u64, channel.lost, channel.name);
            let (mut a, mut b) = ([0; 20], [0; 20]);
            self.say(&[
                &[here, key, b' '],
                name.as_slice(),
                b": ",
                decimal(unread, &mut a),
                b" unread, ",
                decimal(lost, &mut b),
                b" lost",
            ]);
        }
    }

    fn help(&mut self) {
        const LINES: [&[u8]; 4] = [
            b"1-9, 0: that console; n, p: the next, the one before",
            b"a: lines of all, or one alone; l: list; m: monitor",
            b"?: this; the prefix again: itself, once",
            b"the number is the order in which l lists them",
        ];
        self.introduce();
        LINES.iter().for_each(|line| self.say(&[line]));
    }

    /// What is on this line, and which key is the way to more.
    pub fn introduce(&mut self) {
        let count = self.consoles().count() as u64;
        let key = self.settings.prefix;
        let (control, letter): (&[u8], _) =
            if key < b' ' { (b"Ctrl-", key | 0x40) } else { (b"", key) };
        let mut digits = [0; 20];
        self.say(&[
            decimal(count, &mut digits),
            b" consoles; ",
            control,
            &[letter],
            b" ? for help",
        ]);
    }
}
