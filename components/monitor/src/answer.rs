//! Answers, a line at a time.

use crate::Monitor;
use crate::commands::operand;
use crate::text::Text;
use evisor_contract::{Names, Power, Register, Rights, RouteFacts, VcpuFacts, VmState};

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Help,
    Vms,
    Vm,
    Routes,
    Interrupts,
    Cores,
    Crash,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    what: What,
    vm: usize,
    /// Which of its parts, and which line of that.
    part: usize,
    line: usize,
}

impl Answer {
    pub fn new(what: What, vm: usize) -> Self {
        Self { what, vm, part: 0, line: 0 }
    }
}

const KINDS: [Names; 4] = [Names::Addresses, Names::Registers, Names::Calls, Names::Interrupts];

impl Monitor {
    /// Writes the next line of `answer`. False: that was the last.
    pub fn line_of(&mut self, answer: &mut Answer) -> bool {
        let Answer { what, vm, part, line } = *answer;
        let (written, parts) = match what {
            What::Help => (self.help(line), 1),
            What::Vms => (self.vms(line), 1),
            What::Vm if part == 0 => (self.vcpu(vm, line), 3),
            What::Vm if part == 1 => (self.exits(vm, line), 3),
            What::Vm => (self.memory(vm, line), 3),
            What::Routes => (self.route(vm, part, line), KINDS.len()),
            What::Interrupts => (self.route(vm, KINDS.len() - 1, line), 1),
            What::Cores => (self.core(part, line), self.core_count()),
            What::Crash if part == 0 => (self.crash(vm, line), 3),
            What::Crash if part == 1 => (self.crash_registers(vm, line), 3),
            What::Crash => (self.crash_exits(vm, line), 3),
        };
        if written {
            answer.line += 1;
            return true;
        }
        (answer.part, answer.line) = (part + 1, 0);
        answer.part < parts
    }

    fn help(&mut self, line: usize) -> bool {
        let Some(command) = self.commands().nth(line) else { return false };
        self.out.put(command.name).put(operand(command)).to(28).put(command.help).end();
        true
    }

    fn vms(&mut self, line: usize) -> bool {
        let Some(vm) = line.checked_sub(1) else {
            self.out.put("VM").to(16).put("state").to(26).put("vCPUs").to(33).put("memory");
            self.out.to(44).put("refused").end();
            return true;
        };
        let inspect = self.ends.oversight.inspect;
        let Some(facts) = inspect.vm(vm) else { return false };
        let memory = (0..).map_while(|at| inspect.memory(vm, at));
        let memory = memory.fold(0, |sum: u64, region| sum.wrapping_add(region.size));
        let vcpus = (0..).map_while(|at| inspect.vcpu(vm, at));
        let refused = vcpus.fold(0, |sum: u64, vcpu| sum.wrapping_add(vcpu.refused));
        let state = name_of(facts.state);
        let out = &mut self.out;
        out.put(facts.name).to(16).put(state).to(26).decimal(facts.vcpus as u64);
        out.to(33).size(memory).to(44).decimal(refused).end();
        true
    }

    fn vcpu(&mut self, vm: usize, line: usize) -> bool {
        let Some(facts) = self.ends.oversight.inspect.vcpu(vm, line) else { return false };
        let power = match facts.power {
            Power::On => "on",
            Power::Off => "off",
            Power::Pending => "starting",
        };
        let out = &mut self.out;
        out.put("vCPU ").decimal(line as u64).put(", affinity ").hex(facts.affinity);
        out.put(", core ").decimal(facts.core as u64).put(": ").put(power);
        if let Some(pc) = facts.pc {
            out.put(", at ").hex(pc);
        }
        out.put(", refused ").decimal(facts.refused).end();
        true
    }

    /// What all its exits were for.
    fn exits(&mut self, vm: usize, line: usize) -> bool {
        let inspect = self.ends.oversight.inspect;
        let Some(exits) = inspect.exits(vm).filter(|_| line == 0) else { return false };
        let counts = [
            ("exits: ", exits.accesses, " accesses"),
            (", ", exits.registers, " registers"),
            (", ", exits.calls, " calls"),
            (", ", exits.interrupts, " interrupts"),
        ];
        let out = &mut self.out;
        counts.into_iter().for_each(|(before, n, what)| {
            out.put(before).decimal(n).put(what);
        });
        out.end();
        true
    }

    /// From behind the last one there is none.
    fn core_count(&self) -> usize {
        let inspect = self.ends.oversight.inspect;
        (0..).take_while(|core| inspect.core(*core).is_some()).count()
    }

    /// A core: its scheduler, then those that run there.
    fn core(&mut self, core: usize, line: usize) -> bool {
        let inspect = self.ends.oversight.inspect;
        let Some(facts) = inspect.core(core) else { return false };
        let Some(member) = line.checked_sub(1) else {
            let out = self.out.put("core ").decimal(core as u64).put(": ");
            out.put(facts.scheduler.unwrap_or("no scheduler")).end();
            return true;
        };
        let vcpus = (0..self.vm_count())
            .flat_map(|vm| (0..).map_while(move |n| Some((vm, n, inspect.vcpu(vm, n)?))));
        let mut here = vcpus.filter(|(.., facts)| facts.core == core);
        let Some((vm, n, facts)) = here.nth(member) else { return false };
        let name = inspect.vm(vm).map_or("", |vm| vm.name);
        self.out.put("  ").put(name).put(" vCPU ").decimal(n as u64);
        self.times(&facts);
        true
    }

