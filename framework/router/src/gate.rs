//! The wired OR of a line that several devices share.
//!
//! A device's line is a capability: a window of one onto an interrupt controller. Who
//! shares a line holds a window onto a gate instead, of one input, and the gate holds
//! the window onto the controller. It is an object like any other, so a line that is
//! not shared does not pass through one.
//!
//! By level only: two edges at once would be one, and nobody could tell whose.

use evisor_contract::{
    Context, Line, LineState, Notify, Object, Reply, Restore, RestoreError, Save,
};

/// What the saved state begins with.
const STATE_TAG: [u8; 8] = *b"gate\0\0\0\0";
const STATE_VERSION: u32 = 1;

/// The gate in front of one line. Notified of [`Line::set`]'s values, under the
/// input's number as tag.
#[derive(Debug)]
pub struct Gate {
    output: Line,
    /// How many inputs there are.
    count: u32,
    /// Which of them are up.
    up: u64,
}

impl Gate {
    /// The most inputs that one has.
    pub const MOST: u32 = u64::BITS;

    /// A gate of `count` inputs, all down, in front of `output`. Inputs from
    /// [`MOST`](Self::MOST) on do not exist.
    #[must_use]
    pub fn new(output: Line, count: u32) -> Self {
        Self { output, count: count.min(Self::MOST), up: 0 }
    }
}

impl Notify for Gate {
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        if tag >= self.count {
            return Reply::ABSENT;
        }
        let (bit, was) = (1 << tag, self.up);
        self.up = match LineState::decode(value) {
            LineState::High => was | bit,
            LineState::Low => was & !bit,
            LineState::Pulse | LineState::Physical(_) => return Reply::ABSENT,
        };
        if (self.up == 0) != (was == 0) {
            self.output.set(self.up != 0, cx);
        }
        Reply::DONE
    }
}

impl Object for Gate {
    fn reset(&mut self) {
        self.up = 0;
    }

    fn save(&self, to: &mut Save) {
        to.begin(STATE_TAG, STATE_VERSION);
        to.double(self.up);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(STATE_TAG, STATE_VERSION)?;
        let up = from.double()?;
        if up.checked_shr(self.count).unwrap_or(0) != 0 {
            return Err(RestoreError::Impossible);
        }
        self.up = up;
        Ok(())
    }
}
