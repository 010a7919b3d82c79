//! A sum of floats that does not depend on their order (Shewchuk 1997; the algorithm of Python's `math.fsum`).

/// The exact sum of the numbers added so far.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    /// Numbers of ascending size without overlapping digits, whose sum is exact.
    parts: Vec<f64>,
}

impl ExactSum {
    /// Add a number. Numbers that are not finite are left out.
    pub fn add(&mut self, mut x: f64) {
        if !x.is_finite() {
            return;
        }
        let mut count = 0;
        for at in 0..self.parts.len() {
            let mut y = self.parts[at];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                self.parts[count] = low;
                count += 1;
            }
            x = high;
        }
        self.parts.truncate(count);
        self.parts.push(x);
    }

    /// Add all that `other` holds.
    pub fn merge(&mut self, other: &ExactSum) {
        other.parts.iter().for_each(|&part| self.add(part));
    }

    /// The sum, rounded once.
    pub fn value(&self) -> f64 {
        let mut rest = self.parts.iter().rev().copied();
        let Some(mut high) = rest.next() else { return 0.0 };
        let mut low = 0.0;
        for part in rest.by_ref() {
            let before = high;
            high = before + part;
            low = part - (high - before);
            if low != 0.0 {
                break;
            }
        }
        // A tie was rounded to even, but what follows breaks it.
        if let Some(next) = rest.next()
            && (low < 0.0 && next < 0.0 || low > 0.0 && next > 0.0)
        {
            let doubled = 2.0 * low;
            let moved = high + doubled;
            if doubled == moved - high {
                high = moved;
            }
        }
        high
    }
}
