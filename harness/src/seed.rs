//! One seed a run, and its named random streams.
//!
//! In: a number. Out: independent generators, one for each name, so that a draw added to one stream moves no other.
//! All draws happen before a run starts; nothing random happens while it runs.

use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The seed from which the whole plan of a run is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The generator of the stream called `name`. ChaCha8 is portable: the same seed and name give the same draws on every
    /// machine and with every version of this crate.
    #[must_use]
    pub fn stream(self, name: &str) -> ChaCha8Rng {
        let digest = Sha256::new().chain_update(self.0.to_le_bytes()).chain_update(name.as_bytes()).finalize();
        ChaCha8Rng::from_seed(digest.into())
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_name_and_seed() {
        let draw = |seed: u64, name: &str| Seed(seed).stream(name).next_u64();
        assert_eq!(draw(7, "arrivals"), draw(7, "arrivals"));
        assert_ne!(draw(7, "arrivals"), draw(7, "mix"));
        assert_ne!(draw(7, "arrivals"), draw(8, "arrivals"));
    }
}
