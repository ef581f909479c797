//! Checked against what the drivers of U-Boot and Linux ask.

use evisor_testkit::{Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const USB: &str = "brcm,bcm2835-usb";
const PCIE: &str = "brcm,bcm2711-pcie";
const ETHERNET: &str = "brcm,bcm2711-genet-v5";
/// With the size of its window.
const ALL: [(&str, u64); 3] = [(USB, 0x1_0000), (PCIE, 0x9310), (ETHERNET, 0x1_0000)];

/// Device, offset, what is read there; everything else is 0.
const READ: [(&str, u64, u64); 10] = [
    (USB, 0x0040, 0),            // GSNPSID
    (PCIE, 0x0000, 0xffff_ffff), // vendor and device of the root port
    (PCIE, 0x0004, 0),
    (PCIE, 0x4068, 0x80),        // PCIE_MISC_PCIE_STATUS
    (PCIE, 0x8000, 0xffff_ffff), // PCIE_EXT_CFG_DATA
    (PCIE, 0x8ffc, 0xffff_ffff),
    (PCIE, 0x9000, 0),               // PCIE_EXT_CFG_INDEX
    (ETHERNET, 0x0000, 0),           // SYS_REV_CTRL
    (ETHERNET, 0x0e14, 0x1000_ffff), // MDIO_CMD
    (ETHERNET, 0x0e18, 0),
];

#[test]
fn registers_are_what_they_are_whatever_is_written() {
    for (compatible, offset, value) in READ {
        let mut rig = Rig::new(compatible);
        for written in [0, 0xffff_ffff] {
            rig.write32(offset, written);
            assert_eq!(rig.read32(offset), value, "{compatible} {offset:#x}");
        }
    }
}

#[test]
fn the_rest_is_zero_and_says_nothing() {
    for (compatible, size) in ALL {
        let mut rig = Rig::new(compatible);
        let mut others = 0;
        for offset in (0..size).step_by(4) {
            rig.write32(offset, 0xffff_ffff);
            others += u32::from(rig.read32(offset) != 0);
        }
        let expected =
            if compatible == PCIE { 2 + 0x400 } else { u32::from(compatible == ETHERNET) };
        assert_eq!((others, rig.events()), (expected, vec![]), "{compatible}");
    }
}

/// U-Boot's `dwc2_init_common`, Linux's `dwc2_check_core_version`: 0x4f54 or 0x5532 are a
/// DWC2's, "OT" and "U2".
#[test]
fn no_dwc2_is_found() {
    let id = Rig::new(USB).read32(0x40) >> 16;
    assert!(![0x4f54, 0x5531, 0x5532].contains(&id));
}

/// `brcm_pcie_rc_mode` and `brcm_pcie_link_up` of both, in the order of their probing:
/// another mode than RC would be "misconfigured".
#[test]
fn the_link_is_down() {
    let mut rig = Rig::new(PCIE);
    let clear = |rig: &mut Rig, offset: u64, bits: u64| {
        let value = rig.read32(offset);
        rig.write32(offset, value & !bits);
    };
    clear(&mut rig, 0x9210, 0x2); // PCIE_RGR1_SW_INIT_1: out of reset
    clear(&mut rig, 0x4204, 0x0800_0000); // PCIE_MISC_HARD_PCIE_HARD_DEBUG
    clear(&mut rig, 0x9210, 0x1); // PERST
    let status = rig.read32(0x4068);
    assert_eq!((status >> 7 & 1, status >> 4 & 3), (1, 0));
}

/// `bcmgenet_eth_probe` and `bcmgenet_set_hw_params`: 6 is version 5.
#[test]
fn the_version_is_none_that_is_supported() {
    assert_ne!(Rig::new(ETHERNET).read32(0) >> 24 & 0xf, 6);
}

/// `unimac_mdio_read`: a command is written with MDIO_START_BUSY, which goes away, and
/// MDIO_READ_FAIL is left.
#[test]
fn no_phy_answers() {
    let mut rig = Rig::new(ETHERNET);
    for phy in 0..32 {
        rig.write32(0xe14, 1 << 29 | 2 << 26 | phy << 21 | 2 << 16);
        assert_eq!(rig.read32(0xe14) >> 28 & 3, 1, "{phy}");
    }
}

#[test]
fn guest_node() {
    for (compatible, _) in ALL {
        let declaration = Rig::new(compatible).declaration();
        assert_eq!(describe(declaration, &[]), "status = \"disabled\"");
        assert_eq!(describe(declaration, &[("status", b"okay\0")]), "");
    }
}

/// Interrupts may be listed.
#[test]
fn save_and_restore_go_on_alike() {
    for (compatible, _) in ALL {
        for lines in [0, 1] {
            let setup = Setup { lines: Some(lines), ..Setup::default() };
            save_and_restore(compatible, &setup);
            refuses_foreign_state(compatible, &setup);
        }
    }
}
