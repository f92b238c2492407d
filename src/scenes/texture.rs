//! Surface colour at a pixel: a pattern looked up in a colour ramp, with fine grain and large mottling on top.

use super::noise::{NoiseKind, NoiseSampler, NoiseWalk, fast_floor, fract, hash_unit, smooth, tile};
use super::palette::{Colour, mix, scale};
use super::random::Rng;
use super::stage::View;

const RAMP_STEPS: usize = 128;
/// Pixels between two reads of the mottling.
const RUN: usize = 8;

/// What varies across the surface; lengths are surface units, pixels at scale 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern {
    /// Nothing but grain and mottling.
    Plain,
    /// A noise tile, `stretch` times longer along u.
    Noise {
        kind: NoiseKind,
        wavelength: f32,
        stretch: f32,
        contrast: f32,
    },
    /// Noise whose coordinates are moved by other noise: clouds, smoke, marble veins.
    Warped {
        kind: NoiseKind,
        wavelength: f32,
        warp: f32,
        contrast: f32,
    },
    /// Sine bands bent by noise: marble, zebra, wood rings.
    Bands {
        wavelength: f32,
        warp: f32,
        sharpness: f32,
    },
    /// Straight stripes, a fraction `duty` of each period wide.
    Stripes { wavelength: f32, duty: f32 },
    /// The ramp from one v to another, for skies.
    Gradient { from: f32, to: f32 },
    /// A chessboard.
    Checks { wavelength: f32 },
    /// Crossed translucent stripes.
    Plaid { wavelength: f32 },
    /// Round dots on a grid.
    Dots { wavelength: f32, radius: f32 },
    /// Running bond: a value for each brick, mortar at 0.
    Bricks { width: f32, height: f32, mortar: f32 },
    /// Threads over and under.
    Weave { wavelength: f32 },
    /// Lines of word-like marks.
    Script { line: f32 },
}

/// How surface coordinates follow from pixels.
#[derive(Clone, Copy, Debug)]
enum Mapping {
    /// A rotation, scaling and shift: rows of (x factor, y factor, offset).
    Flat { u: [f32; 3], v: [f32; 3] },
    /// A plane that recedes to the row `horizon` (below it when `depth` is positive, above it when negative).
    Receding {
        horizon: f32,
        centre: f32,
        depth: f32,
        turn: f32,
    },
}

/// A surface: pattern, colours and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Texture {
    pattern: Pattern,
    mapping: Mapping,
    view: View,
    ramp: Box<[Colour; RAMP_STEPS]>,
    grain_kind: NoiseKind,
    grain_wavelength: f32,
    grain_amount: f32,
    mottle_wavelength: f32,
    mottle_amount: f32,
    bump: f32,
    seed: u32,
}

/// Buffers for one row of surface values.
#[derive(Debug, Default)]
pub(super) struct TextureRow {
    values: Vec<f32>,
}

/// A triangle-like wave with a sine's shape, period 1, in `0 ..= 1`.
#[inline(always)]
fn wave(t: f32) -> f32 {
    smooth((fract(t) * 2.0 - 1.0).abs())
}

/// 1 inside a band `duty` wide in each period, with edges `soft` periods wide.
#[inline(always)]
fn band(t: f32, duty: f32, soft: f32) -> f32 {
    let distance = (fract(t) - 0.5).abs();
    ((0.5 * duty - distance) / soft + 0.5).clamp(0.0, 1.0)
}

impl Texture {
    /// A surface of the given pattern whose ramp runs through `colours`.
    pub(super) fn new(rng: &mut Rng, pattern: Pattern, colours: &[Colour]) -> Self {
        let mut ramp = Box::new([[0.5; 3]; RAMP_STEPS]);
        let spans = colours.len().saturating_sub(1).max(1) as f32;
        for (i, step) in ramp.iter_mut().enumerate() {
            let t = i as f32 / (RAMP_STEPS - 1) as f32 * spans;
            let from = (t as usize).min(colours.len().saturating_sub(1));
            let to = (from + 1).min(colours.len().saturating_sub(1));
            *step = mix(colours[from], colours[to], t - from as f32);
        }
        let mut texture = Self {
            pattern,
            mapping: Mapping::Flat {
                u: [1.0, 0.0, 0.0],
                v: [0.0, 1.0, 0.0],
            },
            view: View {
                zoom: 1.0,
                shift: [0.0; 2],
            },
            ramp,
            grain_kind: rng.pick(&[
                NoiseKind::Rough,
                NoiseKind::Rough,
                NoiseKind::Fractal,
                NoiseKind::Cells,
            ]),
            grain_wavelength: rng.log_range(3.0, 12.0),
            grain_amount: rng.power_law(0.02, 0.3, 1.3),
            mottle_wavelength: rng.log_range(30.0, 120.0),
            mottle_amount: rng.power_law(0.03, 0.35, 1.2),
            bump: 0.0,
            seed: rng.bits() as u32,
        };
        let angle = if rng.chance(0.4) {
            rng.angle()
        } else {
            rng.normal() * 0.15
        };
        texture.turn(rng, angle, 1.0);
        texture
    }

