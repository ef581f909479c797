//! From power to the transfer state (HC §3.6, PL §4.2.3). It waits, for a second and
//! a half at most where a card answers and hardly where none is: for start-up only.

use crate::card::{Card, Csd, Scr, SwitchStatus};
use crate::error::{Cause, SdError};
use crate::host::Host;
use crate::registers::{Clock, Registers};
use crate::spec::{
    BLOCK, BLOCKS, BUS_WIDTH_4, CAPABILITIES, CARD, CLOCK, COMMAND, Command, ERRORS, HOST, IF_COND,
    IF_COND_ECHO, OCR, PRESENT, STATUS, SWITCH, command, frequency, offset, time,
};
use tock_registers::LocalRegisterCopy;
use tock_registers::fields::FieldValue;

type Mode = FieldValue<u32, COMMAND::Register>;

/// No data.
const PLAIN: Mode = COMMAND::MULTIPLE::CLEAR;

pub fn start<R: Registers, C: Clock>(host: &mut Host<R, C>) -> Result<Card, SdError> {
    host.reset(CLOCK::RESET_ALL)?;
    if host.config.card_detect {
        look_for_card(host)?;
    }
    power(host)?;
    let high_capacity = identify(host)?;
    let address = take_address(host)?;
    let csd = read_csd(host, address)?;
    let hertz = host.set_clock(frequency::DEFAULT)?;
    select(host, address)?;
    let mut card = Card {
        blocks: csd.blocks()?,
        high_capacity,
        four_lines: false,
        hertz,
        write_protected: csd.write_protected(),
        address,
    };
    let scr = read_scr(host, address)?;
    if scr.four_lines() {
        widen(host, address)?;
        card.four_lines = true;
    }
    if csd.can_switch() && scr.can_switch() && may_be_fast(host) && switch(host) {
        host.control(HOST::HIGH_SPEED::SET);
        card.hertz = host.set_clock(frequency::HIGH_SPEED)?;
    }
    if !high_capacity {
        run(host, command::SET_BLOCKLEN, BLOCK as u32)?;
    }
    Ok(card)
}

fn look_for_card<R: Registers, C: Clock>(host: &mut Host<R, C>) -> Result<(), SdError> {
    host.wait(time::CARD_STABLE, |host| host.present().is_set(PRESENT::STABLE));
    if host.present().is_set(PRESENT::INSERTED) { Ok(()) } else { Err(SdError::NoCard) }
}

/// Power, clock, and the time that a card takes to come up.
fn power<R: Registers, C: Clock>(host: &mut Host<R, C>) -> Result<(), SdError> {
    // Where the capabilities are missing altogether there is 3.3 V all the same.
    if host.capabilities.get() != 0 && !host.capabilities.is_set(CAPABILITIES::V3_3) {
        return Err(SdError::Controller("it has no 3.3 V for the card"));
    }
    host.control(HOST::VOLTAGE::V3_3);
    host.control(HOST::POWER::SET);
    host.delay(time::POWER_UP);
    host.set_clock(frequency::IDENTIFICATION)?;
    host.delay(time::FIRST_CLOCKS);
    host.enable(false);
    Ok(())
}

/// Sends a command without data.
fn run<R: Registers, C: Clock>(
    host: &mut Host<R, C>,
    command: Command,
    argument: u32,
) -> Result<u32, SdError> {
    let index = command.index;
    host.command(command, argument, PLAIN).map_err(|cause| SdError::Command { index, cause })
}

/// Says that the next command is an application command.
fn announce<R: Registers, C: Clock>(host: &mut Host<R, C>, address: u16) -> Result<(), SdError> {
    run(host, command::APP_CMD, u32::from(address) << 16).map(drop)
}

fn nobody_answers(error: SdError) -> bool {
    let timeout = STATUS::COMMAND_TIMEOUT::SET.value;
    matches!(error, SdError::Command { cause: Cause::Controller(s), .. } if s & timeout != 0)
}

