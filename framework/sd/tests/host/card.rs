//! A model of an SD card (PL §4).

use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle = 0,
    Ready = 1,
    Identification = 2,
    StandBy = 3,
    Transfer = 4,
    Data = 5,
    Receive = 6,
    Programming = 7,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// None, and none is due.
    Nothing,
    /// None, though one is due.
    Silence,
    Short(u32),
    Long([u32; 4]),
}

pub const OUT_OF_RANGE: u32 = 1 << 31;
const ILLEGAL: u32 = 1 << 22;
const ADDRESS: u16 = 0x5a5a;

pub struct Card {
    pub content: Vec<u8>,
    pub state: State,
    pub high_capacity: bool,
    /// Knows CMD8.
    pub version_2: bool,
    pub offers_four_lines: bool,
    pub offers_high_speed: bool,
    /// How often ACMD41 is answered before the card is up.
    pub slow: u32,
    /// Commands (by number, ACMDs from 100 on) that are not answered, and how often.
    pub silent: BTreeMap<u8, u32>,
    /// Errors in R1, by command.
    pub refuses: BTreeMap<u8, u32>,
    pub locked: bool,
    /// Stays in the programming state.
    pub stuck: bool,
    pub four_lines: bool,
    pub high_speed: bool,
    pub block_length: u32,
    /// Where a transfer is: a byte of the content.
    pub at: usize,
    /// What is sent instead of blocks.
    pub register: Option<Vec<u8>>,
    /// Commands as they came, ACMDs from 100 on.
    pub seen: Vec<u8>,
    errors: u32,
    application: bool,
}

impl Card {
    pub fn new(blocks: usize) -> Self {
        Self {
            content: vec![0; blocks * 512],
            state: State::Idle,
            high_capacity: true,
            version_2: true,
            offers_four_lines: true,
            offers_high_speed: true,
            slow: 2,
            silent: BTreeMap::new(),
            refuses: BTreeMap::new(),
            locked: false,
            stuck: false,
            four_lines: false,
            high_speed: false,
            block_length: 512,
            at: 0,
            register: None,
            seen: Vec::new(),
            errors: 0,
            application: false,
        }
    }

    fn r1(&mut self, index: u8) -> Answer {
        let ready = !matches!(self.state, State::Programming | State::Receive);
        let refused = self.refuses.get(&index).copied().unwrap_or(0);
        let status = self.errors
            | refused
            | u32::from(self.locked) << 25
            | (self.state as u32) << 9
            | u32::from(ready) << 8
            | u32::from(self.application) << 5;
        self.errors = 0;
        Answer::Short(status)
    }

    pub fn command(&mut self, index: u8, argument: u32) -> Answer {
        let application = std::mem::take(&mut self.application);
        let name = if application { index + 100 } else { index };
        self.seen.push(name);
        if let Some(left) = self.silent.get_mut(&name).filter(|left| **left > 0) {
            *left -= 1;
            return Answer::Silence;
        }
        let address = (argument >> 16) as u16;
        match (name, self.state) {
            (0, _) => {
                self.state = State::Idle;
                Answer::Nothing
            }
            (8, State::Idle) if self.version_2 => Answer::Short(argument & 0xfff),
            (55, State::Idle) => {
                self.application = true;
                self.r1(55)
            }
            (55, _) if address == ADDRESS => {
                self.application = true;
                self.r1(55)
            }
            (141, State::Idle) => self.operation_conditions(argument),
            (2, State::Ready) => {
                self.state = State::Identification;
                Answer::Long([1, 2, 3, 4])
            }
            (3, State::Identification) => {
                self.state = State::StandBy;
                Answer::Short(u32::from(ADDRESS) << 16 | 0x500)
            }
            (9, State::StandBy) if address == ADDRESS => Answer::Long(self.csd()),
            (7, State::StandBy) if address == ADDRESS => {
                let answer = self.r1(7);
                self.state = State::Transfer;
                answer
            }
            (13, _) if address == ADDRESS => self.r1(13),
            (12, State::Data | State::Receive) => {
                let answer = self.r1(12);
                let busy = self.stuck && self.state == State::Receive;
                self.state = if busy { State::Programming } else { State::Transfer };
                answer
            }
            (_, State::Transfer) => self.in_transfer(name, argument),
            _ => self.illegal(),
        }
    }