    /// One colour with grain and mottling.
    pub(super) fn plain(rng: &mut Rng, colour: Colour) -> Self {
        Self::new(rng, Pattern::Plain, &[colour])
    }

    /// Colours from the image row `from` down to the row `to`.
    pub(super) fn gradient(rng: &mut Rng, from: f32, to: f32, colours: &[Colour]) -> Self {
        let mut texture = Self::new(rng, Pattern::Gradient { from, to }, colours);
        texture.mapping = Mapping::Flat {
            u: [1.0, 0.0, 0.0],
            v: [0.0, 1.0, 0.0],
        };
        texture
    }

    /// Lays the surface at `angle`, `size` times larger.
    pub(super) fn turn(&mut self, rng: &mut Rng, angle: f32, size: f32) {
        let (sin, cos) = angle.sin_cos();
        let (offset_u, offset_v) = (rng.range(0.0, 4000.0), rng.range(0.0, 4000.0));
        self.mapping = Mapping::Flat {
            u: [cos / size, sin / size, offset_u],
            v: [-sin / size, cos / size, offset_v],
        };
    }

    /// Lays the surface on a plane that recedes from the image's lower edge to the row `horizon`.
    pub(super) fn recede(&mut self, rng: &mut Rng, horizon: f32, centre: f32, depth: f32) {
        self.mapping = Mapping::Receding {
            horizon,
            centre,
            depth,
            turn: rng.normal() * 0.3,
        };
    }

    /// Sets the fine grain: kind, wavelength and relative amplitude.
    pub(super) fn with_grain(mut self, kind: NoiseKind, wavelength: f32, amount: f32) -> Self {
        (self.grain_kind, self.grain_wavelength, self.grain_amount) = (kind, wavelength, amount);
        self
    }

    /// Sets the large uneven shading: wavelength and relative amplitude.
    pub(super) fn with_mottle(mut self, wavelength: f32, amount: f32) -> Self {
        (self.mottle_wavelength, self.mottle_amount) = (wavelength, amount);
        self
    }

    /// Lets the pattern stand out in relief, lit from the left (positive) or right.
    pub(super) fn with_bump(mut self, bump: f32) -> Self {
        self.bump = bump;
        self
    }

    /// The same surface in other colours: what `f` makes of each.
    pub(super) fn recoloured(mut self, mut f: impl FnMut(Colour) -> Colour) -> Self {
        for step in self.ramp.iter_mut() {
            *step = f(*step);
        }
        self
    }

    /// Shows the surface through an enlarging view.
    pub(super) fn look_through(&mut self, view: View) {
        self.view = view;
    }

    /// Moves the pattern along the surface, so that instances of one kind do not continue each other.
    pub(super) fn shift(&mut self, rng: &mut Rng) {
        self.seed = rng.bits() as u32;
        if let Mapping::Flat { u, v } = &mut self.mapping {
            u[2] += rng.range(0.0, 900.0);
            v[2] += rng.range(0.0, 900.0);
        }
    }

    /// Writes the colours of the pixels (`x0` .., `y`) to `out`.
    pub(super) fn fill_row(&self, row: &mut TextureRow, x0: usize, y: usize, out: &mut [Colour]) {
        let inverse = 1.0 / self.view.zoom;
        let px = (x0 as f32 + 0.5 + self.view.shift[0]) * inverse;
        let py = (y as f32 + 0.5 + self.view.shift[1]) * inverse;
        let (u0, v0, du, dv, footprint) = match self.mapping {
            Mapping::Flat { u, v } => {
                let step = u[0].hypot(v[0]);
                (
                    u[0] * px + u[1] * py + u[2],
                    v[0] * px + v[1] * py + v[2],
                    u[0],
                    v[0],
                    step,
                )
            }
            Mapping::Receding {
                horizon,
                centre,
                depth,
                turn,
            } => {
                let below = (py - horizon) * depth.signum();
                let s = depth.abs() / below.max(0.5);
                let (u, v) = ((px - centre) * s, depth.abs() * s);
                // The row step dominates: it grows with the square of the distance.
                let step = s.max(0.35 * depth.abs() * s / below.max(1.0));
                (u + turn * v + 512.0, v - turn * u + 512.0, s, -turn * s, step)
            }
        };
        let line = Line {
            u0,
            v0,
            du: du * inverse,
            dv: dv * inverse,
            footprint: footprint * inverse,
        };
        row.values.clear();
        row.values.resize(out.len(), 0.5);
        self.fill_pattern(line, &mut row.values);
        self.fill_colours(line, &row.values, out);
    }

