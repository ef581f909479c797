//! Every order in which cores can do what they do: threads of which one runs at a
//! time, from one place that others can see to the next.

use std::sync::{Condvar, Mutex};
use std::thread;

/// The most cores.
const CORES: usize = 4;

/// Who has the turn, and which way the run went at each choice of who has it next, of
/// how many ways.
#[derive(Default)]
struct Turn {
    running: usize,
    left: Vec<usize>,
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Turn {
    fn choose(&mut self) {
        if self.at == self.path.len() {
            self.path.push((0, self.left.len()));
        }
        self.running = self.left[self.path[self.at].0];
        self.at += 1;
    }

    /// On to the next path; false after the last.
    fn advance(&mut self) -> bool {
        while let Some((way, ways)) = self.path.pop() {
            if way + 1 < ways {
                self.path.push((way + 1, ways));
                return true;
            }
        }
        false
    }
}

/// What the threads of one run wait at.
#[derive(Default)]
pub struct Turns {
    turn: Mutex<Turn>,
    cores: [Condvar; CORES],
}

impl Turns {
    /// Core `core` comes to a place where others may go first.
    pub fn pause(&self, core: usize) {
        let mut turn = self.turn.lock().unwrap();
        turn.choose();
        if turn.running != core {
            self.cores[turn.running].notify_one();
            drop(self.cores[core].wait_while(turn, |turn| turn.running != core).unwrap());
        }
    }

    fn start(&self, core: usize) {
        let turn = self.turn.lock().unwrap();
        drop(self.cores[core].wait_while(turn, |turn| turn.running != core).unwrap());
    }
}

/// A core that is done, or has failed.
struct Done(&'static Turns, usize);

impl Drop for Done {
    fn drop(&mut self) {
        let mut turn = self.0.turn.lock().unwrap();
        turn.left.retain(|core| *core != self.1);
        if !turn.left.is_empty() {
            turn.choose();
            self.0.cores[turn.running].notify_one();
        }
    }
}

/// Runs what `new` makes in every order: `cores` threads call `act` with their number,
/// then `check` looks at what came of it. Gives how many orders there were.
pub fn all<W: Sync>(
    cores: usize,
    new: impl Fn(&'static Turns) -> W,
    act: impl Fn(&W, usize) + Sync,
    check: impl Fn(&W),
) -> usize {
    let turns: &'static Turns = Box::leak(Box::default());
    for count in 1.. {
        let world = new(turns);
        let mut turn = turns.turn.lock().unwrap();
        (turn.left, turn.at) = ((0..cores).collect(), 0);
        turn.choose();
        drop(turn);
        thread::scope(|scope| {
            for core in 0..cores {
                let (world, act) = (&world, &act);
                scope.spawn(move || {
                    turns.start(core);
                    let done = Done(turns, core);
                    act(world, core);
                    drop(done);
                });
            }
        });
        check(&world);
        if !turns.turn.lock().unwrap().advance() {
            return count;
        }
    }
    unreachable!()
}
