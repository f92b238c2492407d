//! Connected components, found by joining runs of pixels row by row.

use super::Mask;
use crate::geometry::{ImageSize, PixelRect};
use std::ops::Range;

/// Which neighbours of a pixel belong to the same component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connectivity {
    /// The pixels to the left, right, above and below.
    Four,
    /// Also the four pixels that only share a corner.
    Eight,
}

/// One connected component of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Number of pixels.
    pub area: u64,
    /// The smallest box around it.
    pub bounding_box: PixelRect,
}

/// The connected components of a mask, numbered from 0 by their first pixel in reading order.
#[derive(Clone, Debug)]
pub struct Components {
    size: ImageSize,
    /// Every run of the mask in reading order.
    runs: Vec<Run>,
    components: Vec<Component>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    y: u32,
    start: u32,
    end: u32,
    /// Index of an earlier run of the same component (itself for the first) while runs are being joined,
    /// then the number of the component.
    label: u32,
}

impl Components {
    fn of(mask: &Mask, connectivity: Connectivity) -> Self {
        let mut runs = Vec::new();
        let mut above = 0..0;
        for y in 0..mask.size.height {
            let row_start = runs.len();
            for range in mask.runs(y) {
                let label = runs.len() as u32;
                runs.push(Run {
                    y,
                    start: range.start,
                    end: range.end,
                    label,
                });
            }
            let row = row_start..runs.len();
            join_rows(&mut runs, above, row.clone(), connectivity);
            above = row;
        }
        let components = number(&mut runs);
        Self {
            size: mask.size,
            runs,
            components,
        }
    }

    /// How many components there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether the mask had no pixel.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// All components, in the order of their numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[Component] {
        &self.components
    }

    /// The number of the component that pixel (`x`, `y`) belongs to, `None` on background.
    #[must_use]
    pub fn label_at(&self, x: u32, y: u32) -> Option<usize> {
        let after = self.runs.partition_point(|run| (run.y, run.start) <= (y, x));
        let run = self.runs[..after].last()?;
        (run.y == y && x < run.end).then_some(run.label as usize)
    }

    /// The pixels of the components that `keep` accepts, given their number and themselves.
    #[must_use]
    pub fn select(&self, mut keep: impl FnMut(usize, &Component) -> bool) -> Mask {
        let kept: Vec<bool> = self
            .components
            .iter()
            .enumerate()
            .map(|(index, component)| keep(index, component))
            .collect();
        let mut mask = Mask::blank(self.size);
        for run in self.runs.iter().filter(|run| kept[run.label as usize]) {
            mask.fill_run(run.y, run.start..run.end, true);
        }
        mask
    }

    /// The pixels of component `index`; an empty mask if there is no such component.
    #[must_use]
    pub fn mask(&self, index: usize) -> Mask {
        self.select(|other, _| other == index)
    }
}

impl Mask {
    /// The connected components of the set pixels.
    #[must_use]
    pub fn components(&self, connectivity: Connectivity) -> Components {
        Components::of(self, connectivity)
    }

    /// The mask with its holes filled: background that a 4-connected path does not join to the border.
    #[must_use]
    pub fn fill_holes(&self) -> Self {
        self.fill_small_holes(u64::MAX)
    }

    /// Like [`Mask::fill_holes`], but only for holes of at most `max_area` pixels.
    #[must_use]
    pub fn fill_small_holes(&self, max_area: u64) -> Self {
        let size = self.size;
        let background = self.complement().components(Connectivity::Four);
        let mut filled = background.select(|_, component| {
            let bounds = component.bounding_box;
            let touches_border = bounds.x == 0
                || bounds.y == 0
                || bounds.right() == size.width
                || bounds.bottom() == size.height;
            !touches_border && component.area <= max_area
        });
        for (hole, mask) in filled.words.iter_mut().zip(&self.words) {
            *hole |= mask;
        }
        filled
    }

    /// The mask without its 8-connected components of fewer than `min_area` pixels.
    #[must_use]
    pub fn remove_specks(&self, min_area: u64) -> Self {
        self.components(Connectivity::Eight)
            .select(|_, component| component.area >= min_area)
    }
}

/// Joins every run of `row` with the runs of the row `above` that it touches; both are ranges of `runs`.
fn join_rows(runs: &mut [Run], mut above: Range<usize>, row: Range<usize>, connectivity: Connectivity) {
    let reach = match connectivity {
        Connectivity::Four => 0,
        Connectivity::Eight => 1,
    };
    for current in row {
        let Run { start, end, .. } = runs[current];
        while above.start < above.end && runs[above.start].end + reach <= start {
            above.start += 1;
        }
        for other in above.clone() {
            if runs[other].start >= end + reach {
                break;
            }
            join(runs, other, current);
        }
    }
}

/// The first run of the component of `run`, shortening the path to it on the way.
fn root(runs: &mut [Run], mut run: usize) -> usize {
    while runs[run].label as usize != run {
        let parent = runs[run].label as usize;
        runs[run].label = runs[parent].label;
        run = runs[run].label as usize;
    }
    run
}

fn join(runs: &mut [Run], a: usize, b: usize) {
    let (a, b) = (root(runs, a), root(runs, b));
    // The smaller index wins, so a root is always the first run of its component in reading order.
    runs[a.max(b)].label = a.min(b) as u32;
}

