//! The stage of one scene: what is put on it from back to front, then drawn with the label of every pixel.

use super::contour::{Affine, Shape};
use super::lighting::{Finish, Light, ShadeGrid};
use super::palette::{Colour, Palette, scale};
use super::random::Rng;
use super::raster::{Coverage, Rasteriser};
use super::texture::{Texture, TextureRow};
use super::{RegionKind, SceneConfig};

/// A node of the scene's part-of tree; pixels carry the node that owns them.
pub(super) type NodeId = u16;

/// One node of the part-of tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// What this is a part or member of.
    pub(super) parent: Option<NodeId>,
    /// What a region made of this node and its descendants is.
    pub(super) kind: RegionKind,
}

/// One painted shape.
#[derive(Clone, Debug)]
pub(super) struct Paint {
    /// Outline in pixels.
    pub(super) shape: Shape,
    /// Surface.
    pub(super) texture: Texture,
    /// Answer to light.
    pub(super) finish: Finish,
    /// Owner of the pixels; `None` leaves them to what is below, as a reflection does.
    pub(super) node: Option<NodeId>,
    /// 1 hides everything below.
    pub(super) opacity: f32,
    /// Radius of the edge's blur in pixels.
    pub(super) softness: f32,
}

/// One step of the drawing.
#[derive(Debug)]
enum Op {
    Paint(Box<Paint>),
    /// Darkens what is already there.
    Shadow {
        shape: Shape,
        blur: f32,
        strength: f32,
    },
    /// Throws everything so far out of focus.
    Defocus {
        radius: f32,
    },
}

/// What has been put on stage, and the scene's shared choices.
#[derive(Debug)]
pub(super) struct Stage {
    /// Width in pixels.
    pub(super) width: usize,
    /// Height in pixels.
    pub(super) height: usize,
    /// The scene's random source.
    pub(super) rng: Rng,
    /// The scene's colours.
    pub(super) palette: Palette,
    /// The scene's light.
    pub(super) light: Light,
    /// The part-of tree.
    pub(super) nodes: Vec<Node>,
    /// Enlarges what layouts place, so that things also come cut off by the frame.
    view: View,
    ops: Vec<Op>,
}

/// A crop of the layout: pixel = `zoom` * layout position - `shift`.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Enlargement, at least 1.
    pub(super) zoom: f32,
    /// Offset in pixels.
    pub(super) shift: [f32; 2],
}

impl View {
    fn new(rng: &mut Rng, width: f32, height: f32) -> Self {
        let zoom = if rng.chance(0.33) {
            rng.log_range(1.1, 2.4)
        } else {
            1.0
        };
        let slack = zoom - 1.0;
        // The lower half holds most of what stands on a ground.
        Self {
            zoom,
            shift: [slack * width * rng.unit(), slack * height * rng.range(0.2, 1.0)],
        }
    }

    fn affine(self) -> Affine {
        Affine::place([-self.shift[0], -self.shift[1]], self.zoom, self.zoom, 0.0)
    }
}

/// A drawn stage: linear light and the owner of each pixel.
#[derive(Debug)]
pub(super) struct Drawing {
    /// Row-major linear colour.
    pub(super) canvas: Vec<Colour>,
    /// Row-major owner; `NodeId::MAX` where nothing owns the pixel.
    pub(super) labels: Vec<NodeId>,
}

/// The label of pixels that nothing owns.
pub(super) const NOBODY: NodeId = NodeId::MAX;

impl Stage {
    /// An empty stage.
    pub(super) fn new(config: &SceneConfig, mut rng: Rng) -> Self {
        let palette = Palette::new(&mut rng);
        let light = Light::new(&mut rng);
        let view = View::new(&mut rng, config.size.width as f32, config.size.height as f32);
        Self {
            width: config.size.width as usize,
            height: config.size.height as usize,
            rng,
            palette,
            light,
            nodes: Vec::new(),
            view,
            ops: Vec::new(),
        }
    }

    /// Width and height as lengths.
    pub(super) fn extent(&self) -> (f32, f32) {
        (self.width as f32, self.height as f32)
    }

    /// The shorter side in pixels.
    pub(super) fn side(&self) -> f32 {
        self.width.min(self.height) as f32
    }

    /// A new node.
    pub(super) fn node(&mut self, parent: Option<NodeId>, kind: RegionKind) -> NodeId {
        self.nodes.push(Node { parent, kind });
        // Layouts put a few hundred things on stage; past the limit, things would share the last node.
        (self.nodes.len() - 1).min(usize::from(NOBODY - 1)) as NodeId
    }

    /// Paints over everything so far.
    pub(super) fn paint(&mut self, mut paint: Paint) {
        if self.view.zoom > 1.0 {
            paint.shape = paint.shape.placed(&self.view.affine());
            paint.texture.look_through(self.view);
            paint.softness *= self.view.zoom;
        }
        self.ops.push(Op::Paint(Box::new(paint)));
    }

    /// Paints an opaque, sharp shape that belongs to `node`.
    pub(super) fn solid(&mut self, node: NodeId, shape: Shape, texture: Texture, finish: Finish) {
        self.paint(Paint {
            shape,
            texture,
            finish,
            node: Some(node),
            opacity: 1.0,
            softness: 0.0,
        });
    }

