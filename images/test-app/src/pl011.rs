//! The UART (ARM DDI 0183, issue G, chapter 3).

use evisor_guest::pl011::{self, CR, FR, INTERRUPTS};
use evisor_guest::{map, mmio, timer};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use crate::check::{Outcome, equal, holds, require};
use crate::checks;

checks! { "pl011":
    peripheral_identification cell_identification flags_when_idle
    control_readback baud_rate_readback divisor_reserved_bits line_control_readback fifo_levels_readback
    mask_readback transmit_raises masked_status_is_masked clear_clears
    receive_status_clear dma_readback byte_and_halfword_access read_only_flags
    loopback
}

/// §3.3.15 to §3.3.18: part 0x011, designer 0x41, a revision, configuration 0.
fn peripheral_identification() -> Outcome {
    let [first, second, third, fourth] = &pl011::registers().periph_id;
    equal("UARTPeriphID0", first.get(), 0x11_u32)?;
    equal("UARTPeriphID1", second.get(), 0x10_u32)?;
    equal("UARTPeriphID2 designer", third.get() & 0xf, 0x4_u32)?;
    equal("UARTPeriphID3", fourth.get(), 0_u32)
}

/// §3.3.19 to §3.3.22: a PrimeCell.
fn cell_identification() -> Outcome {
    let expected = [0x0d_u32, 0xf0, 0x05, 0xb1];
    let registers = &pl011::registers().cell_id;
    for (register, expected) in registers.iter().zip(expected) {
        equal("UARTPCellID", register.get(), expected)?;
    }
    Ok(())
}

fn is_idle() -> bool {
    let fr = &pl011::registers().fr;
    fr.is_set(FR::TXFE) && !fr.is_set(FR::BUSY)
}

/// §3.3.3: all sent, nothing received.
fn flags_when_idle() -> Outcome {
    holds("TXFE, not BUSY", timer::wait_until(100_000, is_idle))?;
    let fr = &pl011::registers().fr;
    holds("RXFE", fr.is_set(FR::RXFE))?;
    holds("not RXFF", !fr.is_set(FR::RXFF))?;
    holds("not TXFF", !fr.is_set(FR::TXFF))
}

/// §3.3.8.
fn control_readback() -> Outcome {
    let cr = &pl011::registers().cr;
    cr.write(CR::UARTEN::SET + CR::TXE::SET + CR::RXE::SET);
    equal("UARTCR", cr.get(), 0x301_u32)
}

/// §3.3.5 and §3.3.6: 16 and 6 bits; the others read as zero.
fn divisor_reserved_bits() -> Outcome {
    let uart = pl011::registers();
    let before = (uart.ibrd.get(), uart.fbrd.get());
    uart.ibrd.set(u32::MAX);
    uart.fbrd.set(u32::MAX);
    let read = (uart.ibrd.get(), uart.fbrd.get());
    uart.ibrd.set(before.0);
    uart.fbrd.set(before.1);
    equal("UARTIBRD", read.0, 0xffff_u32)?;
    equal("UARTFBRD", read.1, 0x3f_u32)
}

/// §3.3.5 and §3.3.6: 16 bits and 6.
fn baud_rate_readback() -> Outcome {
    let uart = pl011::registers();
    let before = (uart.ibrd.get(), uart.fbrd.get());
    uart.ibrd.set(0x1234);
    uart.fbrd.set(0x2a);
    let after = (uart.ibrd.get(), uart.fbrd.get());
    uart.ibrd.set(before.0);
    uart.fbrd.set(before.1);
    equal("UARTIBRD", after.0, 0x1234_u32)?;
    equal("UARTFBRD", after.1, 0x2a_u32)
}

/// §3.3.7: 8 bits a character, FIFOs on.
fn line_control_readback() -> Outcome {
    let lcr_h = &pl011::registers().lcr_h;
    let before = lcr_h.get();
    lcr_h.set(0x70);
    let after = lcr_h.get();
    lcr_h.set(before);
    equal("UARTLCR_H", after, 0x70_u32)
}

