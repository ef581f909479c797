//! Transfers, and what goes wrong with them.

use crate::card::Card;
use crate::model::{Fault, Memory, Model};
use evisor_sd::{Bounds, Cause, Clock, Config, DmaMemory, Progress, Sd, SdError, Transfer};
use proptest::prelude::*;

const BLOCKS: usize = 2048;

/// A card whose every word is different.
fn filled() -> Card {
    let mut card = Card::new(BLOCKS);
    for (index, bytes) in card.content.chunks_mut(4).enumerate() {
        bytes.copy_from_slice(&(index as u32 ^ 0xa5a5_0000).to_le_bytes());
    }
    card
}

fn by_words() -> (Model, Sd<Model, Model>) {
    let model = Model::new(Some(filled()));
    let sd = Sd::new(model.clone(), model.clone(), Config::STANDARD).unwrap();
    (model, sd)
}

fn by_dma(blocks: usize) -> (Model, Sd<Model, Model, Memory>) {
    let model = Model::new(Some(filled()));
    let memory = model.memory(blocks, 0xc010_0000);
    let sd = Sd::with_memory(model.clone(), model.clone(), Config::STANDARD, Some(memory)).unwrap();
    assert!(sd.uses_dma());
    (model, sd)
}

fn content(model: &Model, block: usize, count: usize) -> Vec<u32> {
    model.card(|card| {
        let bytes = &card.content[block * 512..(block + count) * 512];
        bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
    })
}

/// To its end, by looking; how many calls it took.
fn finish<D: DmaMemory>(sd: &mut Sd<Model, Model, D>, words: &mut [u32]) -> (Progress, u32) {
    for calls in 1..10_000_000 {
        match sd.advance(words) {
            Progress::Busy => {}
            end => return (end, calls),
        }
    }
    panic!("it does not end");
}

fn read<D: DmaMemory>(
    sd: &mut Sd<Model, Model, D>,
    block: u64,
    count: u32,
) -> Result<Vec<u32>, SdError> {
    let mut words = vec![0; count as usize * 128];
    sd.read_blocks(block, &mut words).map(|()| words)
}

/// The commands since the card was ready.
fn commands(model: &Model) -> Vec<u8> {
    model.card(|card| {
        let ready = card.seen.iter().rposition(|index| *index == 6).unwrap();
        card.seen[ready + 1..].to_vec()
    })
}

#[test]
fn one_block_and_many() {
    let (model, mut sd) = by_words();
    assert_eq!(read(&mut sd, 7, 1), Ok(content(&model, 7, 1)));
    assert_eq!(read(&mut sd, 1000, 64), Ok(content(&model, 1000, 64)));
    assert_eq!(read(&mut sd, 0, BLOCKS as u32), Ok(content(&model, 0, BLOCKS)));
    // The Auto CMD12 is the model's.
    assert_eq!(commands(&model), [17, 18, 12, 18, 12]);
}

/// Show 6: one look at the status and one write a block, beside its words.
#[test]
fn a_block_costs_two_accesses_beside_its_words() {
    let (model, mut sd) = by_words();
    let cost = |sd: &mut Sd<Model, Model>, count| {
        model.with(|m| (m.words, m.accesses) = (0, 0));
        read(sd, 0, count).unwrap();
        model.with(|m| (m.words, m.accesses))
    };
    let (words, some) = cost(&mut sd, 64);
    assert_eq!(words, 64 * 128);
    let (_, more) = cost(&mut sd, 128);
    assert_eq!(more - some, 2 * 64);
    assert!(some - 2 * 64 <= 12, "{} for a command", some - 2 * 64);
}

#[test]
fn writing() {
    let (model, mut sd) = by_words();
    let before = content(&model, 0, BLOCKS);
    let mut words: Vec<u32> = (0..20 * 128).map(|word| word * 7).collect();
    sd.write_blocks(33, &mut words).unwrap();
    sd.write_blocks(500, &mut words[..128]).unwrap();
    let mut after = before;
    after[33 * 128..53 * 128].copy_from_slice(&words);
    after[500 * 128..501 * 128].copy_from_slice(&words[..128]);
    assert_eq!(content(&model, 0, BLOCKS), after);
    assert_eq!(commands(&model), [25, 12, 24]);
}

