//! Light on surfaces: a coarse grid of shading per shape, from a height proxy, read smoothly at each pixel.

use super::palette::{Colour, from_hsv, mix, scale};
use super::random::Rng;
use super::raster::Coverage;

/// The scene's illumination.
#[derive(Clone, Debug)]
pub(super) struct Light {
    /// Unit vector towards the key light: x right, y down, z out of the image.
    pub(super) direction: [f32; 3],
    /// Colour and strength of the key light.
    pub(super) key: Colour,
    /// Colour and strength of the light from everywhere.
    pub(super) ambient: Colour,
    /// Blur of cast shadows relative to their length: 0 for a point, 1 for an overcast sky.
    pub(super) softness: f32,
}

impl Light {
    /// A random light: mostly from above, warm key and cool fill, from hard sun to overcast.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let (azimuth, height) = (rng.normal() * 0.9, rng.range(0.35, 1.0));
        let direction = normalised([azimuth.sin(), -azimuth.cos() * rng.range(0.5, 1.0), height]);
        let fill = rng.range(0.2, 0.75);
        let warmth = rng.range(0.0, 0.25);
        let strength = rng.range(0.95, 1.25);
        Self {
            direction,
            key: scale(
                mix([1.0; 3], from_hsv(0.09, 0.6, 1.0), warmth),
                strength * (1.0 - fill),
            ),
            ambient: scale(mix([1.0; 3], from_hsv(0.6, 0.5, 1.0), warmth), fill),
            softness: rng.range(0.05, 0.8) * (0.4 + fill),
        }
    }

    /// How much a fully shadowed pixel keeps of its brightness.
    pub(super) fn shadow_level(&self) -> f32 {
        let sum = |c: Colour| c[0] + c[1] + c[2];
        let direct = sum(self.key) * self.direction[2];
        let fill = sum(self.ambient);
        fill / (fill + direct)
    }
}

fn normalised(v: [f32; 3]) -> [f32; 3] {
    let inverse = 1.0 / (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt().max(1e-6);
    v.map(|c| c * inverse)
}

/// The height proxy of a shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Relief {
    /// A plane facing the viewer.
    Flat,
    /// A plane with this normal.
    Facet([f32; 3]),
    /// The ellipsoid in the shape's bounding box.
    Ball,
    /// A round bar along this angle (radians), as wide as the shape.
    Bar(f32),
    /// A cushion over the outline; the rim is `0.05 ..= 1` of the half width wide.
    Cushion(f32),
}

/// How a surface answers light.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    /// Height proxy.
    pub(super) relief: Relief,
    /// Strength of the highlight, 0 (chalk) to 1 (wet).
    pub(super) gloss: f32,
    /// Darkening towards the bottom of the shape, 0 to 1: light from above, contact below.
    pub(super) falloff: f32,
}

impl Finish {
    /// Chalk-like and flat.
    pub(super) const MATT: Self = Self {
        relief: Relief::Flat,
        gloss: 0.0,
        falloff: 0.0,
    };

    /// A matt finish with this relief.
    pub(super) const fn matt(relief: Relief) -> Self {
        Self {
            relief,
            gloss: 0.0,
            falloff: 0.1,
        }
    }

    /// A shiny finish with this relief.
    pub(super) const fn glossy(relief: Relief, gloss: f32) -> Self {
        Self {
            relief,
            gloss,
            falloff: 0.1,
        }
    }
}

/// Diffuse key light, ambient light and highlight over a shape's box, on a grid of at most 32 x 32 knots.
#[derive(Debug)]
pub(super) struct ShadeGrid {
    columns: usize,
    rows: usize,
    /// Knots per pixel.
    scale: [f32; 2],
    knots: Vec<[f32; 3]>,
}

