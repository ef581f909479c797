//! What of several consoles is on the line, and in which form.
//!
//! The line is given to one unit after the other: a frame, a line, a piece of the one
//! that is watched alone; each is written when the one before has gone. Consoles take
//! turns, so that one that never stops keeps nobody out. eVisor's own lines go in between,
//! whole, and behind what guests had said: a line or two of it at most.

use crate::Console;
use crate::escape::Shown;
use crate::text::{STRING_TERMINATOR, decimal};
use evisor_contract::frames::{self, Control, VERSION};
use evisor_contract::{Bytes, Context};

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// There is one console, and its bytes pass as they are.
    Plain,
    /// The selected one's bytes as they are; what others say is kept.
    One,
    /// Lines of all, each behind the name of its VM.
    All,
    /// Frames, for a host that takes them apart.
    Frames,
}

/// Who is shown.
#[derive(Default)]
pub struct Viewed {
    /// Who is typed to, and shown at once.
    pub selected: usize,
    /// Whose line the cursor is in.
    open: Option<usize>,
    /// The count at which that began.
    opened: u64,
    /// The cursor's column, as far as it matters.
    column: usize,
    /// Who had the line last.
    last: usize,
    /// A line of eVisor's own is not at its end.
    in_message: bool,
    /// How many units of guests there were since eVisor was last asked for one.
    units: usize,
    /// How much of the greeting is said, where there is one.
    greeting: Option<usize>,
}

/// How many units one call writes at most, until one shows something.
const UNITS: usize = 2;
/// So many units of guests may go before a line of eVisor's own, which says what became of
/// them: their last words come first.
const BEFORE: usize = 8;
/// How many bytes of a console one unit looks at, a hundred instructions each: a vCPU whose
/// turn it is may wait for the end of the call.
const PIECE: usize = 4;
/// How many if they are plain text, which is shown as it is.
const TEXT: usize = 12;
/// After so many milliseconds a line that has no end is shown as it is.
const PATIENCE: u64 = 200;
/// For so many nobody else's line comes into one of the selected console's, whose end may
/// be on its way.
const LINGER: u64 = 50;
/// How many bytes a call sends at most: as many as any serial line has room for.
pub(crate) const FIFO: usize = 16;
/// To a line that takes all at once, an emulated one, one call in a second's so much is
/// given: it would have every core that it interrupts to itself.
const PACE: u64 = 10_000;

impl Console {
    /// There are several consoles from now on. One VM has the line to itself, though
    /// there is a monitor, and so has the one that the manifest wants to be shown.
    pub fn several(&mut self) {
        let wanted = self.wanted();
        let mut vms = self.consoles();
        let (first, another) = (vms.next(), vms.next());
        drop(vms);
        self.viewed.selected = wanted.or(first).unwrap_or_default();
        let all = another.is_some() && wanted.is_none();
        self.view = if all { View::All } else { View::One };
        self.viewed.greeting = another.map(|_| 0);
        if let Some(messages) = self.ends.messages {
            messages.keep();
        }
    }

    /// Whose console is shown alone at first.
    fn wanted(&self) -> Option<usize> {
        let name = self.settings.shown?;
        self.channels.iter().position(|channel| !channel.monitor && channel.name == name)
    }

    pub fn is_watched(&self, index: usize) -> bool {
        self.view != View::One || self.viewed.selected == index
    }

    /// Writes what the line takes, as much as one interrupt may.
    pub fn show(&mut self, cx: &mut Context) {
        let (mut sent, mut more) = (self.send(FIFO), true);
        for _ in 0..UNITS {
            if sent > 0 || !self.ring.is_empty() {
                break;
            }
            more = self.compose();
            if !more {
                break;
            }
            sent = self.send(FIFO);
        }
        more |= !self.ring.is_empty();
        let full = !self.ring.is_empty() && sent < FIFO;
        self.await_room(full);
        self.rests = more && !full;
        if self.rests {
            self.come_after(self.ends.clock.frequency() / PACE, cx);
        }
        if self.is_held() {
            self.come_again(LINGER, cx);
        }
        self.go_on(cx);
    }

    /// Whether others wait for the end of the selected console's line.
    pub fn is_held(&self) -> bool {
        let clock = self.ends.clock;
        self.view == View::All
            && self.viewed.open == Some(self.viewed.selected)
            && clock.now().wrapping_sub(self.viewed.opened) < clock.frequency() / 1000 * LINGER
    }

    /// Writes the next unit to the ring, which is empty. False: there is none.
    fn compose(&mut self) -> bool {
        // Somebody may be asking for another form.
        if !self.request.is_empty() {
            return false;
        }
        if self.viewed.greeting.is_some() {
            self.greet();
            return true;
        }
        let due = self.viewed.in_message || self.viewed.units >= BEFORE;
        if due && self.say_message() {
            return true;
        }
        let shown = match self.view {
            View::Plain => false,
            View::One => self.piece(),
            View::All => self.line(),
            View::Frames => self.frame(),
        };
        self.viewed.units += usize::from(shown);
        shown || self.say_message()
    }