    /// Covers the whole image.
    pub(super) fn backdrop(&mut self, node: NodeId, texture: Texture, finish: Finish) {
        let (w, h) = self.extent();
        self.solid(
            node,
            Shape::rectangle(-2.0, -2.0, w + 2.0, h + 2.0),
            texture,
            finish,
        );
    }

    /// A soft shadow of `shape`; `strength` 1 takes all the key light away.
    pub(super) fn shadow(&mut self, shape: Shape, blur: f32, strength: f32) {
        let strength = strength * (1.0 - self.light.shadow_level());
        if strength > 0.02 {
            let (shape, blur) = (shape.placed(&self.view.affine()), blur * self.view.zoom);
            self.ops.push(Op::Shadow {
                shape,
                blur,
                strength,
            });
        }
    }

    /// The shadow that a thing `height` pixels above a surface facing the viewer casts on it.
    pub(super) fn drop_shadow(&mut self, shape: &Shape, height: f32) {
        let [lx, ly, lz] = self.light.direction;
        let reach = height / lz.max(0.35);
        let moved = shape.placed(&Affine::place([-lx * reach, -ly * reach], 1.0, 1.0, 0.0));
        let blur = (reach * self.light.softness).max(0.7);
        self.shadow(moved, blur, 0.9);
    }

    /// Throws everything so far out of focus.
    pub(super) fn defocus(&mut self, radius: f32) {
        self.ops.push(Op::Defocus {
            radius: radius * self.view.zoom.sqrt(),
        });
    }

    /// Draws everything.
    pub(super) fn draw(&mut self) -> Drawing {
        let ops = std::mem::take(&mut self.ops);
        let count = self.width * self.height;
        let mut painter = Painter {
            width: self.width,
            height: self.height,
            light: &self.light,
            drawing: Drawing {
                canvas: vec![[0.0; 3]; count],
                labels: vec![NOBODY; count],
            },
            solid: vec![0; count],
            rasteriser: Rasteriser::default(),
            texture_row: TextureRow::default(),
            colours: Vec::new(),
            shades: Vec::new(),
        };
        // Between two blurs, what will be hidden need not be shaded; a blur spreads hidden pixels, so it ends a run.
        for run in ops.split_inclusive(|op| matches!(op, Op::Defocus { .. })) {
            painter.draw_run(run);
        }
        painter.drawing
    }
}

struct Painter<'a> {
    width: usize,
    height: usize,
    light: &'a Light,
    drawing: Drawing,
    /// The last op of the run (counted from 1) that covers the pixel fully.
    solid: Vec<u16>,
    rasteriser: Rasteriser,
    texture_row: TextureRow,
    colours: Vec<Colour>,
    shades: Vec<[f32; 3]>,
}

