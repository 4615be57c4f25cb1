//! Series of measurements and how they are shown.

use anyhow::{Context, Result};
use integration::Lab;
use std::collections::BTreeMap;

/// Median, least and most of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// `None` for an empty series.
    pub fn of(series: &[f64]) -> Option<Self> {
        let mut sorted = series.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Self { median, least, most })
    }

    pub fn show(self, digits: usize) -> String {
        format!(
            "{:>9.digits$} {:>9.digits$} {:>9.digits$}",
            self.median, self.least, self.most
        )
    }
}

/// A line of a table.
pub fn row(what: &str, values: &[f64], digits: usize) {
    if let Some(spread) = Spread::of(values) {
        println!("  {what:<46}{}", spread.show(digits));
    }
}

/// Round by round, the first over the second.
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(our, their)| our / their).collect()
}

/// `KEY=NUMBER ...`, as a program prints them.
pub fn figures(line: &str) -> BTreeMap<String, f64> {
    let pairs = line.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect()
}

/// Points in time that a script prints, as milliseconds.
pub fn moments(lab: &Lab, script: &str) -> Result<Vec<f64>> {
    let printed = lab.script(&format!("set -e; {script}"))?;
    printed
        .split_whitespace()
        .map(|word| {
            let seconds: f64 = word.parse().with_context(|| format!("no time: {word:?}"))?;
            Ok(seconds * 1000.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Spread::of(&[]), None);
        let odd = Spread::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.median, odd.least, odd.most), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(ratios(&[1.0, 6.0], &[2.0, 3.0]), [0.5, 2.0]);
    }
}
