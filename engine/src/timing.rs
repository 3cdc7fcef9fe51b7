//! Whether our comparisons take as long whatever they compare, measured. Run by hand, on a quiet machine:
//!
//! ```text
//!     cargo test --release -p conclave-engine --lib timing -- --ignored --nocapture
//! ```
//!
//! In the manner of dudect: two classes of input in random order, the time of each call, and Welch's t-test on the two
//! samples, also on those below several percentiles, which the long tail of interruptions does not reach. |t| above 4.5
//! says that the times differ; below it nothing was shown but that this many measurements on this machine see nothing.
//! A comparison that stops at the first difference is measured beside ours and has to be found.
//!
//! Source: Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", DATE 2017.

use crate::secret::Secret;
use crate::support::SeedRng;
use conclave_wire::ids::{Commitment, Confirmation};
use rand_core::Rng;
use std::hint::black_box;
use std::time::Instant;

/// Times that are compared, of both classes together.
const MEASUREMENTS: usize = 400_000;

/// Calls in one measurement, because a clock does not resolve one.
const CALLS: usize = 32;

/// What the paper takes as proof of a leak.
const LEAK: f64 = 4.5;

/// Percentiles up to which times are compared too.
const CROPS: [usize; 5] = [50, 75, 90, 99, 100];

/// Mean and variance, as they come (Welford).
#[derive(Default)]
struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let from = value - self.mean;
        self.mean += from / self.count;
        self.squares += from * (value - self.mean);
    }

    fn variance(&self) -> f64 {
        self.squares / (self.count - 1.0)
    }
}

/// Welch's t of two samples.
fn welch(a: &Sample, b: &Sample) -> f64 {
    (a.mean - b.mean) / (a.variance() / a.count + b.variance() / b.count).sqrt()
}

/// The largest |t| over all crops. Both classes differ from the reference: one in the first byte, one in the last.
fn leak<T: PartialEq>(make: impl Fn([u8; 32]) -> T) -> f64 {
    let mut rng = SeedRng::new(7);
    let mut reference = [0; 32];
    rng.fill_bytes(&mut reference);
    let (mut early, mut late) = (reference, reference);
    early[0] ^= 1;
    late[31] ^= 1;
    let ours = make(reference);
    let mut times = Vec::with_capacity(MEASUREMENTS);
    for _ in 0..MEASUREMENTS {
        let class = rng.next_u32() % 2 == 1;
        // Chosen without a branch, into one and the same place.
        let mut other = [0; 32];
        for ((byte, early), late) in other.iter_mut().zip(early).zip(late) {
            let mask = 0_u8.wrapping_sub(u8::from(class));
            *byte = (early & !mask) | (late & mask);
        }
        let other = make(other);
        let begun = Instant::now();
        for _ in 0..CALLS {
            black_box(*black_box(&ours) == *black_box(&other));
        }
        times.push((class, begun.elapsed().as_nanos()));
    }
    // Caches and clocks settle in the first tenth.
    times.drain(..MEASUREMENTS / 10);
    let mut sorted: Vec<_> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_unstable();
    let most = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    let t = |limit: u128| {
        let mut samples = [Sample::default(), Sample::default()];
        for (class, time) in times.iter().filter(|(_, time)| *time <= limit) {
            samples[usize::from(*class)].add(*time as f64);
        }
        let t = welch(&samples[0], &samples[1]).abs();
        // Without any variance below a crop there is nothing to compare.
        if t.is_nan() { 0.0 } else { t }
    };
    CROPS.iter().map(|crop| t(most(*crop))).fold(0.0, f64::max)
}

/// Stops at the first difference.
struct Careless([u8; 32]);

impl PartialEq for Careless {
    #[inline(never)]
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }
}

/// The statistic itself: two samples of which it is known.
#[test]
fn welch_of_known_samples() {
    let sample = |values: &[f64]| {
        let mut sample = Sample::default();
        values.iter().for_each(|value| sample.add(*value));
        sample
    };
    let (a, b) = (sample(&[1.0, 2.0, 3.0, 4.0]), sample(&[2.0, 4.0, 6.0]));
    // means 2.5 and 4, variances 5/3 and 4: -1.5 / sqrt(5/12 + 4/3)
    assert!((welch(&a, &b) + 1.133_893).abs() < 1e-5, "{}", welch(&a, &b));
}

#[test]
#[ignore = "wants a quiet machine and --release"]
fn comparisons_take_as_long_whatever_they_compare() {
    let ours = [
        ("secret", leak(Secret::from_bytes)),
        ("commitment", leak(Commitment::from_bytes)),
        ("confirmation", leak(Confirmation::from_bytes)),
    ];
    let control = leak(Careless);
    for (name, t) in ours {
        println!("{name:14} |t| {t:.2}");
    }
    println!("{:14} |t| {control:.2} (has to be above {LEAK})", "control");
    assert!(control > LEAK, "the control stops at the first difference and was not found");
    for (name, t) in ours {
        assert!(t < LEAK, "comparing a {name} takes longer for some values than for others: |t| {t:.2}");
    }
}
