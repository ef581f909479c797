//! The card: what it does with commands, and where in a transfer it is. It holds no
//! data and moves none.

mod blocks;
mod saving;

use crate::card_spec::{
    BLOCK, MOST_UNITS, UNIT, application, command, interface_condition, ocr, status,
};
use crate::identity::{LONGEST, SCR, cid, csd, sd_status, switch};

/// Its state (§4.1, Table 4-1), as the status says it; `Inactive` says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle = 0,
    Ready = 1,
    Identification = 2,
    StandBy = 3,
    Transfer = 4,
    SendingData = 5,
    ReceivingData = 6,
    Programming = 7,
    Disconnect = 8,
    Inactive = 9,
}

/// What a card answers on the CMD line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    Nothing,
    Short(u32),
    Long([u32; 4]),
}

/// What happens on the DAT lines after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing changes there.
    Nothing,
    /// The card sends so many of these bytes.
    Bytes([u8; LONGEST], usize),
    /// It sends blocks.
    Read,
    /// It receives blocks.
    Write,
    /// The transfer ends: the data are not sent further, or what was received is
    /// programmed.
    Stop,
    /// The blocks of [`Card::erase`] are erased.
    Erase,
}

/// A command's outcome.
pub struct Outcome {
    pub response: Response,
    pub follows: Follows,
}

/// What the host is told of the medium when the card is made.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Blocks that can be reached: 0 means that there is no card.
    pub blocks: u64,
    pub read_only: bool,
    pub serial: u32,
}

impl Facts {
    /// Of a medium of `blocks`: what is over a unit cannot be said and is not there.
    pub fn new(blocks: u64, read_only: bool, serial: u32) -> Self {
        let units = (blocks / UNIT).min(MOST_UNITS);
        Self { blocks: units * UNIT, read_only, serial }
    }
}

/// One card.
#[derive(Debug)]
pub struct Card {
    pub facts: Facts,
    pub state: State,
    address: u16,
    /// The command before was APP_CMD.
    application: bool,
    /// What went wrong and was not reported.
    wrong: u32,
    /// CMD8 was accepted.
    interface_known: bool,
    wide: bool,
    fast: bool,
    /// What CMD23 said, for the command behind it.
    count: Option<u32>,
    erase: (Option<u32>, Option<u32>),
    /// Blocks of the last write that are on the medium.
    written: u32,
    /// The next block that is sent or received.
    next: u64,
    /// Behind the last one.
    end: u64,
    /// The card ends the transfer itself, at `end`.
    counted: bool,
}

const NOT_ANSWERED: Outcome = Outcome { response: Response::Nothing, follows: Follows::Nothing };

impl Card {
    pub const fn new(facts: Facts) -> Self {
        Self {
            facts,
            state: State::Idle,
            address: 0,
            application: false,
            wrong: 0,
            interface_known: false,
            wide: false,
            fast: false,
            count: None,
            erase: (None, None),
            written: 0,
            next: 0,
            end: 0,
            counted: false,
        }
    }

    /// It lost its power.
    pub fn power_cycle(&mut self) {
        *self = Self::new(self.facts);
    }

    pub fn inserted(&self) -> bool {
        self.facts.blocks != 0
    }

    /// It holds DAT\[0\] low.
    pub fn busy(&self) -> bool {
        self.state == State::Programming
    }

    /// It is busy, selected or not.
    pub fn programs(&self) -> bool {
        matches!(self.state, State::Programming | State::Disconnect)
    }

    /// What it does with a command.
    pub fn command(&mut self, index: u8, argument: u32) -> Outcome {
        if !self.inserted() || self.state == State::Inactive {
            return NOT_ANSWERED;
        }
        let was_application = core::mem::take(&mut self.application);
        let outcome = match was_application.then(|| self.application_command(index, argument)) {
            Some(Some(outcome)) => outcome,
            // One that is not application-specific is an ordinary one (§4.3.9).
            _ => self.ordinary_command(index, argument),
        };
        if !matches!(index, command::SET_BLOCK_COUNT | command::APPLICATION) {
            self.count = None;
        }
        outcome
    }

