//! Tileable noise drawn once per process: textures look noise up instead of computing it, which keeps scenes cheap.

use super::random::Rng;
use std::sync::LazyLock;

const TILE_SIZE: usize = 256;
const LEVELS: usize = 6;

/// Which noise tile a texture reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoiseKind {
    /// Gradient noise with a 1/f spectrum: the base of most natural surfaces.
    Fractal,
    /// Fractal noise with more high frequencies: stone, sand, asphalt.
    Rough,
    /// Creased noise: veins, folds, bark.
    Ridged,
    /// Puffy noise: clouds, foliage, wool.
    Billow,
    /// Distance to scattered points: scales, pebbles.
    Cells,
    /// Distance to the borders between scattered points: leather, cracked mud, stone walls.
    Borders,
    /// One constant value for each scattered point's cell: mosaics, gravel, leaf litter.
    Mosaic,
    /// Noise drawn out along u: brushed metal, grain, hair.
    Streaks,
}

const KINDS: [NoiseKind; 8] = [
    NoiseKind::Fractal,
    NoiseKind::Rough,
    NoiseKind::Ridged,
    NoiseKind::Billow,
    NoiseKind::Cells,
    NoiseKind::Borders,
    NoiseKind::Mosaic,
    NoiseKind::Streaks,
];

/// A periodic square of noise in `0 ..= 1` (mean near 0.5) with coarser levels for minified reads.
#[derive(Debug)]
pub(super) struct NoiseTile {
    levels: Vec<Vec<f32>>,
}

// Drawn on one thread: a rayon worker that waited here could take up another scene, which would wait for itself.
static TILES: LazyLock<Vec<NoiseTile>> = LazyLock::new(|| {
    KINDS
        .iter()
        .map(|&kind| NoiseTile::with_levels(draw(kind)))
        .collect()
});

/// The tile of one kind; its period is 1 in u and in v.
pub(super) fn tile(kind: NoiseKind) -> &'static NoiseTile {
    &TILES[kind as usize]
}

impl NoiseTile {
    fn with_levels(base: Vec<f32>) -> Self {
        let mut levels = vec![base];
        let mut side = TILE_SIZE;
        for _ in 1..LEVELS {
            let fine = &levels[levels.len() - 1];
            let half = side / 2;
            let coarse = (0..half * half)
                .map(|i| {
                    let at = (i / half) * 2 * side + (i % half) * 2;
                    (fine[at] + fine[at + 1] + fine[at + side] + fine[at + side + 1]) * 0.25
                })
                .collect();
            levels.push(coarse);
            side = half;
        }
        Self { levels }
    }

    /// A view that reads the level fit for steps of `footprint` (in tile periods) between pixels.
    pub(super) fn at_footprint(&'static self, footprint: f32) -> NoiseSampler {
        let texels = (footprint * TILE_SIZE as f32).max(1.0);
        let level = (texels.log2().round() as usize).min(LEVELS - 1);
        let bits = TILE_SIZE.trailing_zeros() - level as u32;
        NoiseSampler {
            texels: &self.levels[level],
            bits,
            mask: (1 << bits) - 1,
            side: (1u32 << bits) as f32,
        }
    }
}

/// Bilinear, wrapping reads of one level of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoiseSampler {
    texels: &'static [f32],
    bits: u32,
    mask: i32,
    side: f32,
}

impl NoiseSampler {
    /// The noise at (`u`, `v`), in periods.
    #[inline(always)]
    pub(super) fn at(&self, u: f32, v: f32) -> f32 {
        let (x, y) = (u * self.side, v * self.side);
        let (xf, yf) = (fast_floor(x), fast_floor(y));
        let (fx, fy) = (x - xf as f32, y - yf as f32);
        let (x0, y0) = (xf & self.mask, yf & self.mask);
        let (x1, y1) = ((x0 + 1) & self.mask, (y0 + 1) & self.mask);
        let texel = |x: i32, y: i32| {
            self.texels[(((y as usize) << self.bits) | x as usize) & (self.texels.len() - 1)]
        };
        let top = texel(x0, y0) + (texel(x1, y0) - texel(x0, y0)) * fx;
        let bottom = texel(x0, y1) + (texel(x1, y1) - texel(x0, y1)) * fx;
        top + (bottom - top) * fy
    }
}

/// A straight walk over a tile in fixed point: 2^32 is one period, so wrapping costs nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoiseWalk {
    sampler: NoiseSampler,
    at: [u32; 2],
    step: [u32; 2],
}

