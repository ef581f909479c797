//! The device tree that a VM's guest reads, made from the VM's node.
//!
//! The node is copied without eVisor's own words; each component adds what it
//! knows of its device; the rest is what every tree needs. A node that only
//! eVisor has a name for (`evisor,smccc`) and that its component does not give
//! another one is not for the guest, and neither is one that is disabled, or
//! memory that the guest cannot write.

use crate::chosen::guest_path;
use crate::error::ManifestError;
use crate::plan::{ObjectPlan, VmPlan};
use crate::{space, words};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use evisor_contract::{BuildError, Declaration, GuestNode};
use evisor_fdt::{Draft, Node, Property, Strings, Tree};

/// What a guest's tree is compatible with if the manifest does not say: Linux's
/// name for a machine that its tree describes in full.
const MACHINE: &str = "linux,dummy-virt";

/// Makes the device tree of a VM from the manifest `tree` that it was read from.
/// `seed` is entropy for the guest's `rng-seed`; without one it has none.
///
/// # Errors
/// A component refuses its node, or the tree comes out as one that cannot be
/// written or is larger than the plan has room for.
pub fn guest_tree(
    tree: &Tree<'_>,
    vm: &VmPlan,
    seed: Option<&[u8]>,
) -> Result<Vec<u8>, Box<ManifestError>> {
    let problem = |message: String, remedy: &str| {
        ManifestError::from_component(&vm.path, BuildError::new(message, remedy.to_string()))
    };
    let node = tree.find(&vm.path).ok_or_else(|| {
        problem(String::from("is not in this manifest"), "give the one that the plan is from")
    })?;
    let mut guest = Guest { vm, node, phandles: Phandles { tree, last: 0 }, clocks: Vec::new() };
    let bytes = guest.root(seed)?.to_bytes().map_err(|error| {
        problem(format!("the guest's device tree: {error}"), "correct that node")
    })?;
    let (length, space) = (bytes.len() as u64, vm.device_tree.map(|tree| tree.space));
    if let Some(space) = space.filter(|space| *space < length) {
        let message = format!("the guest's device tree has {length} bytes, and {space} are free");
        return Err(problem(message, "make room for it, or see evisor,device-tree-address"));
    }
    Ok(bytes)
}

/// Phandles that the manifest does not use.
struct Phandles<'t> {
    tree: &'t Tree<'t>,
    last: u32,
}

impl Phandles<'_> {
    fn fresh(&mut self) -> u32 {
        self.last += 1;
        while self.tree.by_phandle(self.last).is_some() {
            self.last += 1;
        }
        self.last
    }
}

/// A guest's tree on its way.
struct Guest<'a> {
    vm: &'a VmPlan,
    node: Node<'a>,
    phandles: Phandles<'a>,
    /// Fixed clocks: frequency and phandle.
    clocks: Vec<(u32, u32)>,
}

/// A component's view of a node on its way.
struct Described<'d, 'a> {
    draft: &'d mut Draft<'a>,
    guest: &'d mut Guest<'a>,
}

impl GuestNode for Described<'_, '_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.draft.set(name.to_string(), value.to_vec());
    }

    fn fixed_clock(&mut self, hertz: u32) -> u32 {
        let known = self.guest.clocks.iter().find(|(frequency, _)| *frequency == hertz);
        if let Some((_, phandle)) = known {
            return *phandle;
        }
        let phandle = self.guest.phandles.fresh();
        self.guest.clocks.push((hertz, phandle));
        phandle
    }
}

