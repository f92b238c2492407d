//! Outlines in continuous pixels: the one form in which every visible thing is drawn, so that one rasteriser serves all.

use super::noise::Wave;
use super::random::Rng;
use std::f32::consts::{PI, TAU};

/// x to the right, y down.
pub(super) type Point = [f32; 2];

/// An affine map of the plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    /// Images of the x and y unit vectors.
    pub(super) x_axis: Point,
    /// Image of the y unit vector.
    pub(super) y_axis: Point,
    /// Image of the origin.
    pub(super) origin: Point,
}

impl Affine {
    /// Scales by (`sx`, `sy`), rotates by `angle`, then moves the origin to `origin`.
    pub(super) fn place(origin: Point, sx: f32, sy: f32, angle: f32) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self {
            x_axis: [cos * sx, sin * sx],
            y_axis: [-sin * sy, cos * sy],
            origin,
        }
    }

    /// The image of `p`.
    #[inline]
    pub(super) fn apply(&self, p: Point) -> Point {
        [
            self.origin[0] + self.x_axis[0] * p[0] + self.y_axis[0] * p[1],
            self.origin[1] + self.x_axis[1] * p[0] + self.y_axis[1] * p[1],
        ]
    }

    /// First `inner`, then `self`.
    pub(super) fn after(&self, inner: &Self) -> Self {
        let linear = |v: Point| {
            let image = self.apply(v);
            [image[0] - self.origin[0], image[1] - self.origin[1]]
        };
        Self {
            x_axis: linear(inner.x_axis),
            y_axis: linear(inner.y_axis),
            origin: self.apply(inner.origin),
        }
    }

    /// Geometric mean of the scale factors.
    pub(super) fn scale(&self) -> f32 {
        (self.x_axis[0] * self.y_axis[1] - self.x_axis[1] * self.y_axis[0])
            .abs()
            .sqrt()
    }
}

/// Closed contours; positive ones add area, negative ones cut holes, overlaps of the same sign merge.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Each contour is closed implicitly.
    pub(super) contours: Vec<Vec<Point>>,
}

fn signed_area(points: &[Point]) -> f32 {
    let mut sum = 0.0;
    for (i, a) in points.iter().enumerate() {
        let b = points[(i + 1) % points.len()];
        sum += a[0] * b[1] - b[0] * a[1];
    }
    sum * 0.5
}

impl Shape {
    /// The inside of one contour.
    pub(super) fn outline(points: Vec<Point>) -> Self {
        let mut shape = Self::default();
        shape.add(points, true);
        shape
    }

    fn add(&mut self, mut points: Vec<Point>, filled: bool) {
        if points.len() < 3 {
            return;
        }
        if (signed_area(&points) > 0.0) != filled {
            points.reverse();
        }
        self.contours.push(points);
    }

    /// Cuts the inside of `points` out.
    pub(super) fn cut(&mut self, points: Vec<Point>) {
        self.add(points, false);
    }

    /// Cuts every outline of `other` out.
    pub(super) fn cut_shape(&mut self, other: Self) {
        for contour in other.contours {
            self.cut(contour);
        }
    }

