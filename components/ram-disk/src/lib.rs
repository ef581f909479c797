//! A block store in memory of its own, which a file of the bundle may fill.
//!
//! Whatever is asked is done and answered at once: a request moves 4 KiB at most.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use evisor_contract::{
    BLOCK, Backend, BlockBuffer, BlockDone, BlockOpening, BlockOperation, BlockRequest, BuildError,
    Context, Effect, Memory, Needs, Notify, Object, Outside, Parts, Reply, component, tag,
};

component! {
    compatible: ["evisor,ram-disk"],
    needs: Needs { root: true, store: true, storage: true, ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        let (memory, size) = grants.storage()?;
        let disk = RamDisk { memory, blocks: size / BLOCK as u64, ports: [NO_PORT; PORTS] };
        Ok(Parts::new(disk).notify().backend().done())
    },
    describe: |_node, _guest| Ok(()),
}

/// How many ports there are.
const PORTS: usize = 8;
const NO_PORT: Option<Port> = None;

/// A port that was opened.
struct Port {
    read_only: bool,
    buffer: &'static BlockBuffer,
    holder: Option<Effect>,
}

struct RamDisk {
    memory: &'static dyn Memory,
    blocks: u64,
    ports: [Option<Port>; PORTS],
}

impl Object for RamDisk {
    /// It belongs to no VM, and its blocks outlive a VM's restart.
    fn reset(&mut self) {}
}

impl Backend for RamDisk {
    fn open(&mut self, port: u32, opening: &BlockOpening) -> Result<u64, BuildError> {
        let BlockOpening { part, read_only, buffer } = *opening;
        if part != 0 {
            let remedy = "write part 0, which is all of it";
            return Err(BuildError::property("evisor,block", "a RAM disk has no parts", remedy));
        }
        let full =
            || BuildError::property("evisor,block", "the RAM disk has 8 ports", "add a disk");
        *self.ports.get_mut(port as usize).ok_or_else(full)? =
            Some(Port { read_only, buffer, holder: None });
        Ok(self.blocks)
    }

    fn connect(&mut self, port: u32, holder: Effect) {
        if let Some(Some(port)) = self.ports.get_mut(port as usize) {
            port.holder = Some(holder);
        }
    }
}

impl Notify for RamDisk {
    /// A request through port number `tag`.
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        let Some(Some(port)) = self.ports.get(tag as usize) else { return Reply::ABSENT };
        let done = match BlockRequest::decode(value) {
            Some(request) if request.fits(self.blocks, port.read_only) => self.serve(port, request),
            _ => BlockDone::Refused,
        };
        if let Some(holder) = port.holder {
            cx.push(Effect { tag: tag::BLOCK_DONE, value: done.encode(), ..holder });
        }
        Reply::DONE
    }
}

impl RamDisk {
    /// Does what fits.
    fn serve(&self, port: &Port, request: BlockRequest) -> BlockDone {
        let at = request.block.saturating_mul(BLOCK as u64);
        let moved = port.buffer.with(|bytes| {
            let bytes = bytes.get_mut(..request.count as usize * BLOCK).ok_or(Outside)?;
            match request.operation {
                BlockOperation::Read => self.memory.read(at, bytes),
                BlockOperation::Write => self.memory.write(at, bytes),
                BlockOperation::Flush => Ok(()),
            }
        });
        if moved.is_ok() { BlockDone::Done } else { BlockDone::Failed }
    }
}
