//! A property buffer, answered tag by tag.
//!
//! Nothing of the buffer is believed twice: size, tags and requests are each read
//! once, into here, and what is answered goes back from here. The guest may change
//! the buffer meanwhile and changes only what it reads itself.
//!
//! An error in the buffer ends it: what was answered before stands, and the code of
//! the whole says that the response is partial. So does it where a tag has no answer;
//! the other tags are answered then.

use crate::answers::Values;
use crate::forward::Forward;
use crate::policy::Policy;
use crate::spec::{BUS_ADDRESS, CHANNEL, HEADER, TAG_HEADER, code};
use crate::tags::{self, Answer, Tag};
use evisor_contract::{HostMailbox, MAILBOX_WORDS, Memory, Outside, Restore, RestoreError, Save};
use zerocopy::IntoBytes;

/// The longest buffer: 256 palette entries, the longest value of the page, and what
/// is around it fit twice.
pub const LONGEST: u32 = 2048;

/// A buffer that is being answered.
pub struct Job {
    /// What the guest wrote, and what comes back when all is done.
    pub message: u32,
    address: u64,
    size: u32,
    /// The next tag, in bytes from the start.
    at: u32,
    partial: bool,
    /// The tag that the board is asked for.
    forward: Option<Forward>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All is answered.
    Done,
    /// There are more tags.
    More,
    /// The board has not answered yet.
    Waits,
}

/// A tag in a buffer: where its value is, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub number: u32,
    value: u32,
    size: u32,
}

/// What comes next in a buffer.
enum Next {
    Tag(Place),
    End,
    Fault,
}

impl Job {
    /// Looks at the buffer that `message` points at. `None` if there is no memory.
    ///
    /// The address is taken as the VideoCore does, as an alias of the first GiB. A VM
    /// that has no memory there has it as it is written.
    pub fn begin(message: u32, memory: &dyn Memory) -> Option<Self> {
        let address = u64::from(message & !CHANNEL);
        let at = |address| read(memory, address).ok().map(|header: [u32; 2]| (address, header));
        let (address, [size, request]) = at(address & BUS_ADDRESS).or_else(|| at(address))?;
        let good = (HEADER..=LONGEST).contains(&size)
            && size.is_multiple_of(4)
            && request == code::REQUEST;
        let size = if good { size } else { HEADER };
        Some(Self { message, address, size, at: HEADER, partial: !good, forward: None })
    }

    /// Answers at most `tags` tags, or finds that it has to wait.
    pub fn advance(
        &mut self,
        policy: &Policy,
        board: Option<&dyn HostMailbox>,
        tags: u32,
    ) -> Progress {
        for _ in 0..tags {
            if !self.forwarded(policy, board) {
                return Progress::Waits;
            }
            match self.next(policy.memory) {
                Next::Tag(place) => self.answer(place, policy, board),
                Next::End => return self.finish(policy.memory),
                Next::Fault => {
                    self.partial = true;
                    return self.finish(policy.memory);
                }
            }
        }
        if self.forwarded(policy, board) { Progress::More } else { Progress::Waits }
    }

    /// The next tag, which the job is then behind.
    fn next(&mut self, memory: &dyn Memory) -> Next {
        let left = self.size.saturating_sub(self.at);
        if left == 0 {
            return Next::End;
        }
        let header = if left < TAG_HEADER {
            // Room for an end tag only.
            self.words(memory, self.at).map(|[number]| [number, u32::MAX])
        } else {
            self.words(memory, self.at)
        };
        match header {
            Ok([0, _]) => Next::End,
            Ok([number, size]) if size <= left.saturating_sub(TAG_HEADER) => {
                let value = self.at.saturating_add(TAG_HEADER);
                self.at = value.saturating_add(size.next_multiple_of(4));
                Next::Tag(Place { number, value, size })
            }
            _ => Next::Fault,
        }
    }

    fn answer(&mut self, place: Place, policy: &Policy, board: Option<&dyn HostMailbox>) {
        let Some(tag) = tags::find(place.number).filter(|tag| u32::from(tag.request) <= place.size)
        else {
            return self.partial = true;
        };
        let boards = board.is_some() && policy.hands_on(tag.number);
        let mut values = [0; MAILBOX_WORDS];
        let wanted = if boards { place.size } else { tag.request.into() };
        if self.fetch(policy.memory, place, wanted, &mut values).is_err() {
            self.partial = true;
        } else if boards {
            self.forward = Some(Forward::new(place, &values, policy.clock.now()));
        } else {
            let length = own_answer(tag, policy, &mut values).then_some(tag.response.into());
            self.respond(policy.memory, place, &values, length);
        }
    }

