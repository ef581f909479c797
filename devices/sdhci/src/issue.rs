//! Sending commands, and resets.

use crate::Sdhci;
use crate::card::{Follows, Response};
use crate::card_spec::command;
use crate::registers::Registers;
use crate::spec::{
    AUTO_ERRORS, BLOCK_GAP, CLOCK, COMMAND, ERRORS, HOST_CONTROL, RESET, STATUS, TRANSFER_MODE,
};
use crate::store::Want;
use crate::transfer::{Kind, Transfer};
use tock_registers::LocalRegisterCopy;

/// A command and what is to follow, as the guest put it into the registers.
type Command = LocalRegisterCopy<u16, COMMAND::Register>;

impl Sdhci {
    /// The command register was written. One that needs the DAT lines while they are
    /// in use is not sent (§1.15).
    pub fn issue(&mut self) {
        let command = self.registers.command;
        let index = command.read(COMMAND::INDEX) as u8;
        let aborts = command.matches_all(COMMAND::TYPE::Abort) || index == command::STOP;
        let uses_data =
            command.is_set(COMMAND::DATA) || command.matches_all(COMMAND::RESPONSE::Busy);
        if uses_data && !aborts && self.is_inhibited() {
            return;
        }
        if self.precedes(command) && !self.send_automatically(command::SET_BLOCK_COUNT) {
            self.registers.auto_errors.modify(AUTO_ERRORS::NOT_ISSUED::SET);
            return;
        }
        self.send(command, index);
    }

    /// Whether Auto CMD23 comes first (§1.12).
    fn precedes(&self, command: Command) -> bool {
        let mode = self.registers.transfer_mode;
        command.is_set(COMMAND::DATA) && mode.matches_all(TRANSFER_MODE::AUTO::Cmd23)
    }

    fn send(&mut self, command: Command, index: u8) {
        let expected = !command.matches_all(COMMAND::RESPONSE::Nothing);
        let (response, follows) = self.ask_card(index, self.registers.argument);
        match response {
            Response::Nothing if expected => {
                self.registers.fail(ERRORS::COMMAND_TIMEOUT::SET);
                return self.follow(follows);
            }
            Response::Nothing => {}
            Response::Short(word) => self.registers.response[0] = word,
            Response::Long(words) => self.registers.response = words,
        }
        self.registers.happen(STATUS::COMMAND::SET);
        if command.is_set(COMMAND::DATA) {
            self.begin(follows);
        } else {
            self.follow(follows);
            if command.matches_all(COMMAND::RESPONSE::Busy) {
                self.wait_for_card();
            }
        }
    }

    /// What the card does with a command; without a clock it hears nothing.
    fn ask_card(&mut self, index: u8, argument: u32) -> (Response, Follows) {
        if !self.registers.clock.is_set(CLOCK::CARD) {
            return (Response::Nothing, Follows::Nothing);
        }
        let outcome = self.card.command(index, argument);
        (outcome.response, outcome.follows)
    }

    /// Sends CMD12 or CMD23; whether it was answered (§2.2.7, §2.2.23).
    pub fn send_automatically(&mut self, index: u8) -> bool {
        self.registers.auto_errors.set(0);
        let (response, _) = self.ask_card(index, self.registers.argument2);
        let Response::Short(word) = response else {
            self.registers.auto_errors.modify(AUTO_ERRORS::TIMEOUT::SET);
            self.registers.fail(ERRORS::AUTO::SET);
            return false;
        };
        self.registers.response[3] = word;
        true
    }

    /// What happens on the DAT lines where the host expects no data.
    fn follow(&mut self, follows: Follows) {
        match follows {
            Follows::Stop => self.stop(),
            Follows::Erase => self.erases = true,
            Follows::Read | Follows::Write => self.card.abandon(),
            Follows::Bytes(..) | Follows::Nothing => {}
        }
    }

    /// The card may be busy; its end is the transfer's (§2.2.17).
    pub fn wait_for_card(&mut self) {
        if self.card.busy() {
            self.waits = true;
        } else {
            self.registers.happen(STATUS::TRANSFER::SET);
        }
    }

    /// The data end here. What the card has received it programs, if it was told to
    /// stop; else it is lost.
    pub fn stop(&mut self) {
        let gathered = self.transfer.gathered();
        self.transfer = Transfer::NONE;
        self.fifo.close();
        if !self.card.busy() {
            self.store.forget();
            self.erases = false;
            if core::mem::take(&mut self.waits) {
                self.registers.happen(STATUS::TRANSFER::SET);
            }
        } else if gathered != 0 && self.store.want == Want::Nothing {
            let (next, _) = self.card.place();
            self.store.want = Want::Write(next, gathered);
        }
    }

    /// The software reset register was written (§2.2.16). It is done at once.
    pub fn software_reset(&mut self, value: u16) {
        let reset = LocalRegisterCopy::<u16, RESET::Register>::new(value);
        if reset.is_set(RESET::ALL) {
            let powered = self.registers.host_control.is_set(HOST_CONTROL::POWER);
            self.reset_data();
            self.registers = Registers::RESET;
            if powered {
                self.check_power();
            }
            return;
        }
        if reset.is_set(RESET::DAT) {
            self.reset_data();
        }
        if reset.is_set(RESET::CMD) {
            self.registers.status.modify(STATUS::COMMAND::CLEAR);
        }
    }

    /// The host forgets its transfer, and the card is not told.
    fn reset_data(&mut self) {
        if self.transfer.kind != Kind::None {
            self.card.abandon();
            self.store.forget();
        }
        self.transfer = Transfer::NONE;
        self.fifo.close();
        self.waits = false;
        self.registers.block_gap.modify(BLOCK_GAP::STOP::CLEAR);
        self.registers.status.modify(
            STATUS::READ_READY::CLEAR
                + STATUS::WRITE_READY::CLEAR
                + STATUS::DMA::CLEAR
                + STATUS::BLOCK_GAP::CLEAR
                + STATUS::TRANSFER::CLEAR,
        );
    }
}
