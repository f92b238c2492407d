//! The shader once more on the CPU, straight from images and masks: what `canvas.wgsl` must draw.
//!
//! It knows nothing of tiles, sets or tables: levels are halved and regions looked up pixel by pixel.

use super::display::{Channel, DisplaySettings, Emphasis, RegionStyle};
use super::view_transform::ViewTransform;
use crate::geometry::ImageSize;
use crate::mask::Mask;
use crate::picture::tile::{level_count, level_size};

/// A picture by its definition.
pub(super) struct ReferenceScene<'a> {
    pub(super) size: ImageSize,
    /// Red, green and blue of a pixel, as shares of the largest sample; `None` while there is no image.
    pub(super) samples: Option<&'a dyn Fn(u32, u32) -> [u32; 3]>,
    /// The largest sample.
    pub(super) white: u32,
    /// Regions from the back to the front.
    pub(super) regions: &'a [(Mask, RegionStyle)],
}

/// Samples and regions at one level of halving.
struct Level {
    size: ImageSize,
    samples: Vec<[f32; 3]>,
    regions: Vec<Vec<bool>>,
}

type Color = [f32; 3];

/// As in the shader: off the edges between texels, in physical pixels.
const NUDGE_PX: f64 = 1.0 / 1024.0;

impl ReferenceScene<'_> {
    /// The picture of a window of `size`, RGBA bytes row by row.
    pub(super) fn render(&self, size: ImageSize, view: &ViewTransform, display: &DisplaySettings) -> Vec<u8> {
        let level_number = (0..level_count(self.size))
            .rev()
            .find(|&level| f64::from(1_u32 << level) * view.scale() <= 1.0)
            .unwrap_or(0);
        let level = self.level(level_number);
        let per_texel = view.scale() * f64::from(1_u32 << level_number);
        let mut bytes = Vec::new();
        for y in 0..size.height {
            for x in 0..size.width {
                let px = [f64::from(x) + 0.5, f64::from(y) + 0.5];
                let color = self.color(&level, per_texel, px, view, display);
                bytes.extend(color.map(|channel| (channel.clamp(0.0, 1.0) * 255.0).round() as u8));
                bytes.push(255);
            }
        }
        bytes
    }

    fn level(&self, number: u8) -> Level {
        let size = level_size(self.size, number);
        let mut samples: Vec<[u32; 3]> = Vec::new();
        if let Some(sample) = self.samples {
            samples = pixels(self.size).map(|(x, y)| sample(x, y)).collect();
            for finer in 0..number {
                let from = level_size(self.size, finer);
                samples = pixels(level_size(self.size, finer + 1))
                    .map(|(x, y)| mean(&samples, from, x, y))
                    .collect();
            }
        }
        let covers = |mask: &Mask, x: u32, y: u32| {
            let step = 1 << number;
            (y * step..(y + 1) * step).any(|y| (x * step..(x + 1) * step).any(|x| mask.get(x, y)))
        };
        Level {
            size,
            samples: samples
                .iter()
                .map(|sample| sample.map(|channel| channel as f32 / self.white as f32))
                .collect(),
            regions: self
                .regions
                .iter()
                .map(|(mask, _)| pixels(size).map(|(x, y)| covers(mask, x, y)).collect())
                .collect(),
        }
    }

    fn color(
        &self,
        level: &Level,
        per_texel: f64,
        px: [f64; 2],
        view: &ViewTransform,
        display: &DisplaySettings,
    ) -> Color {
        let origin = view.origin_px();
        let at = [px[0] - origin[0], px[1] - origin[1]];
        let scale = view.scale();
        let sides = [self.size.width, self.size.height].map(|side| f64::from(side) * scale);
        let is_inside = at[0] >= 0.0 && at[1] >= 0.0 && at[0] < sides[0] && at[1] < sides[1];
        let ground = if is_inside {
            let position = at.map(|value| value / per_texel);
            let mut color = match self.samples {
                Some(_) => toned(
                    sampled(level, position, scale >= 2.0, NUDGE_PX / per_texel),
                    display,
                ),
                None => [0.16, 0.16, 0.17],
            };
            let is_line = (0..2).any(|axis| {
                ((at[axis] + NUDGE_PX) / scale).floor() != ((at[axis] + NUDGE_PX - 1.0) / scale).floor()
            });
            if display.has_pixel_grid && scale >= 8.0 && is_line {
                let strength = 0.3 * (0.25 + 0.75 * ((scale - 8.0) / 16.0).clamp(0.0, 1.0)) as f32;
                let line = if luma(color) > 0.5 { 0.0 } else { 1.0 };
                color = mixed(color, [line; 3], strength);
            }
            color
        } else {
            let cell = px.map(|value| (value / f64::from(8.0 * view.pixels_per_point())).floor() as i64);
            display.backdrop[((cell[0] + cell[1]) & 1) as usize].map(|channel| f32::from(channel) / 255.0)
        };
        if !display.regions.are_shown {
            return ground;
        }
        let outline = match display.regions.outline_width {
            width if width > 0.0 => f64::from((width * view.pixels_per_point()).round().max(1.0)),
            _ => 0.0,
        };
        // Whether the region of `index` is at `distance` pixels in some direction.
        let is_at = |index: usize, px: [f64; 2]| {
            let texel = [0, 1].map(|axis| ((px[axis] - origin[axis] + NUDGE_PX) / per_texel).floor());
            texel[0] >= 0.0
                && texel[1] >= 0.0
                && texel[0] < f64::from(level.size.width)
                && texel[1] < f64::from(level.size.height)
                && level.regions[index][texel[1] as usize * level.size.width as usize + texel[0] as usize]
        };
        let around = |distance: f64| {
            (0..8).map(move |step| {
                let angle = std::f64::consts::FRAC_PI_4 * f64::from(step);
                [px[0] + distance * angle.cos(), px[1] + distance * angle.sin()]
            })
        };
        let ends_within =
            |index: usize, distance: f64| outline > 0.0 && around(distance).any(|px| !is_at(index, px));
        let taps: Vec<[f64; 2]> = if scale < 1.0 {
            [[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]]
                .iter()
                .map(|offset| [px[0] + offset[0], px[1] + offset[1]])
                .collect()
        } else {
            vec![px]
        };
        let mut sum = [0.0; 3];
        for tap in &taps {
            let mut color = ground;
            let mut broad_outline = None;
            for (index, (_, style)) in self.regions.iter().enumerate() {
                if !is_drawn(style, display) || !is_at(index, *tap) {
                    continue;
                }
                let own = style.color.map(|channel| f32::from(channel) / 255.0);
                let strength = if style.is_dimmed { 0.3 } else { 1.0 };
                let mut opacity = (style.fill_opacity * 255.0).round() / 255.0 * display.regions.fill_opacity;
                if style.emphasis == Emphasis::Hovered {
                    opacity = (opacity + 0.2).min(1.0);
                }
                opacity *= strength;
                if style.has_outline {
                    let is_near = ends_within(index, outline);
                    match style.emphasis {
                        Emphasis::None if is_near => opacity = opacity.max(strength),
                        Emphasis::None => {}
                        Emphasis::Selected if is_near => broad_outline = Some([1.0; 3]),
                        _ if is_near || ends_within(index, 2.0 * outline) => broad_outline = Some(own),
                        _ => {}
                    }
                }
                color = mixed(color, own, opacity);
            }
            let color = broad_outline.unwrap_or(color);
            for (sum, channel) in sum.iter_mut().zip(color) {
                *sum += channel / taps.len() as f32;
            }
        }
        let is_in_halo = outline > 0.0
            && self.regions.iter().enumerate().any(|(index, (_, style))| {
                style.emphasis == Emphasis::Selected
                    && style.has_outline
                    && is_drawn(style, display)
                    && !is_at(index, px)
                    && around(outline).any(|px| is_at(index, px))
            });
        if is_in_halo {
            mixed(sum, [0.0; 3], 0.7)
        } else {
            sum
        }
    }
}

