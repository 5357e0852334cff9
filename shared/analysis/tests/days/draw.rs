//! Seeded draws (splitmix64), so that a day is a function of its seed.

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// Starts a stream; equal words give equal streams.
    pub fn new(words: &[u64]) -> Self {
        let mut draw = Self(0x5eed_da75);
        for word in words {
            draw.0 ^= word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            draw.next();
        }
        draw
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Draws from [0, 1).
    pub fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).expect("32 bits")) / 4_294_967_296.0
    }

    /// Draws from a span of numbers.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Draws a whole number from `low..=high`.
    pub fn whole(&mut self, low: usize, high: usize) -> usize {
        let span = u64::try_from(high - low + 1).expect("small");
        low + usize::try_from(self.next() % span).expect("small")
    }

    /// Says yes with a probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Draws a waiting time with a mean.
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Draws roughly normally, with mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Picks one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let at = self.whole(0, items.len() - 1);
        &items[at]
    }

    /// Picks several different ones, in random order.
    pub fn several<T: Clone>(&mut self, items: &[T], number: usize) -> Vec<T> {
        let mut left = items.to_vec();
        let mut picked = Vec::new();
        while picked.len() < number && !left.is_empty() {
            let at = self.whole(0, left.len() - 1);
            picked.push(left.swap_remove(at));
        }
        picked
    }
}
