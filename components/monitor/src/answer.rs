//! Answers, a line at a time.

use crate::Monitor;
use crate::commands::operand;
use crate::text::Text;
use evisor_contract::{Names, Power, Register, Rights, RouteFacts, VmState};

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Help,
    Vms,
    Vm,
    Routes,
    Interrupts,
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
            What::Vm if part == 0 => (self.vcpu(vm, line), 2),
            What::Vm => (self.memory(vm, line), 2),
            What::Routes => (self.route(vm, part, line), KINDS.len()),
            What::Interrupts => (self.route(vm, KINDS.len() - 1, line), 1),
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
        let state = match facts.state {
            VmState::On => "on",
            VmState::Changing => "changing",
            VmState::Off => "off",
        };
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
