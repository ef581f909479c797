//! The router against a model: a list of grants, searched from the front.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use evisor_contract::{
    CallRegisters, Calls, Capability, Context, Effect, Mmio, Notify, Object, Parts, Register,
    Registers, Reply, Rights, Width,
};
use evisor_router::{
    Cache, Caches, Delivery, SpaceBuilder, TableBuilder, Uses, call, deliver, read, read_register,
    write, write_register,
};
use proptest::prelude::*;

/// Answers reads with its number and the offset, and remembers what was written.
struct Probe {
    number: u64,
    written: Option<(u64, u64)>,
}

impl Object for Probe {
    fn reset(&mut self) {
        self.written = None;
    }
}

impl Mmio for Probe {
    fn read(&mut self, offset: u64, _: Width, _: &mut Context) -> Reply {
        Reply::value(self.number << 32 | offset)
    }
    fn write(&mut self, offset: u64, _: Width, value: u64, _: &mut Context) -> Reply {
        self.written = Some((offset, value));
        Reply::DONE
    }
}

impl Calls for Probe {
    fn call(&mut self, function: u32, registers: &mut CallRegisters, _: &mut Context) -> Reply {
        Reply::value(u64::from(function) + registers[1])
    }
}

impl Registers for Probe {
    fn read_register(&mut self, register: Register, _: &mut Context) -> Reply {
        Reply::value(u64::from(register.key()))
    }
    fn write_register(&mut self, _: Register, value: u64, _: &mut Context) -> Reply {
        self.written = Some((0, value));
        Reply::DONE
    }
}

impl Notify for Probe {
    fn notify(&mut self, tag: u32, value: u64, _: &mut Context) -> Reply {
        self.written = Some((u64::from(tag), value));
        if tag == 99 { Reply::FAILED } else { Reply::HELD }
    }
}

fn probe(number: u64) -> Parts {
    Parts::new(Probe { number, written: None }).mmio().calls(&[]).registers(&[]).notify().done()
}

