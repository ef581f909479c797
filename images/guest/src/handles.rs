//! What this VM holds by handles (`framework/abi`).

pub use evisor_abi::{Capabilities, Conduit};
use smccc::{Call, Hvc};

/// The calls, by HVC.
#[derive(Clone, Copy, Debug)]
pub struct ByHvc;

impl Conduit for ByHvc {
    fn call(&self, function: u32, arguments: [u64; 7]) -> [u64; 4] {
        let mut all = [0; 17];
        all.iter_mut().zip(arguments).for_each(|(slot, argument)| *slot = argument);
        let reply = Hvc::call64(function, all);
        [reply[0], reply[1], reply[2], reply[3]]
    }
}

/// This VM's own capabilities.
pub const OWN: Capabilities<ByHvc> = Capabilities(ByHvc);
