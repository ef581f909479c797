//! `evisor check --graph`: VMs, their capabilities and the objects that these lead to, as
//! a drawing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};
use serde_json::Value;

use crate::authority::{list, number, text};

/// The drawing of `authority`, which the checker gave, as SVG.
pub fn svg(authority: &Value) -> Result<String> {
    let source = source(authority)?;
    let tree = DotParser::new(&source).process();
    let tree = tree.map_err(|problem| anyhow!("{problem}: {source}"))?;
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&tree);
    let mut writer = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut writer);
    Ok(writer.finalize())
}

/// The graph in Graphviz's language: VMs on the left, then their objects, then what is
/// no VM's own.
fn source(authority: &Value) -> Result<String> {
    let mut out = String::from("digraph authority {\nrankdir=\"LR\";\n");
    for vm in list(authority) {
        of_vm(&mut out, authority, vm)?;
    }
    out.push_str("}\n");
    Ok(out)
}

fn of_vm(out: &mut String, authority: &Value, vm: &Value) -> Result<()> {
    let name = text(vm, "vm");
    node(out, name, &format!("VM {name}"), "lightblue");
    for region in list(&vm["memory"]) {
        let path = text(region, "object");
        node(out, path, "memory", "white");
        edge(out, name, path, &format!("{:#x}", number(region, "first")?));
    }
    let names = names(vm)?;
    for object in list(&vm["objects"]) {
        let path = text(object, "path");
        let short = path.rsplit('/').next().unwrap_or(path);
        node(out, path, &format!("{short}\n{}", text(object, "component")), "white");
        edge(out, name, path, &names.get(path).map_or(String::new(), |names| names.join("\n")));
        for (target, what) in outside(object) {
            node(out, &target, &target, "lightgray");
            edge(out, path, &target, &what);
        }
    }
    for handle in list(&vm["handles"]) {
        let target = text(handle, "object");
        let of_all = target.trim_start_matches('/');
        let is_vm = list(authority).iter().any(|other| text(other, "vm") == of_all);
        if !is_vm && !of_all.contains('/') {
            node(out, target, target, "lightgray");
        }
        let what = format!("by handle: {}", text(handle, "rights"));
        edge(out, name, if is_vm { of_all } else { target }, &what);
    }
    for overseer in list(&vm["overseers"]) {
        let path = text(overseer, "path");
        node(out, path, path, "lightgray");
        let controls = overseer.get("control").and_then(Value::as_bool).unwrap_or_default();
        edge(out, path, name, if controls { "control" } else { "look" });
    }
    Ok(())
}

/// By object, what its VM names it by.
fn names(vm: &Value) -> Result<BTreeMap<&str, Vec<String>>> {
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for window in list(&vm["addresses"]) {
        let name = format!("{:#x}", number(window, "first")?);
        names.entry(text(window, "object")).or_default().push(name);
    }
    for (key, what) in
        [("registers", "registers"), ("calls", "calls"), ("interrupts", "interrupts")]
    {
        for entry in list(&vm[key]) {
            let names = names.entry(text(entry, "object")).or_default();
            if !names.iter().any(|name| name == what) {
                names.push(what.to_owned());
            }
        }
    }
    Ok(names)
}

/// What an object reaches that is no VM's own.
fn outside(object: &Value) -> Vec<(String, String)> {
    let mut reached = Vec::new();
    if let Some(console) = object.get("console").and_then(Value::as_str) {
        reached.push((console.to_owned(), "bytes".to_owned()));
    }
    if let Some(block) = object.get("block") {
        let part = block.get("part").and_then(Value::as_u64).unwrap_or_default();
        let what = if part == 0 { "blocks".to_owned() } else { format!("partition {part}") };
        reached.push((text(block, "store").to_owned(), what));
    }
    if let Some(device) = object.get("device").and_then(Value::as_str) {
        reached.push((format!("board: {device}"), "device".to_owned()));
    }
    reached
}

fn node(out: &mut String, id: &str, label: &str, colour: &str) {
    // To a string it cannot fail.
    let _ = writeln!(
        out,
        "{id:?} [label={label:?}, shape=\"box\", style=\"filled\", fillcolor=\"{colour}\"];"
    );
}

fn edge(out: &mut String, from: &str, to: &str, label: &str) {
    let _ = writeln!(out, "{from:?} -> {to:?} [label={label:?}];");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn authority() -> Value {
        json!([{
            "vm": "linux",
            "memory": [{ "first": 0x4000_0000, "object": "/linux/memory@40000000" }],
            "addresses": [{ "first": 0x900_0000, "object": "/linux/serial@9000000" }],
            "calls": [{ "object": "/linux/psci" }, { "object": "/linux/psci" }],
            "objects": [
                { "path": "/linux/serial@9000000", "component": "pl011", "console": "/console" },
                { "path": "/linux/psci", "component": "psci" },
            ],
            "handles": [
                { "object": "/linux", "rights": "read control" },
                { "object": "/linux/psci", "rights": "call" },
                { "object": "/disk", "rights": "read write" },
            ],
            "overseers": [{ "path": "/monitor", "control": true }],
        }])
    }

    #[test]
    fn each_capability_is_an_edge() {
        let source = source(&authority()).unwrap();
        for edge in [
            r#""linux" -> "/linux/memory@40000000" [label="0x40000000"]"#,
            r#""linux" -> "/linux/serial@9000000" [label="0x9000000"]"#,
            r#""linux" -> "/linux/psci" [label="calls"]"#,
            r#""/linux/serial@9000000" -> "/console" [label="bytes"]"#,
            r#""linux" -> "linux" [label="by handle: read control"]"#,
            r#""linux" -> "/linux/psci" [label="by handle: call"]"#,
            r#""linux" -> "/disk" [label="by handle: read write"]"#,
            r#""/monitor" -> "linux" [label="control"]"#,
        ] {
            assert!(source.contains(edge), "{edge} is missing in {source}");
        }
    }

    #[test]
    fn it_is_drawn() {
        let drawing = svg(&authority()).unwrap();
        for label in ["VM linux", "serial@9000000", "pl011", "/console", "0x9000000"] {
            assert!(drawing.contains(label), "{label} is missing in {drawing}");
        }
        assert_eq!(drawing, svg(&authority()).unwrap());
    }
}
