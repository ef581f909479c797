//! A channel: memory that two VMs share, and a doorbell each way.
//!
//! The memory goes past this crate: the kernel shows it to both guests. Here are the
//! registers of an end, of which one is the doorbell. The README has them.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod registers;
#[cfg(test)]
mod tests;

use evisor_contract::{
    ChannelEnd, Context, Mmio, Needs, Object, Parts, Reply, Restore, RestoreError, Rights, Save,
    Width, WindowNeed, component,
};

component! {
    compatible: ["evisor,channel"],
    needs: Needs { root: true, shared: true, ..Needs::NONE },
    properties: [],
    build: |_node, _grants| Ok(Parts::new(Channel).done()),
    describe: |_node, _guest| Ok(()),
}

component! {
    compatible: ["evisor,channel-end"],
    needs: Needs {
        windows: &[
            WindowNeed { access: Rights::READ32.union(Rights::WRITE32), ..WindowNeed::new(0x1000) },
            WindowNeed::new(0),
        ],
        lines: 1,
        channel: true,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let end = grants.channel()?;
        grants.doorbell(0)?;
        grants.channel_window(1)?;
        Ok(Parts::new(End { end }).mmio().done())
    },
    describe: |_node, guest| {
        guest.set_strings("compatible", &["evisor-channel"]);
        Ok(())
    },
}

/// What the two ends share. It does nothing by itself.
struct Channel;

impl Object for Channel {
    /// It belongs to no VM.
    fn reset(&mut self) {}
}

/// A VM's end. What there is to know of it, the kernel keeps: the other end reads it too.
struct End {
    end: &'static dyn ChannelEnd,
}

impl Object for End {
    fn reset(&mut self) {
        self.end.start();
    }

    fn save(&self, to: &mut Save) {
        to.begin(registers::STATE_TAG, registers::STATE_VERSION);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(registers::STATE_TAG, registers::STATE_VERSION)
    }
}

impl Mmio for End {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let value = match offset {
            registers::IDENTITY => registers::EVISOR_CHANNEL,
            registers::VERSION => registers::THIS_VERSION,
            registers::NUMBER => self.end.number(),
            registers::SIZE => self.end.size() as u32,
            registers::STARTS => self.end.starts(),
            registers::OTHER => u32::from(self.end.other_is_up()),
            registers::OTHER_STARTS => self.end.other_starts(),
            registers::RING => 0,
            _ => return Reply::ABSENT,
        };
        Reply::value(u64::from(value) & width.mask())
    }

    #[inline(always)]
    fn write(&mut self, offset: u64, _width: Width, _value: u64, cx: &mut Context) -> Reply {
        if offset != registers::RING {
            return Reply::ABSENT;
        }
        self.end.ring(cx);
        Reply::DONE
    }
}
