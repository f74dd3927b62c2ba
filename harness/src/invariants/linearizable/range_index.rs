//! Smallest value in a range of a sequence, in O(log n): a segment tree in one flat array.

/// Values with fast range minima. 16 bytes for each value.
#[derive(Debug)]
pub(crate) struct RangeMin {
    length: usize,
    tree: Vec<i64>,
}

impl RangeMin {
    /// Builds the index in O(n).
    pub(crate) fn new(values: &[i64]) -> Self {
        let length = values.len();
        let mut tree = vec![i64::MAX; length];
        tree.extend_from_slice(values);
        for at in (1..length).rev() {
            tree[at] = tree[2 * at].min(tree[2 * at + 1]);
        }
        Self { length, tree }
    }

    /// Smallest of the values at `from..=to`; `i64::MAX` for an empty range.
    pub(crate) fn min(&self, from: usize, to: usize) -> i64 {
        let (mut left, mut right) = (from + self.length, to.min(self.length.saturating_sub(1)) + self.length + 1);
        let mut least = i64::MAX;
        while left < right {
            if left % 2 == 1 {
                least = least.min(self.tree[left]);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                least = least.min(self.tree[right]);
            }
            left /= 2;
            right /= 2;
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_of_every_length_agrees_with_a_scan() {
        for length in 1..20_usize {
            let values: Vec<i64> = (0..length).map(|at| ((at * 7919 + length * 31) % 23) as i64 - 11).collect();
            let index = RangeMin::new(&values);
            for from in 0..length {
                for to in from..length {
                    assert_eq!(Some(index.min(from, to)), values[from..=to].iter().min().copied(), "{from}..={to} of {values:?}");
                }
            }
        }
    }
}
