//! What a component is built of on the bench.

use crate::fake::{World, WorldSetup};
use evisor_contract::{
    BuildError, Declaration, Node, Parts, Register, Share, WindowNeed, components,
};
use std::collections::BTreeMap;

/// What the component's node and VM are like. The defaults suit most devices.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node's properties besides `compatible`, `reg` and `interrupts`.
    pub properties: Vec<(&'static str, Vec<u8>)>,
    /// How many interrupts the node lists: all that it may, if not said.
    pub lines: Option<usize>,
    /// How many vCPUs the VM has.
    pub vcpus: usize,
    /// Whether the node has the control right over its VM.
    pub control: bool,
    /// The host's identification registers.
    pub host_registers: Vec<(Register, u64)>,
    /// The size of a window that is as large as the node says.
    pub window: u64,
    /// What the host's source of random numbers gives, in order, and after that
    /// nothing; or the host has none.
    pub entropy: Option<Vec<u64>>,
    /// How many blocks the part of a store has that the node is given.
    pub blocks: u64,
    /// Whether it only may read them.
    pub read_only: bool,
    /// Whether the guest's accesses to a device of the board go there directly.
    pub direct: bool,
    /// How many blocks the board's card has; or there is no place for one.
    pub disk: Option<u64>,
    /// Whether the board's firmware has a property mailbox.
    pub mailbox: bool,
    /// What the vCPUs of a scheduler's core were promised.
    pub members: Vec<Share>,
    /// Whether the VM's vCPUs are told how much of their time others had.
    pub stolen_time: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            properties: Vec::new(),
            lines: None,
            vcpus: 1,
            control: true,
            host_registers: Vec::new(),
            entropy: None,
            window: 2 << 20,
            blocks: 1 << 16,
            read_only: false,
            direct: false,
            disk: None,
            mailbox: false,
            members: Vec::new(),
            stolen_time: false,
        }
    }
}

pub(crate) fn world(declaration: &Declaration, setup: &Setup) -> World {
    World::new(WorldSetup {
        window: setup.window,
        lines: lines(declaration, setup),
        vcpus: setup.vcpus,
        control: setup.control,
        host_registers: setup.host_registers.iter().map(|(r, v)| (r.key(), *v)).collect(),
        entropy: setup.entropy.clone(),
        blocks: setup.blocks,
        read_only: setup.read_only,
        direct: setup.direct,
        disk: setup.disk,
        mailbox: setup.mailbox,
        members: setup.members.clone(),
        stolen_time: setup.stolen_time,
    })
}

/// What is built of the component that answers to `compatible`, without a guest.
pub(crate) fn parts(compatible: &str, setup: &Setup) -> Result<Parts, BuildError> {
    let declaration = declaration(compatible);
    build(declaration, setup, &mut world(declaration, setup))
}

pub(crate) fn declaration(compatible: &str) -> &'static Declaration {
    let all = components().unwrap_or_else(|duplicate| panic!("{duplicate}"));
    let found = all.iter().find(|one| one.compatible.contains(&compatible));
    found.unwrap_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| one.name).collect();
        panic!("no component answers to {compatible:?}; linked in: {names:?}")
    })
}

/// How many lines it has.
pub(crate) fn lines(declaration: &Declaration, setup: &Setup) -> usize {
    setup.lines.unwrap_or(declaration.needs.lines + declaration.needs.optional_lines)
}

pub(crate) fn windows(declaration: &Declaration, setup: &Setup) -> Vec<(u64, u64)> {
    let size = |need: &WindowNeed| match need.size_for(setup.vcpus) {
        0 => setup.window,
        size => size,
    };
    if declaration.needs.host_device {
        return vec![(0x1000_0000, setup.window)];
    }
    declaration.needs.windows.iter().map(|need| (0x1000_0000, size(need))).collect()
}

pub(crate) fn build(
    declaration: &Declaration,
    setup: &Setup,
    world: &mut World,
) -> Result<Parts, BuildError> {
    let known: BTreeMap<_, _> = declaration.properties.iter().map(|p| (*p, ())).collect();
    let properties: Vec<(&str, &[u8])> =
        setup.properties.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    for (name, _) in &properties {
        let own = name.starts_with("evisor,");
        assert!(!own || known.contains_key(name), "{name} is not declared");
    }
    let reg = windows(declaration, setup);
    let node = Node::new("/vm/node", &properties, &reg);
    let parts = (declaration.build)(&node, world)?;
    // What the guest reads of stolen time is memory.
    let registers = !reg.is_empty() && !declaration.needs.stolen_time;
    assert_eq!(parts.mmio.is_some(), registers, "registers in memory go with windows");
    Ok(parts)
}
