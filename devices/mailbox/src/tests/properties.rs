//! Buffers and tags.

use super::*;
use crate::tags::{Answer, TAGS};
use evisor_contract::Memory as _;
use evisor_testkit::Random;

/// What is asked with: a tag's request.
type Words = &'static [u32];

/// Every tag: request, and value that is answered, as the page says or, where it says
/// nothing, as the README does. `None`: no answer.
const TABLE: [(u32, Words, Option<Words>); 123] = [
    (0x0000_0001, &[], Some(&[1_704_067_200])),
    (0x0000_0002, &[], Some(&[1])),
    (0x0000_0003, &[], None),
    (0x0000_8010, &[64, 64, 0, 0x1000, 0, 0], Some(&[1])),
    (0x0000_8011, &[1, 0, 0, 0], Some(&[1])),
    (0x0000_8012, &[0, 0x1000], None),
    (0x0001_0001, &[], Some(&[0])),
    (0x0001_0002, &[], Some(&[0x00a0_3111])),
    (0x0001_0003, &[], None),
    (0x0001_0004, &[], Some(&[0, 0])),
    (0x0001_0005, &[], Some(&[0x4000_0000, 0x1000_0000])),
    (0x0001_0006, &[], Some(&[0, 0])),
    (0x0001_0007, &[], Some(&[0, 1, 0, 2, 0, 3, 0, 4, 0, 12])),
    (0x0002_0001, &[0], Some(&[0, 1])),
    (0x0002_0002, &[0], Some(&[0, 0])),
    (0x0002_8001, &[1, 0], Some(&[1, 1])),
    (0x0003_0001, &[12], Some(&[12, 1])),
    (0x0003_0002, &[2], Some(&[2, 48_000_000])),
    (0x0003_0003, &[1], Some(&[1, 0x8000_0000])),
    (0x0003_0004, &[3], Some(&[3, 1_500_000_000])),
    (0x0003_0005, &[2], Some(&[2, 0x8000_0000])),
    (0x0003_0006, &[0], Some(&[0, 40_000])),
    (0x0003_0007, &[1], Some(&[1, 250_000_000])),
    (0x0003_0008, &[3], Some(&[3, 0x8000_0000])),
    (0x0003_0009, &[0], Some(&[0, 0])),
    (0x0003_000a, &[0], Some(&[0, 85_000])),
    (0x0003_000b, &[], Some(&[7_000_000, 0])),
    (0x0003_000c, &[4096, 4096, 4], Some(&[0])),
    (0x0003_000d, &[1], Some(&[0])),
    (0x0003_000e, &[1], Some(&[1])),
    (0x0003_000f, &[1], Some(&[1])),
    (0x0003_0010, &[0x1000, 0, 0, 0, 0, 0, 0], None),
    (0x0003_0011, &[1, 0x1000, 0, 0], Some(&[0x8000_0000])),
    (0x0003_0012, &[1], Some(&[0x8000_0000])),
    (0x0003_0014, &[5], Some(&[1, 0])),
    (0x0003_0020, &[0], None),
    (0x0003_0021, &[0, 8], Some(&[0x8000_0000, 0])),
    (0x0003_0022, &[0, 1], Some(&[0x8000_0000, 0])),
    (0x0003_0023, &[0, 0], None),
    (0x0003_0030, &[23, u32::MAX], Some(&[23, 1])),
    (0x0003_0041, &[130], Some(&[1, 0])),
    (0x0003_0043, &[130], Some(&[1, 0, 0, 0, 0])),
    (0x0003_0045, &[0x7e00_0000, 1], None),
    (0x0003_0046, &[0], Some(&[0])),
    (0x0003_0047, &[4], Some(&[4, 500_000_000])),
    (0x0003_0048, &[], Some(&[])),
    (0x0003_0049, &[0], Some(&[0, 0, 1])),
    (0x0003_0050, &[0, 255], Some(&[0, 0, 1])),
    (0x0003_0058, &[0x10_0000], None),
    (0x0003_0064, &[], Some(&[0])),
    (0x0003_0066, &[], Some(&[])),
    (0x0003_0080, &[0], None),
    (0x0003_0081, &[0, 8], Some(&[0x8000_0000, 0])),
    (0x0003_8001, &[12, 0], Some(&[12, 1])),
    (0x0003_8002, &[3, 600_000_000], Some(&[3, 1_500_000_000])),
    (0x0003_8003, &[1, 4], Some(&[1, 0x8000_0000])),
    (0x0003_8009, &[0, 1], Some(&[0, 0])),
    (0x0003_8021, &[0, 1, 5], Some(&[0x8000_0000])),
    (0x0003_8030, &[7, 1], Some(&[7, 0])),
    (0x0003_8032, &[50_000_000], None),
    (0x0003_8040, &[0, 1], None),
    (0x0003_8041, &[130, 1], Some(&[1])),
    (0x0003_8042, &[50_000_000], None),
    (0x0003_8043, &[130, 1, 0, 0, 0], Some(&[1])),
    (0x0003_8045, &[0x7e00_0000, 1], None),
    (0x0003_8049, &[0, 255], Some(&[0, 0, 1])),
    (0x0003_8064, &[1], Some(&[0])),
    (0x0003_8081, &[0, 1], Some(&[0x8000_0000])),
    (0x0004_0001, &[16], Some(&[0, 0])),
    (0x0004_0002, &[0], Some(&[1])),
    (0x0004_0003, &[], Some(&[0, 0])),
    (0x0004_0004, &[], Some(&[0, 0])),
    (0x0004_0005, &[], Some(&[0])),
    (0x0004_0006, &[], Some(&[0])),
    (0x0004_0007, &[], Some(&[0])),
    (0x0004_0008, &[], Some(&[0])),
    (0x0004_0009, &[], Some(&[0, 0])),
    (0x0004_000a, &[], Some(&[0, 0, 0, 0])),
    (0x0004_000b, &[], None),
    (0x0004_000c, &[], None),
    (0x0004_000d, &[], None),
    (0x0004_000e, &[], None),
    (0x0004_000f, &[], Some(&[0])),
    (0x0004_0010, &[], Some(&[0])),
    (0x0004_0013, &[], Some(&[0])),
    (0x0004_0014, &[], None),
    (0x0004_0016, &[0], None),
    (0x0004_0017, &[0], None),
    (0x0004_0018, &[], None),
    (0x0004_4003, &[640, 480], Some(&[0, 0])),
    (0x0004_4004, &[640, 480], Some(&[0, 0])),
    (0x0004_4005, &[32], Some(&[0])),
    (0x0004_4006, &[1], Some(&[0])),
    (0x0004_4007, &[2], Some(&[0])),
    (0x0004_4009, &[1, 1], Some(&[0, 0])),
    (0x0004_400a, &[1, 1, 1, 1], Some(&[0, 0, 0, 0])),
    (0x0004_400b, &[0, 1, 9], Some(&[1])),
    (0x0004_400c, &[0], None),
    (0x0004_400d, &[0], None),
    (0x0004_400e, &[0], None),
    (0x0004_8001, &[], Some(&[])),
    (0x0004_8003, &[640, 480], Some(&[0, 0])),
    (0x0004_8004, &[640, 480], Some(&[0, 0])),
    (0x0004_8005, &[32], Some(&[0])),
    (0x0004_8006, &[1], Some(&[0])),
    (0x0004_8007, &[2], Some(&[0])),
    (0x0004_8008, &[2560], None),
    (0x0004_8009, &[1, 1], Some(&[0, 0])),
    (0x0004_800a, &[1, 1, 1, 1], Some(&[0, 0, 0, 0])),
    (0x0004_800b, &[0, 1, 9], Some(&[1])),
    (0x0004_800c, &[0], None),
    (0x0004_800d, &[0], None),
    (0x0004_800e, &[0], None),
    (0x0004_800f, &[255], None),
    (0x0004_8010, &[0x1000], None),
    (0x0004_8013, &[0], None),
    (0x0004_8015, &[0], None),
    (0x0004_8017, &[0], None),
    (0x0004_8019, &[0, 1], None),
    (0x0004_801f, &[0x1000], None),
    (0x0004_8020, &[0x1000], None),
    (0x0005_0001, &[], Some(&[])),
    (0x0006_0001, &[], Some(&[0])),
];