    /// §4.7.4, and where each is legal: §4.8, Table 4-35.
    fn ordinary_command(&mut self, index: u8, argument: u32) -> Outcome {
        self.check_erase_sequence(index);
        match (index, self.state) {
            (command::GO_IDLE, _) => self.go_idle(),
            (command::SEND_INTERFACE_CONDITION, State::Idle) => self.interface(argument),
            (command::ALL_SEND_CID, State::Ready) => {
                self.state = State::Identification;
                long(cid(self.facts.serial))
            }
            (command::SEND_RELATIVE_ADDRESS, State::Identification | State::StandBy) => {
                self.new_address()
            }
            (command::SELECT, _) => self.select(argument),
            (command::APPLICATION, State::Idle) if argument >> 16 == 0 => self.expect_application(),
            // For another card: nothing is said, and nothing is wrong.
            (
                command::SEND_CSD
                | command::SEND_CID
                | command::SEND_STATUS
                | command::GO_INACTIVE
                | command::APPLICATION,
                _,
            ) if !self.is_addressed(argument) => NOT_ANSWERED,
            (command::APPLICATION, _) => self.expect_application(),
            (command::SEND_CSD, State::StandBy) => {
                long(csd(self.facts.blocks, self.facts.read_only, self.fast))
            }
            (command::SEND_CID, State::StandBy) => long(cid(self.facts.serial)),
            (command::GO_INACTIVE, _) => {
                self.state = State::Inactive;
                Outcome { follows: Follows::Stop, ..NOT_ANSWERED }
            }
            (command::SEND_STATUS, _) => self.report(0),
            (command::STOP, State::SendingData) => self.stop(State::Transfer),
            (command::STOP, State::ReceivingData) => self.stop(State::Programming),
            (_, State::Transfer) => self.transfer_command(index, argument),
            _ => self.illegal(),
        }
    }

    /// What is legal in the transfer state only.
    fn transfer_command(&mut self, index: u8, argument: u32) -> Outcome {
        match index {
            command::SWITCH => {
                let (answer, fast) = switch(argument, self.fast);
                let outcome = self.send(answer, LONGEST);
                if argument >> 31 != 0 {
                    self.fast = fast;
                }
                outcome
            }
            // The length is for a command that this card does not have.
            command::SET_BLOCK_LENGTH => {
                self.report(if argument > BLOCK { status::BLOCK_LENGTH_ERROR } else { 0 })
            }
            command::SET_BLOCK_COUNT => {
                self.count = Some(argument);
                self.report(0)
            }
            command::READ_SINGLE => self.begin(argument, Some(1), State::SendingData),
            command::READ_MULTIPLE => self.begin(argument, self.count, State::SendingData),
            command::WRITE_SINGLE => self.begin(argument, Some(1), State::ReceivingData),
            command::WRITE_MULTIPLE => self.begin(argument, self.count, State::ReceivingData),
            command::ERASE_START => {
                self.erase = (Some(argument), None);
                self.report(self.out_of_range(argument))
            }
            command::ERASE_END => self.erase_end(argument),
            command::ERASE => self.begin_erase(),
            _ => self.illegal(),
        }
    }

    /// Table 4-32; `None` if it is not one.
    fn application_command(&mut self, index: u8, argument: u32) -> Option<Outcome> {
        let outcome = match (index, self.state) {
            (application::SEND_OPERATING_CONDITION, State::Idle) => {
                self.operating_condition(argument)
            }
            (application::SET_BUS_WIDTH, State::Transfer) => {
                self.wide = argument & 3 == 2;
                self.report(status::APPLICATION)
            }
            (application::SD_STATUS, State::Transfer) => {
                let answer = sd_status(self.wide);
                self.send_application(answer, LONGEST)
            }
            (application::SEND_WRITTEN, State::Transfer) => {
                let answer = register(&self.written.to_be_bytes());
                self.send_application(answer, 4)
            }
            (application::SET_ERASE_COUNT | application::SET_CARD_DETECT, State::Transfer) => {
                self.report(status::APPLICATION)
            }
            (application::SEND_SCR, State::Transfer) => {
                self.send_application(register(&SCR), SCR.len())
            }
            _ => return None,
        };
        Some(outcome)
    }
}

/// Identification (§4.2).
impl Card {
    fn go_idle(&mut self) -> Outcome {
        self.power_cycle();
        Outcome { follows: Follows::Stop, ..NOT_ANSWERED }
    }