    fn illegal(&mut self) -> Answer {
        self.errors |= ILLEGAL;
        Answer::Silence
    }

    fn operation_conditions(&mut self, argument: u32) -> Answer {
        assert_eq!(argument & 0x00ff_8000, 0x0030_0000, "3.2 V to 3.4 V");
        assert!(self.version_2 || argument >> 30 & 1 == 0, "HCS to a card of version 1");
        if self.slow > 0 {
            self.slow -= 1;
            return Answer::Short(0x00ff_8000);
        }
        self.state = State::Ready;
        Answer::Short(0x80ff_8000 | u32::from(self.high_capacity) << 30)
    }

    fn csd(&self) -> [u32; 4] {
        let blocks = (self.content.len() / 512) as u128;
        let classes = 1_u128 << (84 + 10);
        let csd = if self.high_capacity {
            assert_eq!(blocks % 1024, 0, "a high capacity card is of 512 KiB units");
            1 << 126 | classes | (blocks / 1024 - 1) << 48
        } else {
            assert_eq!(blocks % 4, 0, "a standard capacity card is of units");
            classes | 9 << 80 | (blocks / 4 - 1) << 62
        };
        [8, 40, 72, 104].map(|shift| (csd >> shift) as u32)
    }

    fn in_transfer(&mut self, name: u8, argument: u32) -> Answer {
        match name {
            151 => {
                let widths = if self.offers_four_lines { 5 } else { 1 };
                self.register = Some(vec![2, widths, 0, 0, 0, 0, 0, 0]);
            }
            106 => self.four_lines = argument == 2,
            6 => self.register = Some(self.switch(argument)),
            16 => self.block_length = argument,
            17 | 18 | 24 | 25 => return self.blocks(name, argument),
            _ => return self.illegal(),
        }
        let answer = self.r1(name);
        if self.register.is_some() {
            self.state = State::Data;
        }
        answer
    }

    fn switch(&mut self, argument: u32) -> Vec<u8> {
        assert_eq!(argument & 0x7fff_ffff, 0x00ff_fff1);
        let mut status = vec![0; 64];
        status[13] = 1 | u8::from(self.offers_high_speed) << 1;
        status[16] = if self.offers_high_speed { 1 } else { 0xf };
        self.high_speed |= argument >> 31 == 1 && self.offers_high_speed;
        status
    }

    fn blocks(&mut self, name: u8, argument: u32) -> Answer {
        let at = if self.high_capacity { u64::from(argument) << 9 } else { u64::from(argument) };
        assert!(self.high_capacity || self.block_length == 512);
        self.at = at as usize;
        if self.at >= self.content.len() {
            self.errors |= OUT_OF_RANGE;
            return self.r1(name);
        }
        let answer = self.r1(name);
        if self.refuses.get(&name).is_none_or(|errors| *errors == 0) {
            self.state = if name < 24 { State::Data } else { State::Receive };
        }
        answer
    }

    /// The next block that it sends, or the register.
    pub fn send(&mut self, size: usize, last: bool) -> Vec<u8> {
        assert_eq!(self.state, State::Data);
        if let Some(register) = self.register.take() {
            assert_eq!(register.len(), size);
            self.state = State::Transfer;
            return register;
        }
        assert_eq!(size, 512);
        let bytes = self.content[self.at..self.at + size].to_vec();
        self.at += size;
        if last {
            self.state = State::Transfer;
        }
        bytes
    }

    /// A block that it is sent.
    pub fn receive(&mut self, bytes: &[u8], last: bool) {
        assert_eq!(self.state, State::Receive);
        self.content[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        if last {
            self.state = if self.stuck { State::Programming } else { State::Transfer };
        }
    }
}