    fn fill_pattern(&self, line: Line, values: &mut [f32]) {
        let soft = |wavelength: f32| (1.2 * line.footprint / wavelength).clamp(0.01, 1.0);
        match self.pattern {
            Pattern::Plain => {}
            Pattern::Gradient { from, to } => {
                let k = 1.0 / (to - from);
                line.each(values, |_, v| ((v - from) * k).clamp(0.0, 1.0));
            }
            Pattern::Noise {
                kind,
                wavelength,
                stretch,
                contrast,
            } => {
                let (ku, kv) = (0.25 / (wavelength * stretch), 0.25 / wavelength);
                let noise = line.sampler(kind, kv);
                let mut walk = line.walk(noise, [ku, kv]);
                values
                    .iter_mut()
                    .for_each(|value| *value = gain(walk.next(), contrast));
            }
            Pattern::Warped {
                kind,
                wavelength,
                warp,
                contrast,
            } => {
                let k = 0.25 / wavelength;
                let (noise, bend) = (line.sampler(kind, k), line.sampler(NoiseKind::Fractal, k * 0.5));
                line.each(values, |u, v| {
                    let b = (bend.at(u * k * 0.5, v * k * 0.5) - 0.5) * warp;
                    gain(noise.at(u * k + b, v * k - b), contrast)
                });
            }
            Pattern::Bands {
                wavelength,
                warp,
                sharpness,
            } => {
                let (k, kn) = (1.0 / wavelength, 0.06 / wavelength);
                let bend = line.sampler(NoiseKind::Fractal, kn);
                line.each(values, |u, v| {
                    gain(wave(v * k + warp * bend.at(u * kn * 0.3, v * kn)), sharpness)
                });
            }
            Pattern::Stripes { wavelength, duty } => {
                let (k, soft) = (1.0 / wavelength, soft(wavelength));
                line.each(values, |_, v| band(v * k, duty, soft));
            }
            Pattern::Checks { wavelength } => {
                let (k, soft) = (0.5 / wavelength, soft(wavelength));
                line.each(values, |u, v| {
                    let (a, b) = (band(u * k, 0.5, soft), band(v * k, 0.5, soft));
                    a + b - 2.0 * a * b
                });
            }
            Pattern::Plaid { wavelength } => {
                let (k, soft) = (1.0 / wavelength, soft(wavelength));
                line.each(values, |u, v| {
                    let wide = band(u * k, 0.45, soft) + band(v * k, 0.45, soft);
                    let thin = band(u * k + 0.5, 0.08, soft) + band(v * k + 0.5, 0.08, soft);
                    (0.15 + 0.3 * wide + 0.25 * thin).min(1.0)
                });
            }
            Pattern::Dots { wavelength, radius } => {
                let (k, soft) = (1.0 / wavelength, soft(wavelength));
                line.each(values, |u, v| {
                    let stagger = if fast_floor(v * k) & 1 == 0 { 0.0 } else { 0.5 };
                    let (x, y) = (fract(u * k + stagger) - 0.5, fract(v * k) - 0.5);
                    ((radius - (x * x + y * y).sqrt()) / soft + 0.5).clamp(0.0, 1.0)
                });
            }
            Pattern::Bricks {
                width,
                height,
                mortar,
            } => {
                let (ku, kv, seed) = (1.0 / width, 1.0 / height, self.seed);
                let (soft_u, soft_v) = (soft(width), soft(height));
                let gap_u = mortar * height / width;
                line.each(values, |u, v| {
                    let course = fast_floor(v * kv);
                    let shift = if course & 1 == 0 { 0.0 } else { 0.5 };
                    let along = u * ku + shift;
                    let face = band(along, 1.0 - gap_u, soft_u) * band(v * kv, 1.0 - mortar, soft_v);
                    face * (0.4 + 0.6 * hash_unit(fast_floor(along), course, seed))
                });
            }
            Pattern::Weave { wavelength } => {
                let k = 1.0 / wavelength;
                // Threads finer than a pixel average out to an even tone.
                let fade = (1.5 - 2.0 * line.footprint * k).clamp(0.0, 1.0);
                line.each(values, |u, v| {
                    let over = (fast_floor(u * k) + fast_floor(v * k)) & 1 == 0;
                    let (across, along) = if over {
                        (fract(u * k), v * k)
                    } else {
                        (fract(v * k), u * k)
                    };
                    let round = 4.0 * across * (1.0 - across);
                    0.5 + fade * (0.75 * round + 0.25 * wave(along) - 0.5)
                });
            }
            Pattern::Script { line: height } => {
                let (k, seed) = (1.0 / height, self.seed);
                let soft_v = soft(height);
                line.each(values, |u, v| {
                    let row = fast_floor(v * k);
                    let letter = u * k * 2.2;
                    let cell = fast_floor(letter);
                    let word_gap = hash_unit(cell >> 1, row, seed) < 0.22;
                    let ragged = hash_unit(cell >> 5, row, seed ^ 7) < 0.3;
                    if word_gap || ragged {
                        return 1.0;
                    }
                    let tall = 0.3 + 0.25 * hash_unit(cell, row, seed ^ 3);
                    let ink = band(letter, 0.55 + 0.4 * hash_unit(cell, row, seed ^ 5), 0.3);
                    1.0 - ink * band(v * k, tall, soft_v)
                });
            }
        }
    }

