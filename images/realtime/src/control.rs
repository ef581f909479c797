//! What there is to do in a period: a controller that holds a motor at its speed.
//!
//! The motor is a lag of the first order, what it is measured by has noise, and a filter
//! stands before a PI controller. Fixed point, 16 bits of it behind the point.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// One, of whatever the speed is measured in.
pub const ONE: i32 = 1 << 16;

/// Samples in a period.
const SAMPLES: u32 = 100;

/// Each is a part of one: 1 / 2^n.
const MOTOR: u32 = 6;
const FILTER: u32 = 2;
const PROPORTIONAL: u32 = 1;
const INTEGRAL: u32 = 8;
/// Bits of noise.
const NOISE: u32 = 10;

/// The loop's state; all zeros when the motor stands.
#[derive(Debug)]
pub struct Loop {
    speed: AtomicI32,
    filtered: AtomicI32,
    integral: AtomicI32,
    noise: AtomicU32,
}

impl Loop {
    /// The motor stands.
    pub const fn new() -> Self {
        let (speed, filtered, integral) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
        Self { speed, filtered, integral, noise: AtomicU32::new(1) }
    }

    /// The work of one period.
    pub fn period(&self, wanted: i32) {
        for _ in 0..SAMPLES {
            self.sample(wanted);
        }
    }

    /// The speed, as the filter sees it, in percent of [`ONE`].
    pub fn percent(&self) -> i64 {
        (i64::from(self.filtered.load(Ordering::Relaxed)) * 100 + i64::from(ONE) / 2) >> 16
    }

    fn sample(&self, wanted: i32) {
        let speed = self.speed.load(Ordering::Relaxed);
        let measured = speed + self.noise();
        let filtered = approach(&self.filtered, measured, FILTER);
        let error = wanted - filtered;
        let integral = self.integral.load(Ordering::Relaxed) + (error >> INTEGRAL);
        self.integral.store(integral, Ordering::Relaxed);
        approach(&self.speed, integral + (error >> PROPORTIONAL), MOTOR);
    }

    /// Of equal numbers above and below zero.
    fn noise(&self) -> i32 {
        let noise = self.noise.load(Ordering::Relaxed);
        let noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.noise.store(noise, Ordering::Relaxed);
        (noise as i32) >> (32 - NOISE)
    }
}

/// Brings a value a 2^`part`th of the way to another one.
fn approach(value: &AtomicI32, to: i32, part: u32) -> i32 {
    let from = value.load(Ordering::Relaxed);
    let next = from + ((to - from) >> part);
    value.store(next, Ordering::Relaxed);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_motor_comes_to_its_speed_and_stays_there() {
        let control = Loop::new();
        for period in 0..1_000 {
            control.period(ONE);
            let percent = control.percent();
            assert!(period < 100 || (98..=102).contains(&percent), "{percent} in period {period}");
        }
    }
}
