//! Any accesses to the registers, and any memory behind the queues: what is walked ends, and
//! stays in the memory.

#![no_main]

use evisor_contract::{Memory, Outside};
use evisor_virtio::{Chain, Happened, Identity, Transport};
use std::sync::Mutex;

const SIZE: usize = 0x1000;

struct Ram(Mutex<Vec<u8>>);

impl Memory for Ram {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        let at = usize::try_from(address).map_err(|_| Outside)?;
        let end = at.checked_add(to.len()).ok_or(Outside)?;
        to.copy_from_slice(self.0.lock().unwrap().get(at..end).ok_or(Outside)?);
        Ok(())
    }
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        let at = usize::try_from(address).map_err(|_| Outside)?;
        let end = at.checked_add(from.len()).ok_or(Outside)?;
        self.0.lock().unwrap().get_mut(at..end).ok_or(Outside)?.copy_from_slice(from);
        Ok(())
    }
}

/// Notifies a queue: gives back all that is there, up to a number of chains.
fn serve(transport: &mut Transport<2>, index: usize, ram: &Ram) {
    for _ in 0..32 {
        let Some(queue) = transport.queue(index) else { return };
        let mut bytes = [0; 100];
        let mut chain = Chain::default();
        let served = queue.next(ram, &mut chain).and_then(|there| {
            if !there {
                return Ok(None);
            }
            let read = chain.read(ram, 1, &mut bytes)?;
            let written = chain.write(ram, 2, &bytes[..read])?;
            queue.give_back(ram, &chain, written as u32).map(Some)
        });
        match served {
            Ok(None) => return,
            Ok(Some(true)) => transport.used_buffer(),
            Ok(Some(false)) => {}
            Err(broken) => return transport.broken(broken),
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (accesses, memory) = bytes.split_at(bytes.len() / 2);
    let mut all = memory.to_vec();
    all.resize(SIZE, 0);
    let ram = Ram(Mutex::new(all));
    let mut transport = Transport::<2>::new(Identity { device: 3, features: 2, most: 64 });
    for access in accesses.chunks_exact(4) {
        let offset = u64::from(access[0] & 0x3f) * 4;
        let value = u32::from(access[1]) | u32::from(access[2]) << 8;
        let _ = transport.read(offset);
        if let Happened::Notified(index) = transport.write(offset, value) {
            serve(&mut transport, index, &ram);
        }
    }
});
