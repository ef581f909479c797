//! The calls as functions, for a guest that brings the instruction.

use crate::{Error, Kind, function};

/// How a guest calls: HVC with `function` in w0 and `arguments` in x1 to x7. Gives x0 to
/// x3.
pub trait Conduit {
    /// Calls.
    fn call(&self, function: u32, arguments: [u64; 7]) -> [u64; 4];
}

/// A capability that the caller holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub handle: u64,
    /// What is behind.
    pub kind: Kind,
    /// What may be done, as [`rights`](crate::rights).
    pub rights: u32,
    /// What who gave it calls it: of the manifest's, what that says.
    pub label: u64,
}

/// The window of a capability, and who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Where it starts in the object.
    pub first: u64,
    /// How long it is.
    pub count: u64,
    /// How many derivations lie between it and the manifest's.
    pub depth: u64,
}

/// How a capability is narrowed. Rights and window are of what it is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrow {
    /// The rights that stay, if they are there.
    pub rights: u32,
    /// Where the window starts, from the start of the window that there is.
    pub first: u64,
    /// How long it is; 0 for the rest.
    pub count: u64,
    /// What it is to be called.
    pub label: u64,
}

impl Narrow {
    /// All of it, called `label`.
    #[must_use]
    pub const fn nothing(label: u64) -> Self {
        Self { rights: crate::rights::ALL, first: 0, count: 0, label }
    }

    /// With these rights at most.
    #[must_use]
    pub const fn to(self, rights: u32) -> Self {
        Self { rights, ..self }
    }
}

/// At how many handles is looked for one.
const LOOKS: usize = 1 << 16;

/// The caller's own capabilities.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities<C>(pub C);

impl<C: Conduit> Capabilities<C> {
    /// # Errors
    /// What x0 says. Gives x1 to x3.
    fn call(&self, function: u32, arguments: [u64; 7]) -> Result<[u64; 3], Error> {
        let [x0, x1, x2, x3] = self.0.call(function, arguments);
        Error::of(x0).map_or(Ok([x1, x2, x3]), Err)
    }

    /// Which version of the ABI is there.
    ///
    /// # Errors
    /// [`Error::NotSupported`]: the VM has no handles.
    pub fn version(&self) -> Result<u64, Error> {
        let [x0, ..] = self.0.call(function::VERSION, [0; 7]);
        Error::of(x0).map_or(Ok(x0), Err)
    }

    /// How many derivations the caller may have, and how many of them are left.
    ///
    /// # Errors
    /// The VM has no handles.
    pub fn quota(&self) -> Result<(u64, u64), Error> {
        self.call(function::QUOTA, [0; 7]).map(|[all, left, _]| (all, left))
    }

    /// What the caller holds after `handle`, the first after 0; `None` at the end.
    ///
    /// # Errors
    /// [`Error::NoHandle`]: it holds `handle` no more. It starts at 0 again.
    pub fn next(&self, handle: u64) -> Result<Option<Held>, Error> {
        let [handle, what, label] = self.call(function::NEXT, [handle, 0, 0, 0, 0, 0, 0])?;
        let kind = Kind::of(what as u32).unwrap_or(Kind::Gone);
        let held = Held { handle, kind, rights: (what >> 32) as u32, label };
        Ok((handle != 0).then_some(held))
    }

    /// What the caller holds that is of `kind` and called `label`.
    #[must_use]
    pub fn find(&self, kind: Kind, label: u64) -> Option<Held> {
        let mut at = 0;
        // Where one goes while it is looked at, it begins again.
        for _ in 0..LOOKS {
            match self.next(at) {
                Ok(None) => return None,
                Ok(Some(held)) if held.kind == kind && held.label == label => return Some(held),
                Ok(Some(held)) => at = held.handle,
                Err(_) if at != 0 => at = 0,
                Err(_) => return None,
            }
        }
        None
    }

    /// The window of the capability that `handle` names.
    ///
    /// # Errors
    /// There is none.
    pub fn describe(&self, handle: u64) -> Result<Described, Error> {
        let [first, count, depth] = self.call(function::DESCRIBE, [handle, 0, 0, 0, 0, 0, 0])?;
        Ok(Described { first, count, depth })
    }

    /// Has what is behind `handle` do `operation`. What the words mean, in and out, is the
    /// object's to say.
    ///
    /// # Errors
    /// There is no such handle, or the object refuses.
    pub fn invoke(
        &self,
        handle: u64,
        operation: u32,
        [a, b, c, d, e]: [u64; 5],
    ) -> Result<[u64; 3], Error> {
        self.call(function::INVOKE, [handle, operation.into(), a, b, c, d, e])
    }

    /// A narrower capability of the caller's own. Gives its handle.
    ///
    /// # Errors
    /// There is no such handle, it is no window there, or nothing is left of the quota.
    pub fn derive(&self, handle: u64, narrow: Narrow) -> Result<u64, Error> {
        let Narrow { rights, first, count, label } = narrow;
        let arguments = [handle, rights.into(), first, count, label, 0, 0];
        self.call(function::DERIVE, arguments).map(|[handle, ..]| handle)
    }

    /// The same for the VM at the other end of `way`: [`revoke`](Self::revoke) of `handle`
    /// takes it back.
    ///
    /// # Errors
    /// As there; or one of the two has not the grant right, or there is no VM there.
    pub fn hand_over(&self, handle: u64, way: u64, narrow: Narrow) -> Result<(), Error> {
        let Narrow { rights, first, count, label } = narrow;
        let arguments = [handle, rights.into(), first, count, label, way, 0];
        self.call(function::HAND_OVER, arguments).map(|_| ())
    }

    /// Takes away all that was derived from the capability that `handle` names, whoever
    /// holds it: from when this returns no invocation by it begins. What is named stays.
    /// True: what they took of quotas comes back a little later.
    ///
    /// # Errors
    /// There is no such handle.
    pub fn revoke(&self, handle: u64) -> Result<bool, Error> {
        self.call(function::REVOKE, [handle, 0, 0, 0, 0, 0, 0]).map(|[more, ..]| more != 0)
    }

    /// Gives the capability up. What was derived from it stays, and with it what it took
    /// of a quota.
    ///
    /// # Errors
    /// There is no such handle.
    pub fn drop(&self, handle: u64) -> Result<(), Error> {
        self.call(function::DROP, [handle, 0, 0, 0, 0, 0, 0]).map(|_| ())
    }
}
