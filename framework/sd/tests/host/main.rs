//! The driver and a model of its controller.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod card;
mod images;
mod model;
mod mutants;
mod reading;
mod starting;
mod tables;
mod transfers;
mod window;