    /// Whether nothing is with the board: either way it has been looked after.
    fn forwarded(&mut self, policy: &Policy, board: Option<&dyn HostMailbox>) -> bool {
        let Some(forward) = &mut self.forward else { return true };
        let Some(length) = forward.ask(board, policy.clock) else { return false };
        let (place, values) = (forward.place, forward.values);
        self.forward = None;
        self.respond(policy.memory, place, &values, length);
        true
    }

    /// Writes what a tag is answered. `None`: it is not, and stays as it is.
    fn respond(&mut self, memory: &dyn Memory, place: Place, values: &Values, length: Option<u32>) {
        let written = length.ok_or(Outside).and_then(|length| {
            let bytes = length.min(place.size) as usize;
            let bytes = values.as_bytes().get(..bytes).unwrap_or(values.as_bytes());
            memory.write(self.address_of(place.value), bytes)?;
            let code = code::RESPONSE | length & !code::RESPONSE;
            // In front of the value.
            memory.write(self.address_of(place.value.saturating_sub(4)), code.as_bytes())
        });
        self.partial |= written.is_err();
    }

    fn finish(&self, memory: &dyn Memory) -> Progress {
        let code = if self.partial { code::PARTIAL } else { code::RESPONSE };
        // A buffer that cannot be written is not told so.
        let _ = memory.write(self.address_of(4), code.as_bytes());
        Progress::Done
    }

    /// The first `wanted` bytes of a value, as many as are kept here.
    fn fetch(
        &self,
        memory: &dyn Memory,
        place: Place,
        wanted: u32,
        values: &mut Values,
    ) -> Result<(), Outside> {
        let most = values.as_bytes().len();
        let bytes = values.as_mut_bytes().get_mut(..most.min(wanted as usize));
        memory.read(self.address_of(place.value), bytes.unwrap_or_default())
    }

    fn words<const N: usize>(&self, memory: &dyn Memory, at: u32) -> Result<[u32; N], Outside> {
        read(memory, self.address_of(at))
    }

    /// Byte `at` of the buffer.
    fn address_of(&self, at: u32) -> u64 {
        self.address.saturating_add(u64::from(at))
    }
}

fn read<const N: usize>(memory: &dyn Memory, address: u64) -> Result<[u32; N], Outside> {
    let mut words = [0; N];
    memory.read(address, words.as_mut_bytes())?;
    Ok(words)
}

/// Whether eVisor has an answer, which is then in `values`.
fn own_answer(tag: &Tag, policy: &Policy, values: &mut Values) -> bool {
    match tag.answer {
        Answer::Nothing => return false,
        Answer::Words(words) => {
            values.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
        }
        Answer::Of(what) => {
            let [asked, found, ..] = values;
            *found = what(*asked);
        }
        Answer::Vm(find) => return find(policy, values),
    }
    true
}

/// Saving and restoring.
impl Job {
    pub fn save(&self, to: &mut Save) {
        to.word(self.message);
        to.double(self.address);
        to.word(self.size);
        to.word(self.at);
        to.word(u32::from(self.partial) | u32::from(self.forward.is_some()) << 1);
        if let Some(forward) = &self.forward {
            forward.save(to);
        }
    }

    /// What was with the board is asked for again.
    pub fn restore(from: &mut Restore<'_>, policy: &Policy) -> Result<Self, RestoreError> {
        let (message, address) = (from.word()?, from.double()?);
        let (size, at) = (from.word()?, from.word()?);
        let flags = from.word()?;
        let good = (HEADER..=LONGEST).contains(&size) && (HEADER..=size).contains(&at);
        if !good || flags > 3 {
            return Err(RestoreError::Impossible);
        }
        let forward = (flags & 2 != 0).then(|| Forward::restore(from, size, policy)).transpose()?;
        Ok(Self { message, address, size, at, partial: flags & 1 != 0, forward })
    }
}

impl Place {
    /// How many words the board is handed.
    pub fn words(self) -> usize {
        (self.size as usize).div_ceil(4).min(MAILBOX_WORDS)
    }

    pub fn save(self, to: &mut Save) {
        to.word(self.number);
        to.word(self.value);
        to.word(self.size);
    }

    /// One in a buffer of `size` bytes.
    pub fn restore(from: &mut Restore<'_>, size: u32) -> Result<Self, RestoreError> {
        let place = Self { number: from.word()?, value: from.word()?, size: from.word()? };
        let end = place.value.checked_add(place.size).filter(|end| *end <= size);
        let inside = place.value >= HEADER + TAG_HEADER && end.is_some();
        if inside { Ok(place) } else { Err(RestoreError::Impossible) }
    }
}