fn is_drawn(style: &RegionStyle, display: &DisplaySettings) -> bool {
    !style.is_hidden && (!display.regions.only_solo || style.is_solo)
}

/// Columns and rows of every pixel, row by row.
fn pixels(size: ImageSize) -> impl Iterator<Item = (u32, u32)> {
    (0..size.height).flat_map(move |y| (0..size.width).map(move |x| (x, y)))
}

/// The rounded mean of up to 2 x 2 samples.
fn mean(samples: &[[u32; 3]], size: ImageSize, x: u32, y: u32) -> [u32; 3] {
    let inside: Vec<[u32; 3]> = [(0, 0), (1, 0), (0, 1), (1, 1)]
        .iter()
        .map(|(dx, dy)| (2 * x + dx, 2 * y + dy))
        .filter(|&(x, y)| x < size.width && y < size.height)
        .map(|(x, y)| samples[(y * size.width + x) as usize])
        .collect();
    let count = inside.len() as u32;
    [0, 1, 2].map(|channel| (inside.iter().map(|sample| sample[channel]).sum::<u32>() + count / 2) / count)
}

fn sampled(level: &Level, position: [f64; 2], is_nearest: bool, nudge: f64) -> Color {
    let texel = |x: f64, y: f64| {
        let x = x.clamp(0.0, f64::from(level.size.width - 1)) as usize;
        let y = y.clamp(0.0, f64::from(level.size.height - 1)) as usize;
        level.samples[y * level.size.width as usize + x]
    };
    if is_nearest {
        return texel((position[0] + nudge).floor(), (position[1] + nudge).floor());
    }
    let corner = position.map(|value| value - 0.5);
    let [x, y] = corner.map(f64::floor);
    let share = [(corner[0] - x) as f32, (corner[1] - y) as f32];
    let above = mixed(texel(x, y), texel(x + 1.0, y), share[0]);
    let below = mixed(texel(x, y + 1.0), texel(x + 1.0, y + 1.0), share[0]);
    mixed(above, below, share[1])
}

fn toned(sample: Color, display: &DisplaySettings) -> Color {
    let tone = &display.tone;
    let [red, green, blue] = sample;
    let color = match tone.channel {
        Channel::All => sample,
        Channel::Red => [red; 3],
        Channel::Green => [green; 3],
        Channel::Blue => [blue; 3],
        Channel::Luma => [luma(sample); 3],
    };
    color.map(|value| {
        let [black, white] = tone.window;
        let value = ((value - black) / (white - black)).clamp(0.0, 1.0);
        let value = ((value - 0.5) * tone.contrast + 0.5 + tone.brightness).clamp(0.0, 1.0);
        let value = value.powf(1.0 / tone.gamma);
        if tone.is_inverted { 1.0 - value } else { value }
    })
}

fn luma([red, green, blue]: Color) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

fn mixed(from: Color, to: Color, share: f32) -> Color {
    [0, 1, 2].map(|channel| from[channel] * (1.0 - share) + to[channel] * share)
}
