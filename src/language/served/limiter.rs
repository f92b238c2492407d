//! How many questions are on their way to a server at once.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one that waits looks whether it should give up.
const LOOK: Duration = Duration::from_millis(20);

/// A limit that all clones share.
#[derive(Clone)]
pub(super) struct Limiter {
    shared: Arc<(Mutex<usize>, Condvar)>,
    most: usize,
}

/// The right to ask, until dropped.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Limiter,
}

impl Limiter {
    /// At most `most` at once.
    pub(super) fn new(most: NonZeroUsize) -> Self {
        Self {
            shared: Arc::new((Mutex::new(0), Condvar::new())),
            most: most.get(),
        }
    }

    /// Waits for a place; `None` where `cancelled` says to give up.
    pub(super) fn acquire(&self, cancelled: &dyn Fn() -> bool) -> Option<Permit> {
        let mut busy = self.busy();
        while *busy >= self.most {
            if cancelled() {
                return None;
            }
            let waited = self.shared.1.wait_timeout(busy, LOOK);
            busy = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *busy += 1;
        drop(busy);
        Some(Permit {
            limiter: self.clone(),
        })
    }

    /// A count is right whatever happened to a thread that held it.
    fn busy(&self) -> MutexGuard<'_, usize> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut busy = self.limiter.busy();
        *busy = busy.saturating_sub(1);
        drop(busy);
        self.limiter.shared.1.notify_one();
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limiter({})", self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_than_the_limit_are_in_at_once() {
        let limiter = Limiter::new(NonZeroUsize::new(2).unwrap());
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let _permit = limiter.acquire(&|| false).unwrap();
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(10));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
        let _held = [limiter.acquire(&|| false), limiter.acquire(&|| false)];
        assert!(limiter.acquire(&|| true).is_none(), "one that waits can give up");
    }
}