    /// A piece of what eVisor has to say, if it may.
    fn say_message(&mut self) -> bool {
        self.viewed.units = 0;
        (self.viewed.in_message || self.is_between()) && self.message()
    }

    pub fn puts(&mut self, text: &[u8]) {
        let put = self.ring.extend(text);
        self.lost = self.lost.wrapping_add((text.len() - put) as u64);
    }

    /// A line of the console's own.
    pub fn say(&mut self, parts: &[&[u8]]) {
        self.fresh_line();
        self.puts(b"evisor: ");
        parts.iter().for_each(|part| self.puts(part));
        self.puts(b"\r\n");
    }

    /// Moves to the start of a line.
    pub fn fresh_line(&mut self) {
        // Somebody typed a command in the middle of it: its rest goes first.
        while self.viewed.in_message {
            self.message();
        }
        if self.view == View::Frames {
            return;
        }
        let escape = self.channels.get(self.viewed.selected).map(|one| one.escape);
        if self.view == View::One && escape.is_some_and(|escape| escape.is_inside()) {
            self.puts(STRING_TERMINATOR);
        }
        if self.viewed.column > 0 {
            self.puts(b"\r\n");
        }
        (self.viewed.column, self.viewed.open) = (0, None);
    }

    /// Says what there is to say before anything else.
    fn greet(&mut self) {
        let step = self.viewed.greeting.unwrap_or_default();
        self.viewed.greeting = None;
        if self.view != View::Frames {
            self.introduce();
            if self.view == View::One {
                self.name_shown();
            }
            return;
        }
        if step == 0 {
            self.control(Control::Granted(VERSION));
        }
        if let Some(channel) = self.channels.get(step) {
            let name = channel.name;
            self.control(Control::Name(step as u8, name.as_slice()));
            self.viewed.greeting = Some(step + 1);
        }
    }

    /// Frames begin, and `greet` says so.
    pub fn begin_frames(&mut self) {
        self.fresh_line();
        self.view = View::Frames;
        self.viewed.greeting = Some(0);
        if let Some(messages) = self.ends.messages {
            messages.keep();
        }
    }

    pub fn control(&mut self, control: Control<'_>) {
        let (ring, lost) = (&mut self.ring, &mut self.lost);
        control.write(&mut |byte| *lost += u64::from(!ring.push(byte)));
    }

    /// Whether eVisor may say something here.
    fn is_between(&self) -> bool {
        let ours = |open| open == self.viewed.selected && !self.is_held();
        self.view != View::All || self.viewed.open.is_none_or(ours)
    }

    /// A piece of a line of eVisor's own, with what is around it at its ends.
    fn message(&mut self) -> bool {
        let piece = self.ends.messages.map_or(Bytes::NONE, |messages| messages.next());
        if piece.count() == 0 {
            self.viewed.in_message = false;
            return false;
        }
        if !self.viewed.in_message {
            self.fresh_line();
        }
        let ends = piece.as_slice().strip_suffix(b"\n");
        self.puts(ends.unwrap_or(piece.as_slice()));
        self.viewed.in_message = ends.is_none();
        if ends.is_some() {
            self.puts(b"\r\n");
        }
        true
    }

    /// The next in turn that `wants` says has something.
    fn next_in_turn(&self, wants: impl Fn(&Self, usize) -> bool) -> Option<usize> {
        let count = self.channels.len();
        let turn = (1..=count).map(|step| (self.viewed.last + step) % count);
        turn.into_iter().find(|index| wants(self, *index))
    }

    fn has_bytes(&self, index: usize) -> bool {
        self.channels.get(index).is_some_and(|channel| channel.len() > 0)
    }

    /// A frame with what the next console says.
    fn frame(&mut self) -> bool {
        let Some(index) = self.next_in_turn(Self::has_bytes) else { return false };
        self.viewed.last = index;
        let Some(channel) = self.channels.get_mut(index) else { return false };
        if let Some(lost) = channel.tell() {
            self.control(Control::Lost(index as u8, lost));
            return true;
        }
        let mut bytes = Bytes::NONE;
        core::iter::from_fn(|| channel.take()).take(Bytes::MOST).for_each(|byte| bytes.push(byte));
        let (ring, lost) = (&mut self.ring, &mut self.lost);
        let mut put = |byte| *lost += u64::from(!ring.push(byte));
        frames::write(index as u8, bytes.as_slice(), &mut put);
        true
    }

    /// Tells what of `index` was lost before what comes now. False: nothing.
    fn tell_loss(&mut self, index: usize) -> bool {
        let Some(channel) = self.channels.get_mut(index) else { return false };
        let Some(lost) = channel.tell() else { return false };
        let (name, mut digits) = (channel.name, [0; 20]);
        self.say(&[
            name.as_slice(),
            b": ",
            decimal(u64::from(lost), &mut digits),
            b" bytes were lost here",
        ]);
        true
    }

