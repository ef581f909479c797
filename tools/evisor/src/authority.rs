//! `evisor check --report`: what each VM can reach, and through which object.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one object a VM, as the checker says it.
    Json,
}

/// The report of `authority`, which the checker gave.
pub fn report(authority: &Value, format: Format) -> Result<String> {
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(authority)?),
        Format::Text => {
            let vms = list(authority);
            Ok(vms.iter().map(of_vm).collect::<Result<Vec<_>>>()?.join("\n"))
        }
    }
}

/// The entries of an array; none of anything else.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text under `key`; empty if there is none.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The number under `key`.
pub fn number(value: &Value, key: &str) -> Result<u64> {
    let number = value.get(key).and_then(Value::as_u64);
    number.with_context(|| format!("the checker gave no {key} in {value}"))
}

fn is(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn numbers(value: &Value, key: &str) -> String {
    let numbers = list(&value[key]).iter().filter_map(Value::as_u64);
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

fn of_vm(vm: &Value) -> Result<String> {
    let mut out = format!("{}, on cores {}\n", text(vm, "vm"), numbers(vm, "cores"));
    for region in list(&vm["memory"]) {
        line(&mut out, "memory", &addresses(region)?, text(region, "rights"), object(region));
    }
    for window in list(&vm["addresses"]) {
        let rights = text(window, "rights");
        let rights = match window.get("physical").and_then(Value::as_u64) {
            Some(physical) => format!("{}, the board's {physical:#x}", directions(rights)),
            None if is(window, "direct") => format!("{}, without a trap", directions(rights)),
            None if is(window, "memory") => format!("{}, memory in turn", widths(rights)),
            None => widths(rights),
        };
        line(&mut out, "address", &addresses(window)?, &rights, object(window));
    }
    for register in list(&vm["registers"]) {
        let rights = directions(text(register, "rights"));
        line(&mut out, "register", text(register, "name"), &rights, object(register));
    }
    for call in list(&vm["calls"]) {
        line(&mut out, "call", &addresses(call)?, text(call, "rights"), object(call));
    }
    for interrupt in list(&vm["interrupts"]) {
        let intid = number(interrupt, "intid")?.to_string();
        let device = match text(interrupt, "device") {
            "" => String::new(),
            device => format!("of {device}"),
        };
        line(&mut out, "interrupt", &intid, &device, object(interrupt));
    }
    for through in list(&vm["objects"]) {
        of_object(&mut out, through);
    }
    for handle in list(&vm["handles"]) {
        let target = format!("{}{}", text(handle, "object"), part(&handle["blocks"]));
        let rights = format!("{}{}", text(handle, "rights"), window(&handle["blocks"]));
        line(&mut out, "handle", &target, &rights, text(handle, "path"));
    }
    for store in list(&vm["stores"]) {
        let through = format!("{}{}", text(store, "store"), part(store));
        line(&mut out, "copies", text(store, "dma"), "read write", &through);
    }
    for overseer in list(&vm["overseers"]) {
        let what = if is(overseer, "control") { "looked at, and changed" } else { "looked at" };
        line(&mut out, "overseen", "", what, text(overseer, "path"));
    }
    Ok(out)
}

/// What an object reaches for its VM, outside of it.
fn of_object(out: &mut String, object: &Value) {
    let path = text(object, "path");
    let lines = numbers(object, "lines");
    if !lines.is_empty() {
        line(out, "line", &lines, "", path);
    }
    if let Some(console) = object.get("console").and_then(Value::as_str) {
        line(out, "console", console, "", path);
    }
    if let Some(block) = object.get("block") {
        let rights = if is(block, "read-only") { "read" } else { "read write" };
        line(out, "blocks", &format!("{}{}", text(block, "store"), part(block)), rights, path);
    }
    if let Some(device) = object.get("device").and_then(Value::as_str) {
        line(out, "device", device, "", path);
    }
    if let Some(memory) = object.get("dma").and_then(Value::as_str) {
        line(out, "copies", memory, "read write", path);
    }
}

/// Which part of a store, if it is not all of it.
pub fn part(block: &Value) -> String {
    match block.get("part").and_then(Value::as_u64) {
        None | Some(0) => String::new(),
        Some(part) => format!(" partition {part}"),
    }
}

/// Which of the blocks there, if it is not all of them.
fn window(blocks: &Value) -> String {
    let [first, count] = ["first", "count"].map(|key| blocks.get(key).and_then(Value::as_u64));
    match (first, count) {
        (Some(first), Some(count)) => format!(", blocks {first}-{}", first + count - 1),
        _ => String::new(),
    }
}

fn line(out: &mut String, kind: &str, name: &str, rights: &str, object: &str) {
    // To a string it cannot fail.
    let _ = writeln!(out, "  {kind:<10} {name:<24} {rights:<42} {object}");
}

fn object(entry: &Value) -> &str {
    entry.get("object").and_then(Value::as_str).unwrap_or("eVisor")
}

fn addresses(entry: &Value) -> Result<String> {
    Ok(format!("{:#010x}-{:#010x}", number(entry, "first")?, number(entry, "last")?))
}

/// `read8 read32 write32` as `read 8 32, write 32`.
fn widths(rights: &str) -> String {
    let of = |direction: &str| {
        let widths = rights.split(' ').filter_map(|right| right.strip_prefix(direction));
        let widths: Vec<_> = widths.collect();
        (!widths.is_empty()).then(|| format!("{direction} {}", widths.join(" ")))
    };
    let both: Vec<_> = ["read", "write"].into_iter().filter_map(of).collect();
    both.join(", ")
}

/// `read8 read64 write64` as `read write`.
fn directions(rights: &str) -> String {
    let both = ["read", "write"].into_iter().filter(|direction| rights.contains(direction));
    both.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn authority() -> Value {
        json!([{
            "vm": "linux",
            "cores": [0, 1],
            "memory": [{ "first": 0x4000_0000, "last": 0x4fff_ffff_u64,
                "rights": "read write execute", "object": "/linux/memory@40000000" }],
            "addresses": [
                { "first": 0x900_0000, "last": 0x900_0fff, "rights": "read8 read32 write32",
                    "object": "/linux/serial@9000000" },
                { "first": 0xa00_0000, "last": 0xa00_0fff, "rights": "read8 read16 write8",
                    "object": "/linux/gpio@a000000", "direct": true, "physical": 0xfe20_0000_u64 },
            ],
            "registers": [{ "first": 1, "last": 1, "name": "S3_0_C12_C11_5",
                "rights": "write8 write64", "object": "/linux/intc@8000000" }],
            "calls": [{ "first": 0x8400_0000_u64, "last": 0x8400_001f_u64, "rights": "call",
                "object": "/linux/psci" }],
            "interrupts": [{ "intid": 26, "object": null },
                { "intid": 77, "object": "/linux/intc@8000000", "device": "/linux/gpio@a000000" }],
            "objects": [{ "path": "/linux/mmc@b000000", "component": "sdhci", "lines": [48],
                "control": true, "block": { "store": "/disk", "part": 2, "read-only": true },
                "dma": "the VM's memory" }],
            "handles": [
                { "path": "/linux/capabilities/it", "object": "/other", "rights": "read control" },
                { "path": "/linux/capabilities/own", "object": "/disk", "rights": "read write",
                    "blocks": { "part": 0, "first": 96, "count": 64 } },
                { "path": "/linux/capabilities/all", "object": "/card", "rights": "read",
                    "blocks": { "part": 3, "first": 0, "count": null } },
            ],
            "stores": [{ "store": "/card", "part": 3, "dma": "the VM's memory" }],
            "overseers": [{ "path": "/monitor", "control": false }],
        }])
    }

    #[test]
    fn people_read_a_line_for_each_capability() {
        let report = report(&authority(), Format::Text).unwrap();
        let lines: Vec<_> = report.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "linux, on cores 0 1",
                "  memory     0x40000000-0x4fffffff    read write execute                         /linux/memory@40000000",
                "  address    0x09000000-0x09000fff    read 8 32, write 32                        /linux/serial@9000000",
                "  address    0x0a000000-0x0a000fff    read write, the board's 0xfe200000         /linux/gpio@a000000",
                "  register   S3_0_C12_C11_5           write                                      /linux/intc@8000000",
                "  call       0x84000000-0x8400001f    call                                       /linux/psci",
                "  interrupt  26                                                                  eVisor",
                "  interrupt  77                       of /linux/gpio@a000000                     /linux/intc@8000000",
                "  line       48                                                                  /linux/mmc@b000000",
                "  blocks     /disk partition 2        read                                       /linux/mmc@b000000",
                "  copies     the VM's memory          read write                                 /linux/mmc@b000000",
                "  handle     /other                   read control                               /linux/capabilities/it",
                "  handle     /disk                    read write, blocks 96-159                  /linux/capabilities/own",
                "  handle     /card partition 3        read                                       /linux/capabilities/all",
                "  copies     the VM's memory          read write                                 /card partition 3",
                "  overseen                            looked at                                  /monitor",
            ]
        );
    }

    #[test]
    fn programs_read_what_the_checker_said() {
        let report = report(&authority(), Format::Json).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&report).unwrap(), authority());
    }

    #[test]
    fn what_is_not_a_report_is_an_error() {
        let odd = json!([{ "vm": "x", "memory": [{ "first": 1 }] }]);
        assert!(report(&odd, Format::Text).is_err());
    }
}
