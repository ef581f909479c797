//! What the auxiliary peripherals have in common: which are on. In a guest's tree it is
//! the node that gives them their clocks.

use crate::spec::{AUX, aux, writable};
use crate::{ACCESS, CORE_CLOCK};
use evisor_contract::{
    Context, Mmio, Needs, Object, Parts, Reply, Restore, RestoreError, Save, Width, WindowNeed,
    component,
};

component! {
    compatible: ["brcm,bcm2835-aux"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(8) }],
        ..Needs::NONE
    },
    properties: [],
    build: |_node, _grants| Ok(Parts::new(Auxiliary { enables: 0 }).mmio().done()),
    describe: |node, guest| {
        guest.set_cells("#clock-cells", &[1]);
        if node.bytes("clocks").is_none() {
            let clock = guest.fixed_clock(CORE_CLOCK);
            guest.set_cells("clocks", &[clock]);
        }
        Ok(())
    },
}

const TAG: [u8; 8] = *b"bcm-aux\0";
const VERSION: u32 = 1;

struct Auxiliary {
    enables: u32,
}

impl Auxiliary {
    /// AUX_IRQ does not know the mini UART's line. While that is on it says that there
    /// may be something, so that a handler that looks here first goes on to
    /// AUX_MU_IIR_REG, which knows.
    fn register(&self, offset: u64) -> u32 {
        match offset {
            aux::IRQ => self.enables & AUX::MINI_UART::SET.value,
            _ => self.enables,
        }
    }
}

impl Mmio for Auxiliary {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let word = self.register(offset & !3);
        Reply::value(u64::from(word) >> (8 * (offset & 3)) & width.mask())
    }

    #[expect(clippy::cast_possible_truncation, reason = "no register has more than 32 bits")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, _cx: &mut Context) -> Reply {
        if offset == aux::ENABLES {
            self.enables = value as u32 & writable::ENABLES;
        }
        Reply::DONE
    }
}

impl Object for Auxiliary {
    fn reset(&mut self) {
        self.enables = 0;
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        to.word(self.enables);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(TAG, VERSION)?;
        self.enables = from.bits(writable::ENABLES)?;
        Ok(())
    }
}