    /// Adds the contours of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        self.contours.extend(other.contours);
    }

    /// The same shape elsewhere.
    pub(super) fn placed(&self, affine: &Affine) -> Self {
        self.map(|p| affine.apply(p))
    }

    /// The same shape with every point moved; a mirror image keeps what is filled and what is a hole.
    pub(super) fn map(&self, mut f: impl FnMut(Point) -> Point) -> Self {
        let moved = |contour: &Vec<Point>| contour.iter().map(|&p| f(p)).collect::<Vec<_>>();
        let mut contours: Vec<Vec<Point>> = self.contours.iter().map(moved).collect();
        if let (Some(before), Some(after)) = (self.contours.first(), contours.first())
            && (signed_area(before) > 0.0) != (signed_area(after) > 0.0)
        {
            for contour in &mut contours {
                contour.reverse();
            }
        }
        Self { contours }
    }

    /// Bounds as (x0, y0, x1, y1), if there is any point.
    pub(super) fn bounds(&self) -> Option<[f32; 4]> {
        let mut points = self.contours.iter().flatten();
        let first = points.next()?;
        let start = [first[0], first[1], first[0], first[1]];
        Some(points.fold(start, |b, p| {
            [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])]
        }))
    }

    /// Breaks long edges and moves the points by smooth noise: nothing real has a perfect outline.
    pub(super) fn roughen(&self, rng: &mut Rng, amplitude: f32, wavelength: f32) -> Self {
        let step = wavelength * 0.2;
        let (wave_x, wave_y) = (
            Wave::new(rng, 1.0 / wavelength, 3, 0.6),
            Wave::new(rng, 1.0 / wavelength, 3, 0.6),
        );
        let mut contours = Vec::with_capacity(self.contours.len());
        for contour in &self.contours {
            let (mut along, mut points) = (0.0, Vec::with_capacity(contour.len() * 2));
            for (i, a) in contour.iter().enumerate() {
                let b = contour[(i + 1) % contour.len()];
                let length = (b[0] - a[0]).hypot(b[1] - a[1]);
                let pieces = ((length / step) as usize).clamp(1, 60);
                for piece in 0..pieces {
                    let t = piece as f32 / pieces as f32;
                    let s = along + length * t;
                    points.push([
                        a[0] + (b[0] - a[0]) * t + wave_x.at(s) * amplitude,
                        a[1] + (b[1] - a[1]) * t + wave_y.at(s) * amplitude,
                    ]);
                }
                along += length;
            }
            contours.push(points);
        }
        Self { contours }
    }

    /// An axis-aligned box.
    pub(super) fn rectangle(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Self::outline(vec![[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    }

    /// A box whose corners are rounded by `radius`.
    pub(super) fn rounded_rectangle(x0: f32, y0: f32, x1: f32, y1: f32, radius: f32) -> Self {
        let r = radius.min((x1 - x0) * 0.5).min((y1 - y0) * 0.5).max(0.0);
        let mut points = Vec::with_capacity(24);
        for (cx, cy, start) in [
            (x1 - r, y1 - r, 0.0),
            (x0 + r, y1 - r, 0.5 * PI),
            (x0 + r, y0 + r, PI),
            (x1 - r, y0 + r, 1.5 * PI),
        ] {
            for i in 0..6 {
                let (sin, cos) = (start + 0.1 * PI * i as f32).sin_cos();
                points.push([cx + r * cos, cy + r * sin]);
            }
        }
        Self::outline(points)
    }

    /// An ellipse.
    pub(super) fn ellipse(cx: f32, cy: f32, rx: f32, ry: f32) -> Self {
        Self::superellipse(cx, cy, rx, ry, 2.0)
    }

    /// |x/rx|^n + |y/ry|^n = 1: diamonds (1), ellipses (2), squircles (4).
    pub(super) fn superellipse(cx: f32, cy: f32, rx: f32, ry: f32, exponent: f32) -> Self {
        let power = 2.0 / exponent;
        let bend = |v: f32| {
            if power == 1.0 {
                v
            } else {
                v.signum() * v.abs().powf(power)
            }
        };
        Self::outline(
            (0..48)
                .map(|i| {
                    let (sin, cos) = (TAU * i as f32 / 48.0).sin_cos();
                    [cx + rx * bend(cos), cy + ry * bend(sin)]
                })
                .collect(),
        )
    }

    /// A closed curve of unit mean radius whose radius wobbles with random Fourier terms.
    pub(super) fn blob(rng: &mut Rng, wobble: f32, terms: usize) -> Self {
        let waves: Vec<[f32; 3]> = (2..2 + terms)
            .map(|k| {
                [
                    k as f32,
                    rng.normal() * wobble / (k as f32 - 1.0).powf(1.1),
                    rng.angle(),
                ]
            })
            .collect();
        let count = (24 + terms * 8).min(96);
        Self::outline(
            (0..count)
                .map(|i| {
                    let t = TAU * i as f32 / count as f32;
                    let wave: f32 = waves.iter().map(|[k, a, phase]| a * (k * t + phase).cos()).sum();
                    let (sin, cos) = t.sin_cos();
                    let radius = wave.clamp(-1.2, 0.9).exp();
                    [cos * radius, sin * radius]
                })
                .collect(),
        )
    }

    /// A unit polygon with irregular corners; `spikiness` 0 is nearly convex, 0.7 a star.
    pub(super) fn polygon(rng: &mut Rng, corners: usize, irregularity: f32, spikiness: f32) -> Self {
        let phase = rng.angle();
        Self::outline(
            (0..corners)
                .map(|i| {
                    let t = phase + TAU * (i as f32 + rng.range(-0.4, 0.4) * irregularity) / corners as f32;
                    let inner = if i % 2 == 1 { 1.0 - spikiness } else { 1.0 };
                    let radius = inner * (1.0 + rng.normal() * 0.25 * irregularity).clamp(0.3, 1.6);
                    [t.cos() * radius, t.sin() * radius]
                })
                .collect(),
        )
    }

    /// A unit ring, or part of one when `sweep` (radians) is less than a turn.
    pub(super) fn ring(thickness: f32, sweep: f32) -> Self {
        if sweep >= TAU {
            let mut shape = Self::ellipse(0.0, 0.0, 1.0, 1.0);
            shape.cut_shape(Self::ellipse(0.0, 0.0, 1.0 - thickness, 1.0 - thickness));
            return shape;
        }
        let at = |i: usize, r: f32| {
            let (sin, cos) = (sweep * i as f32 / 40.0).sin_cos();
            [cos * r, sin * r]
        };
        let outer = (0..=40).map(|i| at(i, 1.0));
        Self::outline(
            outer
                .chain((0..=40).rev().map(|i| at(i, 1.0 - thickness)))
                .collect(),
        )
    }

    /// A unit gear or flower: `teeth` waves of depth `depth`, square when `hard`.
    pub(super) fn gear(teeth: usize, depth: f32, hard: bool) -> Self {
        let count = teeth * 8;
        Self::outline(
            (0..count)
                .map(|i| {
                    let t = TAU * i as f32 / count as f32;
                    let wave = (t * teeth as f32).cos();
                    let wave = if hard { (wave * 4.0).clamp(-1.0, 1.0) } else { wave };
                    let radius = 1.0 - depth * 0.5 * (1.0 - wave);
                    [t.cos() * radius, t.sin() * radius]
                })
                .collect(),
        )
    }

    /// A leaf or petal from the origin to (0, -1), `width` wide, bent sideways by `bend`.
    pub(super) fn leaf(width: f32, bend: f32, belly: f32) -> Self {
        let side = |sign: f32, t: f32| {
            let half = 0.5 * width * (PI * t.powf(belly)).sin().max(0.0).powf(0.8);
            [sign * half + bend * t * t, -t]
        };
        let left = (0..=14).map(|i| side(-1.0, i as f32 / 14.0));
        Self::outline(
            left.chain((0..=14).rev().map(|i| side(1.0, i as f32 / 14.0)))
                .collect(),
        )
    }

    /// The band around a path; `half_width(t)` for `t` in `0 ..= 1` along it; the ends are round.
    pub(super) fn stroke(path: &[Point], half_width: impl Fn(f32) -> f32) -> Self {
        let last = path.len().saturating_sub(1);
        if last == 0 {
            return Self::default();
        }
        let (mut left, mut right) = (Vec::with_capacity(last * 2 + 8), Vec::with_capacity(last + 1));
        for (i, p) in path.iter().enumerate() {
            let (a, b) = (path[i.saturating_sub(1)], path[(i + 1).min(last)]);
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            let inverse = 1.0 / dx.hypot(dy).max(1e-6);
            let w = half_width(i as f32 / last as f32);
            let (nx, ny) = (-dy * inverse * w, dx * inverse * w);
            left.push([p[0] + nx, p[1] + ny]);
            right.push([p[0] - nx, p[1] - ny]);
        }
        left.extend(right.into_iter().rev());
        let mut shape = Self::outline(left);
        for (end, t) in [(path[0], 0.0), (path[last], 1.0)] {
            let r = half_width(t);
            if r > 0.6 {
                shape.merge(Self::ellipse(end[0], end[1], r, r));
            }
        }
        shape
    }

    /// A straight limb, thick at one end.
    pub(super) fn limb(from: Point, to: Point, from_width: f32, to_width: f32) -> Self {
        let path: Vec<Point> = (0..=6)
            .map(|i| {
                let t = i as f32 / 6.0;
                [from[0] + (to[0] - from[0]) * t, from[1] + (to[1] - from[1]) * t]
            })
            .collect();
        let mut shape = Self::stroke(&path, |t| 0.5 * (from_width + (to_width - from_width) * t));
        // Limbs are built in unit coordinates, where a stroke's own round ends are too small to be added.
        for (end, width) in [(from, from_width), (to, to_width)] {
            shape.merge(Self::ellipse(end[0], end[1], width * 0.5, width * 0.5));
        }
        shape
    }
}

/// A smooth random path of `count` points that starts at `start`, heads along `heading` and wanders by `curl`.
pub(super) fn wandering_path(
    rng: &mut Rng,
    start: Point,
    heading: f32,
    length: f32,
    curl: f32,
) -> Vec<Point> {
    let count = ((length / 3.0) as usize).clamp(8, 80);
    let step = length / count as f32;
    let lowest = rng.range(0.5, 1.6);
    let bend = Wave::new(rng, lowest, 3, 0.8);
    let (mut p, mut path) = (start, Vec::with_capacity(count + 1));
    path.push(p);
    for i in 0..count {
        let angle = heading + curl * bend.at(i as f32 / count as f32);
        p = [p[0] + angle.cos() * step, p[1] + angle.sin() * step];
        path.push(p);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_add_and_holes_subtract() {
        let area = |shape: &Shape| shape.contours.iter().map(|c| signed_area(c)).sum::<f32>();
        let square = Shape::rectangle(0.0, 0.0, 4.0, 2.0);
        assert!((area(&square) - 8.0).abs() < 1e-5);
        let ring = Shape::ring(0.5, TAU);
        assert!((area(&ring) - PI * 0.75).abs() < 0.02, "{}", area(&ring));
        let mirrored = square.placed(&Affine::place([0.0, 0.0], -1.0, 1.0, 0.3));
        assert!((area(&mirrored) - 8.0).abs() < 1e-4);
    }
}
