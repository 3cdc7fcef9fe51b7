//! Repetitions of one measurement: the median counts, the rest says how far to trust it.

use serde::Serialize;
use std::time::Duration;

/// Microseconds per operation over the repetitions of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Lowest.
    pub min: f64,
    /// In the middle.
    pub median: f64,
    /// Highest.
    pub max: f64,
    /// How many there were.
    pub repetitions: usize,
}

impl Spread {
    /// Of samples, each the time of one operation; `None` without any.
    pub fn of(samples: &[Duration]) -> Option<Self> {
        let mut micros: Vec<f64> = samples.iter().map(|sample| sample.as_secs_f64() * 1e6).collect();
        micros.sort_by(f64::total_cmp);
        let (min, max) = (*micros.first()?, *micros.last()?);
        let (low, high) = (micros.get((micros.len() - 1) / 2)?, micros.get(micros.len() / 2)?);
        Some(Self { min, median: (low + high) / 2.0, max, repetitions: micros.len() })
    }

    /// Operations a second, one after the other, at the median.
    pub fn per_second(&self) -> f64 {
        if self.median > 0.0 { 1e6 / self.median } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even() {
        let spread = |micros: &[u64]| {
            Spread::of(&micros.iter().map(|us| Duration::from_micros(*us)).collect::<Vec<_>>())
        };
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[7]), Some(Spread { min: 7.0, median: 7.0, max: 7.0, repetitions: 1 }));
        let odd = spread(&[9, 1, 4]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max), (1.0, 4.0, 9.0));
        assert_eq!(spread(&[1, 9, 3, 5]).unwrap().median, 4.0);
        assert_eq!(odd.per_second(), 250_000.0);
    }
}