impl Painter<'_> {
    fn draw_run(&mut self, run: &[Op]) {
        self.solid.fill(0);
        let coverages: Vec<Option<Coverage>> = run
            .iter()
            .enumerate()
            .map(|(index, op)| match op {
                Op::Paint(paint) => self.cover(paint, (index + 1).min(usize::from(u16::MAX)) as u16),
                _ => None,
            })
            .collect();
        for (index, (op, coverage)) in run.iter().zip(coverages).enumerate() {
            match (op, coverage) {
                (Op::Paint(paint), Some(coverage)) => self.shade(paint, &coverage, index + 1),
                (
                    Op::Shadow {
                        shape,
                        blur,
                        strength,
                    },
                    _,
                ) => self.darken(shape, *blur, *strength, index + 1),
                (Op::Defocus { radius }, _) => {
                    blur_canvas(&mut self.drawing.canvas, self.width, self.height, *radius);
                }
                (Op::Paint(_), None) => {}
            }
        }
    }

    /// Rasterises one shape and enters it in the labels and in the map of what hides what.
    fn cover(&mut self, paint: &Paint, index: u16) -> Option<Coverage> {
        let radius = paint.softness.round() as usize;
        let mut coverage = self
            .rasteriser
            .coverage(&paint.shape, self.width, self.height, radius * 2)?;
        if radius > 0 {
            coverage.blur(radius);
        }
        let owner = paint.node.filter(|_| paint.opacity > 0.3);
        let hides = paint.opacity >= 1.0;
        for (row, levels) in coverage.levels.chunks_exact(coverage.width).enumerate() {
            let start = (coverage.y + row) * self.width + coverage.x;
            if let Some(owner) = owner {
                for (label, &level) in self.drawing.labels[start..].iter_mut().zip(levels) {
                    *label = if level >= 128 { owner } else { *label };
                }
            }
            if hides {
                for (solid, &level) in self.solid[start..].iter_mut().zip(levels) {
                    *solid = if level == 255 { index } else { *solid };
                }
            }
        }
        Some(coverage)
    }

    fn shade(&mut self, paint: &Paint, coverage: &Coverage, index: usize) {
        let grid = ShadeGrid::new(coverage, paint.finish, self.light);
        for (row, levels) in coverage.levels.chunks_exact(coverage.width).enumerate() {
            let y = coverage.y + row;
            let start = y * self.width + coverage.x;
            let solid = &self.solid[start..start + levels.len()];
            let shown = |x: usize| levels[x] > 0 && usize::from(solid[x]) <= index;
            let Some(first) = (0..levels.len()).find(|&x| shown(x)) else {
                continue;
            };
            let last = (first..levels.len()).rev().find(|&x| shown(x)).unwrap_or(first);
            self.colours.clear();
            self.colours.resize(last - first + 1, [0.0; 3]);
            paint
                .texture
                .fill_row(&mut self.texture_row, coverage.x + first, y, &mut self.colours);
            let shade_row = grid.row(row, &mut self.shades);
            let (key, ambient) = (self.light.key, self.light.ambient);
            let targets = &mut self.drawing.canvas[start + first..=start + last];
            let weight = paint.opacity / 255.0;
            for (x, (target, colour)) in (first..).zip(targets.iter_mut().zip(&self.colours)) {
                let [diffuse, sky, highlight] = shade_row.at(x);
                let alpha = f32::from(levels[x]) * weight;
                for channel in 0..3 {
                    let lit = colour[channel] * (key[channel] * diffuse + ambient[channel] * sky)
                        + key[channel] * highlight;
                    target[channel] += (lit - target[channel]) * alpha;
                }
            }
        }
    }

    /// Multiplies a soft shadow onto the canvas, computed at a lower resolution where it is blurred anyway.
    fn darken(&mut self, shape: &Shape, blur: f32, strength: f32, index: usize) {
        let step = if blur >= 6.0 {
            4
        } else if blur >= 2.5 {
            2
        } else {
            1
        };
        let shrink = Affine::place([0.0, 0.0], 1.0 / step as f32, 1.0 / step as f32, 0.0);
        let (low_w, low_h) = (self.width / step + 1, self.height / step + 1);
        let radius = ((blur / step as f32) * 0.6).round().max(1.0) as usize;
        let Some(mut coverage) = self
            .rasteriser
            .coverage(&shape.placed(&shrink), low_w, low_h, radius * 2)
        else {
            return;
        };
        coverage.blur(radius);
        let (w, h) = (coverage.width, coverage.height);
        let inverse = 1.0 / step as f32;
        let y_end = ((coverage.y + h) * step).min(self.height);
        let x_end = ((coverage.x + w) * step).min(self.width);
        for y in coverage.y * step..y_end {
            let fy = ((y as f32 + 0.5) * inverse - 0.5 - coverage.y as f32).clamp(0.0, (h - 1) as f32);
            let (top, ty) = (fy as usize, fy - (fy as usize) as f32);
            let upper = &coverage.levels[top * w..(top + 1) * w];
            let below = (top + 1).min(h - 1);
            let lower = &coverage.levels[below * w..(below + 1) * w];
            for x in coverage.x * step..x_end {
                let at = y * self.width + x;
                if usize::from(self.solid[at]) > index {
                    continue;
                }
                let fx = ((x as f32 + 0.5) * inverse - 0.5 - coverage.x as f32).clamp(0.0, (w - 1) as f32);
                let (left, tx) = (fx as usize, fx - (fx as usize) as f32);
                let right = (left + 1).min(w - 1);
                let lerp = |row: &[u8]| {
                    let (a, b) = (f32::from(row[left]), f32::from(row[right]));
                    a + (b - a) * tx
                };
                let (a, b) = (lerp(upper), lerp(lower));
                let level = (a + (b - a) * ty) * (1.0 / 255.0);
                let canvas = &mut self.drawing.canvas[at];
                *canvas = scale(*canvas, 1.0 - strength * level);
            }
        }
    }
}

/// Two box blurs in each direction.
pub(super) fn blur_canvas(canvas: &mut [Colour], width: usize, height: usize, radius: f32) {
    let radius = radius.round() as usize;
    if radius == 0 {
        return;
    }
    let mut turned = vec![[0.0; 3]; canvas.len()];
    for _ in 0..2 {
        blur_rows_turned(canvas, &mut turned, width, height, radius);
        blur_rows_turned(&turned, canvas, height, width, radius);
    }
}

/// Blurs each row and writes it transposed.
fn blur_rows_turned(source: &[Colour], target: &mut [Colour], width: usize, height: usize, radius: usize) {
    let weight = 1.0 / (2 * radius + 1) as f32;
    for (y, row) in source.chunks_exact(width).enumerate() {
        let at = |x: isize| row[x.clamp(0, width as isize - 1) as usize];
        let mut sum = [0.0f32; 3];
        for x in -(radius as isize)..=radius as isize {
            let value = at(x);
            sum = [sum[0] + value[0], sum[1] + value[1], sum[2] + value[2]];
        }
        for x in 0..width {
            target[x * height + y] = scale(sum, weight);
            let (enter, leave) = (at((x + radius + 1) as isize), at(x as isize - radius as isize));
            for channel in 0..3 {
                sum[channel] += enter[channel] - leave[channel];
            }
        }
    }
}
