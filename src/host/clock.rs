//! Points in time after which nothing is waited for any more.

use std::thread;
use std::time::{Duration, Instant};

/// The moment at which a wait ends, whether or not it was worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Deadline(Instant::now())
    }

    /// That much from now.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Deadline(Instant::now() + duration)
    }

    /// That much from now, or this moment, whichever comes first.
    #[must_use]
    pub fn or_after(self, duration: Duration) -> Self {
        self.min(Deadline::after(duration))
    }

    /// So much later.
    #[must_use]
    pub fn later(self, duration: Duration) -> Self {
        Deadline(self.0 + duration)
    }

    /// What is left of it; zero once it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// Calls `look` now and then, ever less often, until it finds something or the deadline has passed.
    /// It is called at least once, and once more at the end.
    pub fn poll<T>(self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        const LONGEST: Duration = Duration::from_millis(50);
        let mut pause = Duration::from_micros(500);
        loop {
            let last = self.has_passed();
            if let Some(found) = look() {
                return Some(found);
            }
            if last {
                return None;
            }
            thread::sleep(pause.min(self.left()));
            pause = (pause * 2).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_looks_at_least_once_and_ends() {
        assert_eq!(Deadline::after(Duration::ZERO).poll(|| Some(1)), Some(1));
        let mut looks = 0;
        let found: Option<()> = Deadline::after(Duration::from_millis(5)).poll(|| {
            looks += 1;
            None
        });
        assert_eq!(found, None);
        assert!(looks >= 2, "{looks}");
    }
}
