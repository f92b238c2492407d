//! Turns outlines into exact area coverage per pixel: anti-aliased edges for the picture, the 0.5 level for the mask.

use super::contour::Shape;

/// Coverage (0 to 255) of the pixels of a box inside the image.
#[derive(Clone, Debug)]
pub(super) struct Coverage {
    /// First column.
    pub(super) x: usize,
    /// First row.
    pub(super) y: usize,
    /// Number of columns.
    pub(super) width: usize,
    /// Number of rows.
    pub(super) height: usize,
    /// Row-major levels.
    pub(super) levels: Vec<u8>,
}

/// Draws shapes; keeps its buffer between shapes.
#[derive(Debug, Default)]
pub(super) struct Rasteriser {
    deltas: Vec<f32>,
}

impl Rasteriser {
    /// The coverage of `shape` in an image of `width` x `height` pixels; `None` if it lies outside.
    ///
    /// `margin` enlarges the box by so many empty pixels where the image allows, for a later blur.
    pub(super) fn coverage(
        &mut self,
        shape: &Shape,
        width: usize,
        height: usize,
        margin: usize,
    ) -> Option<Coverage> {
        let [bx0, by0, bx1, by1] = shape.bounds()?;
        if !(bx0.is_finite() && by0.is_finite() && bx1.is_finite() && by1.is_finite()) {
            return None;
        }
        let low = |v: f32, limit: usize| ((v.floor().max(0.0) as usize).min(limit)).saturating_sub(margin);
        let high = |v: f32, limit: usize| ((v.ceil().max(0.0) as usize).min(limit) + margin).min(limit);
        let (x0, y0, x1, y1) = (
            low(bx0, width),
            low(by0, height),
            high(bx1, width),
            high(by1, height),
        );
        if x0 >= x1 || y0 >= y1 || bx1 <= 0.0 || by1 <= 0.0 || bx0 >= width as f32 || by0 >= height as f32 {
            return None;
        }
        let (w, h) = (x1 - x0, y1 - y0);
        self.deltas.clear();
        self.deltas.resize((w + 2) * h, 0.0);
        for contour in &shape.contours {
            let Some(&last) = contour.last() else { continue };
            let mut a = [last[0] - x0 as f32, last[1] - y0 as f32];
            for p in contour {
                let b = [p[0] - x0 as f32, p[1] - y0 as f32];
                self.edge(a, b, w, h);
                a = b;
            }
        }
        let mut levels = vec![0u8; w * h];
        for (row, deltas) in levels.chunks_exact_mut(w).zip(self.deltas.chunks_exact(w + 2)) {
            let mut sum = 0.0f32;
            for (level, delta) in row.iter_mut().zip(deltas) {
                sum += delta;
                *level = (sum.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
            }
        }
        Some(Coverage {
            x: x0,
            y: y0,
            width: w,
            height: h,
            levels,
        })
    }

    /// Adds the signed area to the right of one edge; what lies left of the box counts at its first column.
    fn edge(&mut self, a: [f32; 2], b: [f32; 2], w: usize, h: usize) {
        if a[1] == b[1] {
            return;
        }
        // Filled contours run clockwise on screen, so their left edges go up: those open the filled span.
        let (direction, top, bottom) = if a[1] < b[1] { (-1.0, a, b) } else { (1.0, b, a) };
        if bottom[1] <= 0.0 || top[1] >= h as f32 {
            return;
        }
        let slope = (bottom[0] - top[0]) / (bottom[1] - top[1]);
        let (mut y, end) = (top[1].max(0.0), bottom[1].min(h as f32));
        let mut x = top[0] + slope * (y - top[1]);
        let right = w as f32;
        let mut row = y as usize;
        while y < end && row < h {
            let next_y = end.min((row + 1) as f32);
            let dy = next_y - y;
            let next_x = x + slope * dy;
            let deltas = &mut self.deltas[row * (w + 2)..(row + 1) * (w + 2)];
            let amount = direction * dy;
            let (x_low, x_high) = if x < next_x { (x, next_x) } else { (next_x, x) };
            let (x_low, x_high) = (x_low.clamp(0.0, right), x_high.clamp(0.0, right));
            let first = x_low as usize;
            if x_high <= (first + 1) as f32 {
                let middle = 0.5 * (x_low + x_high) - first as f32;
                deltas[first] += amount * (1.0 - middle);
                deltas[first + 1] += amount * middle;
            } else {
                // The edge crosses several pixels of this row: each gets the area right of the edge inside it.
                let per_x = amount / (x_high - x_low);
                let mut previous = 0.0;
                let last = (x_high.ceil() as usize).min(w + 1);
                for (column, delta) in (first..).zip(&mut deltas[first..last]) {
                    let (cell_low, cell_high) = (x_low.max(column as f32), x_high.min((column + 1) as f32));
                    let span = cell_high - cell_low;
                    let inside = per_x * span * ((column + 1) as f32 - 0.5 * (cell_low + cell_high));
                    let crossed = per_x * (cell_low - x_low);
                    let covered = crossed + inside;
                    *delta += covered - previous;
                    previous = covered;
                }
                deltas[last.min(w + 1)] += amount - previous;
            }
            x = next_x;
            y = next_y;
            row += 1;
        }
    }
}

impl Coverage {
    /// Softens the edge by two box blurs of `radius` pixels, as an object out of focus has.
    pub(super) fn blur(&mut self, radius: usize) {
        let (w, h) = (self.width, self.height);
        let mut turned = vec![0u8; w * h];
        for _ in 0..2 {
            box_blur_rows_turned(&self.levels, &mut turned, w, h, radius);
            box_blur_rows_turned(&turned, &mut self.levels, h, w, radius);
        }
    }
}

/// Blurs each row of `source` (`w` x `h`) and writes the result transposed; two calls blur in both directions.
fn box_blur_rows_turned(source: &[u8], target: &mut [u8], w: usize, h: usize, radius: usize) {
    let reciprocal = 65536 / (2 * radius as u32 + 1);
    for (y, row) in source.chunks_exact(w).enumerate() {
        let at = |x: isize| u32::from(row[x.clamp(0, w as isize - 1) as usize]);
        let mut sum: u32 = (-(radius as isize)..=radius as isize).map(at).sum();
        for x in 0..w {
            target[x * h + y] = ((sum * reciprocal + 32768) >> 16).min(255) as u8;
            sum += at((x + radius + 1) as isize);
            sum -= at(x as isize - radius as isize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes::contour::Affine;

    fn total(shape: &Shape, width: usize, height: usize) -> f32 {
        let coverage = Rasteriser::default().coverage(shape, width, height, 0);
        coverage.map_or(0.0, |c| {
            c.levels.iter().map(|&l| f32::from(l)).sum::<f32>() / 255.0
        })
    }

    #[test]
    fn coverage_sums_to_the_area_inside_the_image() {
        let cases = [
            (Shape::rectangle(2.25, 3.5, 7.75, 9.0), 5.5 * 5.5),
            (Shape::rectangle(-5.0, -5.0, 4.5, 4.0), 18.0),
            (Shape::rectangle(30.0, 10.0, 50.0, 50.0), 2.0 * 22.0),
            (Shape::ellipse(16.0, 16.0, 10.0, 6.0), std::f32::consts::PI * 60.0),
            (
                Shape::rectangle(0.0, 0.0, 8.0, 8.0).placed(&Affine::place([16.0, 8.0], 1.0, -1.0, 0.6)),
                64.0,
            ),
            (Shape::rectangle(40.0, 0.0, 50.0, 5.0), 0.0),
        ];
        for (shape, area) in cases {
            let found = total(&shape, 32, 32);
            assert!((found - area).abs() < 0.02 * area + 0.3, "{found} for {area}");
        }
    }

    #[test]
    fn overlapping_outlines_merge_and_holes_stay_open() {
        let mut union = Shape::rectangle(0.0, 0.0, 10.0, 10.0);
        union.merge(Shape::rectangle(5.0, 0.0, 15.0, 10.0));
        assert!((total(&union, 32, 32) - 150.0).abs() < 0.5);
        let mut frame = Shape::rectangle(0.0, 0.0, 10.0, 10.0);
        frame.cut_shape(Shape::rectangle(2.0, 2.0, 8.0, 8.0));
        assert!((total(&frame, 32, 32) - 64.0).abs() < 0.5);
        let mut cut_through = Shape::rectangle(0.0, 0.0, 10.0, 10.0);
        cut_through.cut_shape(Shape::rectangle(5.0, -5.0, 20.0, 20.0));
        assert!((total(&cut_through, 32, 32) - 50.0).abs() < 0.5);
        let mirrored = cut_through.map(|[x, y]| [20.0 - x, y]);
        assert!((total(&mirrored, 32, 32) - 50.0).abs() < 0.5);
    }

    #[test]
    fn blur_keeps_the_amount() {
        let shape = Shape::ellipse(16.0, 16.0, 6.0, 6.0);
        let mut coverage = Rasteriser::default().coverage(&shape, 32, 32, 8).unwrap();
        let sum = |c: &Coverage| c.levels.iter().map(|&l| u32::from(l)).sum::<u32>();
        let before = sum(&coverage);
        coverage.blur(2);
        assert!(sum(&coverage).abs_diff(before) < before / 30);
    }
}