impl NoiseWalk {
    /// Starts at `start` and moves by `step` per read, both in periods.
    pub(super) fn new(sampler: NoiseSampler, start: [f32; 2], step: [f32; 2]) -> Self {
        let fixed = |v: f32| (f64::from(v) * 4_294_967_296.0) as i64 as u32;
        Self {
            sampler,
            at: start.map(fixed),
            step: step.map(fixed),
        }
    }

    /// The noise here; then takes the step.
    #[inline(always)]
    pub(super) fn next(&mut self) -> f32 {
        let NoiseSampler {
            texels, bits, mask, ..
        } = self.sampler;
        let [u, v] = self.at;
        self.at = [u.wrapping_add(self.step[0]), v.wrapping_add(self.step[1])];
        let shift = 32 - bits;
        let (x0, y0) = (u >> shift, v >> shift);
        let (x1, y1) = ((x0 + 1) & mask as u32, (y0 + 1) & mask as u32);
        let fraction = |c: u32| ((c << bits) >> 8) as i32 as f32 * (1.0 / 16_777_216.0);
        let (fx, fy) = (fraction(u), fraction(v));
        let texel = |x: u32, y: u32| texels[((y << bits) | x) as usize & (texels.len() - 1)];
        let top = texel(x0, y0) + (texel(x1, y0) - texel(x0, y0)) * fx;
        let bottom = texel(x0, y1) + (texel(x1, y1) - texel(x0, y1)) * fx;
        top + (bottom - top) * fy
    }
}

/// `floor` as an integer without the library call that plain x86-64 makes of `f32::floor`.
#[inline(always)]
pub(super) fn fast_floor(x: f32) -> i32 {
    let truncated = x as i32;
    truncated - i32::from((truncated as f32) > x)
}

/// The part of `x` after its floor, in `0 .. 1`.
#[inline(always)]
pub(super) fn fract(x: f32) -> f32 {
    x - fast_floor(x) as f32
}

