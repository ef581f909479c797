//! A talk with a shell at the other end, which its Linux has at `/dev/hvc0`.
//!
//! An end that starts anew, or is rolled back, has not heard what was typed to it before, or
//! has not typed it: so the talk begins again then, from its first word.

use evisor_guest::channel::{Channel, Lives, Memory};
use evisor_guest::ring::{Refusal, Stream};
use evisor_guest::{map, println, timer};

/// What is typed, and what is in the answer to each and not in its echo. `^U` is first: what
/// of a line is left from another life is not in this one's.
const TALK: [(&[u8], &[u8]); 2] =
    [(b"\x15echo $((6*7))-$(uname -s)\n", b"42-Linux"), (b"\x15tty; exit\n", b"/dev/hvc0")];
/// How long it may take until Linux is there, and then each answer, and then an end begins
/// again if it is to: in microseconds.
const PATIENCE: u64 = 120_000_000;
/// How much of what came is looked at.
const KEPT: usize = 256;

/// Both ends of it.
struct Talk {
    channel: Channel,
    stream: Stream<Memory>,
    /// Of which lives of the ends the stream is.
    lives: Lives,
    kept: [u8; KEPT],
}

/// Why it came to no answer.
enum Silence {
    /// It is another talk: an end began again.
    Again,
    /// It took too long.
    Late,
}

/// So many talks, each but the first after an end began again; the last ends with the shell.
/// 0 if all was answered.
pub fn run(channel: Channel, stream: Stream<Memory>, lives: Lives, talks: u64) -> u8 {
    let mut talk = Talk { channel, stream, lives, kept: [0; KEPT] };
    for left in (0..talks).rev() {
        let answered = talk.all(left == 0);
        if !answered || left > 0 && !talk.is_another() {
            println!("FAIL {}", if answered { "it stays as it is" } else { "it is silent" });
            return 1;
        }
    }
    0
}

impl Talk {
    /// From the first word until nothing came between.
    fn all(&mut self, is_last: bool) -> bool {
        loop {
            match self.once(is_last) {
                Ok(()) => return true,
                Err(Silence::Again) => {}
                Err(Silence::Late) => return false,
            }
        }
    }

    fn once(&mut self, is_last: bool) -> Result<(), Silence> {
        let typed = if is_last { TALK.len() } else { 1 };
        for (typed, answer) in TALK.into_iter().take(typed) {
            self.types(typed)?;
            self.hears(answer)?;
            println!("PASS {}", core::str::from_utf8(answer).unwrap_or_default());
        }
        Ok(())
    }

    /// An end began again, in time.
    fn is_another(&mut self) -> bool {
        timer::wait_until(PATIENCE, || self.begins_again())
    }

    /// Whether an end did since this was last asked: then nothing of before is on its way.
    fn begins_again(&mut self) -> bool {
        let met = self.stream.meet();
        if met {
            self.channel.ring();
        }
        let lives = self.channel.lives();
        let begins = met || lives != self.lives;
        if lives != self.lives {
            self.lives = lives;
            if let Some(stream) = self.channel.open(map::CHANNEL_MEMORY, lives) {
                self.stream = stream;
            }
        }
        if begins {
            self.kept = [0; KEPT];
        }
        begins
    }

    /// Until `step` says that it is done, in a life that still is.
    fn until(
        &mut self,
        mut step: impl FnMut(&mut Self) -> Result<bool, Refusal>,
    ) -> Result<(), Silence> {
        let mut ended = Err(Silence::Late);
        timer::wait_until(PATIENCE, || {
            let done = matches!(step(self), Ok(true));
            if self.begins_again() {
                ended = Err(Silence::Again);
            } else if done {
                ended = Ok(());
            }
            !matches!(ended, Err(Silence::Late))
        });
        ended
    }

    fn types(&mut self, mut text: &[u8]) -> Result<(), Silence> {
        self.until(|talk| {
            let sent = talk.stream.send(text)?;
            text = text.get(sent.bytes..).unwrap_or_default();
            if sent.ring {
                talk.channel.ring();
            }
            Ok(text.is_empty())
        })
    }

    fn hears(&mut self, answer: &[u8]) -> Result<(), Silence> {
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