#[test]
fn the_table_has_every_tag_in_order() {
    let (numbers, tested): (Vec<_>, Vec<_>) =
        TAGS.iter().zip(TABLE).map(|(tag, row)| (tag.number, row.0)).unzip();
    assert_eq!(numbers, tested);
    assert!(numbers.is_sorted_by(|a, b| a < b), "for the search, and none twice");
    for tag in &TAGS {
        match tag.answer {
            Answer::Words(words) => assert_eq!(usize::from(tag.response), 4 * words.len()),
            Answer::Of(_) => assert_eq!((tag.request >= 4, tag.response), (true, 8)),
            Answer::Nothing | Answer::Vm(_) => {}
        }
    }
}

/// One tag to a buffer, with 160 bytes for its value.
#[test]
fn every_tag_is_answered_as_the_table_says() {
    let mut rig = rig();
    rig.advance(7 * rig.frequency());
    for (number, request, expected) in TABLE {
        let asked = buffer(&[(number, 160, request)]);
        let answered = ask(&mut rig, &asked);
        let mut should = asked;
        should[1] = if expected.is_some() { 0x8000_0000 } else { 0x8000_0001 };
        if let Some(value) = expected {
            should[4] = code::RESPONSE + 4 * value.len() as u32;
            should[5..5 + value.len()].copy_from_slice(value);
        }
        assert_eq!(answered, should, "{number:#010x}");
    }
}

