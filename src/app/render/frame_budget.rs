//! How much work one frame may do.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::gpu::SharedQueue;

/// Bytes that may wait for the card before no more are made: frames are not being drawn then.
const MAX_WAITING_BYTES: usize = 128 << 20;

/// How much work one frame may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameBudget {
    /// Time after which no further tile is begun.
    pub time: Duration,
    /// Most tiles of image and masks together.
    pub tiles: usize,
}

impl FrameBudget {
    /// Everything in view in one frame, for tests and exports.
    pub const UNLIMITED: Self = Self {
        time: Duration::MAX,
        tiles: usize::MAX,
    };
}

impl Default for FrameBudget {
    fn default() -> Self {
        Self {
            time: Duration::from_micros(1500),
            tiles: 16,
        }
    }
}

/// What is left of a frame's budget.
pub(super) struct Work {
    begun: Instant,
    budget: FrameBudget,
    taken: usize,
}

impl Work {
    pub(super) fn begin(budget: FrameBudget) -> Self {
        Self {
            begun: Instant::now(),
            budget,
            taken: 0,
        }
    }

    /// Whether another tile may be begun; counts it.
    pub(super) fn take(&mut self, queue: &SharedQueue) -> bool {
        let waiting = queue.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        let is_allowed = self.taken < self.budget.tiles
            && waiting < MAX_WAITING_BYTES
            && self.begun.elapsed() < self.budget.time;
        self.taken += usize::from(is_allowed);
        is_allowed
    }
}