/// CMD0, CMD8, ACMD41: whether the card has high capacity.
fn identify<R: Registers, C: Clock>(host: &mut Host<R, C>) -> Result<bool, SdError> {
    run(host, command::GO_IDLE_STATE, 0)?;
    // A card of version 1 does not know CMD8, and must not be told of high capacity.
    let high_capacity = match run(host, command::SEND_IF_COND, IF_COND) {
        Ok(echo) if echo & IF_COND_ECHO == IF_COND => OCR::HIGH_CAPACITY::SET,
        Ok(_) => return Err(SdError::Unsupported("it does not run at 3.3 V")),
        Err(error) if nobody_answers(error) => OCR::HIGH_CAPACITY::CLEAR,
        Err(error) => return Err(error),
    };
    let argument = (OCR::V3_3::Both + high_capacity).value;
    let start = host.clock.micros();
    loop {
        match announce(host, 0) {
            Err(error) if nobody_answers(error) => return Err(SdError::NoCard),
            other => other?,
        }
        let answer = run(host, command::SD_SEND_OP_COND, argument)?;
        let ocr: LocalRegisterCopy<u32, OCR::Register> = LocalRegisterCopy::new(answer);
        if ocr.read(OCR::V3_3) == 0 {
            return Err(SdError::Unsupported("it does not run at 3.3 V"));
        }
        if ocr.is_set(OCR::READY) {
            return Ok(ocr.is_set(OCR::HIGH_CAPACITY));
        }
        if host.clock.micros().saturating_sub(start) > time::INITIALISATION {
            let cause = Cause::TimedOut(host.present().get());
            return Err(SdError::Command { index: command::SD_SEND_OP_COND.index, cause });
        }
        host.delay(time::INITIALISATION_STEP);
    }
}

/// CMD2, CMD3: the address that the card has made for itself (R6, PL §4.9.5).
fn take_address<R: Registers, C: Clock>(host: &mut Host<R, C>) -> Result<u16, SdError> {
    run(host, command::ALL_SEND_CID, 0)?;
    Ok((run(host, command::SEND_RELATIVE_ADDR, 0)? >> 16) as u16)
}

fn read_csd<R: Registers, C: Clock>(host: &mut Host<R, C>, address: u16) -> Result<Csd, SdError> {
    run(host, command::SEND_CSD, u32::from(address) << 16)?;
    Ok(Csd::from_response(host.long_response()))
}

/// CMD7: to the transfer state.
fn select<R: Registers, C: Clock>(host: &mut Host<R, C>, address: u16) -> Result<(), SdError> {
    let status = run(host, command::SELECT_CARD, u32::from(address) << 16)?;
    if status & CARD::IS_LOCKED::SET.value != 0 {
        return Err(SdError::Unsupported("it is locked with a password"));
    }
    Ok(())
}

/// Reads one of the card's registers that come as data.
fn fetch<R: Registers, C: Clock, const N: usize>(
    host: &mut Host<R, C>,
    command: Command,
    argument: u32,
) -> Result<[u32; N], SdError> {
    let index = command.index;
    let mut words = [0; N];
    host.write(offset::BLOCK, (BLOCKS::SIZE.val(4 * N as u32) + BLOCKS::COUNT.val(1)).value);
    host.command(command, argument, COMMAND::DATA::SET + COMMAND::READ::SET)
        .and_then(|_| await_data(host, STATUS::READ_READY::SET))
        .and_then(|()| {
            host.registers.read_data(&mut words);
            await_data(host, STATUS::TRANSFER::SET)
        })
        .map_err(|cause| SdError::Command { index, cause })?;
    Ok(words)
}

fn await_data<R: Registers, C: Clock>(
    host: &mut Host<R, C>,
    event: FieldValue<u32, STATUS::Register>,
) -> Result<(), Cause> {
    let came = host.wait(time::DATA, |host| host.status().get() & (event.value | ERRORS) != 0);
    let status = host.status().get();
    if came && status & ERRORS == 0 {
        return Ok(());
    }
    let cause = if came { Cause::Controller(status) } else { host.timed_out() };
    let _ = host.reset(CLOCK::RESET_CMD);
    let _ = host.reset(CLOCK::RESET_DAT);
    Err(cause)
}

/// ACMD51.
fn read_scr<R: Registers, C: Clock>(host: &mut Host<R, C>, address: u16) -> Result<Scr, SdError> {
    announce(host, address)?;
    fetch(host, command::SEND_SCR, 0).map(Scr::from_words)
}

/// ACMD6: four data lines.
fn widen<R: Registers, C: Clock>(host: &mut Host<R, C>, address: u16) -> Result<(), SdError> {
    announce(host, address)?;
    run(host, command::SET_BUS_WIDTH, BUS_WIDTH_4)?;
    host.control(HOST::WIDTH_4::SET);
    Ok(())
}

fn may_be_fast<R, C>(host: &Host<R, C>) -> bool {
    host.config.high_speed && host.capabilities.is_set(CAPABILITIES::HIGH_SPEED)
}

/// CMD6: whether the card is at high speed now. If it does not say so, or the command
/// fails, default speed does.
fn switch<R: Registers, C: Clock>(host: &mut Host<R, C>) -> bool {
    let argument = SWITCH::OTHERS::Unchanged + SWITCH::ACCESS::HighSpeed;
    let mut ask = |argument: FieldValue<u32, SWITCH::Register>| {
        fetch(host, command::SWITCH_FUNC, argument.value).map(SwitchStatus::from_words)
    };
    ask(argument).is_ok_and(|status| status.offers_high_speed())
        && ask(argument + SWITCH::SET::SET).is_ok_and(|status| status.is_high_speed())
}