#[test]
fn standard_capacity_is_addressed_by_bytes() {
    let mut card = filled();
    card.high_capacity = false;
    let model = Model::new(Some(card));
    let mut sd = Sd::new(model.clone(), model.clone(), Config::STANDARD).unwrap();
    assert_eq!(read(&mut sd, 1023, 9), Ok(content(&model, 1023, 9)));
}

#[test]
fn each_call_is_bounded() {
    let (model, mut sd) = by_words();
    sd.set_bounds(Bounds { words: 8, copied: 8 });
    sd.start(Transfer { write: false, block: 0, count: 100 });
    let mut words = vec![0; 100 * 128];
    let mut calls = 0;
    loop {
        let before = model.with(|m| m.words);
        let progress = sd.advance(&mut words);
        calls += 1;
        assert!(model.with(|m| m.words) - before <= 8 * 128);
        if progress == Progress::Done {
            break;
        }
    }
    assert_eq!(calls, 13);
    assert_eq!(words, content(&model, 0, 100));
}

/// Interrupts alone drive a transfer: what is left when a call ends is pending still.
#[test]
fn interrupts_are_enough() {
    for latency in [0, 3, 50] {
        for (write, dma) in [(false, false), (true, false), (false, true), (true, true)] {
            let model = Model::new(Some(filled()));
            let memory = dma.then(|| model.memory(5, 0x4000_0000));
            let config = Config::STANDARD;
            let mut sd = Sd::with_memory(model.clone(), model.clone(), config, memory).unwrap();
            assert!(!model.with(|m| m.interrupts()));
            model.with(|m| m.latency = latency);
            sd.set_interrupts(true);
            sd.set_bounds(Bounds { words: 2, copied: 4 });
            sd.start(Transfer { write, block: 10, count: 37 });
            let mut words = vec![7; 37 * 128];
            while sd.advance(&mut words) == Progress::Busy {
                let wake = sd.wake().unwrap();
                let before = model.with(|m| m.time);
                while !model.with(|m| m.interrupts()) {
                    assert!(model.micros() < wake, "no interrupt comes");
                    assert!(model.with(|m| m.time) - before < 200, "it is slow");
                }
                assert!(sd.is_interrupting());
            }
            assert_eq!(words, content(&model, 10, 37));
            assert!(!sd.is_interrupting() && !model.with(|m| m.interrupts()));
            assert_eq!(sd.wake(), None);
        }
    }
}

#[test]
fn adma2() {
    let (model, mut sd) = by_dma(130);
    assert_eq!(read(&mut sd, 100, 130), Ok(content(&model, 100, 130)));
    assert_eq!(model.with(|m| m.words), 2 + 16 + 16, "only the card's registers");
    assert_eq!(commands(&model), [18, 12]);
    assert_eq!(read(&mut sd, 3, 1), Ok(content(&model, 3, 1)));
    // What does not fit goes in pieces.
    assert_eq!(read(&mut sd, 0, 300), Ok(content(&model, 0, 300)));
    assert_eq!(commands(&model), [18, 12, 17, 18, 12, 18, 12, 18, 12]);
    let mut words: Vec<u32> = (0..200 * 128).collect();
    sd.write_blocks(1500, &mut words).unwrap();
    assert_eq!(content(&model, 1500, 200), words);
}

/// A garbled block in the middle is read again, alone, and then the rest.
#[test]
fn a_garbled_block_is_tried_again() {
    let (model, mut sd) = by_words();
    model.with(|m| m.faults.insert(40, (Fault::Crc, 1)));
    assert_eq!(read(&mut sd, 0, 200), Ok(content(&model, 0, 200)));
    let seen = commands(&model);
    // Stop, state, then 64 blocks one by one.
    assert_eq!(seen[..3], [18, 12, 13]);
    assert_eq!(seen.iter().filter(|index| **index == 17).count(), 64);
    assert_eq!(seen[seen.len() - 2..], [18, 12]);
}

