//! A talk with a shell at the other end, which its Linux has at `/dev/hvc0`.

use evisor_guest::channel::{Channel, Memory};
use evisor_guest::ring::{Refusal, Stream};
use evisor_guest::{println, timer};

/// What is typed, and what is in the answer to each and not in its echo.
const TALK: [(&[u8], &[u8]); 2] =
    [(b"echo $((6*7))-$(uname -s)\n", b"42-Linux"), (b"tty; exit\n", b"/dev/hvc0")];
/// How long it may take until Linux is there, and then each answer: in microseconds.
const PATIENCE: u64 = 120_000_000;
/// How much of what came is looked at.
const KEPT: usize = 256;

/// Both ends of it.
struct Talk {
    channel: Channel,
    stream: Stream<Memory>,
    kept: [u8; KEPT],
}

/// 0 if all was answered.
pub fn run(channel: Channel, stream: Stream<Memory>) -> u8 {
    let mut talk = Talk { channel, stream, kept: [0; KEPT] };
    for (typed, answer) in TALK {
        let answered = talk.types(typed) && talk.hears(answer);
        let verdict = if answered { "PASS" } else { "FAIL" };
        println!("{verdict} {}", core::str::from_utf8(answer).unwrap_or_default());
        if !answered {
            return 1;
        }
    }
    0
}

impl Talk {
    /// Until `step` says that it is done.
    fn until(&mut self, mut step: impl FnMut(&mut Self) -> Result<bool, Refusal>) -> bool {
        timer::wait_until(PATIENCE, || {
            if self.stream.meet() {
                self.channel.ring();
            }
            matches!(step(self), Ok(true))
        })
    }

    fn types(&mut self, mut text: &[u8]) -> bool {
        self.until(|talk| {
            let sent = talk.stream.send(text)?;
            text = text.get(sent.bytes..).unwrap_or_default();
            if sent.ring {
                talk.channel.ring();
            }
            Ok(text.is_empty())
        })
    }

    fn hears(&mut self, answer: &[u8]) -> bool {
        self.until(|talk| {
            let mut piece = [0; KEPT / 2];
            let received = talk.stream.receive(&mut piece)?;
            if received.ring {
                talk.channel.ring();
            }
            talk.kept.rotate_left(received.bytes);
            let from = KEPT - received.bytes;
            if let Some((end, piece)) = talk.kept.get_mut(from..).zip(piece.get(..received.bytes)) {
                end.copy_from_slice(piece);
            }
            Ok(talk.kept.windows(answer.len()).any(|some| some == answer))
        })
    }
}
