//! The materials of the world: what surface a random thing, fur, timber, foliage or rock has.

use super::noise::NoiseKind;
use super::palette::{Colour, Palette, Substance, scale};
use super::random::Rng;
use super::texture::{Pattern, Texture};

impl Texture {
    /// Any surface, in shades around `colour`; `size` is the thing's extent in pixels.
    pub(super) fn random(rng: &mut Rng, palette: &Palette, colour: Colour, size: f32) -> Self {
        let fine = |rng: &mut Rng| rng.log_range(3.0, (size * 0.25).clamp(4.0, 40.0));
        let second = if rng.chance(0.35) {
            palette.colour(rng, Substance::Any)
        } else {
            palette.jitter(rng, colour, 0.45)
        };
        let wavelength = fine(rng);
        let contrast = rng.range(0.8, 2.5);
        let pattern = match rng.weighted(&[5.0, 4.0, 1.5, 1.0, 0.8, 0.5, 0.5, 0.5, 0.5, 0.7, 0.5]) {
            0 => Pattern::Plain,
            1 => {
                use NoiseKind::{Billow, Borders, Cells, Fractal, Mosaic, Ridged, Rough, Streaks};
                let kind = rng.pick(&[
                    Fractal, Fractal, Rough, Rough, Ridged, Billow, Cells, Borders, Mosaic, Streaks,
                ]);
                let stretch = if rng.chance(0.3) {
                    rng.log_range(1.5, 10.0)
                } else {
                    1.0
                };
                Pattern::Noise {
                    kind,
                    wavelength,
                    stretch,
                    contrast,
                }
            }
            2 => Pattern::Warped {
                kind: NoiseKind::Fractal,
                wavelength,
                warp: rng.range(0.2, 1.2),
                contrast,
            },
            3 => Pattern::Bands {
                wavelength,
                warp: rng.range(1.0, 8.0),
                sharpness: rng.range(0.7, 3.0),
            },
            4 => Pattern::Stripes {
                wavelength,
                duty: rng.range(0.15, 0.6),
            },
            5 => Pattern::Checks { wavelength },
            6 => Pattern::Plaid {
                wavelength: wavelength * 1.6,
            },
            7 => Pattern::Dots {
                wavelength,
                radius: rng.range(0.15, 0.4),
            },
            8 => Pattern::Bricks {
                width: wavelength * rng.range(1.0, 3.0),
                height: wavelength,
                mortar: rng.range(0.06, 0.2),
            },
            9 => Pattern::Weave {
                wavelength: rng.log_range(2.5, 8.0),
            },
            _ => Pattern::Script {
                line: rng.log_range(4.0, 12.0),
            },
        };
        let third = palette.jitter(rng, colour, 0.3);
        let ramp = if rng.chance(0.5) {
            vec![second, colour]
        } else {
            vec![third, colour, second]
        };
        let bump = if rng.chance(0.4) {
            rng.sign() * rng.range(0.5, 2.0)
        } else {
            0.0
        };
        Self::new(rng, pattern, &ramp).with_bump(bump)
    }

    /// Hair or short fur along `angle`.
    pub(super) fn fur(rng: &mut Rng, palette: &Palette, colour: Colour, angle: f32) -> Self {
        let dark = scale(palette.jitter(rng, colour, 0.15), 0.55);
        let pattern = Pattern::Noise {
            kind: NoiseKind::Streaks,
            wavelength: rng.log_range(12.0, 40.0),
            stretch: rng.range(0.5, 1.5),
            contrast: rng.range(0.8, 1.6),
        };
        let mut texture = Self::new(rng, pattern, &[dark, colour, scale(colour, 1.25)]);
        texture.turn(rng, angle, 1.0);
        texture.with_mottle(rng.log_range(15.0, 60.0), rng.range(0.1, 0.5))
    }

    /// Planed timber with its grain along `angle`.
    pub(super) fn wood(rng: &mut Rng, palette: &Palette, colour: Colour, angle: f32) -> Self {
        let dark = scale(palette.jitter(rng, colour, 0.1), rng.range(0.45, 0.8));
        let wavelength = rng.log_range(4.0, 18.0);
        let pattern = if rng.chance(0.6) {
            Pattern::Bands {
                wavelength,
                warp: rng.range(1.0, 6.0),
                sharpness: rng.range(0.6, 1.4),
            }
        } else {
            Pattern::Noise {
                kind: NoiseKind::Streaks,
                wavelength: wavelength * 2.0,
                stretch: 1.0,
                contrast: 1.3,
            }
        };
        let light = palette.jitter(rng, colour, 0.08);
        let mut texture = Self::new(rng, pattern, &[dark, colour, light]);
        texture.turn(rng, angle, 1.0);
        texture.with_grain(NoiseKind::Streaks, rng.log_range(8.0, 24.0), rng.range(0.05, 0.3))
    }

    /// Leaves seen from afar, or grass.
    pub(super) fn foliage(rng: &mut Rng, palette: &Palette, colour: Colour, size: f32) -> Self {
        let kind = rng.pick(&[
            NoiseKind::Billow,
            NoiseKind::Rough,
            NoiseKind::Mosaic,
            NoiseKind::Cells,
        ]);
        let wavelength = rng.log_range(3.0, (size * 0.12).clamp(4.0, 20.0));
        let pattern = Pattern::Warped {
            kind,
            wavelength,
            warp: rng.range(0.1, 0.6),
            contrast: rng.range(1.0, 2.2),
        };
        let bright = palette.jitter(rng, scale(colour, 1.5), 0.15);
        Self::new(rng, pattern, &[scale(colour, 0.25), colour, bright])
            .with_grain(NoiseKind::Rough, rng.log_range(3.0, 8.0), rng.range(0.15, 0.5))
            .with_bump(rng.sign() * rng.range(0.3, 1.5))
    }

    /// Rock, plaster, concrete, soil.
    pub(super) fn mineral(rng: &mut Rng, palette: &Palette, colour: Colour) -> Self {
        use NoiseKind::{Borders, Fractal, Ridged, Rough};
        let pattern = Pattern::Warped {
            kind: rng.pick(&[Rough, Rough, Fractal, Ridged, Borders]),
            wavelength: rng.log_range(6.0, 50.0),
            warp: rng.range(0.0, 0.6),
            contrast: rng.range(0.5, 1.6),
        };
        let dark = scale(palette.jitter(rng, colour, 0.1), rng.range(0.5, 0.9));
        let light = palette.jitter(rng, colour, 0.15);
        Self::new(rng, pattern, &[dark, colour, light])
            .with_grain(Rough, rng.log_range(3.0, 8.0), rng.range(0.05, 0.35))
            .with_bump(rng.sign() * rng.range(0.0, 1.5))
    }
}
