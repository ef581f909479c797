//! What software in a virtual Pi makes of devices that are not there.

use crate::case::Case;

pub const CASES: &[Case] = &[
    Case::new(
        "U-Boot in a virtual Pi looks for devices that are not there, and goes on",
        "tools/evisor/tests/guests/virtual-pi-looks.dts",
    )
    .sends(&["autoboot=", "U-Boot> =pci enum", "U-Boot> =usb start"])
    .until("usb start[^>]*not available")
    .seconds(120)
    .shows(&[
        "Unsupported GENETv1.0",
        "No ethernet found.",
        "PCIe BRCM: link down",
        "Bus usb@7e980000: Port not available.",
    ]),
    Case::new(
        "Linux in a virtual Pi does not look for them; the thermometer",
        "manifests/virtual-pi.dts",
    )
    .sends(&[
        "~ # =for a in fe980040 fd504068 fd580000 fd5d2200; do echo $a: $(devmem 0x$a); done; \
         for n in /proc/device-tree/*/*/status; do echo $n 'is' $(tr -d '\\0' < $n); done; \
         ls /proc/device-tree/thermal-zones; poweroff",
    ])
    .seconds(120)
    .shows(&[
        "fe980040: 0x00000000",
        "fd504068: 0x00000080",
        "fd580000: 0x00000000",
        "fd5d2200: 0x000106F8",
        "scb/ethernet@7d580000/status is disabled",
        "scb/pcie@7d500000/status is disabled",
        "soc/usb@7e980000/status is disabled",
        "cpu-thermal",
        "Power down",
    ]),
];