/// Each request a byte too short: there is no answer, and nothing else happens.
#[test]
fn a_request_that_is_too_short_is_not_answered() {
    let mut rig = rig();
    for tag in TAGS.iter().filter(|tag| tag.request > 0) {
        let asked = buffer(&[(tag.number, u32::from(tag.request) - 1, &[])]);
        let mut should = asked.clone();
        should[1] = code::PARTIAL;
        assert_eq!(ask(&mut rig, &asked), should, "{:#x}", tag.number);
    }
}

/// "The response is truncated to the provided buffer length. Response length
/// indicates the desired length even when it is longer than the buffer size filled."
#[test]
fn a_value_is_cut_to_its_buffer() {
    let mut rig = rig();
    let asked = buffer(&[(0x0001_0005, 6, &[]), (0x0001_0007, 0, &[]), (0x0003_0046, 4, &[0])]);
    let answered = ask(&mut rig, &asked);
    assert_eq!(answered[1], code::RESPONSE);
    assert_eq!(answered[4..7], [0x8000_0008, 0x4000_0000, 0x5555_0000], "two bytes of the size");
    assert_eq!(answered[7..10], [0x0001_0007, 0, 0x8000_0028]);
    assert_eq!(answered[10..14], [0x0003_0046, 4, 0x8000_0004, 0]);
}

#[test]
fn what_the_manifest_says() {
    let rows: [(&str, Vec<u8>, u32, u32, Words); 4] = [
        ("evisor,board-revision", cells(&[0x00b0_3114]), 0x0001_0002, 4, &[0x00b0_3114]),
        ("evisor,mac-address", vec![2, 1, 3, 5, 7, 9], 0x0001_0003, 6, &[0x0503_0102, 0x5555_0907]),
        ("evisor,serial", cells(&[0x1000_0000, 0xabcd]), 0x0001_0004, 8, &[0xabcd, 0x1000_0000]),
        ("evisor,firmware-tags", cells(&[]), 0x0003_0046, 4, &[0]),
    ];
    for (property, value, number, length, words) in rows {
        let mut rig = rig_with(&[(property, value)], true);
        let answered = ask(&mut rig, &buffer(&[(number, 8, &[])]));
        assert_eq!(answered[4], 0x8000_0000 | length, "{property}");
        assert_eq!(answered[5..5 + words.len()], *words, "{property}");
        assert_eq!(rig.mailbox().asked(), [], "the board is not asked");
    }
}