    /// How long a vCPU ran, and what it was promised.
    fn times(&mut self, facts: &VcpuFacts) {
        let a_millisecond = self.milliseconds(1).max(1);
        let out = &mut self.out;
        out.put(": ran ").decimal(facts.ran / a_millisecond).put(" ms");
        out.put(", stolen ").decimal(facts.stolen / a_millisecond).put(" ms");
        let share = facts.share;
        if share.priority > 0 {
            out.put(", priority ").decimal(share.priority.into());
        }
        if share.budget > 0 {
            out.put(", ").decimal(share.budget.into()).put("/").decimal(share.period.into());
            out.put(" us");
        }
        out.end();
    }

    fn crash(&mut self, vm: usize, line: usize) -> bool {
        let inspect = self.ends.oversight.inspect;
        let facts = inspect.last_crash(vm).and_then(|crash| crash.facts());
        let out = &mut self.out;
        let Some(facts) = facts else {
            let name = inspect.vm(vm).map(|vm| vm.name).filter(|_| line == 0);
            return name.map(|name| out.put(name).put(" did not crash").end()).is_some();
        };
        match line {
            0 => {
                out.put("vCPU ").decimal(facts.vcpu as u64).put(": ").put(facts.why);
                if let Some(address) = facts.address {
                    out.put(", ").hex(address);
                }
            }
            1 => {
                out.put("at ").hex(facts.pc).put(", PSTATE ").hex(facts.pstate);
                out.put(", ").decimal(facts.nanoseconds).put(" ns of its time");
            }
            2 => {
                out.put("ESR ").hex(facts.esr).put(", FAR ").hex(facts.far);
                out.put(", HPFAR ").hex(facts.hpfar).put(", refused ").decimal(facts.refused);
            }
            _ => return false,
        }
        out.end();
        true
    }

    /// Three in a line.
    fn crash_registers(&mut self, vm: usize, line: usize) -> bool {
        let crash = self.ends.oversight.inspect.last_crash(vm);
        let out = &mut self.out;
        for (n, column) in (line * 3..).zip([0, 25, 50]) {
            let Some(value) = crash.and_then(|crash| crash.register(n)) else {
                return end(out, column);
            };
            out.to(column).put("x").decimal(n as u64).to(column + 4).hex(value);
        }
        end(out, 75)
    }

    /// Two in a line.
    fn crash_exits(&mut self, vm: usize, line: usize) -> bool {
        let crash = self.ends.oversight.inspect.last_crash(vm);
        let out = &mut self.out;
        for (n, column) in (line * 2..).zip([0, 38]) {
            let Some(exit) = crash.and_then(|crash| crash.exit(n)) else {
                return end(out, column);
            };
            out.to(column).put(exit.kind).put(" at ").hex(exit.pc);
        }
        end(out, 76)
    }

    fn memory(&mut self, vm: usize, line: usize) -> bool {
        let Some(facts) = self.ends.oversight.inspect.memory(vm, line) else { return false };
        let out = &mut self.out;
        out.put("memory ").hex(facts.ipa).put(", ").size(facts.size);
        out.put(if facts.writable { "" } else { ", read-only" }).end();
        true
    }

    fn route(&mut self, vm: usize, part: usize, line: usize) -> bool {
        let Some(names) = KINDS.get(part).copied() else { return false };
        let Some(route) = self.ends.oversight.inspect.route(vm, names, line) else { return false };
        write(&mut self.out, names, &route);
        true
    }
}

/// Ends the line, if there is anything before `column`.
fn end(out: &mut Text, column: usize) -> bool {
    if column > 0 {
        out.end();
    }
    column > 0
}

/// In a word.
pub fn name_of(state: VmState) -> &'static str {
    match state {
        VmState::On => "on",
        VmState::Changing => "changing",
        VmState::Paused => "paused",
        VmState::Off => "off",
        VmState::Crashed => "crashed",
    }
}

fn write(out: &mut Text, names: Names, route: &RouteFacts) {
    let (kind, write_name): (&str, fn(&mut Text, u64)) = match names {
        Names::Addresses => ("memory", |out, name| _ = out.hex(name)),
        Names::Registers => ("register", register),
        Names::Calls => ("call", |out, name| _ = out.hex(name)),
        Names::Interrupts => ("interrupt", |out, name| _ = out.decimal(name)),
    };
    out.put(kind).to(10);
    write_name(out, route.first);
    if route.last != route.first {
        out.put("-");
        write_name(out, route.last);
    }
    out.to(38);
    rights(out, route.rights);
    out.to(44).decimal(route.uses).put(if route.uses == 1 { " use" } else { " uses" });
    out.to(58).put(route.object.unwrap_or("eVisor's own")).end();
}

/// As the assembler writes it (Arm ARM DDI 0487, C1.2.6: `S<op0>_<op1>_<Cn>_<Cm>_<op2>`).
fn register(out: &mut Text, name: u64) {
    let (op0, op1, crn, crm, op2) = Register::from_syndrome(name as u32).fields();
    let numbers = [("S", op0), ("_", op1), ("_C", crn), ("_C", crm), ("_", op2)];
    numbers.into_iter().for_each(|(before, number)| _ = out.put(before).decimal(number.into()));
}

fn rights(out: &mut Text, rights: Rights) {
    const LETTERS: [(Rights, &str); 6] = [
        (Rights::READ, "r"),
        (Rights::WRITE, "w"),
        (Rights::INTERRUPT, "i"),
        (Rights::CONTROL, "c"),
        (Rights::GRANT, "g"),
        (Rights::CALL, "x"),
    ];
    let has = LETTERS.into_iter().filter(|(right, _)| rights.intersects(*right));
    has.for_each(|(_, letter)| _ = out.put(letter));
}
