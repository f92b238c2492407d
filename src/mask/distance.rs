//! How deep inside a mask its pixels lie.

use super::Mask;

/// A pixel and how far it is from the nearest pixel outside the mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InnermostPixel {
    /// Column.
    pub x: u32,
    /// Row.
    pub y: u32,
    /// Distance in pixels between the centres of this pixel and the nearest outside one; 1 at the outline.
    pub distance_px: f32,
}

impl Mask {
    /// The pixel that lies deepest inside (the first in reading order of several), or `None` for an empty mask.
    ///
    /// What is beyond the image counts as outside, as where a person would click. Exact Euclidean distances by the
    /// lower envelope of parabolas (Felzenszwalb and Huttenlocher, 2012), in the mask's bounding box only.
    #[must_use]
    pub fn innermost_pixel(&self) -> Option<InnermostPixel> {
        let bounds = self.bounding_box()?;
        // One pixel of outside all around.
        let (width, height) = (bounds.width as usize + 2, bounds.height as usize + 2);
        let mut squared = vec![0.0_f32; width * height];
        for y in 0..bounds.height {
            for run in self.runs(bounds.y + y) {
                let row = (y as usize + 1) * width + 1;
                let (start, end) = ((run.start - bounds.x) as usize, (run.end - bounds.x) as usize);
                squared[row + start..row + end].fill(f32::INFINITY);
            }
        }
        let mut envelope = Envelope::default();
        let mut line = vec![0.0_f32; height];
        for x in 0..width {
            for (value, row) in line.iter_mut().zip(squared.chunks_exact(width)) {
                *value = row[x];
            }
            envelope.transform(&mut line);
            for (value, row) in line.iter().zip(squared.chunks_exact_mut(width)) {
                row[x] = *value;
            }
        }
        let mut best: Option<(usize, f32)> = None;
        for (y, row) in squared.chunks_exact_mut(width).enumerate() {
            envelope.transform(row);
            for (x, value) in row.iter().enumerate() {
                if *value > best.map_or(0.0, |(_, best)| best) {
                    best = Some((y * width + x, *value));
                }
            }
        }
        let (at, squared) = best?;
        Some(InnermostPixel {
            x: bounds.x + (at % width) as u32 - 1,
            y: bounds.y + (at / width) as u32 - 1,
            distance_px: squared.sqrt(),
        })
    }
}

/// Parabolas that are lowest somewhere: their apexes and where each begins to be the lowest.
#[derive(Default)]
struct Envelope {
    apexes: Vec<usize>,
    starts: Vec<f32>,
    values: Vec<f32>,
}

impl Envelope {
    /// Replaces squared distances along a line by the smallest sum of one of them and the squared way to it.
    fn transform(&mut self, line: &mut [f32]) {
        self.values.clear();
        self.values.extend_from_slice(line);
        self.apexes.clear();
        self.starts.clear();
        for (q, value) in self.values.iter().enumerate() {
            if value.is_infinite() {
                continue;
            }
            let mut start = f32::NEG_INFINITY;
            while let (Some(&p), Some(&p_start)) = (self.apexes.last(), self.starts.last()) {
                let (qf, pf) = (q as f32, p as f32);
                start = ((value + qf * qf) - (self.values[p] + pf * pf)) / (2.0 * (qf - pf));
                if start > p_start {
                    break;
                }
                self.apexes.pop();
                self.starts.pop();
                start = f32::NEG_INFINITY;
            }
            self.apexes.push(q);
            self.starts.push(start);
        }
        let mut k = 0;
        for (x, value) in line.iter_mut().enumerate() {
            while self.starts.get(k + 1).is_some_and(|start| *start < x as f32) {
                k += 1;
            }
            if let Some(apex) = self.apexes.get(k) {
                let way = x as f32 - *apex as f32;
                *value = way * way + self.values[*apex];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;
    use proptest::prelude::*;

    /// Distance of every pixel to every outside one.
    fn by_trying_all(mask: &Mask) -> Option<f32> {
        let size = mask.size();
        let (w, h) = (i64::from(size.width), i64::from(size.height));
        let inside =
            |x: i64, y: i64| (0..w).contains(&x) && (0..h).contains(&y) && mask.get(x as u32, y as u32);
        let mut best = None;
        for y in 0..h {
            for x in (0..w).filter(|x| inside(*x, y)) {
                let outside = (-1..=h).flat_map(|v| (-1..=w).map(move |u| (u, v)));
                let nearest = outside
                    .filter(|(u, v)| !inside(*u, *v))
                    .map(|(u, v)| (u - x).pow(2) + (v - y).pow(2))
                    .min();
                best = best.max(nearest);
            }
        }
        best.map(|squared| (squared as f32).sqrt())
    }

    #[test]
    fn the_middle_of_a_square_is_deepest() {
        let mask = Mask::from_fn(ImageSize::new(9, 9), |x, y| {
            (2..7).contains(&x) && (2..7).contains(&y)
        })
        .unwrap();
        let deepest = mask.innermost_pixel().unwrap();
        assert_eq!((deepest.x, deepest.y, deepest.distance_px), (4, 4, 3.0));
        assert_eq!(Mask::empty(ImageSize::new(3, 3)).unwrap().innermost_pixel(), None);
    }

    proptest! {
        #[test]
        fn as_by_trying_all(width in 1_u32..14, height in 1_u32..14, bits in any::<[u64; 4]>(), dense in any::<bool>()) {
            let bit = |i: u32| bits[i as usize / 64 % 4] >> (i % 64) & 1 == 1;
            let mask = Mask::from_fn(ImageSize::new(width, height), |x, y| {
                let i = y * width + x;
                bit(i) || (dense && bit(i + 7))
            }).unwrap();
            let deepest = mask.innermost_pixel();
            prop_assert_eq!(deepest.map(|p| p.distance_px), by_trying_all(&mask));
            if let Some(p) = deepest {
                prop_assert!(mask.get(p.x, p.y));
            }
        }
    }
}
