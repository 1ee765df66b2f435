//! Keys to numbers for the methods that fit servers into a range by weight: `hash`, `ip_hash`, `random`.
//!
//! The arithmetic is nginx's, so that a key or an address finds the server that it finds there.

/// Peers found that cannot be asked, beyond which the choice is left to round robin.
pub const MISSES_MAX: u32 = 20;

/// Where a request stands between its tries.
#[derive(Debug, Default)]
pub struct Walk {
    /// Sum or last value of what was hashed.
    value: u32,
    /// Times that something was hashed.
    round: u32,
    /// Peers found that could not be asked.
    pub misses: u32,
}

impl Walk {
    /// Returns the next number for a client's address.
    pub fn step_address(&mut self, address: &[u8]) -> u32 {
        let start = if self.round == 0 { 89 } else { self.value };
        self.round += 1;
        self.value = address.iter().fold(start, |hash, byte| (hash * 113 + u32::from(*byte)) % 6271);
        self.value
    }

    /// Returns the next number for a key: as Cache::Memcached, the round stands before the key from the second one on.
    pub fn step_key(&mut self, key: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        if self.round > 0 {
            crc.update(self.round.to_string().as_bytes());
        }
        crc.update(key);
        self.round += 1;
        self.value = self.value.wrapping_add((crc.finalize() >> 16) & 0x7fff);
        self.value
    }
}

/// Random numbers that need not be good, only spread (xorshift64*).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Returns the next number.
    pub fn roll(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

/// Finds the peer that a number falls to, where each has its weight's share of the range; none where there are no shares.
pub fn at(number: u32, weights: impl Iterator<Item = (usize, i64)> + Clone) -> Option<usize> {
    let total: i64 = weights.clone().map(|(_, weight)| weight).sum();
    let mut left = i64::from(number).checked_rem(total)?;
    for (index, weight) in weights {
        if left < weight {
            return Some(index);
        }
        left -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hashed_step_by_step() {
        let mut walk = Walk::default();
        // 89 → (89·113 + 127) % 6271 → …, worked out by hand.
        let first = (((89 * 113 + 127) % 6271 * 113) % 6271 * 113) % 6271;
        assert_eq!(walk.step_address(&[127, 0, 0]), first);
        let second = (((first * 113 + 127) % 6271 * 113) % 6271 * 113) % 6271;
        assert_eq!(walk.step_address(&[127, 0, 0]), second);
    }

    #[test]
    fn keys_add_up() {
        let part = |text: &str| (crc32fast::hash(text.as_bytes()) >> 16) & 0x7fff;
        let mut walk = Walk::default();
        let steps = [walk.step_key(b"key"), walk.step_key(b"key"), walk.step_key(b"key")];
        assert_eq!(steps[0], part("key"));
        assert_eq!(steps[1], part("key") + part("1key"));
        assert_eq!(steps[2], part("key") + part("1key") + part("2key"));
    }

    #[test]
    fn numbers_fall_to_peers_by_weight() {
        let weights = [(4, 2), (7, 1)];
        let found: Vec<_> = (0..6).map(|number| at(number, weights.into_iter())).collect();
        assert_eq!(found, [4, 4, 7, 4, 4, 7].map(Some));
        assert_eq!(at(1, std::iter::empty()), None);
    }

    #[test]
    fn dice_are_spread() {
        let mut dice = Dice::new(7);
        let mut counts = [0; 4];
        (0..10_000).for_each(|_| counts[dice.roll() as usize % 4] += 1);
        assert!(counts.iter().all(|count| (2400..2600).contains(count)), "{counts:?}");
    }
}