impl<'a> Guest<'a> {
    fn root(&mut self, seed: Option<&[u8]>) -> Result<Draft<'a>, Box<ManifestError>> {
        let mut root = copy(self.node);
        root.rename("");
        for child in self.node.children() {
            let child = self.child(child)?;
            root.children_mut().extend(child);
        }
        self.finish_root(&mut root);
        self.finish_chosen(&mut root, seed);
        for (hertz, phandle) in &self.clocks {
            root.children_mut().push(clock(*hertz, *phandle));
        }
        Ok(root)
    }

    /// A node below the root, with all that is in it; `None` if it is not for
    /// the guest.
    fn child(&mut self, node: Node<'a>) -> Result<Option<Draft<'a>>, Box<ManifestError>> {
        let hidden = space::is_memory(node) && node.has(words::READ_ONLY);
        if !node.is_enabled() || hidden {
            return Ok(None);
        }
        let mut draft = copy(node);
        for child in node.children() {
            let child = self.child(child)?;
            draft.children_mut().extend(child);
        }
        self.describe(node, &mut draft)?;
        self.localize(node, &mut draft);
        Ok(Some(draft).filter(is_for_guest))
    }

    /// Adds what the node's component, or the reader itself, knows of it.
    fn describe(
        &mut self,
        node: Node<'a>,
        draft: &mut Draft<'a>,
    ) -> Result<(), Box<ManifestError>> {
        let path = node.path();
        let vm = self.vm;
        if let Some(object) = vm.objects.iter().find(|object| object.path == path) {
            // An interrupt controller can have less than its node lists.
            if let Some((_, reg)) = object.properties.iter().find(|(name, _)| name == "reg") {
                draft.set("reg", reg.as_slice());
            }
            object.with_node(|node| self.ask(object.declaration, node, draft))?;
            if object.declaration.needs.interrupt_controller && draft.get("phandle").is_none() {
                draft.set_cells("phandle", &[self.phandles.fresh()]);
            }
        }
        if vm.cpus.iter().any(|cpu| cpu.path == path) {
            self.describe_cpu(node, draft)?;
        }
        if space::is_memory(node) && node.parent() == Some(self.node) {
            draft.set_strings("device_type", &["memory"]);
        }
        Ok(())
    }

    fn ask(
        &mut self,
        declaration: &Declaration,
        node: &evisor_contract::Node<'_>,
        draft: &mut Draft<'a>,
    ) -> Result<(), Box<ManifestError>> {
        let mut described = Described { draft, guest: self };
        (declaration.describe)(node, &mut described)
            .map_err(|error| ManifestError::from_component(node.path(), error))
    }

    /// The first CPU's component describes the others too.
    fn describe_cpu(
        &mut self,
        node: Node<'a>,
        draft: &mut Draft<'a>,
    ) -> Result<(), Box<ManifestError>> {
        let (vm, path) = (self.vm, node.path());
        let first = vm.cpus.first().map(|cpu| &cpu.path);
        let object = vm.objects.iter().find(|object| Some(&object.path) == first);
        if let Some(object) = object.filter(|object| object.path != path) {
            let properties: Vec<_> = node.properties().map(|p| (p.name, p.value)).collect();
            let node = evisor_contract::Node::new(&path, &properties, &[]);
            self.ask(object.declaration, &node, draft)?;
        }
        draft.set_strings("device_type", &["cpu"]);
        if self.has_psci() && draft.get("enable-method").is_none() {
            draft.set_strings("enable-method", &["psci"]);
        }
        Ok(())
    }

    fn has_psci(&self) -> bool {
        let answers = |object: &ObjectPlan| {
            object.declaration.compatible.iter().any(|name| name.starts_with("arm,psci"))
        };
        self.vm.objects.iter().any(answers)
    }

    /// Turns paths in `chosen` and `aliases` into the guest's.
    fn localize(&self, node: Node<'_>, draft: &mut Draft<'a>) {
        let localized = |property: Property<'_>| {
            let path = property.string()?;
            Some((property.name.to_string(), guest_path(self.node, path).to_string()))
        };
        if node.parent() != Some(self.node) || !matches!(node.name(), "chosen" | "aliases") {
            return;
        }
        let is_path = |p: &Property<'_>| node.name() == "aliases" || p.name == "stdout-path";
        for (name, path) in node.properties().filter(is_path).filter_map(localized) {
            draft.set_strings(name, &[&path]);
        }
    }

    fn finish_root(&self, root: &mut Draft<'a>) {
        let names: Vec<&str> = self.node.compatible().filter(|name| !is_word(name)).collect();
        root.set_strings("compatible", if names.is_empty() { &[MACHINE] } else { &names });
        // The specification's defaults (§2.3.5), which Linux does not share.
        for (name, cells) in [("#address-cells", 2), ("#size-cells", 1)] {
            if root.get(name).is_none() {
                root.set_cells(name, &[cells]);
            }
        }
        let is_controller = |object: &&ObjectPlan| object.declaration.needs.interrupt_controller;
        let mut controllers = self.vm.objects.iter().filter(is_controller);
        let only = controllers.next().filter(|_| controllers.next().is_none());
        let only = only.and_then(|only| root.descend(guest_path(self.node, &only.path)));
        let phandle = only.and_then(|only| only.get("phandle")).map(<[u8]>::to_vec);
        if let Some(phandle) = phandle.filter(|_| root.get("interrupt-parent").is_none()) {
            root.set("interrupt-parent", phandle);
        }
    }

    fn finish_chosen(&self, root: &mut Draft<'a>, seed: Option<&[u8]>) {
        let chosen = root.child_mut("chosen");
        if let Some(initrd) = &self.vm.initrd {
            chosen.set_number("linux,initrd-start", initrd.ipa);
            chosen.set_number("linux,initrd-end", initrd.ipa.saturating_add(initrd.size));
        }
        if let Some(seed) = seed {
            chosen.set("rng-seed", seed.to_vec());
        }
    }
}

/// The node without eVisor's own words, and without what lies in it.
fn copy(node: Node<'_>) -> Draft<'_> {
    Draft::copy_of(node, |name| !is_word(name))
}

fn is_word(name: &str) -> bool {
    name.starts_with(words::PREFIX)
}

/// Whether a node has a name that a guest knows.
fn is_for_guest(draft: &Draft<'_>) -> bool {
    let Some(value) = draft.get("compatible") else { return true };
    let names = Property { name: "compatible", value }.strings();
    names.is_none_or(|mut names: Strings<'_>| names.any(|name| !is_word(name)))
}

fn clock(hertz: u32, phandle: u32) -> Draft<'static> {
    let mut clock = Draft::new(format!("clock-{hertz}"));
    clock.set_strings("compatible", &["fixed-clock"]);
    clock.set_cells("#clock-cells", &[0]);
    clock.set_cells("clock-frequency", &[hertz]);
    clock.set_cells("phandle", &[phandle]);
    clock
}
