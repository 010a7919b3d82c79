//! Which share of a plan is done here.

use std::fmt;
use std::str::FromStr;

/// Shard `index` of `of`, counted from 1; written `3/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

/// Text or numbers that name no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a shard; write I/N with I from 1 to N, such as 3/16")]
pub struct ShardError(String);

impl Shard {
    /// The only shard: everything.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// Shard `index` of `of`.
    ///
    /// # Errors
    /// `index` is not between 1 and `of`.
    pub fn new(index: usize, of: usize) -> Result<Shard, ShardError> {
        if (1..=of).contains(&index) { Ok(Shard { index, of }) } else { Err(ShardError(format!("{index}/{of}"))) }
    }

    /// Which one, from 1.
    pub fn index(self) -> usize {
        self.index
    }

    /// Of how many.
    pub fn of(self) -> usize {
        self.of
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;
    fn from_str(text: &str) -> Result<Self, ShardError> {
        let wrong = || ShardError(text.to_string());
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let number = |part: &str| part.parse::<usize>().map_err(|_| wrong());
        Shard::new(number(index)?, number(of)?).map_err(|_| wrong())
    }
}
