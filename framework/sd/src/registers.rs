//! How the driver reaches the controller and the time.

use crate::spec::offset;
use evisor_contract::Window;

/// The controller's registers. Accesses are of 32 bits only: that is all that the
/// BCM2835's and BCM2711's buses carry.
pub trait Registers {
    /// The word at this offset, one of [`offset`].
    fn read(&mut self, offset: usize) -> u32;

    /// Sets the word at this offset.
    fn write(&mut self, offset: usize, value: u32);

    /// Fills `words` from the buffer data port: the inner loop of reading.
    fn read_data(&mut self, words: &mut [u32]) {
        for word in words {
            *word = self.read(offset::DATA);
        }
    }

    /// Sends `words` to the buffer data port: the inner loop of writing.
    fn write_data(&mut self, words: &[u32]) {
        for &word in words {
            self.write(offset::DATA, word);
        }
    }
}

/// What time it is. Every wait of the driver ends by it.
pub trait Clock {
    /// Microseconds since some moment; it never goes back.
    fn micros(&self) -> u64;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn micros(&self) -> u64 {
        (**self).micros()
    }
}

/// A window of 256 bytes or more. What lies beyond it reads as 0.
impl Registers for Window {
    fn read(&mut self, offset: usize) -> u32 {
        self.get(offset / 4).map_or(0, |word| word.read())
    }

    fn write(&mut self, offset: usize, value: u32) {
        if let Some(mut word) = self.get(offset / 4) {
            word.write(value);
        }
    }

    // Sixteen words at a time are held in registers and stored in pairs: 27
    // instructions, of which 16 are the accesses.
    fn read_data(&mut self, words: &mut [u32]) {
        let Some(port) = self.get(offset::DATA / 4) else { return };
        let (lines, rest) = words.as_chunks_mut::<16>();
        for line in lines {
            let (a, b, c, d) = (port.read(), port.read(), port.read(), port.read());
            let (e, f, g, h) = (port.read(), port.read(), port.read(), port.read());
            let (i, j, k, l) = (port.read(), port.read(), port.read(), port.read());
            let (m, n, o, p) = (port.read(), port.read(), port.read(), port.read());
            *line = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p];
        }
        for word in rest {
            *word = port.read();
        }
    }

    fn write_data(&mut self, words: &[u32]) {
        let Some(mut port) = self.get(offset::DATA / 4) else { return };
        let (lines, rest) = words.as_chunks::<8>();
        for &[a, b, c, d, e, f, g, h] in lines {
            port.write(a);
            port.write(b);
            port.write(c);
            port.write(d);
            port.write(e);
            port.write(f);
            port.write(g);
            port.write(h);
        }
        for &word in rest {
            port.write(word);
        }
    }
}
