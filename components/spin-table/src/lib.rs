//! A spin table: the VM's vCPUs but the first wait in a page of its memory until
//! its guest writes an address for each, as a Raspberry Pi's firmware leaves it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    BuildError, Grants, Memory, Needs, Node, Object, Parts, VcpuControl, component,
};
use spec::{ADDRESS, PAGE, STUB, WORD, WORDS};

component! {
    compatible: ["evisor,spin-table"],
    needs: Needs { guest_memory: true, ..Needs::NONE },
    properties: ["evisor,address"],
    build: |node, grants| Ok(Parts::new(build(node, grants)?).done()),
    describe: |_node, _guest| Ok(()),
}

struct SpinTable {
    memory: &'static dyn Memory,
    vcpus: &'static dyn VcpuControl,
    count: usize,
    /// Where its page is.
    page: u64,
}

fn build(node: &Node<'_>, grants: &mut dyn Grants) -> Result<SpinTable, BuildError> {
    let page = u64::from(node.cell(ADDRESS)?.unwrap_or(0));
    let refused = |message, remedy| Err(BuildError::property(ADDRESS, message, remedy));
    if !page.is_multiple_of(PAGE) {
        return refused("is not a page's", "write a multiple of 0x1000");
    }
    if !grants.addresses().iter().any(|range| range.contains(&page)) {
        return refused("is not in the VM's memory", "give the VM memory there");
    }
    let count = grants.vcpu_count();
    if count > WORDS {
        return Err(BuildError::new(
            "is for four cpus, and the VM has more",
            "remove cpu nodes, or start them by PSCI",
        ));
    }
    Ok(SpinTable { memory: grants.guest_memory()?, vcpus: grants.vcpus()?, count, page })
}

impl Object for SpinTable {
    /// The VM starts: all words are 0, and the others with it. Where memory cannot be
    /// written they stay off, as there is nothing for them to run.
    fn reset(&mut self) {
        let mut table = [0; spec::END];
        for (place, byte) in table.iter_mut().zip(STUB.iter().flat_map(|word| word.to_le_bytes())) {
            *place = byte;
        }
        if self.memory.write(self.page, &table).is_err() {
            return;
        }
        for (index, word) in (0..self.count).zip((self.page + WORD..).step_by(8)).skip(1) {
            self.vcpus.start(index, self.page, word);
        }
    }
}