impl ShadeGrid {
    /// The shading of a shape with this coverage and finish.
    pub(super) fn new(coverage: &Coverage, finish: Finish, light: &Light) -> Self {
        let along = |length: usize| (length / 3).clamp(2, 32);
        let (columns, rows) = match finish.relief {
            Relief::Flat | Relief::Facet(_) => (2, 2),
            _ => (along(coverage.width), along(coverage.height)),
        };
        let normals = normals(coverage, finish.relief, columns, rows);
        let half = normalised([light.direction[0], light.direction[1], light.direction[2] + 1.0]);
        let shininess = 8.0 + 60.0 * finish.gloss;
        let knots = normals
            .iter()
            .enumerate()
            .map(|(i, n)| {
                let down = (i / columns) as f32 / (rows - 1).max(1) as f32;
                let shade = 1.0 - finish.falloff * down;
                let dot = |v: [f32; 3]| n[0] * v[0] + n[1] * v[1] + n[2] * v[2];
                // Wrapped diffuse light, since nothing outdoors or in a room is lit from one point only.
                let diffuse = ((dot(light.direction) + 0.15) / 1.15).max(0.0) / light.direction[2].max(0.4);
                let sky = 0.7 + 0.3 * (n[2] - 0.5 * n[1]).clamp(-0.5, 1.0);
                let highlight = if finish.gloss > 0.0 {
                    finish.gloss * dot(half).max(0.0).powf(shininess)
                } else {
                    0.0
                };
                [diffuse * shade, sky * shade, highlight]
            })
            .collect();
        let scale = [
            (columns - 1) as f32 / coverage.width.max(1) as f32,
            (rows - 1) as f32 / coverage.height.max(1) as f32,
        ];
        Self {
            columns,
            rows,
            scale,
            knots,
        }
    }

    /// Interpolates the knots of one pixel row of the box into `line`.
    pub(super) fn row<'a>(&self, y: usize, line: &'a mut Vec<[f32; 3]>) -> ShadeRow<'a> {
        let position = (y as f32 + 0.5) * self.scale[1];
        let top = (position as usize).min(self.rows.saturating_sub(2));
        let t = position - top as f32;
        line.clear();
        line.extend((0..self.columns).map(|column| {
            let (a, b) = (
                self.knots[top * self.columns + column],
                self.knots[(top + 1) * self.columns + column],
            );
            mix(a, b, t)
        }));
        ShadeRow {
            knots: line,
            scale: self.scale[0],
        }
    }
}

/// The shading along one pixel row.
#[derive(Debug)]
pub(super) struct ShadeRow<'a> {
    knots: &'a [[f32; 3]],
    scale: f32,
}

impl ShadeRow<'_> {
    /// Diffuse, ambient and highlight at column `x` of the box.
    #[inline(always)]
    pub(super) fn at(&self, x: usize) -> [f32; 3] {
        let position = (x as f32 + 0.5) * self.scale;
        let left = (position as usize).min(self.knots.len() - 2);
        mix(self.knots[left], self.knots[left + 1], position - left as f32)
    }
}

fn normals(coverage: &Coverage, relief: Relief, columns: usize, rows: usize) -> Vec<[f32; 3]> {
    let at = |i: usize| {
        let u = (i % columns) as f32 / (columns - 1) as f32 * 2.0 - 1.0;
        let v = (i / columns) as f32 / (rows - 1) as f32 * 2.0 - 1.0;
        (u, v)
    };
    let count = columns * rows;
    match relief {
        Relief::Flat => vec![[0.0, 0.0, 1.0]; count],
        Relief::Facet(normal) => vec![normalised(normal); count],
        Relief::Ball => (0..count)
            .map(|i| {
                let (u, v) = at(i);
                let r2 = (u * u + v * v).min(0.97);
                normalised([u, v, (1.0 - r2).sqrt()])
            })
            .collect(),
        Relief::Bar(angle) => {
            let (sin, cos) = angle.sin_cos();
            let (w, h) = (coverage.width as f32, coverage.height as f32);
            // The bar's own width, from the box it fills: exact along the axes, close enough between.
            let extent = if cos.abs() > sin.abs() {
                (h - w * sin.abs()).max(h * 0.3)
            } else {
                (w - h * cos.abs()).max(w * 0.3)
            };
            (0..count)
                .map(|i| {
                    let (u, v) = at(i);
                    let across = ((-u * w * sin + v * h * cos) / extent).clamp(-0.97, 0.97);
                    let lift = (1.0 - across * across).sqrt();
                    [-sin * across, cos * across, lift]
                })
                .collect()
        }
        Relief::Cushion(rim) => cushion_normals(coverage, rim, columns, rows),
    }
}