/// One that stays garbled is named, what follows it is not asked for, and the next
/// transfer works.
#[test]
fn a_block_that_stays_bad_is_named() {
    for (fault, bits) in [(Fault::Crc, 1 << 21), (Fault::Timeout, 1 << 20)] {
        let (model, mut sd) = by_words();
        model.with(|m| m.faults.insert(40, (fault, u32::MAX)));
        let error = read(&mut sd, 8, 100).unwrap_err();
        let cause = Cause::Controller(bits | 0x8000);
        match error {
            SdError::Transfer { index: 17, block: 40, cause: Cause::Controller(status) } => {
                assert_eq!(status & !1, bits | 0x8000, "{cause:?}");
            }
            other => panic!("{other:?}"),
        }
        let text = error.to_string();
        assert!(text.starts_with("block 40 cannot be read from the SD card: CMD17: "), "{text}");
        assert_eq!(commands(&model).len(), 6, "{:?}", commands(&model));
        assert_eq!(read(&mut sd, 41, 100), Ok(content(&model, 41, 100)));
    }
}

#[test]
fn a_bad_block_by_dma() {
    let (model, mut sd) = by_dma(64);
    model.with(|m| m.faults.insert(40, (Fault::Crc, 1)));
    assert_eq!(read(&mut sd, 0, 200), Ok(content(&model, 0, 200)));
    model.with(|m| m.faults.insert(40, (Fault::Crc, u32::MAX)));
    match read(&mut sd, 0, 200) {
        Err(SdError::Transfer { index: 17, block: 40, .. }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert_eq!(read(&mut sd, 41, 64), Ok(content(&model, 41, 64)));
}

#[test]
fn many_bad_blocks_end_it() {
    let (model, mut sd) = by_words();
    for block in 0..8 {
        model.with(|m| m.faults.insert(block * 100, (Fault::Crc, 1)));
    }
    match read(&mut sd, 0, 1000) {
        Err(SdError::Transfer { index: 18, block: 300, .. }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn an_error_of_a_write() {
    let (model, mut sd) = by_words();
    let before = content(&model, 0, BLOCKS);
    let mut words = vec![0x1234_5678; 20 * 128];
    model.with(|m| m.faults.insert(110, (Fault::Crc, 1)));
    sd.write_blocks(100, &mut words).unwrap();
    assert_eq!(content(&model, 100, 20), words);
    model.with(|m| m.faults.insert(210, (Fault::Crc, u32::MAX)));
    match sd.write_blocks(200, &mut words) {
        Err(SdError::Transfer { index: 24, block: 210, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Nothing else was touched.
    let after = content(&model, 0, BLOCKS);
    assert_eq!(after[220 * 128..], before[220 * 128..]);
    assert_eq!(after[120 * 128..200 * 128], before[120 * 128..200 * 128]);
    assert_eq!(read(&mut sd, 200, 10), Ok(words[..1280].to_vec()));
}

/// Nothing comes, and nobody says so: the driver's clock ends it.
#[test]
fn silence_ends() {
    let (model, mut sd) = by_words();
    model.with(|m| m.faults.insert(9, (Fault::Silence, u32::MAX)));
    let before = model.with(|m| m.time);
    match read(&mut sd, 0, 16) {
        Err(SdError::Transfer { index: 17, block: 9, cause: Cause::TimedOut(_) }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
    let took = model.with(|m| m.time) - before;
    assert!((2_000_000..2_200_000).contains(&took), "{took} µs");
}

#[test]
fn a_card_that_stays_busy() {
    let (model, mut sd) = by_words();
    model.card(|card| card.stuck = true);
    let before = model.with(|m| m.time);
    let mut words = vec![0; 2 * 128];
    match sd.write_blocks(0, &mut words) {
        Err(SdError::Transfer { index: 25, block: 0, cause: Cause::TimedOut(_) }) => {}
        other => panic!("{other:?}"),
    }
    let took = model.with(|m| m.time) - before;
    assert!((2_000_000..2_200_000).contains(&took), "{took} µs");
}

#[test]
fn lines_that_stay_inhibited() {
    for bits in [1, 2] {
        let (model, mut sd) = by_words();
        model.with(|m| m.inhibited = bits);
        let before = model.with(|m| m.time);
        match read(&mut sd, 5, 1) {
            Err(SdError::Transfer { block: 5, cause: Cause::TimedOut(present), .. }) => {
                assert_eq!(present & 3, bits);
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
        let took = model.with(|m| m.time) - before;
        assert!((2_000_000..5_000_000).contains(&took), "{took} µs");
        model.with(|m| m.inhibited = 0);
        assert_eq!(read(&mut sd, 5, 1), Ok(content(&model, 5, 1)));
    }
}

#[test]
fn a_reset_that_does_not_end() {
    let (model, mut sd) = by_words();
    model.with(|m| {
        m.faults.insert(9, (Fault::Crc, 1));
        m.endless_reset = true;
    });
    let before = model.with(|m| m.time);
    match read(&mut sd, 0, 16) {
        Err(SdError::Transfer { index: 18, block: 9, cause: Cause::Controller(_) }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert!(model.with(|m| m.time) - before < 1_200_000);
}

#[test]
fn a_card_that_is_taken_out() {
    let (model, mut sd) = by_words();
    let card = model.with(|m| m.card.take());
    let before = model.with(|m| m.time);
    match read(&mut sd, 0, 16) {
        Err(SdError::Transfer { index: 18, block: 0, cause: Cause::Controller(status) }) => {
            assert_eq!(status >> 16, 1);
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert!(model.with(|m| m.time) - before < 1_200_000);
    model.with(|m| m.card = card);
    assert_eq!(read(&mut sd, 0, 16), Ok(content(&model, 0, 16)));
}

#[test]
fn a_command_that_is_lost_once() {
    let (model, mut sd) = by_words();
    model.card(|card| card.silent.insert(18, 1));
    assert_eq!(read(&mut sd, 0, 16), Ok(content(&model, 0, 16)));
}

/// An error in R1: WP_VIOLATION.
#[test]
fn a_card_that_refuses() {
    let (model, mut sd) = by_words();
    model.card(|card| card.refuses.extend([(25, 1 << 26), (24, 1 << 26)]));
    let error = sd.write_blocks(3, &mut [0; 256]).unwrap_err();
    match error {
        SdError::Transfer { index: 24, block: 3, cause: Cause::Card(status) } => {
            assert_eq!(status >> 26, 1);
        }
        other => panic!("{other:?}"),
    }
    assert!(
        error
            .to_string()
            .contains("written to the SD card: CMD24: the card refused: it is write-protected")
    );
}

#[test]
fn what_is_outside_is_refused() {
    let (model, mut sd) = by_words();
    let last = BLOCKS as u64;
    for (block, count) in [(last, 1), (last - 1, 2), (u64::MAX, 1), (u64::MAX, u32::MAX), (0, 0)] {
        sd.start(Transfer { write: false, block, count });
        let (progress, calls) = finish(&mut sd, &mut [0; 256]);
        assert_eq!(progress, Progress::Failed(SdError::OutOfRange { block, count }));
        assert_eq!(calls, 1);
    }
    assert!(commands(&model).is_empty());
    assert_eq!(read(&mut sd, last - 1, 1), Ok(content(&model, BLOCKS - 1, 1)));
}

#[test]
fn a_buffer_that_is_too_small_is_refused() {
    let (model, mut sd) = by_words();
    sd.start(Transfer { write: false, block: 0, count: 3 });
    let expected = Progress::Failed(SdError::OutOfRange { block: 0, count: 3 });
    assert_eq!(finish(&mut sd, &mut [0; 383]).0, expected);
    assert!(commands(&model).is_empty());
    // One that shrinks in the middle ends too.
    sd.set_bounds(Bounds { words: 1, copied: 1 });
    sd.start(Transfer { write: false, block: 0, count: 3 });
    assert_eq!(sd.advance(&mut [0; 384]), Progress::Busy);
    assert!(matches!(finish(&mut sd, &mut [0; 10]).0, Progress::Failed(_)));
    assert_eq!(read(&mut sd, 0, 4), Ok(content(&model, 0, 4)));
}

/// A transfer can be given up for another.
#[test]
fn a_transfer_in_place_of_another() {
    for latency in [0, 20] {
        let (model, mut sd) = by_words();
        model.with(|m| m.latency = latency);
        sd.set_bounds(Bounds { words: 3, copied: 3 });
        sd.start(Transfer { write: false, block: 0, count: 100 });
        let mut words = vec![0; 100 * 128];
        for _ in 0..5 {
            assert_eq!(sd.advance(&mut words), Progress::Busy);
        }
        let before = model.with(|m| m.time);
        assert_eq!(read(&mut sd, 700, 40), Ok(content(&model, 700, 40)));
        let took = model.with(|m| m.time) - before;
        assert!(took < 50_000, "{took} µs: the lines were waited for");
    }
}

/// The time allowed is for each block, not for all.
#[test]
fn a_slow_card_is_not_late() {
    let (model, mut sd) = by_words();
    model.with(|m| m.latency = 30_000);
    assert_eq!(read(&mut sd, 0, 100), Ok(content(&model, 0, 100)));
    assert_eq!(commands(&model), [18, 12]);
    assert!(model.with(|m| m.time) > 3_000_000);
}

#[test]
fn without_a_transfer_it_is_done() {
    let (_, mut sd) = by_words();
    assert_eq!(sd.advance(&mut []), Progress::Done);
    assert_eq!(sd.wake(), None);
}

#[derive(Clone, Debug)]
struct Case {
    write: bool,
    block: usize,
    count: usize,
    seed: u32,
    fault: Option<(usize, Fault, u32)>,
}

fn case() -> impl Strategy<Value = Case> {
    let fault = prop_oneof![Just(Fault::Crc), Just(Fault::Timeout)];
    (
        any::<bool>(),
        0..200_usize,
        1..60_usize,
        any::<u32>(),
        prop::option::weighted(0.2, (0..260_usize, fault, 1..4_u32)),
    )
        .prop_map(|(write, block, count, seed, fault)| Case {
            write,
            block,
            count,
            seed,
            fault,
        })
}

/// Does the cases, and compares the card with a `Vec` after each.
fn compare<D: DmaMemory>(model: &Model, sd: &mut Sd<Model, Model, D>, cases: &[Case]) {
    let mut expected = content(model, 0, 300);
    for case in cases {
        model.with(|m| {
            m.faults.clear();
            m.faults.extend(case.fault.map(|(block, fault, times)| (block, (fault, times))));
        });
        let range = case.block * 128..(case.block + case.count) * 128;
        let mut words: Vec<u32> = if case.write {
            (0..range.len() as u32).map(|word| word.wrapping_mul(case.seed)).collect()
        } else {
            vec![case.seed; range.len()]
        };
        sd.start(Transfer {
            write: case.write,
            block: case.block as u64,
            count: case.count as u32,
        });
        match finish(sd, &mut words).0 {
            Progress::Done if case.write => expected[range].copy_from_slice(&words),
            Progress::Done => assert_eq!(words, expected[range]),
            Progress::Failed(SdError::Transfer { block, .. }) => {
                let (bad, _, times) = case.fault.expect("nothing was wrong");
                assert!(times > 1 && block <= bad as u64 && block >= case.block as u64);
                let done = (block as usize - case.block) * 128;
                let sure = range.start..range.start + done;
                if case.write {
                    expected[sure].copy_from_slice(&words[..done]);
                    // The rest may have been written or not.
                    let now = content(model, 0, 300);
                    for index in range.start + done..range.end {
                        let new = words[index - range.start];
                        assert!(now[index] == expected[index] || now[index] == new);
                        expected[index] = now[index];
                    }
                } else {
                    assert_eq!(words[..done], expected[sure]);
                }
            }
            other => panic!("{other:?}"),
        }
        assert!(content(model, 0, 300) == expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn random_transfers(
        cases in prop::collection::vec(case(), 1..12),
        latency in prop_oneof![Just(0_u64), 1..40_u64],
        words in 1..20_u32,
    ) {
        let (model, mut sd) = by_words();
        model.with(|m| m.latency = latency);
        sd.set_bounds(Bounds { words, copied: 1 });
        compare(&model, &mut sd, &cases);
    }

    #[test]
    fn random_transfers_by_dma(
        cases in prop::collection::vec(case(), 1..12),
        latency in prop_oneof![Just(0_u64), 1..40_u64],
        room in 1..40_usize,
        copied in 1..50_u32,
    ) {
        let (model, mut sd) = by_dma(room);
        model.with(|m| m.latency = latency);
        sd.set_bounds(Bounds { words: 8, copied });
        compare(&model, &mut sd, &cases);
    }
}