    fn fill_colours(&self, line: Line, values: &[f32], out: &mut [Colour]) {
        let (kg, km) = (0.25 / self.grain_wavelength, 0.25 / self.mottle_wavelength);
        let (grain, mottle) = (
            line.sampler(self.grain_kind, kg),
            line.sampler(NoiseKind::Fractal, km),
        );
        let (grain_amount, mottle_amount) = (2.0 * self.grain_amount, 2.0 * self.mottle_amount);
        let mut previous = values.first().copied().unwrap_or(0.5);
        let stretch = if self.grain_kind == NoiseKind::Streaks {
            0.25
        } else {
            1.0
        };
        let mottle_at = |x: usize| {
            let (u, v) = (line.u0 + x as f32 * line.du, line.v0 + x as f32 * line.dv);
            (mottle.at(u * km, v * km) - 0.5) * mottle_amount
        };
        let mut grain = line.walk(grain, [kg * stretch, kg]);
        // Mottling is so smooth that every eighth pixel is enough.
        let mut left = mottle_at(0);
        for (run, (targets, values)) in out.chunks_mut(RUN).zip(values.chunks(RUN)).enumerate() {
            let right = mottle_at((run + 1) * RUN);
            let slope = (right - left) * (1.0 / RUN as f32);
            let mut tone = 1.0 + left;
            for (target, &value) in targets.iter_mut().zip(values) {
                let colour = self.ramp[((value * (RAMP_STEPS - 1) as f32) as usize).min(RAMP_STEPS - 1)];
                let fine = (grain.next() - 0.5) * grain_amount;
                let relief = (value - previous) * self.bump;
                *target = scale(colour, (tone + fine + relief).max(0.02));
                previous = value;
                tone += slope;
            }
            left = right;
        }
    }
}

/// Sharpens contrast around the middle.
#[inline(always)]
fn gain(value: f32, contrast: f32) -> f32 {
    (0.5 + (value - 0.5) * contrast).clamp(0.0, 1.0)
}

/// One image row in surface coordinates.
#[derive(Clone, Copy, Debug)]
struct Line {
    u0: f32,
    v0: f32,
    du: f32,
    dv: f32,
    footprint: f32,
}

impl Line {
    #[inline(always)]
    fn each(self, values: &mut [f32], f: impl Fn(f32, f32) -> f32) {
        let (mut u, mut v) = (self.u0, self.v0);
        for value in values {
            *value = f(u, v);
            u += self.du;
            v += self.dv;
        }
    }

    fn walk(self, sampler: NoiseSampler, [ku, kv]: [f32; 2]) -> NoiseWalk {
        NoiseWalk::new(
            sampler,
            [self.u0 * ku, self.v0 * kv],
            [self.du * ku, self.dv * kv],
        )
    }

    fn sampler(self, kind: NoiseKind, factor: f32) -> NoiseSampler {
        tile(kind).at_footprint(self.footprint * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes::palette::Palette;

    #[test]
    fn every_surface_gives_finite_positive_colours() {
        let mut rng = Rng::new(3);
        let palette = Palette::new(&mut rng);
        let mut buffer = TextureRow::default();
        let mut out = vec![[0.0; 3]; 64];
        for i in 0..300 {
            let mut texture = Texture::random(&mut rng, &palette, [0.4, 0.3, 0.2], 64.0);
            if i % 3 == 0 {
                texture.recede(&mut rng, 20.0, 32.0, 30.0);
            }
            texture.fill_row(&mut buffer, 5, i, &mut out);
            assert!(
                out.iter().flatten().all(|c| c.is_finite() && *c >= 0.0),
                "{texture:?}"
            );
        }
    }
}
