//! Where the tokens of a network lie in its images.

/// What the tokens of activations `[N, T, D]` are: first those that stand for no patch, then the patches row by row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens before those of the patches: class token, distillation token, registers.
    pub prefix: i64,
    /// Rows and columns of the patches; none if the network does not tell, which then are taken to make a square.
    pub grid: Option<[i64; 2]>,
}

impl Tokens {
    /// Rows and columns of the patches among `count` tokens; none if they are not laid out so.
    pub fn grid_of(self, count: i64) -> Option<[i64; 2]> {
        let patches = count - self.prefix;
        let grid = self.grid.unwrap_or_else(|| [(patches.max(0) as f64).sqrt().round() as i64; 2]);
        (patches > 0 && grid[0] * grid[1] == patches).then_some(grid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_lie_as_the_network_says_or_else_in_a_square() {
        let tokens = Tokens { prefix: 1, grid: Some([2, 3]) };
        assert_eq!([7, 6, 10].map(|count| tokens.grid_of(count)), [Some([2, 3]), None, None]);
        let square = Tokens { prefix: 1, grid: None };
        assert_eq!([10, 1, 0, 7].map(|count| square.grid_of(count)), [Some([3, 3]), None, None, None]);
    }
}