/// Turns joined runs into numbered components and measures them.
fn number(runs: &mut [Run]) -> Vec<Component> {
    let mut components: Vec<Component> = Vec::new();
    for index in 0..runs.len() {
        let run = runs[index];
        let bounding_box = PixelRect::new(run.start, run.y, run.end - run.start, 1);
        let area = u64::from(run.end - run.start);
        // Labels point to earlier runs, which carry their component's number already.
        if run.label as usize == index {
            runs[index].label = components.len() as u32;
            components.push(Component { area, bounding_box });
        } else {
            let label = runs[run.label as usize].label;
            runs[index].label = label;
            let component = &mut components[label as usize];
            component.area += area;
            component.bounding_box = component.bounding_box.union(bounding_box);
        }
    }
    components
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cases, drawn, masks, pixel};
    use super::*;
    use proptest::prelude::*;

    /// Labels by flood fill from each pixel in reading order, `None` on background.
    fn flooded(mask: &Mask, connectivity: Connectivity) -> Vec<Vec<Option<usize>>> {
        let ImageSize { width, height } = mask.size();
        let mut labels = vec![vec![None; width as usize]; height as usize];
        let mut count = 0;
        for y in 0..height {
            for x in 0..width {
                if !mask.get(x, y) || labels[y as usize][x as usize].is_some() {
                    continue;
                }
                let mut pending = vec![(i64::from(x), i64::from(y))];
                while let Some((x, y)) = pending.pop() {
                    if !pixel(mask, x, y) || labels[y as usize][x as usize].is_some() {
                        continue;
                    }
                    labels[y as usize][x as usize] = Some(count);
                    for (dx, dy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))) {
                        if connectivity == Connectivity::Eight || dx == 0 || dy == 0 {
                            pending.push((x + dx, y + dy));
                        }
                    }
                }
                count += 1;
            }
        }
        labels
    }

    #[test]
    fn corners_join_only_with_eight_neighbours() {
        let mask = drawn("#..# .##. #..#");
        assert_eq!(mask.components(Connectivity::Eight).len(), 1);
        let four = mask.components(Connectivity::Four);
        let areas: Vec<u64> = four.as_slice().iter().map(|component| component.area).collect();
        assert_eq!(areas, [1, 1, 2, 1, 1]);
        assert_eq!(four.as_slice()[2].bounding_box, PixelRect::new(1, 1, 2, 1));
        assert_eq!(four.mask(2), drawn(".... .##. ...."));
        assert!(four.mask(5).is_empty(), "no such component");
        assert_eq!(four.label_at(3, 0), Some(1));
        assert_eq!(four.label_at(1, 0), None);
        assert_eq!(four.label_at(4, 1), None);
    }

    #[test]
    fn holes_and_specks() {
        let mask = drawn("######.#. #.##.#... ###..#.#. ######.#. ######..#");
        assert_eq!(
            mask.fill_holes(),
            drawn("######.#. ######... ######.#. ######.#. ######..#")
        );
        assert_eq!(
            mask.fill_small_holes(1),
            drawn("######.#. ####.#... ###..#.#. ######.#. ######..#")
        );
        assert_eq!(
            mask.remove_specks(2),
            drawn("######... #.##.#... ###..#.#. ######.#. ######..#")
        );
        assert_eq!(
            drawn("#.# #.#").fill_holes(),
            drawn("#.# #.#"),
            "a bay open to the border is no hole"
        );
    }

    proptest! {
        #![proptest_config(cases(150))]

        #[test]
        fn components_match_a_flood_fill(mask in masks(90)) {
            for connectivity in [Connectivity::Four, Connectivity::Eight] {
                let components = mask.components(connectivity);
                let labels = flooded(&mask, connectivity);
                let mut measured: Vec<Component> = Vec::new();
                for (y, row) in (0..).zip(&labels) {
                    for (x, &label) in (0..).zip(row) {
                        prop_assert_eq!(components.label_at(x, y), label);
                        let Some(label) = label else { continue };
                        let pixel = PixelRect::new(x, y, 1, 1);
                        if label == measured.len() {
                            measured.push(Component { area: 0, bounding_box: pixel });
                        }
                        measured[label].area += 1;
                        measured[label].bounding_box = measured[label].bounding_box.union(pixel);
                    }
                }
                prop_assert_eq!(components.as_slice(), measured);
                prop_assert_eq!(&components.select(|_, _| true), &mask);
            }
        }

        #[test]
        fn filling_holes_leaves_only_background_at_the_border(mask in masks(90)) {
            let ImageSize { width, height } = mask.size();
            let labels = flooded(&mask.complement(), Connectivity::Four);
            let is_border = |x: u32, y: u32| x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            let mut open = vec![false; (width * height) as usize];
            for (y, row) in (0..).zip(&labels) {
                for (x, label) in (0..).zip(row) {
                    if let Some(label) = label && is_border(x, y) {
                        open[*label] = true;
                    }
                }
            }
            let is_filled = |x: u32, y: u32| labels[y as usize][x as usize].is_none_or(|label| !open[label]);
            prop_assert_eq!(mask.fill_holes(), Mask::from_fn(mask.size(), is_filled).unwrap());
        }
    }
}