/// Normals of a cushion: the distance to the outline on the coarse grid, bent into a rounded rim.
fn cushion_normals(coverage: &Coverage, rim: f32, columns: usize, rows: usize) -> Vec<[f32; 3]> {
    // One empty knot all around makes the box's edge an outline as well.
    let (w, h) = (columns + 2, rows + 2);
    let (step_x, step_y) = (
        coverage.width as f32 / columns as f32,
        coverage.height as f32 / rows as f32,
    );
    let mut distance = vec![0.0f32; w * h];
    for row in 0..rows {
        for column in 0..columns {
            let x = (((column as f32 + 0.5) * step_x) as usize).min(coverage.width - 1);
            let y = (((row as f32 + 0.5) * step_y) as usize).min(coverage.height - 1);
            let inside = coverage.levels[y * coverage.width + x];
            distance[(row + 1) * w + column + 1] = if inside > 127 { f32::MAX } else { 0.0 };
        }
    }
    let diagonal = step_x.hypot(step_y);
    let relax = |distance: &mut [f32], at: usize, neighbours: [(usize, f32); 4]| {
        for (neighbour, cost) in neighbours {
            distance[at] = distance[at].min(distance[neighbour] + cost);
        }
    };
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            let at = y * w + x;
            relax(
                &mut distance,
                at,
                [
                    (at - 1, step_x),
                    (at - w, step_y),
                    (at - w - 1, diagonal),
                    (at - w + 1, diagonal),
                ],
            );
        }
    }
    for y in (1..h - 1).rev() {
        for x in (1..w - 1).rev() {
            let at = y * w + x;
            relax(
                &mut distance,
                at,
                [
                    (at + 1, step_x),
                    (at + w, step_y),
                    (at + w + 1, diagonal),
                    (at + w - 1, diagonal),
                ],
            );
        }
    }
    let deepest = distance.iter().fold(0.0f32, |a, &b| a.max(b)).max(1.0);
    let width = (deepest * rim).max(0.5);
    let mut height: Vec<f32> = distance
        .iter()
        .map(|&d| {
            let t = 1.0 - (d / width).min(1.0);
            width * (1.0 - t * t).sqrt()
        })
        .collect();
    for _ in 0..2 {
        let rough = height.clone();
        for y in 1..h - 1 {
            for x in 1..w - 1 {
                let at = y * w + x;
                height[at] =
                    (2.0 * rough[at] + rough[at - 1] + rough[at + 1] + rough[at - w] + rough[at + w]) / 6.0;
            }
        }
    }
    (0..columns * rows)
        .map(|i| {
            let at = (i / columns + 1) * w + i % columns + 1;
            let gx = (height[at + 1] - height[at - 1]) / (2.0 * step_x);
            let gy = (height[at + w] - height[at - w]) / (2.0 * step_y);
            normalised([-gx, -gy, 1.0])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes::contour::Shape;
    use crate::scenes::raster::Rasteriser;

    #[test]
    fn round_things_are_brighter_towards_the_light() {
        let coverage = Rasteriser::default()
            .coverage(&Shape::ellipse(32.0, 32.0, 24.0, 24.0), 64, 64, 0)
            .unwrap();
        let light = Light {
            direction: normalised([-1.0, 0.0, 1.0]),
            key: [1.0; 3],
            ambient: [0.2; 3],
            softness: 0.1,
        };
        for relief in [
            Relief::Ball,
            Relief::Bar(std::f32::consts::FRAC_PI_2),
            Relief::Cushion(0.8),
        ] {
            let grid = ShadeGrid::new(&coverage, Finish::matt(relief), &light);
            let mut line = Vec::new();
            let row = grid.row(24, &mut line);
            assert!(
                row.at(8)[0] > row.at(40)[0] + 0.1,
                "{relief:?}: {:?} {:?}",
                row.at(8),
                row.at(40)
            );
        }
    }
}