fn written(parts: &Parts) -> Option<(u64, u64)> {
    let mut found = None;
    parts.object.with(&mut |object| found = object.downcast_ref::<Probe>().unwrap().written);
    found
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

proptest! {
    #[test]
    fn finds_what_the_model_finds(
        grants in prop::collection::vec((0u64..64, 1u64..6, 0u64..4), 0..20),
        names in prop::collection::vec(0u64..0x50_000, 1..200),
    ) {
        let mut builder = TableBuilder::default();
        let mut model: Vec<(u64, u64, u64, u64)> = Vec::new();
        for (number, (page, pages, window)) in (1..).zip(grants) {
            let (first, last, window) = (page << 12, ((page + pages) << 12) - 1, window << 12);
            let capability = Capability::new(probe(number).mmio.unwrap(), Rights::READ, window);
            let clash = model.iter().any(|&(f, l, ..)| f <= last && first <= l);
            prop_assert_eq!(builder.grant(first, last, capability).is_err(), clash);
            if !clash {
                model.push((first, last, number, window));
            }
        }
        let mut cache = Cache::new(leak(builder.finish())).unwrap();
        let mut cx = Context::new(0);
        for name in names.iter().map(|n| n & !7).chain([!7, 0]) {
            let expected = match model.iter().find(|&&(f, l, ..)| f <= name && name <= l) {
                Some(&(first, _, number, window)) => {
                    Reply::value(number << 32 | (name - first + window))
                }
                None => Reply::ABSENT,
            };
            prop_assert_eq!(read(&mut cache, name, Width::Word, &mut cx), expected);
        }
    }
}

#[test]
fn rights_and_widths() {
    let parts = probe(1);
    let rights = Rights::READ32 | Rights::READ8 | Rights::WRITE16;
    let mut builder = TableBuilder::default();
    builder.grant(0x1000, 0x1fff, Capability::new(parts.mmio.unwrap(), rights, 0)).unwrap();
    let table = leak(builder.finish());
    let mut cache = Cache::new(table).unwrap();
    let cx = &mut Context::new(0);

    for (width, may_read, may_write) in [
        (Width::Byte, true, false),
        (Width::Halfword, false, true),
        (Width::Word, true, false),
        (Width::Doubleword, false, false),
    ] {
        let answered = read(&mut cache, 0x1000, width, cx) != Reply::ABSENT;
        assert_eq!(answered, may_read, "read {width:?}");
        let answered = write(&mut cache, 0x1000, width, 1, cx) != Reply::ABSENT;
        assert_eq!(answered, may_write, "write {width:?}");
    }

    // Misaligned, and just outside.
    assert_eq!(read(&mut cache, 0x1002, Width::Word, cx), Reply::ABSENT);
    assert_eq!(read(&mut cache, 0x2000, Width::Word, cx), Reply::ABSENT);
    assert_eq!(read(&mut cache, 0xffc, Width::Word, cx), Reply::ABSENT);

    // Taking a right takes effect where the route is already cached.
    table.granted().next().unwrap().capability().clear(Rights::READ);
    assert_eq!(read(&mut cache, 0x1000, Width::Word, cx), Reply::ABSENT);
    assert_eq!(write(&mut cache, 0x1000, Width::Halfword, 1, cx), Reply::DONE);
}

#[test]
fn a_store_carries_only_its_width() {
    let parts = probe(1);
    let mut builder = TableBuilder::default();
    builder.grant(0, 0xfff, Capability::new(parts.mmio.unwrap(), Rights::WRITE, 0)).unwrap();
    let mut cache = Cache::new(leak(builder.finish())).unwrap();
    let reply = write(&mut cache, 4, Width::Byte, 0x1234, &mut Context::new(0));
    assert_eq!(reply, Reply::DONE);
    assert_eq!(written(&parts), Some((4, 0x34)));
}

#[test]
fn a_space_leads_to_each_facet_and_quarantine_ends_it() {
    let parts = probe(7);
    let register = Register::new(3, 0, 0, 4, 0);
    let key = u64::from(register.key());
    let mut builder = SpaceBuilder::default();
    let calls = Capability::new(parts.calls.unwrap(), Rights::CALL, 0);
    builder.calls.grant(0x8400_0000, 0x8400_001f, calls).unwrap();
    let registers = Capability::new(parts.registers.unwrap(), Rights::READ, 0);
    builder.registers.grant(key, key, registers).unwrap();
    let line = Capability::new(parts.notify.unwrap(), Rights::INTERRUPT, 0);
    assert!(builder.interrupts.grant(27, line, 5, 6).is_ok());
    let silent = Capability::new(parts.notify.unwrap(), Rights::CALL, 0);
    assert!(builder.interrupts.grant(28, silent, 5, 6).is_ok());
    let again = Capability::new(parts.notify.unwrap(), Rights::INTERRUPT, 0);
    assert!(builder.interrupts.grant(27, again, 5, 6).is_err());
    let space = builder.finish();
    let mut caches = Caches::new(space).unwrap();
    let cx = &mut Context::new(0);

    let mut registers = [0; 18];
    registers[1] = 2;
    assert_eq!(call(&mut caches.calls, 0x8400_0001, &mut registers, cx), Reply::value(0x8400_0003));
    assert_eq!(call(&mut caches.calls, 0x8400_0020, &mut registers, cx), Reply::ABSENT);
    assert_eq!(read_register(&mut caches.registers, register, cx), Reply::value(key));
    assert_eq!(write_register(&mut caches.registers, register, 1, cx), Reply::ABSENT);
    assert_eq!(space.interrupts.notify_private(27, cx), Reply::HELD);
    assert_eq!(written(&parts), Some((5, 6)));
    // A line without the interrupt right never fires, nor one that nobody holds.
    assert_eq!(space.interrupts.notify_private(28, cx), Reply::ABSENT);
    assert_eq!(space.interrupts.notify_private(29, cx), Reply::ABSENT);
    assert_eq!(space.interrupts.notify_shared(5000, cx), Reply::ABSENT);
    let uses = Uses { accesses: 0, registers: 1, calls: 1, interrupts: 1 };
    assert_eq!(space.uses(), uses, "what led nowhere is not counted");

    space.quarantine(std::ptr::from_ref(parts.notify.unwrap()).cast());
    assert_eq!(call(&mut caches.calls, 0x8400_0001, &mut registers, cx), Reply::ABSENT);
    assert_eq!(read_register(&mut caches.registers, register, cx), Reply::ABSENT);
    assert_eq!(space.interrupts.notify_private(27, cx), Reply::ABSENT);
}

#[test]
fn effects_are_delivered_with_the_right_only() {
    let parts = probe(1);
    let to = leak(Capability::new(parts.notify.unwrap(), Rights::INTERRUPT, 0));
    let mut cx = Context::new(0);
    cx.push(Effect { to, right: Rights::CALL, tag: 1, value: 1 });
    assert!(matches!(deliver(&mut cx), Delivery::Done));
    assert_eq!(written(&parts), None);

    cx.push(Effect { to, right: Rights::INTERRUPT, tag: 2, value: 3 });
    assert!(matches!(deliver(&mut cx), Delivery::Done));
    assert_eq!(written(&parts), Some((2, 3)));
    assert_eq!(to.hits(), 1);

    cx.push(Effect { to, right: Rights::INTERRUPT, tag: 99, value: 0 });
    assert!(matches!(deliver(&mut cx), Delivery::Failed(failed) if std::ptr::eq(failed, to)));
}

/// Answers every effect with another.
struct Echo {
    to: Option<Effect>,
}

impl Object for Echo {
    fn reset(&mut self) {}
}

impl Notify for Echo {
    fn notify(&mut self, _: u32, _: u64, cx: &mut Context) -> Reply {
        if let Some(effect) = self.to {
            cx.push(effect);
        }
        Reply::DONE
    }
}

#[test]
fn an_endless_chain_of_effects_ends() {
    let parts = Parts::new(Echo { to: None }).notify().done();
    let to = leak(Capability::new(parts.notify.unwrap(), Rights::CALL, 0));
    let effect = Effect { to, right: Rights::CALL, tag: 0, value: 0 };
    parts.object.with(&mut |object| object.downcast_mut::<Echo>().unwrap().to = Some(effect));
    let mut cx = Context::new(0);
    cx.push(effect);
    assert!(matches!(deliver(&mut cx), Delivery::Failed(_)));
    to.clear(Rights::all());
    assert!(matches!(deliver(&mut cx), Delivery::Done));
}