    /// CMD8 (§4.3.13).
    fn interface(&mut self, argument: u32) -> Outcome {
        if argument & interface_condition::VOLTAGE != interface_condition::HIGH_VOLTAGE {
            return NOT_ANSWERED;
        }
        self.interface_known = true;
        short(argument & interface_condition::ECHO)
    }

    /// ACMD41 (§4.2.3.1): a host that does not know of high capacity waits for ever,
    /// and one whose voltage is not there loses the card.
    fn operating_condition(&mut self, argument: u32) -> Outcome {
        let register = ocr::VOLTAGES;
        if argument & 0x00ff_ffff == 0 {
            return short(register);
        }
        if argument & ocr::VOLTAGES == 0 {
            self.state = State::Inactive;
            return NOT_ANSWERED;
        }
        if !self.interface_known || argument & ocr::HIGH_CAPACITY == 0 {
            return short(register);
        }
        self.state = State::Ready;
        short(register | ocr::READY | ocr::HIGH_CAPACITY)
    }

    /// CMD3, with the response R6 (§4.9.5).
    fn new_address(&mut self) -> Outcome {
        let Outcome { response, .. } = self.report(0);
        let Response::Short(bits) = response else { return NOT_ANSWERED };
        self.address = self.address.wrapping_add(1).max(1);
        self.state = State::StandBy;
        let bits = bits >> 8 & 0xc000 | bits >> 6 & 0x2000 | bits & 0x1fff;
        short(u32::from(self.address) << 16 | bits)
    }

    fn is_addressed(&self, argument: u32) -> bool {
        self.address != 0 && argument >> 16 == u32::from(self.address)
    }

    /// CMD7: with another card's address it deselects.
    fn select(&mut self, argument: u32) -> Outcome {
        let selected = self.is_addressed(argument);
        let (next, follows) = match (self.state, selected) {
            (State::StandBy, true) => (State::Transfer, Follows::Nothing),
            (State::Disconnect, true) => (State::Programming, Follows::Nothing),
            (State::Transfer, false) => (State::StandBy, Follows::Nothing),
            (State::SendingData, false) => (State::StandBy, Follows::Stop),
            (State::Programming, false) => (State::Disconnect, Follows::Nothing),
            (State::StandBy | State::Disconnect, false) => return NOT_ANSWERED,
            _ => return self.illegal(),
        };
        let Outcome { response, .. } = self.report(0);
        self.state = next;
        // It is the selected card that answers.
        Outcome { response: if selected { response } else { Response::Nothing }, follows }
    }
}

/// Answers.
impl Card {
    /// R1 (§4.9.1), with the state before the command. What it reports is cleared.
    fn report(&mut self, bits: u32) -> Outcome {
        let wrong = core::mem::take(&mut self.wrong);
        let ready = match self.state {
            State::Programming | State::Disconnect => 0,
            _ => status::READY_FOR_DATA,
        };
        short(wrong | bits | (self.state as u32) << status::STATE | ready)
    }

    /// No response, and the next one says why (§4.6.1).
    fn illegal(&mut self) -> Outcome {
        self.wrong |= status::ILLEGAL_COMMAND;
        NOT_ANSWERED
    }

    fn expect_application(&mut self) -> Outcome {
        match self.state {
            State::Ready | State::Identification => return self.illegal(),
            _ => self.application = true,
        }
        self.report(status::APPLICATION)
    }

    fn send(&mut self, bytes: [u8; LONGEST], count: usize) -> Outcome {
        Outcome { follows: Follows::Bytes(bytes, count), ..self.report(0) }
    }

    fn send_application(&mut self, bytes: [u8; LONGEST], count: usize) -> Outcome {
        Outcome { follows: Follows::Bytes(bytes, count), ..self.report(status::APPLICATION) }
    }
}

fn short(word: u32) -> Outcome {
    Outcome { response: Response::Short(word), follows: Follows::Nothing }
}

fn long(words: [u32; 4]) -> Outcome {
    Outcome { response: Response::Long(words), follows: Follows::Nothing }
}

fn register(bytes: &[u8]) -> [u8; LONGEST] {
    let mut all = [0; LONGEST];
    all.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
    all
}
