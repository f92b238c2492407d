//! Which predicted mask stands for which mask of the reference, and the reward of their IoU.

use super::ScoreError;
use super::overlap::iou;
use crate::mask::Rle;

/// The most pairs of masks that are compared, a thousand with a thousand.
const MOST_PAIRS: usize = 1_000_000;
/// The most masks on one side that are assigned, since that takes the third power of their number.
const MOST_ASSIGNED: usize = 1_000;

/// The IoU of every predicted mask (rows) with every mask of the reference (columns).
///
/// # Errors
/// [`ScoreError::Size`] and [`ScoreError::TooMany`].
pub fn iou_matrix(predicted: &[Rle], reference: &[Rle]) -> Result<Vec<Vec<f64>>, ScoreError> {
    if predicted.len().saturating_mul(reference.len()) > MOST_PAIRS {
        return Err(too_many(predicted.len(), reference.len()));
    }
    let mut all = predicted.iter().chain(reference);
    if let Some(first) = all.next()
        && let Some(other) = all.find(|mask| mask.size() != first.size())
    {
        return Err(ScoreError::Size {
            expected: first.size(),
            found: other.size(),
        });
    }
    let boxes: Vec<_> = reference.iter().map(Rle::bounding_box).collect();
    let row = |mask: &Rle| {
        let bounds = mask.bounding_box();
        let cell = |(other, other_bounds): (&Rle, &Option<_>)| match (bounds, *other_bounds) {
            // Most pairs lie apart.
            (Some(a), Some(b)) if a.intersection(b).is_some() => iou(mask, other),
            _ => Ok(0.0),
        };
        reference.iter().zip(&boxes).map(cell).collect()
    };
    predicted.iter().map(row).collect()
}

fn too_many(predicted: usize, reference: usize) -> ScoreError {
    ScoreError::TooMany {
        predicted,
        reference,
        most: MOST_PAIRS,
    }
}

/// Pairs row and column of the largest value first, then the largest of the others, as long as `admits` says so of
/// row, column and value; the first pair that it does not admit ends it. Of equal values the first counts.
pub fn greedy_pairs(
    values: &[Vec<f64>],
    mut admits: impl FnMut(usize, usize, f64) -> bool,
) -> Vec<(usize, usize, f64)> {
    let mut order: Vec<(usize, usize, f64)> = values
        .iter()
        .enumerate()
        .flat_map(|(row, cells)| {
            cells
                .iter()
                .enumerate()
                .map(move |(column, value)| (row, column, *value))
        })
        .filter(|(.., value)| *value > 0.0)
        .collect();
    // Stable, so that equal values stay in order.
    order.sort_by(|a, b| b.2.total_cmp(&a.2));
    let columns = values.iter().map(Vec::len).max().unwrap_or(0);
    let (mut rows_taken, mut columns_taken) = (vec![false; values.len()], vec![false; columns]);
    let mut pairs = Vec::new();
    for (row, column, value) in order {
        let (Some(row_taken), Some(column_taken)) = (rows_taken.get_mut(row), columns_taken.get_mut(column))
        else {
            continue;
        };
        if *row_taken || *column_taken {
            continue;
        }
        if !admits(row, column, value) {
            break;
        }
        (*row_taken, *column_taken) = (true, true);
        pairs.push((row, column, value));
    }
    pairs
}

/// The largest sum of values that pairs of rows and columns can have (the Hungarian method).
#[must_use]
pub fn best_assignment(values: &[Vec<f64>]) -> f64 {
    let rows = values.len();
    let columns = values.iter().map(Vec::len).max().unwrap_or(0);
    let side = rows.max(columns);
    let cost = |row: usize, column: usize| -> f64 {
        let value = values.get(row).and_then(|cells| cells.get(column));
        -value.copied().unwrap_or(0.0)
    };
    // Shortest augmenting paths with potentials; row and column 0 are a sentinel.
    let mut row_potential = vec![0.0; side + 1];
    let mut column_potential = vec![0.0; side + 1];
    let mut row_of = vec![0_usize; side + 1];
    let mut before = vec![0_usize; side + 1];
    for row in 1..=side {
        row_of[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; side + 1];
        let mut used = vec![false; side + 1];
        loop {
            used[column] = true;
            let current = row_of[column];
            let (mut delta, mut next) = (f64::INFINITY, 0);
            for candidate in 1..=side {
                if used[candidate] {
                    continue;
                }
                let reduced =
                    cost(current - 1, candidate - 1) - row_potential[current] - column_potential[candidate];
                if reduced < least[candidate] {
                    (least[candidate], before[candidate]) = (reduced, column);
                }
                if least[candidate] < delta {
                    (delta, next) = (least[candidate], candidate);
                }
            }
            for candidate in 0..=side {
                if used[candidate] {
                    row_potential[row_of[candidate]] += delta;
                    column_potential[candidate] -= delta;
                } else {
                    least[candidate] -= delta;
                }
            }
            column = next;
            if row_of[column] == 0 {
                break;
            }
        }
        while column != 0 {
            let previous = before[column];
            row_of[column] = row_of[previous];
            column = previous;
        }
    }
    let assigned = (1..=side).filter(|column| row_of[*column] > 0);
    assigned.map(|column| -cost(row_of[column] - 1, column - 1)).sum()
}

