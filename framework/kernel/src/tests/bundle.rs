//! The archive: what is one, and what is not.

use crate::bundle::{Bundle, BundleError};
use alloc::format;
use alloc::vec::Vec;
use evisor_manifest::Files;

/// A newc archive of regular files, their names padded as the host command does.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, data) in files.iter().chain(&[("TRAILER!!!", &[][..])]) {
        let mut name = name.as_bytes().to_vec();
        name.extend([0; 5]);
        let fields = [1, 0o100_644, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len(), 0];
        bytes.extend(b"070701");
        fields.iter().for_each(|field| bytes.extend(format!("{field:08x}").bytes()));
        for part in [&name[..], data] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
    }
    bytes
}

fn error(bytes: &[u8]) -> BundleError {
    Bundle::read(bytes).err().expect("a refusal")
}

#[test]
fn files_are_found_by_name() {
    let bytes = archive(&[("evisor,bundle", b"1\n"), ("manifest.dtb", b"tree"), ("a/b", b"data")]);
    let mut bundle = Bundle::read(&bytes).unwrap();
    bundle.add("card:X", b"from the card");
    assert_eq!(bundle.file("card:X"), Some(&b"from the card"[..]));
    assert_eq!(bundle.manifest(), b"tree");
    assert_eq!(bundle.file("a/b"), Some(&b"data"[..]));
    assert_eq!(bundle.bytes_of("nothing"), None);
}

#[test]
fn what_is_no_bundle_is_refused() {
    assert_eq!(error(b"no archive at all"), BundleError::NotABundle);
    assert_eq!(error(&[]), BundleError::NotABundle);
    assert_eq!(error(&archive(&[("manifest.dtb", b"tree")])), BundleError::NotABundle);
    let other = archive(&[("evisor,bundle", b"2\n"), ("manifest.dtb", b"tree")]);
    assert_eq!(error(&other), BundleError::UnknownVersion);
    assert_eq!(error(&archive(&[("evisor,bundle", b"1\n")])), BundleError::NoManifest);
}

#[test]
fn a_cut_off_archive_is_read_as_far_as_it_goes_or_refused() {
    let bytes = archive(&[("evisor,bundle", b"1\n"), ("manifest.dtb", b"tree"), ("x", b"data")]);
    for end in 0..bytes.len() {
        let _ = Bundle::read(&bytes[..end]).map(|bundle| bundle.file("x").map(<[u8]>::len));
    }
}

#[test]
fn damaged_headers_do_not_panic() {
    let good = archive(&[("evisor,bundle", b"1\n"), ("manifest.dtb", b"tree"), ("x", b"data")]);
    for at in 0..good.len() {
        for value in [0, b'f', 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            let _ = Bundle::read(&bytes).map(|bundle| bundle.manifest().len());
        }
    }
}
