//! The registers of virtio-mmio, version 2 (Virtio §4.2.2).

use crate::queue::{Broken, Queue};
use crate::spec::{
    CONFIGURATION_CHANGED, MAGIC, MMIO_VERSION, USED_BUFFER, VENDOR, VERSION_1, register, status,
};
use evisor_contract::{Restore, RestoreError, Save};

/// What kind of device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// DeviceID (§5).
    pub device: u32,
    /// What it offers besides [`VERSION_1`].
    pub features: u64,
    /// How many descriptors its queues have at most: a power of two up to 32768.
    pub most: u32,
}

/// What a write came to, for the device to see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Nothing for it.
    Nothing,
    /// There may be something new in this queue.
    Notified(usize),
    /// The driver is ready: it was not before.
    Started,
    /// Everything is as after a reset.
    Reset,
}

/// The registers of a device with `N` queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport<const N: usize> {
    identity: Identity,
    queues: [Queue; N],
    status: u32,
    /// DeviceFeaturesSel, DriverFeaturesSel and QueueSel.
    device_half: u32,
    driver_half: u32,
    selected: u32,
    accepted: u64,
    interrupt: u32,
    generation: u32,
}

impl<const N: usize> Transport<N> {
    /// As after a reset.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            queues: [Queue::default(); N],
            status: 0,
            device_half: 0,
            driver_half: 0,
            selected: 0,
            accepted: 0,
            interrupt: 0,
            generation: 0,
        }
    }

    /// Whether the driver uses the device, and nothing is broken.
    pub fn is_running(&self) -> bool {
        let wanted = status::DRIVER_OK | status::FEATURES_OK;
        self.status & (wanted | status::NEEDS_RESET | status::FAILED) == wanted
    }

    /// Whether the two agreed on all of `features`.
    pub fn has(&self, features: u64) -> bool {
        self.status & status::FEATURES_OK != 0 && self.accepted & features == features
    }

    /// Queue number `index`.
    pub fn queue(&mut self, index: usize) -> Option<&mut Queue> {
        self.queues.get_mut(index)
    }

    /// Whether its line is up.
    pub fn line(&self) -> bool {
        self.interrupt != 0
    }

    /// A buffer was used, and the driver wants to know.
    pub fn used_buffer(&mut self) {
        self.interrupt |= USED_BUFFER;
    }

    /// The device's configuration has changed.
    pub fn configuration_changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.interrupt |= CONFIGURATION_CHANGED;
    }

    /// It cannot go on before the driver resets it (§2.1.2).
    pub fn broken(&mut self, Broken: Broken) {
        self.status |= status::NEEDS_RESET;
        if self.status & status::DRIVER_OK != 0 {
            self.configuration_changed();
        }
    }

    fn offered(&self) -> u64 {
        self.identity.features | VERSION_1
    }

    fn selected(&self) -> Option<&Queue> {
        self.queues.get(self.selected as usize)
    }

    /// Reads the register at `offset`, below [`CONFIG`](crate::CONFIG). What is not there,
    /// or only written, reads as 0.
    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            register::MAGIC_VALUE => MAGIC,
            register::VERSION => MMIO_VERSION,
            register::DEVICE_ID => self.identity.device,
            register::VENDOR_ID => VENDOR,
            register::DEVICE_FEATURES => half(self.offered(), self.device_half),
            register::QUEUE_NUM_MAX => self.selected().map_or(0, |_| self.identity.most),
            register::QUEUE_READY => self.selected().map_or(0, |queue| u32::from(queue.ready)),
            register::INTERRUPT_STATUS => self.interrupt,
            register::STATUS => self.status,
            register::SHM_LEN_LOW..=register::SHM_BASE_HIGH => u32::MAX,
            register::CONFIG_GENERATION => self.generation,
            _ => 0,
        }
    }

    /// Writes the register at `offset`, below [`CONFIG`](crate::CONFIG). What cannot be
    /// written is not.
    pub fn write(&mut self, offset: u64, value: u32) -> Happened {
        match offset {
            register::DEVICE_FEATURES_SEL => self.device_half = value,
            register::DRIVER_FEATURES_SEL => self.driver_half = value,
            register::DRIVER_FEATURES => self.accept(value),
            register::QUEUE_SEL => self.selected = value,
            register::QUEUE_NOTIFY if (value as usize) < N => {
                return Happened::Notified(value as usize);
            }
            register::INTERRUPT_ACK => self.interrupt &= !value,
            register::STATUS => return self.set_status(value),
            _ => self.set_queue(offset, value),
        }
        Happened::Nothing
    }

    /// Only before the features are agreed on (§3.1.1).
    fn accept(&mut self, value: u32) {
        if self.status & status::FEATURES_OK != 0 || self.driver_half > 1 {
            return;
        }
        let shift = 32 * self.driver_half;
        self.accepted = self.accepted & !(0xffff_ffff << shift) | u64::from(value) << shift;
    }

    fn set_queue(&mut self, offset: u64, value: u32) {
        let most = self.identity.most;
        let Some(queue) = self.queues.get_mut(self.selected as usize) else { return };
        if offset == register::QUEUE_READY {
            match value & 1 {
                0 => queue.ready = false,
                _ if !queue.ready => queue.enable(most),
                _ => {}
            }
            return;
        }
        if queue.ready {
            return;
        }
        let areas = [register::QUEUE_DESC, register::QUEUE_DRIVER, register::QUEUE_DEVICE];
        for (area, low) in queue.areas.iter_mut().zip(areas) {
            match offset.wrapping_sub(low) {
                0 => *area = *area & !0xffff_ffff | u64::from(value),
                4 => *area = *area & 0xffff_ffff | u64::from(value) << 32,
                _ => {}
            }
        }
        if offset == register::QUEUE_NUM {
            queue.size = value;
        }
    }

    /// A driver sets bits one after the other and clears none, but all at once: a reset
    /// (§2.1.1).
    fn set_status(&mut self, value: u32) -> Happened {
        if value == 0 {
            *self = Self { generation: self.generation, ..Self::new(self.identity) };
            return Happened::Reset;
        }
        let ran = self.is_running();
        let mut fresh = value & status::DRIVERS & !self.status;
        let agreed = self.accepted & !self.offered() == 0 && self.accepted & VERSION_1 != 0;
        if !agreed {
            fresh &= !status::FEATURES_OK;
        }
        self.status |= fresh;
        if self.is_running() && !ran { Happened::Started } else { Happened::Nothing }
    }

    /// Writes down what a guest could tell apart.
    pub fn save(&self, to: &mut Save) {
        self.queues.iter().for_each(|queue| queue.save(to));
        for word in [self.status, self.device_half, self.driver_half, self.selected] {
            to.word(word);
        }
        to.double(self.accepted);
        to.word(self.interrupt);
        to.word(self.generation);
    }

    /// Takes it back.
    ///
    /// # Errors
    /// It cannot be of this device.
    pub fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        let mut new = Self::new(self.identity);
        for queue in &mut new.queues {
            *queue = Queue::restore(from, self.identity.most)?;
        }
        new.status = from.word()?;
        (new.device_half, new.driver_half, new.selected) =
            (from.word()?, from.word()?, from.word()?);
        new.accepted = from.double()?;
        (new.interrupt, new.generation) = (from.word()?, from.word()?);
        let agreed = new.accepted & !new.offered() == 0 && new.accepted & VERSION_1 != 0;
        let known = new.status & !(status::DRIVERS | status::NEEDS_RESET) == 0
            && new.interrupt & !(USED_BUFFER | CONFIGURATION_CHANGED) == 0;
        if !known || new.status & status::FEATURES_OK != 0 && !agreed {
            return Err(RestoreError::Impossible);
        }
        *self = new;
        Ok(())
    }
}

/// The lower or the upper half; no other half has anything.
fn half(value: u64, which: u32) -> u32 {
    match which {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}