    /// A piece of what the selected one says.
    fn piece(&mut self) -> bool {
        let index = self.viewed.selected;
        if self.tell_loss(index) {
            return true;
        }
        let Some(channel) = self.channels.get_mut(index) else { return false };
        let mut any = false;
        for _ in 0..Bytes::MOST {
            let Some(byte) = channel.take() else { break };
            any = true;
            self.viewed.column = usize::from(channel.escape.take(byte) != Shown::LineEnd);
            self.lost += u64::from(!self.ring.push(byte));
        }
        any
    }

    /// Whether a line of `index` can be shown, or what is there of it.
    fn has_line(&self, index: usize) -> bool {
        self.channels.get(index).is_some_and(|channel| {
            let now = index == self.viewed.selected || self.viewed.open == Some(index);
            let whole =
                channel.has_line() || channel.aged || channel.len() >= self.settings.columns;
            channel.len() > 0 && (now || whole)
        })
    }

    /// A line of the next in turn, whose own it stays until its end; of the selected one
    /// what there is.
    fn line(&mut self) -> bool {
        let selected = self.viewed.selected;
        let held = self.is_held();
        let stays = self.viewed.open.filter(|open| *open != selected || held);
        let found = match stays {
            Some(open) if self.has_bytes(open) => Some(open),
            Some(_) if held => return false,
            _ => self.next_in_turn(Self::has_line),
        };
        let Some(index) = found else { return self.close_open() };
        self.viewed.last = index;
        if self.tell_loss(index) {
            return true;
        }
        for _ in self.text(index)..PIECE {
            let Some(channel) = self.channels.get_mut(index) else { break };
            let Some(byte) = channel.take() else { break };
            match channel.escape.take(byte) {
                Shown::As(byte) => {
                    channel.broken = false;
                    self.put_in_line(index, byte);
                    if index != selected && self.viewed.column >= self.settings.columns {
                        self.fresh_line();
                        self.channels.get_mut(index).iter_mut().for_each(|one| one.broken = true);
                        break;
                    }
                }
                Shown::Nothing => {}
                Shown::LineEnd if core::mem::take(&mut channel.broken) => break,
                Shown::LineEnd => {
                    self.open_line(index);
                    self.fresh_line();
                    break;
                }
            }
        }
        if let Some(channel) = self.channels.get_mut(index)
            && channel.len() == 0
        {
            channel.aged = false;
            if index != selected && self.viewed.open == Some(index) {
                self.fresh_line();
            }
        }
        true
    }

    /// Plain text of `index`, short of the end of the terminal's line; how much it was.
    fn text(&mut self, index: usize) -> usize {
        if self.channels.get(index).is_none_or(|channel| channel.text(1).is_empty()) {
            return 0;
        }
        self.open_line(index);
        let room = self.settings.columns.saturating_sub(self.viewed.column + 1);
        let Some(channel) = self.channels.get_mut(index) else { return 0 };
        let text = channel.text(room.min(TEXT));
        let count = self.ring.extend(text);
        channel.skip_text(count);
        channel.broken &= count == 0;
        self.viewed.column += count;
        count
    }

    /// Ends a line whose rest did not come.
    fn close_open(&mut self) -> bool {
        let left = self.viewed.open.is_some_and(|open| open != self.viewed.selected);
        if left {
            self.fresh_line();
        }
        left
    }

    fn put_in_line(&mut self, index: usize, byte: u8) {
        if self.viewed.column >= self.settings.columns {
            self.fresh_line();
        }
        self.open_line(index);
        self.put(byte);
        self.viewed.column += 1;
    }

    /// Sees to it that the cursor is in a line of `index`, behind its name.
    fn open_line(&mut self, index: usize) {
        if self.viewed.open == Some(index) {
            return;
        }
        self.fresh_line();
        let Some(channel) = self.channels.get(index) else { return };
        let name = channel.name;
        self.puts(name.as_slice());
        self.puts(b"| ");
        self.viewed.open = Some(index);
        self.viewed.opened = self.ends.clock.now();
        self.viewed.column = name.as_slice().len() + 2;
    }

    /// Asks for a deadline if `index` stopped in the middle of a line.
    pub fn await_line_end(&mut self, index: usize, cx: &mut Context) {
        let waits = self.view == View::All && index != self.viewed.selected;
        if waits && self.has_bytes(index) {
            self.come_again(PATIENCE, cx);
        }
    }

    /// Whoever stopped in the middle of a line long enough ago is shown as it is.
    pub fn age(&mut self, cx: &mut Context) {
        let clock = self.ends.clock;
        let patience = clock.frequency() / 1000 * PATIENCE;
        let mut young = false;
        for channel in self.channels.iter_mut().filter(|channel| channel.len() > 0) {
            channel.aged = clock.now().wrapping_sub(channel.heard) >= patience;
            young |= !channel.aged;
        }
        if young && self.view == View::All {
            self.come_again(PATIENCE, cx);
        }
    }
}
