//! Checked against the two specifications that `spec.rs` and `card_spec.rs` name.

#![expect(clippy::cast_possible_truncation, reason = "registers are narrower than a rig's values")]

mod cards;
mod errors;
mod host;
mod registers;
mod rolling_back;
mod saving;
mod transfers;