/// The published reward of masks: the IoUs of the best one-to-one assignment, over the larger of the two numbers of
/// masks; 1 where there are none on either side.
///
/// The published code compares at half resolution to save time; this compares the masks as they are given.
///
/// # Errors
/// [`ScoreError::Size`] and [`ScoreError::TooMany`].
pub fn mask_iou_reward(predicted: &[Rle], reference: &[Rle]) -> Result<f64, ScoreError> {
    let most = predicted.len().max(reference.len());
    if most == 0 {
        return Ok(1.0);
    }
    if most > MOST_ASSIGNED && !predicted.is_empty() && !reference.is_empty() {
        return Err(too_many(predicted.len(), reference.len()));
    }
    Ok(best_assignment(&iou_matrix(predicted, reference)?) / most as f64)
}

/// The published reward of one mask: intersection over union, with 1e-6 added to the union.
///
/// # Errors
/// [`ScoreError::Size`].
pub fn single_mask_reward(predicted: &Rle, reference: &Rle) -> Result<f64, ScoreError> {
    let shared = super::area_of_intersection(predicted, reference)?;
    let union = predicted.area() + reference.area() - shared;
    Ok(shared as f64 / (union as f64 + 1e-6))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{random_mask, rect};
    use super::*;
    use crate::mask::Mask;

    /// The best assignment by trying all.
    fn tried(values: &[Vec<f64>], row: usize, free: &mut Vec<usize>) -> f64 {
        let Some(cells) = values.get(row) else { return 0.0 };
        let mut best = tried(values, row + 1, free);
        for index in 0..free.len() {
            let column = free.remove(index);
            best = best.max(cells[column] + tried(values, row + 1, free));
            free.insert(index, column);
        }
        best
    }

    #[test]
    fn the_best_assignment_is_that_of_trying_all() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / (1_u64 << 31) as f64
        };
        for (rows, columns) in [(1, 1), (2, 3), (4, 4), (5, 2), (3, 6), (5, 5)] {
            for _ in 0..10 {
                let values: Vec<Vec<f64>> = (0..rows)
                    .map(|_| (0..columns).map(|_| next()).collect())
                    .collect();
                let best = tried(&values, 0, &mut (0..columns).collect());
                assert!((best_assignment(&values) - best).abs() < 1e-12, "{values:?}");
            }
        }
        assert_eq!(
            (best_assignment(&[]), best_assignment(&[vec![], vec![]])),
            (0.0, 0.0)
        );
    }

    #[test]
    fn rewards_are_as_computed_by_hand() {
        // Left and right half of ten by ten pixels, and all of it.
        let (left, right, all) = (rect(0, 0, 5, 10), rect(5, 0, 5, 10), rect(0, 0, 10, 10));
        let cases: [(&[&Rle], &[&Rle], f64); 9] = [
            (&[], &[], 1.0),
            (&[&left], &[], 0.0),
            (&[], &[&left], 0.0),
            (&[&left], &[&left], 1.0),
            (&[&left, &right], &[&right, &left], 1.0),
            (&[&all], &[&left], 0.5),
            (&[&all, &left], &[&left], 0.5),
            (&[&left, &left], &[&left], 0.5),
            // The greedy choice of the pair of left halves would leave the worse rest.
            (&[&all, &left], &[&left, &right], 0.75),
        ];
        for (predicted, reference, expected) in cases {
            let owned = |masks: &[&Rle]| masks.iter().map(|mask| (*mask).clone()).collect::<Vec<_>>();
            let reward = mask_iou_reward(&owned(predicted), &owned(reference)).unwrap();
            assert!(
                (reward - expected).abs() < 1e-12,
                "{reward} instead of {expected}"
            );
        }
        let reward = single_mask_reward(&all, &left).unwrap();
        assert!((reward - 50.0 / (100.0 + 1e-6)).abs() < 1e-15);
        let empty = rect(0, 0, 0, 0);
        assert_eq!(single_mask_reward(&empty, &empty), Ok(0.0));
    }

    #[test]
    fn a_thousand_masks_are_no_trouble() {
        let masks: Vec<Rle> = (0..1200).map(|seed| random_mask(seed).to_rle()).collect();
        assert!(matches!(
            iou_matrix(&masks, &masks),
            Err(ScoreError::TooMany { .. })
        ));
        assert!(matches!(
            mask_iou_reward(&masks, &masks[..5]),
            Err(ScoreError::TooMany { .. })
        ));
        assert_eq!(iou_matrix(&masks, &masks[..2]).unwrap().len(), 1200);
        let other = Mask::empty(crate::geometry::ImageSize::new(2, 2))
            .unwrap()
            .to_rle();
        assert!(matches!(
            iou_matrix(&masks[..1], &[other]),
            Err(ScoreError::Size { .. })
        ));
    }

    #[test]
    fn pairs_are_taken_from_the_best_down_until_one_is_not_admitted() {
        let values = [vec![0.9, 0.8, 0.0], vec![0.85, 0.6, 0.0]];
        let all = greedy_pairs(&values, |_, _, _| true);
        assert_eq!(all, [(0, 0, 0.9), (1, 1, 0.6)]);
        assert_eq!(greedy_pairs(&values, |_, _, value| value >= 0.7), [(0, 0, 0.9)]);
        assert_eq!(greedy_pairs(&values, |row, _, _| row == 1), []);
        assert_eq!(greedy_pairs(&[], |_, _, _| true), []);
    }
}
