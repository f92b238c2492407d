//! When a question is asked again, and after how long.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// How often and how soon a failed question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Times that it is asked again; 0 is never.
    pub retries: u32,
    /// The first wait; every further one is twice as long, with some chance in it so that many askers spread.
    pub first_wait: Duration,
    /// The longest wait; a server that wants a longer one is not asked again.
    pub longest_wait: Duration,
    /// Whether an answer that broke off after text was shown is asked for again, from its beginning.
    ///
    /// Only for callers that take nothing but the finished answer: to others the text would come twice.
    pub after_text: bool,
}

impl RetryPolicy {
    /// Every question is asked once.
    pub const NEVER: Self = Self {
        retries: 0,
        first_wait: Duration::ZERO,
        longest_wait: Duration::ZERO,
        after_text: false,
    };

    /// How long to wait before the try after `failures` failed ones; `None` if there is none.
    pub(super) fn wait(&self, failures: u32, asked_for: Option<Duration>) -> Option<Duration> {
        if failures > self.retries {
            return None;
        }
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let backed_off = self.first_wait.saturating_mul(doubled).min(self.longest_wait);
        // From half of it to all of it.
        let wait = backed_off.mul_f64(0.5 + 0.5 * chance());
        match asked_for {
            Some(asked_for) if asked_for > self.longest_wait => None,
            Some(asked_for) => Some(asked_for.max(wait)),
            None => Some(wait),
        }
    }
}

impl Default for RetryPolicy {
    /// Three times, after about half a second, one and two.
    fn default() -> Self {
        Self {
            retries: 3,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            after_text: false,
        }
    }
}

/// The time of a `Retry-After` header; a date in it is no number and so `None`.
pub(super) fn retry_after(header: &str) -> Option<Duration> {
    let seconds: f64 = header.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
}

/// A number from 0 to below 1 that no other program has; the keys of hash maps are the standard library's only chance.
fn chance() -> f64 {
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit_and_end() {
        let policy = RetryPolicy {
            retries: 4,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(3),
            after_text: false,
        };
        for (failures, longest) in [(1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0)] {
            let wait = policy.wait(failures, None).unwrap().as_secs_f64();
            assert!(wait >= longest / 2.0 && wait <= longest, "{failures}: {wait}");
        }
        assert_eq!(policy.wait(5, None), None);
        assert_eq!(
            policy.wait(1, Some(Duration::from_secs(2))),
            Some(Duration::from_secs(2))
        );
        assert_eq!(
            policy.wait(1, Some(Duration::from_secs(4))),
            None,
            "it wants more patience than we have"
        );
        assert!(policy.wait(1, Some(Duration::ZERO)).unwrap() >= Duration::from_millis(500));
        assert_eq!(RetryPolicy::NEVER.wait(1, None), None);
        assert!(RetryPolicy::default().wait(u32::MAX, None).is_none());
    }

    #[test]
    fn retry_after_is_read_as_seconds() {
        for (header, expected) in [
            ("3", Some(3.0)),
            (" 0.5 ", Some(0.5)),
            ("1e300", Some(86_400.0)),
            ("-1", None),
            ("NaN", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ] {
            assert_eq!(
                retry_after(header),
                expected.map(Duration::from_secs_f64),
                "{header}"
            );
        }
    }
}
