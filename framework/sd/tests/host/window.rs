//! A window as registers: words at their offsets, and nothing beyond its end.

use evisor_contract::Window;
use evisor_sd::{Clock, Registers, Sd, offset};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

fn window(words: Vec<u32>) -> Window {
    let words: Vec<_> = words.into_iter().map(ReadPureWrite).collect();
    UniqueMmioPointer::from(Vec::leak(words))
}

#[test]
fn words_lie_at_their_offsets() {
    let mut window = window((0..64).collect());
    assert_eq!(Registers::read(&mut window, offset::STATUS), 0x30 / 4);
    assert_eq!(Registers::read(&mut window, offset::VERSION), 0xfc / 4);
    Registers::write(&mut window, offset::ARGUMENT, 77);
    assert_eq!(Registers::read(&mut window, offset::ARGUMENT), 77);
    assert_eq!(Registers::read(&mut window, 0x0c), 3);
}

/// Memory keeps the last word, and gives the same one again.
#[test]
fn data_goes_through_one_word() {
    let mut window = window((0..64).collect());
    for count in [0, 1, 7, 8, 15, 16, 17, 128] {
        let mut words = vec![0; count];
        Registers::write(&mut window, offset::DATA, 5);
        window.read_data(&mut words);
        assert_eq!(words, vec![5; count]);
        let words: Vec<u32> = (100..100 + count as u32).collect();
        window.write_data(&words);
        let last = words.last().copied().unwrap_or(5);
        assert_eq!(Registers::read(&mut window, offset::DATA), last);
    }
    assert_eq!(Registers::read(&mut window, 0x24), 9);
    assert_eq!(Registers::read(&mut window, 0x1c), 7);
}

#[test]
fn nothing_is_beyond_the_end() {
    let mut window = window(vec![1; 8]);
    Registers::write(&mut window, offset::DATA, 5);
    assert_eq!(Registers::read(&mut window, offset::DATA), 0);
    let mut words = [9; 20];
    window.read_data(&mut words);
    window.write_data(&words);
    assert_eq!(words, [9; 20]);
}

/// The kernel moves it from core to core.
#[test]
fn a_driver_can_be_sent() {
    fn is_send<T: Send>() {}
    is_send::<Sd<Window, &'static (dyn Clock + Sync)>>();
}
