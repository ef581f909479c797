//! Saving and restoring.

use super::host::*;
use crate::spec::offset;
use evisor_contract::{BlockDone, tag};
use evisor_testkit::{Random, Rig, Setup, refuses_foreign_state, save_and_restore};

#[test]
fn saves_and_restores() {
    for compatible in [EMMC2, COMPATIBLE, "brcm,bcm2835-sdhci"] {
        save_and_restore(compatible, &Setup::default());
    }
    refuses_foreign_state(EMMC2, &Setup::default());
}

/// Another controller in the same surroundings goes on where this one is; no request is under
/// way.
fn move_on(host: &mut Host) {
    let state = host.rig.save();
    let mut other = Rig::with(COMPATIBLE, &Setup::default());
    other.take_surroundings(&host.rig);
    assert_eq!(other.restore(&state), Ok(()));
    assert_eq!(other.save(), state);
    // As when a VM is restored.
    let _ = other.notify(tag::DEADLINE, 0);
    host.rig = other;
}

/// In the middle of transfers.
#[test]
fn transfers_survive_moving() {
    for seed in 0..60 {
        let mut numbers = Random::new(seed);
        let mut number = |below: u64| (numbers.number() % below) as u32;
        let mut host = ready();
        let (way, end) = (WAYS[number(3) as usize], [End::Auto12, End::Count][number(2) as usize]);
        let (block, count) = (number(1000), 2 + number(30));
        let expected = pattern(seed as u32, count);
        let write = number(2) == 0;
        if write {
            host.rig.guest_memory().put(DATA_AT, &expected);
        } else {
            host.fill_medium(block, &expected);
        }
        host.begin(block, way, end, count, !write);
        let mut seen = Vec::new();
        let mut words = expected.as_chunks::<4>().0.iter();
        loop {
            if number(4) == 0 && !host.rig.has_asked() {
                move_on(&mut host);
            }
            let state = host.get32(offset::PRESENT_STATE);
            if state & 1 << 11 != 0 {
                seen.extend(host.port(4));
            } else if state & 1 << 10 != 0 {
                let word = words.next().expect("no more than the blocks");
                host.put32(offset::BUFFER, u32::from_le_bytes(*word));
            } else if !host.rig.answer_blocks() {
                if host.rig.deadline().is_none() {
                    break;
                }
                host.rig.advance(0);
            }
        }
        let happened = host.get32(offset::STATUS) & !(WRITE_READY | READ_READY | DMA_INTERRUPT);
        assert_eq!(happened, COMMAND_DONE | TRANSFER_DONE, "seed {seed}");
        if write {
            assert_eq!(host.medium(block, count), expected, "seed {seed}");
        } else if way == Way::Port {
            assert_eq!(seen, expected, "seed {seed}");
        } else {
            let bytes = host.rig.guest_memory().bytes(DATA_AT, expected.len());
            assert_eq!(bytes, expected, "seed {seed}");
        }
    }
}

/// It has failed where nobody has it any more, once that goes on.
#[test]
fn a_request_that_is_lost() {
    let mut host = ready();
    host.begin(3, Way::Adma2, End::Stop, 1, true);
    let state = host.rig.save();
    let mut other = Rig::with(COMPATIBLE, &Setup::default());
    assert_eq!(other.restore(&state), Ok(()));
    let _ = other.notify(tag::DEADLINE, 0);
    assert_eq!(other.read32(offset::STATUS), u64::from(COMMAND_DONE | ERROR | DATA_TIMEOUT));
    assert!(other.line(0));
    let after = other.save();
    let _ = other.notify(tag::BLOCK_DONE, BlockDone::Done.encode());
    assert_eq!(other.save(), after, "it has ended");
}

/// Any bit of a state turned over is refused, or the device still works.
#[test]
fn bent_states() {
    let mut host = ready();
    host.begin(3, Way::Port, End::Stop, 9, true);
    host.rig.answer_blocks();
    host.port(100);
    let state = host.rig.save();
    for at in 12..state.len().min(1000) {
        for bit in 0..8 {
            let mut bent = state.clone();
            bent[at] ^= 1 << bit;
            if host.rig.restore(&bent).is_err() {
                host.rig.reset();
                continue;
            }
            let _ = host.rig.notify(tag::DEADLINE, 0);
            host.rig.settle_blocks();
            host.get32(offset::BUFFER);
            host.put32(offset::BUFFER, 0);
            let _ = host.rig.notify(tag::BLOCK_DONE, 0);
            host.rig.settle_blocks();
            host.rig.reset();
        }
    }
}