/// A hash of a lattice cell in `0 .. 1`.
#[inline(always)]
pub(super) fn hash_unit(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x8DA6_B343) ^ (y as u32).wrapping_mul(0xD816_3841) ^ seed;
    h ^= h >> 15;
    h = h.wrapping_mul(0x2C1B_3C6D);
    h ^= h >> 12;
    h = h.wrapping_mul(0x297A_2D39);
    h ^= h >> 15;
    (h >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Smoothstep of a value already in `0 ..= 1`.
#[inline(always)]
pub(super) fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// One octave of periodic gradient noise around 0.
struct GradientLattice {
    period: (usize, usize),
    gradients: Vec<[f32; 2]>,
}

impl GradientLattice {
    fn new(period: (usize, usize), seed: u32) -> Self {
        let gradients = (0..period.0 * period.1)
            .map(|i| {
                let turn = hash_unit((i % period.0) as i32, (i / period.0) as i32, seed);
                let (sin, cos) = (turn * std::f32::consts::TAU).sin_cos();
                [cos, sin]
            })
            .collect();
        Self { period, gradients }
    }

    /// The noise at (`u`, `v`) in `0 .. 1`.
    fn at(&self, u: f32, v: f32) -> f32 {
        let (x, y) = (u * self.period.0 as f32, v * self.period.1 as f32);
        let (xi, yi) = (x as usize, y as usize);
        let (fx, fy) = (x - xi as f32, y - yi as f32);
        let corner = |dx: usize, dy: usize| {
            let (cx, cy) = ((xi + dx) % self.period.0, (yi + dy) % self.period.1);
            let [gx, gy] = self.gradients[cy * self.period.0 + cx];
            gx * (fx - dx as f32) + gy * (fy - dy as f32)
        };
        let (wx, wy) = (smooth(fx), smooth(fy));
        let top = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * wx;
        let bottom = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * wx;
        (top + (bottom - top) * wy) * 1.4
    }
}

/// Octaves of gradient noise from `start` cells per tile upwards; `fold` shapes each before it is added.
fn octaves(start: (usize, usize), gain: f32, seed: u32, fold: fn(f32) -> f32) -> Vec<f32> {
    let mut values = vec![0.0; TILE_SIZE * TILE_SIZE];
    let (mut amplitude, mut period, mut octave) = (1.0, start, 0);
    while period.0.max(period.1) <= TILE_SIZE / 2 {
        let lattice = GradientLattice::new(period, seed.wrapping_add(octave * 977));
        for (i, value) in values.iter_mut().enumerate() {
            let (u, v) = (
                (i % TILE_SIZE) as f32 / TILE_SIZE as f32,
                (i / TILE_SIZE) as f32 / TILE_SIZE as f32,
            );
            *value += amplitude * fold(lattice.at(u, v));
        }
        amplitude *= gain;
        period = (period.0 * 2, period.1 * 2);
        octave += 1;
    }
    values
}

fn draw(kind: NoiseKind) -> Vec<f32> {
    let seed = 0x51CE_0000 + kind as u32 * 7919;
    let mut values = match kind {
        NoiseKind::Cells | NoiseKind::Borders | NoiseKind::Mosaic => draw_cells(kind, seed),
        NoiseKind::Fractal => octaves((4, 4), 0.5, seed, |n| n),
        NoiseKind::Rough => octaves((4, 4), 0.78, seed, |n| n),
        NoiseKind::Ridged => octaves((4, 4), 0.55, seed, |n| 0.5 - n.abs().sqrt()),
        NoiseKind::Billow => octaves((4, 4), 0.6, seed, f32::abs),
        NoiseKind::Streaks => octaves((1, 16), 0.8, seed, |n| n),
    };
    stretch(&mut values);
    values
}

fn draw_cells(kind: NoiseKind, seed: u32) -> Vec<f32> {
    const CELLS: i32 = 16;
    let mut values = Vec::with_capacity(TILE_SIZE * TILE_SIZE);
    for i in 0..TILE_SIZE * TILE_SIZE {
        let scale = CELLS as f32 / TILE_SIZE as f32;
        let (x, y) = ((i % TILE_SIZE) as f32 * scale, (i / TILE_SIZE) as f32 * scale);
        let (mut nearest, mut second, mut owner) = (f32::MAX, f32::MAX, 0.0);
        for cy in y as i32 - 2..=y as i32 + 2 {
            for cx in x as i32 - 2..=x as i32 + 2 {
                let (wx, wy) = (cx.rem_euclid(CELLS), cy.rem_euclid(CELLS));
                let dx = cx as f32 + hash_unit(wx, wy, seed) - x;
                let dy = cy as f32 + hash_unit(wx, wy, seed ^ 0x5555) - y;
                let distance = dx * dx + dy * dy;
                if distance < nearest {
                    second = nearest;
                    nearest = distance;
                    owner = hash_unit(wx, wy, seed ^ 0xAAAA);
                } else if distance < second {
                    second = distance;
                }
            }
        }
        values.push(match kind {
            NoiseKind::Cells => nearest.sqrt(),
            NoiseKind::Borders => (second.sqrt() - nearest.sqrt()).min(0.5),
            _ => owner,
        });
    }
    values
}

/// Maps the 1st to 99th percentile onto `0 ..= 1`, so that every tile has the same contrast.
fn stretch(values: &mut [f32]) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let (low, high) = (
        sorted[sorted.len() / 100],
        sorted[sorted.len() - 1 - sorted.len() / 100],
    );
    let scale = 1.0 / (high - low).max(1e-6);
    for value in values {
        *value = ((*value - low) * scale).clamp(0.0, 1.0);
    }
}

/// A smooth random function of one variable around 0, for ridges, wobbling outlines and folds.
#[derive(Clone, Debug)]
pub(super) struct Wave {
    /// Amplitude, angular frequency and phase of each component.
    components: Vec<[f32; 3]>,
}

impl Wave {
    /// A sum of sines whose frequencies run from `lowest` cycles per unit upwards, falling as f^-`decay`.
    pub(super) fn new(rng: &mut Rng, lowest: f32, octaves: usize, decay: f32) -> Self {
        let components = (0..octaves)
            .map(|octave| {
                let ratio = 1.9f32.powi(octave as i32) * rng.range(0.8, 1.2);
                let amplitude = ratio.powf(-decay) * rng.range(0.6, 1.2);
                [amplitude, lowest * ratio * std::f32::consts::TAU, rng.angle()]
            })
            .collect();
        Self { components }
    }

    /// The function's value at `t`.
    pub(super) fn at(&self, t: f32) -> f32 {
        self.components
            .iter()
            .map(|[amplitude, frequency, phase]| amplitude * (frequency * t + phase).sin())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_use_their_range_and_repeat() {
        for kind in KINDS {
            let sampler = tile(kind).at_footprint(0.001);
            let values: Vec<f32> = (0..400)
                .map(|i| sampler.at(i as f32 * 0.037, i as f32 * 0.061))
                .collect();
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            assert!((0.15..0.85).contains(&mean), "{kind:?}: {mean}");
            assert!(
                values.iter().any(|&v| v < 0.3) && values.iter().any(|&v| v > 0.6),
                "{kind:?}"
            );
            assert!(
                (sampler.at(0.3, 0.7) - sampler.at(1.3, -0.3)).abs() < 2e-3,
                "{kind:?}"
            );
        }
    }
}
