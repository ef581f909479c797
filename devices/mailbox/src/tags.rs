//! Every property tag that the page or Linux's `raspberrypi-firmware.h` names, and
//! what a guest is answered.
//!
//! A VM has a few of the firmware's clocks and power switches, which stand still; no
//! display, no memory of the VideoCore's, no sensors of its own. Where the page has
//! a way to say that something is not there or was refused, that is the answer;
//! where it has none, there is no answer. What the board alone can say comes from the
//! board, for the tags in the VM's window.

use crate::answers::{self as is, Values};
use crate::policy::Policy;

/// What is known of a tag.
pub struct Tag {
    pub number: u32,
    /// Bytes that a request has at least.
    pub request: u8,
    /// Bytes of the value that is answered.
    pub response: u16,
    pub answer: Answer,
    pub reach: Reach,
}

/// What is answered where the board is not asked.
pub enum Answer {
    /// Nothing: the tag stays as it was.
    Nothing,
    /// These words.
    Words(&'static [u32]),
    /// The word that was asked with, and what belongs to it.
    Of(fn(u32) -> u32),
    /// What the VM's manifest, memory or clock say; false if they say nothing.
    Vm(fn(&Policy, &mut Values) -> bool),
}

/// Who may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The board, for a VM that has the tag in its window.
    Board,
    /// eVisor alone: the value names memory, carries code or secrets, or changes the
    /// board for good; or several tags belong to one operation.
    Here,
}

/// The tag with that number.
pub fn find(number: u32) -> Option<&'static Tag> {
    let index = TAGS.binary_search_by_key(&number, |tag| tag.number).ok()?;
    TAGS.get(index)
}

/// The name, as in Linux's header where that has it, is for who reads the table.
const fn tag(
    number: u32,
    _name: &'static str,
    lengths: (u8, u16),
    reach: Reach,
    answer: Answer,
) -> Tag {
    Tag { number, request: lengths.0, response: lengths.1, answer, reach }
}

/// What the page calls a failure, in tags that answer with a status.
const FAILED: u32 = 0x8000_0000;
/// In tags that answer 0 for success.
const NOT_DONE: u32 = 1;

use Answer::{Nothing, Of, Vm, Words};
use Reach::{Board, Here};