#[test]
fn clocks_and_devices_that_a_vm_has_not() {
    let mut rig = rig();
    let rows: [(u32, u32, u32); 7] = [
        (0x0002_0001, 3, 2),
        (0x0002_8001, u32::MAX, 2),
        (0x0003_0001, 5, 2),
        (0x0003_0002, 5, 0),
        (0x0003_8002, 0, 0),
        (0x0003_0006, 1, 0),
        (0x0003_0030, 0, 0),
    ];
    for (number, what, expected) in rows {
        let answered = ask(&mut rig, &buffer(&[(number, 8, &[what, 77])]));
        assert_eq!(answered[4..7], [0x8000_0008, what, expected], "{number:#x}");
    }
}

/// "Unknown tags are ignored (the response bit will not be set)"; the others are
/// answered, and the whole is a partial response.
#[test]
fn unknown_tags_are_passed_over() {
    let mut rig = rig();
    let asked = buffer(&[(0x0003_0046, 4, &[0]), (0x0012_3456, 8, &[]), (0x0006_0001, 4, &[])]);
    let answered = ask(&mut rig, &asked);
    let mut should = asked;
    (should[1], should[4], should[13], should[14]) = (0x8000_0001, 0x8000_0004, 0x8000_0004, 0);
    assert_eq!(answered, should);
}

/// What is wrong with a buffer, what its code is then, and whether its first tag is
/// answered.
#[test]
fn buffers_that_are_not_well_formed() {
    let good = || buffer(&[(0x0003_0046, 4, &[0]), (0x0006_0001, 4, &[])]);
    let with = |changes: &[(usize, u32)]| {
        let mut words = good();
        changes.iter().for_each(|(at, word)| words[*at] = *word);
        words
    };
    let rows = [
        ("nothing", good(), code::RESPONSE, true),
        ("no room for anything", with(&[(0, 0)]), code::PARTIAL, false),
        ("half a header", with(&[(0, 4)]), code::PARTIAL, false),
        ("a header only", with(&[(0, 8)]), code::RESPONSE, false),
        ("a size between words", with(&[(0, 30)]), code::PARTIAL, false),
        ("a size beyond all", with(&[(0, u32::MAX)]), code::PARTIAL, false),
        ("too long", with(&[(0, 2052)]), code::PARTIAL, false),
        ("the longest", with(&[(0, 2048)]), code::RESPONSE, true),
        ("no request", with(&[(1, 1)]), code::PARTIAL, false),
        ("an answer", with(&[(1, 0x8000_0000)]), code::PARTIAL, false),
        ("no end tag", with(&[(0, 40)]), code::RESPONSE, true),
        ("a cut header", with(&[(0, 32)]), code::PARTIAL, true),
        ("a cut number", with(&[(0, 28)]), code::PARTIAL, true),
        ("a cut value", with(&[(0, 36)]), code::PARTIAL, true),
        ("a value beyond the end", with(&[(7, 9)]), code::PARTIAL, true),
        ("a value beyond all", with(&[(7, u32::MAX)]), code::PARTIAL, true),
        ("a value that comes round", with(&[(7, 0xffff_fff0)]), code::PARTIAL, true),
        ("a response's bit in a tag", with(&[(4, 0x8000_0004)]), code::RESPONSE, true),
    ];
    for (what, words, code, first) in rows {
        let mut rig = rig();
        let answered = ask(&mut rig, &words);
        assert_eq!(answered[1], code, "{what}");
        let untouched = words[4];
        assert_eq!(answered[4], if first { 0x8000_0004 } else { untouched }, "{what}");
    }
}

