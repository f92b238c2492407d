//! Rotary positions: which angle every frequency of a head turns by, for tokens of text, of images, and for patches.

use super::config::{TextConfig, VisionConfig};
use super::error::Result;
use super::matrix::Placement;
use super::picture::Grid;
use candle_core::Tensor;

/// Where a token stands in time, height and width; the three are equal for text.
pub(super) type Position = [u32; 3];

/// Cosines and sines, `tokens x head_dim / 2` each.
#[derive(Clone, Debug)]
pub(super) struct Angles {
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

impl Angles {
    fn new(angles: &[f32], tokens: usize, placement: &Placement) -> Result<Self> {
        let shape = [tokens, angles.len() / tokens.max(1)];
        Ok(Self {
            cos: placement.tensor(angles.iter().map(|angle| angle.cos()).collect(), &shape)?,
            sin: placement.tensor(angles.iter().map(|angle| angle.sin()).collect(), &shape)?,
        })
    }
}

/// `1 / theta^(2 i / dim)` for the `dim / 2` frequencies of a head.
fn inverse_frequencies(theta: f64, dim: usize) -> Vec<f32> {
    (0..dim / 2)
        .map(|i| theta.powf(-((2 * i) as f64) / dim as f64) as f32)
        .collect()
}

/// Angles of the text model: time, height and width take turns among the first frequencies, the rest follow time.
pub(super) fn text_angles(
    positions: &[Position],
    config: &TextConfig,
    placement: &Placement,
) -> Result<Angles> {
    let frequencies = inverse_frequencies(config.rope_theta, config.head_dim);
    let [_, height, width] = config.rope_sections;
    let axis = |i: usize| match i % 3 {
        1 if i < 3 * height => 1,
        2 if i < 3 * width => 2,
        _ => 0,
    };
    let angles: Vec<f32> = positions
        .iter()
        .flat_map(|position| {
            frequencies
                .iter()
                .enumerate()
                .map(move |(i, frequency)| position[axis(i)] as f32 * frequency)
        })
        .collect();
    Angles::new(&angles, positions.len(), placement)
}

/// Angles of the vision tower: the first half of the frequencies follows the row, the second the column.
pub(super) fn patch_angles(grid: Grid, config: &VisionConfig, placement: &Placement) -> Result<Angles> {
    let frequencies = inverse_frequencies(config.rope_theta, config.head_dim() / 2);
    let angles: Vec<f32> = grid
        .places(config.merge)
        .flat_map(|(row, column)| {
            let turn = |at: usize| frequencies.iter().map(move |frequency| at as f32 * frequency);
            turn(row).chain(turn(column))
        })
        .collect();
    Angles::new(&angles, grid.patches(), placement)
}

/// A stretch of a prompt: tokens of text, or an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// This many tokens.
    Text(usize),
    /// The patches of an image.
    Image(Grid),
}

/// The position of every token, and that of the first token after them.
///
/// An image starts where the text before it ends; its tokens differ in height and width only, and the text after it
/// goes on behind the larger of the two.
pub(super) fn positions(stretches: &[Stretch], merge: usize) -> (Vec<Position>, u32) {
    let mut positions = Vec::new();
    let mut next = 0_u32;
    for stretch in stretches {
        match *stretch {
            Stretch::Text(tokens) => {
                positions.extend((next..next + tokens as u32).map(|at| [at; 3]));
                next += tokens as u32;
            }
            Stretch::Image(grid) => {
                let (rows, columns) = ((grid.rows / merge) as u32, (grid.columns / merge) as u32);
                positions.extend(
                    (0..rows)
                        .flat_map(|row| (0..columns).map(move |column| [next, next + row, next + column])),
                );
                next += rows.max(columns);
            }
        }
    }
    (positions, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_on_behind_the_longer_side_of_an_image() {
        let grid = Grid { rows: 4, columns: 6 };
        let (positions, next) = positions(&[Stretch::Text(2), Stretch::Image(grid), Stretch::Text(1)], 2);
        assert_eq!(
            positions,
            [
                [0, 0, 0],
                [1, 1, 1],
                [2, 2, 2],
                [2, 2, 3],
                [2, 2, 4],
                [2, 3, 2],
                [2, 3, 3],
                [2, 3, 4],
                [5, 5, 5]
            ]
        );
        assert_eq!(next, 6);
    }
}