/// §3.3.9: reset to half full, both ways.
fn fifo_levels_readback() -> Outcome {
    let ifls = &pl011::registers().ifls;
    let before = ifls.get();
    ifls.set(0x21);
    let after = ifls.get();
    ifls.set(before);
    equal("at reset", before, 0x12_u32)?;
    equal("UARTIFLS", after, 0x21_u32)
}

/// §3.3.10: 11 bits.
fn mask_readback() -> Outcome {
    let imsc = &pl011::registers().imsc;
    imsc.set(0x7ff);
    let all = imsc.get();
    imsc.set(0);
    equal("all", all, 0x7ff_u32)?;
    equal("none", imsc.get(), 0_u32)
}

fn raise_transmit() -> bool {
    pl011::transmit(b'\n');
    timer::wait_until(100_000, || pl011::registers().ris.is_set(INTERRUPTS::TX))
}

/// §2.8.2: without FIFOs, the interrupt rises when the character has gone.
fn transmit_raises() -> Outcome {
    holds("UARTRIS.TXRIS", raise_transmit())
}

/// §3.3.12.
fn masked_status_is_masked() -> Outcome {
    holds("UARTRIS.TXRIS", raise_transmit())?;
    let uart = pl011::registers();
    holds("masked", !uart.mis.is_set(INTERRUPTS::TX))?;
    uart.imsc.write(INTERRUPTS::TX::SET);
    let status = uart.mis.get();
    uart.imsc.set(0);
    equal("UARTMIS", status, INTERRUPTS::TX::SET.value)
}

/// §3.3.13: ones clear, zeros do not.
fn clear_clears() -> Outcome {
    holds("UARTRIS.TXRIS", raise_transmit())?;
    let uart = pl011::registers();
    uart.icr.set(0);
    holds("zeros do nothing", uart.ris.is_set(INTERRUPTS::TX))?;
    uart.icr.write(INTERRUPTS::TX::SET);
    holds("cleared", !uart.ris.is_set(INTERRUPTS::TX))
}

/// §3.3.2: a write of anything clears the errors.
fn receive_status_clear() -> Outcome {
    let rsr = &pl011::registers().rsr;
    rsr.set(0xff);
    equal("UARTRSR", rsr.get(), 0_u32)
}

/// §3.3.14: the register is there, whatever drives DMA is not; DMAONERR alone
/// starts nothing.
fn dma_readback() -> Outcome {
    let dmacr = &pl011::registers().dmacr;
    dmacr.set(0b100);
    let after = dmacr.get();
    dmacr.set(0);
    equal("UARTDMACR", after, 0b100_u32)
}

/// Drivers use all three widths: the lower lanes read the same.
fn byte_and_halfword_access() -> Outcome {
    let cr = map::UART + 0x30;
    let word = mmio::load32(cr);
    equal("halfword", mmio::load16(cr), word & 0xffff)?;
    equal("byte", mmio::load8(cr), word & 0xff)?;
    mmio::store16(cr, 0x0301);
    equal("after a halfword", mmio::load32(cr), 0x301_u32)?;
    mmio::store8(map::UART, b'\n');
    Ok(())
}

fn read_only_flags() -> Outcome {
    holds("idle", timer::wait_until(100_000, is_idle))?;
    let before = mmio::load32(map::UART + 0x18);
    mmio::store32(map::UART + 0x18, !before);
    equal("UARTFR", mmio::load32(map::UART + 0x18), before)
}

/// Goes to the console, too, under QEMU.
const LOOPED: u8 = b'\n';

/// §3.3.8, LBE: what is sent is received.
fn loopback() -> Outcome {
    let cr = &pl011::registers().cr;
    cr.modify(CR::LBE::SET);
    if !cr.is_set(CR::LBE) {
        return require("no loopback", false);
    }
    pl011::transmit(LOOPED);
    let mut received = None;
    timer::wait_until(100_000, || {
        received = pl011::receive();
        received.is_some()
    });
    cr.modify(CR::LBE::CLEAR);
    equal("received", received.unwrap_or(0), LOOPED)
}