/// By number.
pub static TAGS: [Tag; 123] = [
    // The VideoCore.
    tag(0x0000_0001, "get firmware revision", (0, 4), Board, Words(&[is::FIRMWARE_REVISION])),
    tag(0x0000_0002, "get firmware variant", (0, 4), Board, Words(&[is::FIRMWARE_VARIANT])),
    tag(0x0000_0003, "get firmware hash", (0, 20), Board, Nothing),
    // The cursor: 1 is invalid.
    tag(0x0000_8010, "set cursor info", (24, 4), Here, Words(&[1])),
    tag(0x0000_8011, "set cursor state", (16, 4), Here, Words(&[1])),
    tag(0x0000_8012, "set display palette", (8, 0), Here, Nothing),
    // The board.
    tag(0x0001_0001, "get board model", (0, 4), Board, Words(&[0])),
    tag(0x0001_0002, "get board revision", (0, 4), Board, Vm(is::board_revision)),
    tag(0x0001_0003, "get board MAC address", (0, 6), Board, Vm(is::mac_address)),
    tag(0x0001_0004, "get board serial", (0, 8), Board, Vm(is::serial)),
    tag(0x0001_0005, "get ARM memory", (0, 8), Here, Vm(is::arm_memory)),
    tag(0x0001_0006, "get VC memory", (0, 8), Here, Words(&[0, 0])),
    tag(0x0001_0007, "get clocks", (0, is::CLOCKS_LENGTH), Board, Vm(is::clocks)),
    // Power.
    tag(0x0002_0001, "get power state", (4, 8), Board, Of(is::power_state)),
    tag(0x0002_0002, "get timing", (4, 8), Board, Of(is::none)),
    tag(0x0002_8001, "set power state", (8, 8), Board, Of(is::power_state)),
    // Clocks, voltages, temperature.
    tag(0x0003_0001, "get clock state", (4, 8), Board, Of(is::clock_state)),
    tag(0x0003_0002, "get clock rate", (4, 8), Board, Of(is::clock_rate)),
    tag(0x0003_0003, "get voltage", (4, 8), Board, Of(is::voltage)),
    tag(0x0003_0004, "get max clock rate", (4, 8), Board, Of(is::clock_rate)),
    tag(0x0003_0005, "get max voltage", (4, 8), Board, Of(is::voltage)),
    tag(0x0003_0006, "get temperature", (4, 8), Board, Of(is::temperature)),
    tag(0x0003_0007, "get min clock rate", (4, 8), Board, Of(is::clock_rate)),
    tag(0x0003_0008, "get min voltage", (4, 8), Board, Of(is::voltage)),
    tag(0x0003_0009, "get turbo", (4, 8), Board, Of(is::none)),
    tag(0x0003_000a, "get max temperature", (4, 8), Board, Of(is::max_temperature)),
    tag(0x0003_000b, "get STC", (0, 8), Board, Vm(is::microseconds)),
    // The VideoCore's memory and code. A handle of 0 is none.
    tag(0x0003_000c, "allocate memory", (12, 4), Here, Words(&[0])),
    tag(0x0003_000d, "lock memory", (4, 4), Here, Words(&[0])),
    tag(0x0003_000e, "unlock memory", (4, 4), Here, Words(&[NOT_DONE])),
    tag(0x0003_000f, "release memory", (4, 4), Here, Words(&[NOT_DONE])),
    tag(0x0003_0010, "execute code", (28, 4), Here, Nothing),
    tag(0x0003_0011, "execute QPU", (16, 4), Here, Words(&[FAILED])),
    tag(0x0003_0012, "set enable QPU", (4, 4), Here, Words(&[FAILED])),
    tag(0x0003_0014, "get dispmanx resource mem handle", (4, 8), Here, Words(&[NOT_DONE, 0])),
    tag(0x0003_0020, "get EDID block", (4, 136), Board, Nothing),
    tag(0x0003_0021, "get customer OTP", (8, 8), Board, Words(&[FAILED, 0])),
    tag(0x0003_0022, "get serial OTP", (8, 8), Board, Words(&[FAILED, 0])),
    tag(0x0003_0023, "get EDID block display", (8, 136), Board, Nothing),
    tag(0x0003_0030, "get domain state", (8, 8), Board, Of(is::domain_state)),
    // The expander's pins, and what else hangs on the board. 0 would be success.
    tag(0x0003_0041, "get GPIO state", (4, 8), Board, Words(&[NOT_DONE, 0])),
    tag(0x0003_0043, "get GPIO config", (4, 20), Board, Words(&[NOT_DONE, 0, 0, 0, 0])),
    tag(0x0003_0045, "get periph reg", (8, 8), Here, Nothing),
    tag(0x0003_0046, "get throttled", (4, 4), Board, Words(&[0])),
    tag(0x0003_0047, "get clock measured", (4, 8), Board, Of(is::clock_rate)),
    tag(0x0003_0048, "notify reboot", (0, 0), Here, Words(&[])),
    tag(0x0003_0049, "get PoE HAT val", (4, 12), Board, Words(&[0, 0, NOT_DONE])),
    tag(0x0003_0050, "set PoE HAT val (old)", (8, 12), Board, Words(&[0, 0, NOT_DONE])),
    tag(0x0003_0058, "notify xHCI reset", (4, 4), Board, Nothing),
    tag(0x0003_0064, "get reboot flags", (0, 4), Here, Words(&[0])),
    tag(0x0003_0066, "notify display done", (0, 0), Here, Words(&[])),
    tag(0x0003_0080, "get gencmd result", (4, 4), Here, Nothing),
    tag(0x0003_0081, "get private OTP", (8, 8), Here, Words(&[FAILED, 0])),
    tag(0x0003_8001, "set clock state", (8, 8), Board, Of(is::clock_state)),
    tag(0x0003_8002, "set clock rate", (8, 8), Board, Of(is::clock_rate)),
    tag(0x0003_8003, "set voltage", (8, 8), Board, Of(is::voltage)),
    tag(0x0003_8009, "set turbo", (8, 8), Board, Of(is::none)),
    tag(0x0003_8021, "set customer OTP", (8, 4), Here, Words(&[FAILED])),
    tag(0x0003_8030, "set domain state", (8, 8), Board, Of(is::domain_state)),
    // The page's number of the one with 42.
    tag(0x0003_8032, "set SD host clock", (4, 12), Board, Nothing),
    tag(0x0003_8040, "set disk activity LED state", (8, 8), Board, Nothing),
    tag(0x0003_8041, "set GPIO state", (8, 4), Board, Words(&[NOT_DONE])),
    tag(0x0003_8042, "set SDHOST clock", (4, 12), Board, Nothing),
    tag(0x0003_8043, "set GPIO config", (20, 4), Board, Words(&[NOT_DONE])),
    tag(0x0003_8045, "set periph reg", (8, 8), Here, Nothing),
    tag(0x0003_8049, "set PoE HAT val", (8, 12), Board, Words(&[0, 0, NOT_DONE])),
    tag(0x0003_8064, "set reboot flags", (4, 4), Here, Words(&[0])),
    tag(0x0003_8081, "set private OTP", (8, 4), Here, Words(&[FAILED])),
    // The frame buffer. The page has 0 for what is not allocated or not supported.
    tag(0x0004_0001, "allocate frame buffer", (4, 8), Here, Words(&[0, 0])),
    tag(0x0004_0002, "blank screen", (4, 4), Here, Words(&[1])),
    tag(0x0004_0003, "get physical width/height", (0, 8), Here, Words(&[0, 0])),
    tag(0x0004_0004, "get virtual width/height", (0, 8), Here, Words(&[0, 0])),
    tag(0x0004_0005, "get depth", (0, 4), Here, Words(&[0])),
    tag(0x0004_0006, "get pixel order", (0, 4), Here, Words(&[0])),
    tag(0x0004_0007, "get alpha mode", (0, 4), Here, Words(&[0])),
    tag(0x0004_0008, "get pitch", (0, 4), Here, Words(&[0])),
    tag(0x0004_0009, "get virtual offset", (0, 8), Here, Words(&[0, 0])),
    tag(0x0004_000a, "get overscan", (0, 16), Here, Words(&[0, 0, 0, 0])),
    tag(0x0004_000b, "get palette", (0, 1024), Here, Nothing),
    tag(0x0004_000c, "get layer", (0, 4), Here, Nothing),
    tag(0x0004_000d, "get transform", (0, 4), Here, Nothing),
    tag(0x0004_000e, "get vsync", (0, 4), Here, Nothing),
    tag(0x0004_000f, "get touch buffer", (0, 4), Here, Words(&[0])),
    tag(0x0004_0010, "get GPIO virtual buffer", (0, 4), Here, Words(&[0])),
    tag(0x0004_0013, "get number of displays", (0, 4), Here, Words(&[0])),
    tag(0x0004_0014, "get display settings", (0, 64), Here, Nothing),
    tag(0x0004_0016, "get display ID", (4, 4), Here, Nothing),
    tag(0x0004_0017, "get display timing", (4, 4), Here, Nothing),
    tag(0x0004_0018, "get display configuration", (0, 4), Here, Nothing),
    tag(0x0004_4003, "test physical width/height", (8, 8), Here, Words(&[0, 0])),
    tag(0x0004_4004, "test virtual width/height", (8, 8), Here, Words(&[0, 0])),
    tag(0x0004_4005, "test depth", (4, 4), Here, Words(&[0])),
    tag(0x0004_4006, "test pixel order", (4, 4), Here, Words(&[0])),
    tag(0x0004_4007, "test alpha mode", (4, 4), Here, Words(&[0])),
    tag(0x0004_4009, "test virtual offset", (8, 8), Here, Words(&[0, 0])),
    tag(0x0004_400a, "test overscan", (16, 16), Here, Words(&[0, 0, 0, 0])),
    tag(0x0004_400b, "test palette", (8, 4), Here, Words(&[1])),
    tag(0x0004_400c, "test layer", (4, 4), Here, Nothing),
    tag(0x0004_400d, "test transform", (4, 4), Here, Nothing),
    tag(0x0004_400e, "test vsync", (4, 4), Here, Nothing),
    tag(0x0004_8001, "release frame buffer", (0, 0), Here, Words(&[])),
    tag(0x0004_8003, "set physical width/height", (8, 8), Here, Words(&[0, 0])),
    tag(0x0004_8004, "set virtual width/height", (8, 8), Here, Words(&[0, 0])),
    tag(0x0004_8005, "set depth", (4, 4), Here, Words(&[0])),
    tag(0x0004_8006, "set pixel order", (4, 4), Here, Words(&[0])),
    tag(0x0004_8007, "set alpha mode", (4, 4), Here, Words(&[0])),
    tag(0x0004_8008, "set pitch", (4, 4), Here, Nothing),
    tag(0x0004_8009, "set virtual offset", (8, 8), Here, Words(&[0, 0])),
    tag(0x0004_800a, "set overscan", (16, 16), Here, Words(&[0, 0, 0, 0])),
    tag(0x0004_800b, "set palette", (8, 4), Here, Words(&[1])),
    tag(0x0004_800c, "set layer", (4, 4), Here, Nothing),
    tag(0x0004_800d, "set transform", (4, 4), Here, Nothing),
    tag(0x0004_800e, "set vsync", (4, 4), Here, Nothing),
    tag(0x0004_800f, "set backlight", (4, 4), Board, Nothing),
    tag(0x0004_8010, "VCHIQ init", (4, 4), Here, Nothing),
    tag(0x0004_8013, "set display number", (4, 4), Here, Nothing),
    tag(0x0004_8015, "set plane", (4, 4), Here, Nothing),
    tag(0x0004_8017, "set display timing", (4, 4), Here, Nothing),
    tag(0x0004_8019, "set display power", (8, 8), Board, Nothing),
    tag(0x0004_801f, "set touch buffer", (4, 4), Here, Nothing),
    tag(0x0004_8020, "set GPIO virtual buffer", (4, 4), Here, Nothing),
    // What is left.
    tag(0x0005_0001, "get command line", (0, 0), Here, Words(&[])),
    tag(0x0006_0001, "get DMA channels", (0, 4), Here, Words(&[0])),
];
