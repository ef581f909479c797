//! What can be typed.

use crate::Monitor;
use crate::answer::{Answer, What, name_of};
use crate::editor::{Key, Line};
use evisor_contract::{Level, VmCheckpoint, VmEvent, VmState};

/// What stands behind a command's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    Nothing,
    Vm,
    /// A level, or nothing.
    Level,
}

pub struct Command {
    pub name: &'static str,
    pub operand: Operand,
    pub help: &'static str,
    /// It takes the control right.
    changes: bool,
    run: fn(&mut Monitor, vm: usize),
}

const fn looks(
    name: &'static str,
    operand: Operand,
    help: &'static str,
    run: fn(&mut Monitor, usize),
) -> Command {
    Command { name, operand, help, changes: false, run }
}

const fn changes(
    name: &'static str,
    operand: Operand,
    help: &'static str,
    run: fn(&mut Monitor, usize),
) -> Command {
    Command { name, operand, help, changes: true, run }
}

pub const COMMANDS: [Command; 16] = [
    looks("help", Operand::Nothing, "this", |m, _| m.answer_with(What::Help, 0)),
    looks("vms", Operand::Nothing, "the VMs: state, vCPUs, memory, what was refused", |m, _| {
        m.look(0..m.vm_count());
        m.answer_with(What::Vms, 0);
    }),
    looks("vm", Operand::Vm, "its vCPUs: power, core, PC; its exits and memory", |m, vm| {
        m.look(vm..vm + 1);
        m.answer_with(What::Vm, vm);
    }),
    looks("routes", Operand::Vm, "its capabilities: names, rights, uses, objects", |m, vm| {
        m.answer_with(What::Routes, vm);
    }),
    looks("interrupts", Operand::Vm, "its physical interrupts, and how many came", |m, vm| {
        m.answer_with(What::Interrupts, vm);
    }),
    looks("cores", Operand::Nothing, "schedulers, who runs there, how long", |m, _| {
        m.look(0..m.vm_count());
        m.answer_with(What::Cores, 0);
    }),
    looks("crash", Operand::Vm, "its last one: why, registers, exits", |m, vm| {
        m.answer_with(What::Crash, vm);
    }),
    changes("start", Operand::Vm, "starts it, if it is off", |m, vm| m.change(vm, &START)),
    changes("stop", Operand::Vm, "turns it off", |m, vm| m.change(vm, &STOP)),
    changes("pause", Operand::Vm, "it stands still, and its time", |m, vm| m.change(vm, &PAUSE)),
    changes("resume", Operand::Vm, "it goes on after a pause", |m, vm| m.change(vm, &RESUME)),
    changes("reset", Operand::Vm, "what its manifest has for a reset", |m, vm| {
        m.change(vm, &RESET);
    }),
    changes(
        "checkpoint",
        Operand::Vm,
        "keeps it as it is now, in the place of the last",
        |m, vm| {
            m.keep(vm, &CHECKPOINT);
        },
    ),
    changes(
        "rollback",
        Operand::Vm,
        "it is what it was at its checkpoint, and goes on",
        |m, vm| {
            m.keep(vm, &ROLL_BACK);
        },
    ),
    changes("end", Operand::Nothing, "all VMs off for good: with the last, eVisor ends", |m, _| {
        m.wanted = Some((0..m.vm_count(), VmEvent::End));
        m.out.put("all are to stop for good").end();
    }),
    changes("log", Operand::Level, "which of eVisor's own lines are written", |_, _| {}),
];

/// What a VM can be asked for.
struct Asked {
    event: VmEvent,
    /// What it is to do, in words.
    to: &'static str,
    /// Where it is when that makes no sense.
    not_when: &'static [VmState],
}

const OFF: &[VmState] = &[VmState::Off, VmState::Crashed];
const START: Asked =
    Asked { event: VmEvent::Start, to: "start", not_when: &[VmState::On, VmState::Paused] };
const STOP: Asked = Asked { event: VmEvent::Off, to: "stop", not_when: OFF };
const PAUSE: Asked = Asked {
    event: VmEvent::Pause,
    to: "pause",
    not_when: &[VmState::Paused, VmState::Off, VmState::Crashed],
};
const RESUME: Asked = Asked {
    event: VmEvent::Resume,
    to: "go on",
    not_when: &[VmState::On, VmState::Off, VmState::Crashed],
};
const RESET: Asked = Asked { event: VmEvent::Reset, to: "reset", not_when: OFF };
const CHECKPOINT: Asked = Asked { event: VmEvent::Checkpoint, to: "be kept", not_when: OFF };
const ROLL_BACK: Asked = Asked { event: VmEvent::RollBack, to: "be rolled back", not_when: &[] };

const LEVELS: [(&str, Level); 3] =
    [("error", Level::Error), ("warning", Level::Warning), ("info", Level::Info)];

/// How many words are listed at most.
const LISTED: usize = 16;

impl Monitor {
    pub fn key(&mut self, byte: u8) {
        match self.editor.take(byte) {
            Key::Nothing => {}
            Key::Typed(byte) => self.out.byte(byte),
            Key::Erased => _ = self.out.put("\x08 \x08"),
            Key::Changed => self.show_line(),
            Key::Refused => self.out.byte(7),
            Key::Complete => self.complete(),
            Key::Left => {
                self.out.put("^C\r\n");
                self.prompt();
            }
            Key::Entered => {
                self.out.end();
                let line = self.editor.next();
                self.carry_out(&line);
                if self.answer.is_none() {
                    self.prompt();
                }
            }
        }
    }

    /// The line anew, where it is.
    fn show_line(&mut self) {
        self.out.put("\r\x1b[K");
        self.prompt();
        self.out.put(self.editor.line.text());
    }

