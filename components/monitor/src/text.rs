//! Bytes that wait, and how facts become bytes: without a formatter, in bounded time.

use evisor_contract::Bytes;

/// How much waits at most.
pub const ROOM: usize = 1024;

/// A ring of bytes.
pub struct Ring<const SIZE: usize> {
    bytes: [u8; SIZE],
    first: usize,
    count: usize,
}

impl<const SIZE: usize> Ring<SIZE> {
    pub const fn new() -> Self {
        Self { bytes: [0; SIZE], first: 0, count: 0 }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// False: there is no room.
    #[must_use]
    pub fn push(&mut self, byte: u8) -> bool {
        if self.count == SIZE {
            return false;
        }
        let slot = self.bytes.get_mut((self.first + self.count) % SIZE);
        self.count += 1;
        slot.map(|slot| *slot = byte).is_some()
    }

    pub fn pop(&mut self) -> Option<u8> {
        self.count = self.count.checked_sub(1)?;
        let byte = self.bytes.get(self.first).copied();
        self.first = (self.first + 1) % SIZE;
        byte
    }
}

/// What waits for the console.
pub struct Text {
    ring: Ring<ROOM>,
    /// How long the line is that is being written, for columns.
    column: usize,
}

impl Text {
    pub const fn new() -> Self {
        Self { ring: Ring::new(), column: 0 }
    }

    pub fn len(&self) -> usize {
        self.ring.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub fn clear(&mut self) {
        self.ring.clear();
        self.column = 0;
    }

    /// The oldest, as many as go with one effect.
    pub fn take(&mut self) -> Bytes {
        let mut bytes = Bytes::NONE;
        while (bytes.count() as usize) < Bytes::MOST {
            let Some(byte) = self.ring.pop() else { break };
            bytes.push(byte);
        }
        bytes
    }

    /// A byte, which is dropped if there is no room: who writes much looks first.
    pub fn byte(&mut self, byte: u8) {
        self.column = if byte == b'\n' { 0 } else { self.column + 1 };
        let _ = self.ring.push(byte);
    }

    pub fn put(&mut self, text: &str) -> &mut Self {
        text.bytes().for_each(|byte| self.byte(byte));
        self
    }

    pub fn end(&mut self) {
        self.put("\r\n");
    }

    /// Spaces up to `column`, one at least if anything is there.
    pub fn to(&mut self, column: usize) -> &mut Self {
        if self.column > 0 {
            self.byte(b' ');
        }
        while self.column < column {
            self.byte(b' ');
        }
        self
    }

    pub fn decimal(&mut self, number: u64) -> &mut Self {
        self.number(number, 10)
    }

    pub fn hex(&mut self, number: u64) -> &mut Self {
        self.put("0x").number(number, 16)
    }

    fn number(&mut self, mut number: u64, base: u64) -> &mut Self {
        let mut digits = [0_u8; 20];
        let mut count = 0;
        for digit in digits.iter_mut().rev() {
            let value = (number % base) as u8;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            number /= base;
            count += 1;
            if number == 0 {
                break;
            }
        }
        let unused = digits.len() - count;
        digits.iter().skip(unused).for_each(|digit| self.byte(*digit));
        self
    }

    /// A size, in the largest unit that leaves nothing over.
    pub fn size(&mut self, bytes: u64) -> &mut Self {
        const UNITS: [(u32, &str); 3] = [(30, " GiB"), (20, " MiB"), (10, " KiB")];
        let fits = |&(shift, _): &(u32, _)| bytes > 0 && bytes.trailing_zeros() >= shift;
        let (shift, unit) = UNITS.into_iter().find(fits).unwrap_or((0, " bytes"));
        self.decimal(bytes >> shift).put(unit)
    }
}
