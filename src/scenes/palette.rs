//! Colours in linear light, drawn so that one scene's hues belong together as they do under one illuminant.

use super::random::Rng;

/// Linear red, green, blue reflectance.
pub(super) type Colour = [f32; 3];

/// Weighted mean: `t = 0` gives `a`, `t = 1` gives `b`.
#[inline(always)]
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [
        a[0] + (b[0] - a[0]) * t,
        a[1] + (b[1] - a[1]) * t,
        a[2] + (b[2] - a[2]) * t,
    ]
}

/// `colour` times `factor`.
#[inline(always)]
pub(super) fn scale(colour: Colour, factor: f32) -> Colour {
    [colour[0] * factor, colour[1] * factor, colour[2] * factor]
}

/// Relative luminance.
#[inline(always)]
pub(super) fn luminance(colour: Colour) -> f32 {
    0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
}

/// Hue in turns, saturation and value in `0 ..= 1` (display referred), as linear light.
pub(super) fn from_hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    let hue6 = hue.rem_euclid(1.0) * 6.0;
    let channel = |offset: f32| {
        let k = (offset + hue6).rem_euclid(6.0);
        let display = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        display.max(0.0).powf(2.2)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// Things whose colour is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Substance {
    /// Leaves and grass.
    Foliage,
    /// Timber, bark, furniture.
    Wood,
    /// Rock, concrete, plaster, asphalt.
    Stone,
    /// Human skin.
    Skin,
    /// Hair and fur.
    Fur,
    /// Bare or painted metal.
    Metal,
    /// Soil and sand.
    Earth,
    /// Fruit and flowers.
    Fruit,
    /// Paint, plastic, cloth: any colour of the palette.
    Any,
}

/// The colours of one scene.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    hues: Vec<f32>,
    saturation: f32,
    value_low: f32,
    value_high: f32,
    monochrome: bool,
}

impl Palette {
    /// A random scheme: most scenes are muted with a few strong accents, some are grey.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let base = rng.unit();
        let offsets: &[f32] = match rng.weighted(&[3.0, 2.0, 1.5, 2.5]) {
            0 => &[0.0, 0.05, -0.06, 0.1],
            1 => &[0.0, 0.5, 0.04, 0.46],
            2 => &[0.0, 0.33, 0.66],
            _ => &[0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9],
        };
        let mut hues: Vec<f32> = offsets
            .iter()
            .map(|offset| base + offset + rng.normal() * 0.02)
            .collect();
        hues.push(rng.range(0.04, 0.12));
        if rng.chance(0.5) {
            hues.push(rng.range(0.55, 0.65));
        }
        let low = rng.range(0.08, 0.4);
        Self {
            hues,
            saturation: rng.pick(&[0.2, 0.35, 0.45, 0.55, 0.75, 0.95]),
            value_low: low,
            value_high: rng.range(low + 0.3, 1.0),
            monochrome: rng.chance(0.06),
        }
    }

    /// Turns colour off, for X-ray, microscope and inspection cameras.
    pub(super) fn make_monochrome(&mut self) {
        self.monochrome = true;
    }

    /// A colour of one substance in this scene.
    pub(super) fn colour(&self, rng: &mut Rng, substance: Substance) -> Colour {
        let spread = |rng: &mut Rng, hue: f32, width: f32| hue + rng.normal() * width;
        let (hue, saturation, value) = match substance {
            Substance::Foliage => (
                spread(rng, 0.26, 0.035),
                rng.range(0.25, 0.75),
                rng.range(0.2, 0.65),
            ),
            Substance::Wood => (
                spread(rng, 0.075, 0.02),
                rng.range(0.2, 0.7),
                rng.range(0.22, 0.85),
            ),
            Substance::Stone => (spread(rng, 0.1, 0.1), rng.range(0.0, 0.2), rng.range(0.25, 0.88)),
            Substance::Skin => {
                let tone = rng.unit();
                (spread(rng, 0.055, 0.012), 0.3 + 0.35 * tone, 0.92 - 0.6 * tone)
            }
            Substance::Fur => (
                spread(rng, 0.075, 0.02),
                rng.range(0.05, 0.6),
                rng.log_range(0.1, 0.95),
            ),
            Substance::Metal => (spread(rng, 0.6, 0.1), rng.range(0.0, 0.12), rng.range(0.35, 0.85)),
            Substance::Earth => (
                spread(rng, 0.085, 0.025),
                rng.range(0.15, 0.55),
                rng.range(0.25, 0.8),
            ),
            Substance::Fruit => {
                let hue = rng.pick(&[0.0, 0.02, 0.06, 0.1, 0.14, 0.22, 0.3, 0.8, 0.95]);
                (
                    spread(rng, hue, 0.015),
                    rng.range(0.55, 0.95),
                    rng.range(0.4, 0.98),
                )
            }
            Substance::Any => {
                if rng.chance(0.2) {
                    (
                        rng.unit(),
                        rng.range(0.0, 0.1),
                        rng.pick(&[0.07, 0.15, 0.3, 0.55, 0.8, 0.93]),
                    )
                } else {
                    let hue = rng.pick(&self.hues);
                    let saturation = (self.saturation + rng.normal() * 0.18).clamp(0.02, 0.95);
                    (
                        spread(rng, hue, 0.015),
                        saturation,
                        rng.range(self.value_low, self.value_high),
                    )
                }
            }
        };
        let colour = from_hsv(hue, saturation, value);
        if self.monochrome {
            let grey = luminance(colour);
            return [grey; 3];
        }
        colour
    }

    /// A near neighbour of `colour`, as the parts and instances of one kind have.
    pub(super) fn jitter(&self, rng: &mut Rng, colour: Colour, amount: f32) -> Colour {
        let brightness = (rng.normal() * amount).exp();
        let tint = if self.monochrome { 0.0 } else { amount * 0.35 };
        colour.map(|channel| (channel * brightness * (1.0 + rng.normal() * tint)).clamp(0.0, 1.0))
    }
}