    fn carry_out(&mut self, line: &Line) {
        let mut words = line.text().split_ascii_whitespace();
        let Some(name) = words.next() else { return };
        let (operand, over) = (words.next(), words.next());
        let name = if name == "?" { "help" } else { name };
        let command = self.commands().find(|command| command.name == name);
        let Some(command) = command else {
            self.out.put("there is no command ").put(name).put("; help lists them").end();
            return;
        };
        let vm = operand.and_then(|name| self.vm_called(name));
        match (command.operand, operand) {
            _ if over.is_some() => self.usage(command),
            (Operand::Nothing, None) => (command.run)(self, 0),
            (Operand::Vm, Some(name)) => match vm {
                Some(vm) => (command.run)(self, vm),
                None => self.out.put("there is no VM ").put(name).put("; vms lists them").end(),
            },
            (Operand::Level, level) => self.level(command, level),
            _ => self.usage(command),
        }
    }

    fn usage(&mut self, command: &Command) {
        self.out.put("write it as: ").put(command.name).put(operand(command)).end();
    }

    /// Those that it has the rights for.
    pub fn commands(&self) -> impl Iterator<Item = &'static Command> + use<> {
        let controls = self.ends.oversight.controls.iter().any(|control| control.permitted());
        let lines = self.ends.messages.is_some();
        COMMANDS.iter().filter(move |command| {
            (controls || !command.changes) && (lines || command.operand != Operand::Level)
        })
    }

    pub fn vm_count(&self) -> usize {
        self.ends.oversight.controls.len()
    }

    fn name_of(&self, vm: usize) -> Option<&'static str> {
        self.ends.oversight.inspect.vm(vm).map(|facts| facts.name)
    }

    fn vm_called(&self, name: &str) -> Option<usize> {
        (0..self.vm_count()).find(|vm| self.name_of(*vm) == Some(name))
    }

    fn answer_with(&mut self, what: What, vm: usize) {
        self.answer = Some(Answer::new(what, vm));
    }

    /// The change is an effect: what comes of it, eVisor says. It waits for the one that
    /// is under way.
    fn change(&mut self, vm: usize, asked: &Asked) {
        let Some(facts) = self.ends.oversight.inspect.vm(vm) else { return };
        self.out.put(facts.name);
        if asked.not_when.contains(&facts.state) {
            let off = OFF.contains(&facts.state);
            let state = if off { "off" } else { name_of(facts.state) };
            return self.out.put(" is ").put(state).end();
        }
        self.wanted = Some((vm..vm + 1, asked.event));
        self.out.put(" is to ").put(asked.to).end();
    }

    /// The same, if it has a checkpoint to be made, or to go back to.
    fn keep(&mut self, vm: usize, asked: &Asked) {
        let Some(facts) = self.ends.oversight.inspect.vm(vm) else { return };
        let problem = match facts.checkpoint {
            VmCheckpoint::Never => " has no evisor,checkpoints in its manifest",
            VmCheckpoint::None if asked.event == VmEvent::RollBack => " has no checkpoint",
            _ => return self.change(vm, asked),
        };
        self.out.put(facts.name).put(problem).end();
    }

    fn level(&mut self, command: &Command, word: Option<&str>) {
        let Some(messages) = self.ends.messages else { return };
        let named = |word: &str| LEVELS.into_iter().find(|(name, _)| *name == word);
        match word.map(named) {
            Some(Some((_, level))) => messages.set_level(level),
            Some(None) => return self.usage(command),
            None => {}
        }
        let level = messages.level();
        let name = LEVELS.into_iter().find(|(_, other)| *other == level);
        self.out.put(name.map_or("", |(name, _)| name)).end();
    }

    /// Word number `at` that could stand where the cursor is.
    fn candidate(&self, first: Option<&str>, at: usize) -> Option<&'static str> {
        let Some(first) = first else { return self.commands().nth(at).map(|one| one.name) };
        let command = self.commands().find(|command| command.name == first)?;
        match command.operand {
            Operand::Nothing => None,
            Operand::Vm => self.name_of(at),
            Operand::Level => LEVELS.get(at).map(|(name, _)| *name),
        }
    }

    fn complete(&mut self) {
        let line = self.editor.line;
        let (first, begun) = match line.text().split_once(' ') {
            Some((first, rest)) => (Some(first), rest.trim_start()),
            None => (None, line.text()),
        };
        let fitting = |monitor: &Self, at| {
            let word = monitor.candidate(first, at)?;
            Some(word.strip_prefix(begun).map(|rest| (word, rest)))
        };
        let all = || (0..).map_while(|at| fitting(self, at)).flatten();
        let Some((_, shortest)) = all().next() else { return self.out.byte(7) };
        // What all that fit go on with.
        let common = all().fold(shortest, |common, (_, rest)| {
            let same = common.bytes().zip(rest.bytes()).take_while(|(a, b)| a == b).count();
            common.get(..same).unwrap_or_default()
        });
        let only = all().nth(1).is_none();
        if only || !common.is_empty() {
            let rest = common.bytes().chain(only.then_some(b' '));
            rest.for_each(|byte| self.key(byte));
            return;
        }
        let mut words = [""; LISTED];
        words.iter_mut().zip(all()).for_each(|(slot, (word, _))| *slot = word);
        self.out.end();
        words
            .iter()
            .filter(|word| !word.is_empty())
            .for_each(|word| _ = self.out.put(word).put(" "));
        self.out.end();
        self.prompt();
        self.out.put(line.text());
    }
}

/// What stands behind the command's name, as help shows it.
pub fn operand(command: &Command) -> &'static str {
    match command.operand {
        Operand::Nothing => "",
        Operand::Vm => " VM",
        Operand::Level => " [error|warning|info]",
    }
}
