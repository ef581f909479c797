//! Making cards ready (PL §4.2.3), and what stands in the way.

use crate::card::{Card, State};
use crate::model::Model;
use evisor_sd::{Cause, Config, Sd, SdError};

fn start(model: &Model, config: Config) -> Result<Sd<Model, Model>, SdError> {
    Sd::new(model.clone(), model.clone(), config)
}

fn error(model: &Model, config: Config) -> SdError {
    match start(model, config) {
        Ok(_) => panic!("it starts"),
        Err(error) => error,
    }
}

#[test]
fn a_high_capacity_card_gets_four_lines_and_high_speed() {
    let model = Model::new(Some(Card::new(4096)));
    let sd = start(&model, Config::STANDARD).unwrap();
    let card = *sd.card();
    assert_eq!((card.blocks, card.high_capacity, card.four_lines), (4096, true, true));
    // 52 MHz divided by 2.
    assert_eq!((card.hertz, model.with(|m| m.hertz())), (26_000_000, 26_000_000));
    assert!(!card.write_protected && !sd.uses_dma());
    model.card(|card| {
        let expected = [0, 8, 55, 141, 55, 141, 55, 141, 2, 3, 9, 7, 55, 151, 55, 106, 6, 6];
        assert_eq!(card.seen, expected);
        assert_eq!(card.state, State::Transfer);
        assert!(card.four_lines && card.high_speed);
    });
}

#[test]
fn a_standard_capacity_card_of_version_1() {
    let mut card = Card::new(2048);
    (card.high_capacity, card.version_2, card.offers_high_speed) = (false, false, false);
    card.offers_four_lines = false;
    card.block_length = 1024;
    let model = Model::new(Some(card));
    let sd = start(&model, Config::STANDARD).unwrap();
    let card = sd.card();
    assert_eq!((card.blocks, card.high_capacity, card.four_lines), (2048, false, false));
    assert_eq!(card.hertz, 13_000_000);
    assert_eq!(model.card(|card| card.block_length), 512);
}

/// A card of version 2 may have standard capacity too.
#[test]
fn a_standard_capacity_card_of_version_2() {
    let mut card = Card::new(2048);
    card.high_capacity = false;
    let model = Model::new(Some(card));
    assert!(!start(&model, Config::STANDARD).unwrap().card().high_capacity);
}

/// HC §2.2.14: eight bits, powers of two.
#[test]
fn a_controller_of_version_2() {
    let model = Model::new(Some(Card::new(1024)));
    model.with(|m| m.version = 1);
    // The model's divisor has both parts; with 8 bits the upper stays 0.
    assert_eq!(start(&model, Config::STANDARD).unwrap().card().hertz, 26_000_000);
}

#[test]
fn high_speed_only_where_all_offer_it() {
    let slow = Config { high_speed: false, ..Config::STANDARD };
    for (config, capabilities, offered) in [
        (slow, 0x0521_34b4, true),
        (Config::STANDARD, 0x0501_34b4, true),
        (Config::STANDARD, 0x0521_34b4, false),
    ] {
        let mut card = Card::new(1024);
        card.offers_high_speed = offered;
        let model = Model::new(Some(card));
        model.with(|m| m.capabilities = capabilities);
        assert_eq!(start(&model, config).unwrap().card().hertz, 13_000_000);
        assert!(!model.card(|card| card.high_speed));
    }
}

#[test]
fn a_card_that_does_not_answer_cmd6_stays_at_default_speed() {
    let mut card = Card::new(1024);
    card.silent.insert(6, 1);
    let model = Model::new(Some(card));
    assert_eq!(start(&model, Config::STANDARD).unwrap().card().hertz, 13_000_000);
}

#[test]
fn no_card_is_told_at_once() {
    let model = Model::new(None);
    assert_eq!(error(&model, Config::STANDARD), SdError::NoCard);
    assert!(model.with(|m| m.time) < 1_000, "{} µs", model.with(|m| m.time));
}

/// BCM2835, BCM2711: the card's switch is not connected.
#[test]
fn no_card_and_no_switch() {
    let model = Model::new(None);
    let config = Config { card_detect: false, ..Config::STANDARD };
    assert_eq!(error(&model, config), SdError::NoCard);
    assert!(model.with(|m| m.time) < 100_000, "{} µs", model.with(|m| m.time));
}

#[test]
fn a_switch_that_does_not_work_may_be_ignored() {
    let model = Model::new(Some(Card::new(1024)));
    model.with(|m| m.detects = false);
    assert_eq!(error(&model, Config::STANDARD), SdError::NoCard);
    assert!(start(&model, Config { card_detect: false, ..Config::STANDARD }).is_ok());
}

#[test]
fn a_card_that_does_not_come_up() {
    let mut card = Card::new(1024);
    card.slow = u32::MAX;
    let model = Model::new(Some(card));
    let SdError::Command { index: 41, cause: Cause::TimedOut(_) } = error(&model, Config::STANDARD)
    else {
        panic!()
    };
    let time = model.with(|m| m.time);
    assert!((1_000_000..1_300_000).contains(&time), "{time} µs");
}

/// A command that is not answered is named.
#[test]
fn silence_is_told_by_command() {
    for (name, index) in [(2, 2), (3, 3), (9, 9), (7, 7), (151, 51), (106, 6), (141, 41)] {
        let mut card = Card::new(1024);
        card.silent.insert(name, 9);
        let model = Model::new(Some(card));
        match error(&model, Config::STANDARD) {
            SdError::Command { index: told, cause: Cause::Controller(status) } => {
                assert_eq!((told, status >> 16), (index, 1));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_locked_card_is_told() {
    let mut card = Card::new(1024);
    card.locked = true;
    let text = error(&Model::new(Some(card)), Config::STANDARD).to_string();
    assert!(text.contains("password"), "{text}");
}

#[test]
fn a_controller_that_does_not_work_is_told() {
    type Break = fn(&mut crate::model::Machine);
    let table: [(Break, &str); 5] = [
        (|m| m.endless_reset = true, "a reset does not end"),
        (|m| m.unstable = true, "its clock does not become stable"),
        (|m| m.capabilities = 0x0400_34b4, "it has no 3.3 V for the card"),
        (|m| m.capabilities = 0x0521_00b4, "nobody says the frequency of its clock"),
        (|m| m.inhibited = 1, "CMD0"),
    ];
    for (change, text) in table {
        let model = Model::new(Some(Card::new(1024)));
        model.with(change);
        let error = error(&model, Config::STANDARD).to_string();
        assert!(error.contains(text), "{error}");
        assert!(model.with(|m| m.time) < 3_000_000);
    }
}

/// The BCM2835's Arasan loses a write that follows too soon: four cycles of 400 kHz.
#[test]
fn writes_lie_apart_where_they_must() {
    let model = Model::new(Some(Card::new(1024)));
    model.with(|m| m.gap = 10);
    // Up to the fast clock.
    let config = Config { spaced_writes: true, ..Config::STANDARD };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = start(&model, config);
    }));
    assert!(outcome.is_err(), "the gap is for the slow clock only");
    assert_eq!(model.card(|card| card.seen.last().copied()), Some(9));
}

#[test]
fn slow_controllers_are_waited_for() {
    let model = Model::new(Some(Card::new(1024)));
    model.with(|m| m.latency = 900);
    assert!(start(&model, Config::STANDARD).is_ok());
}