#[test]
fn values_need_no_alignment() {
    let mut rig = rig();
    let mut asked = buffer(&[(0x0003_0046, 5, &[0, 0x11]), (0x0003_0002, 11, &[12, 7, 0xdead])]);
    let answered = ask(&mut rig, &asked);
    (asked[1], asked[4], asked[9]) = (0x8000_0000, 0x8000_0004, 0x8000_0008);
    asked[11] = 100_000_000;
    assert_eq!(answered, asked);
}

/// The buffer's end is where the memory ends.
#[test]
fn a_buffer_at_the_end_of_memory() {
    let mut rig = rig();
    let asked = buffer(&[(0x0003_0046, 4, &[0]), (0, 0, &[])]);
    let end = 0x5000_0000;
    put(&rig, end - 32, &asked[..8]);
    // It says that it is longer than the memory is.
    put(&rig, end - 32, &[36]);
    put(&rig, end - 12 + 4, &[0x0006_0001, 4]);
    rig.write32(offset::WRITE, (end - 32) | 8);
    assert_eq!(rig.read32(offset::READ), (end - 32) | 8);
    assert_eq!(words(&rig, end - 32, 5), [36, code::PARTIAL, 0x0003_0046, 4, 0x8000_0004]);
}

/// EL2 is left every four tags, and the guest goes on for 10 µs.
#[test]
fn many_tags_are_answered_in_pieces() {
    let mut rig = rig();
    let tags: Vec<_> = (0..100).map(|_| (0x0003_0046, 4, &[9_u32][..])).collect();
    put(&rig, BUFFER, &buffer(&tags));
    rig.write32(offset::WRITE, BUFFER | 8);
    let mut pieces = 0;
    while is_empty(&mut rig) {
        let done = words(&rig, BUFFER, 2 + 4 * 100);
        let done = done[2..].chunks(4).filter(|tag| tag[2] != 0).count();
        assert_eq!(done, 4 * (pieces + 1));
        let pause = rig.frequency() / 100_000;
        assert_eq!(rig.deadline(), Some((pieces as u64 + 1) * pause));
        rig.advance(pause);
        pieces += 1;
    }
    assert_eq!(pieces, 25);
    assert_eq!(words(&rig, BUFFER, 2)[1], code::RESPONSE);
}

/// Buffers of random words, many of them tags: an answer always comes, in bounded
/// time, with one of both codes; and nothing outside of the buffer is written.
#[test]
fn random_buffers_are_answered() {
    let mut random = Random::new(3);
    let mut rig = rig();
    for _ in 0..5000 {
        let count = random.number() as usize % 80;
        let mut asked: Vec<u32> = (0..count + 8)
            .map(|_| match random.number() % 4 {
                0 => TAGS[random.number() as usize % TAGS.len()].number,
                1 => random.number() as u32 % 40,
                2 => 0,
                _ => random.number() as u32,
            })
            .collect();
        asked[0] = if random.number().is_multiple_of(8) {
            random.number() as u32 % 4096
        } else {
            count as u32 * 4
        };
        asked[1] = 0;
        let size = asked[0].clamp(8, 2048) as u64;
        put(&rig, BUFFER - 64, &[0xa5a5_a5a5; 16]);
        put(&rig, BUFFER, &asked);
        put(&rig, BUFFER + size.max(asked.len() as u64 * 4), &[0xa5a5_a5a5; 64]);
        let mut before = vec![0; 0x2000];
        rig.guest_memory().read(BUFFER + size, &mut before).expect("memory");
        send(&mut rig);
        let mut after = vec![0; 0x2000];
        rig.guest_memory().read(BUFFER + size, &mut after).expect("memory");
        assert!(before == after, "behind the buffer");
        assert_eq!(words(&rig, BUFFER - 64, 16), [0xa5a5_a5a5; 16], "in front of it");
        let code = words(&rig, BUFFER, 2)[1];
        assert!([code::RESPONSE, code::PARTIAL].contains(&code), "{code:#x}");
    }
}
