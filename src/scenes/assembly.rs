//! Things made of parts, built once in unit coordinates and put on stage at any place, size and angle.

use super::RegionKind;
use super::contour::{Affine, Shape};
use super::lighting::Finish;
use super::palette::{Colour, Palette, Substance, mix};
use super::random::Rng;
use super::stage::{NodeId, Paint, Stage};
use super::texture::Texture;

/// One painted piece of a thing.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Outline in unit coordinates.
    pub(super) shape: Shape,
    /// Surface.
    pub(super) texture: Texture,
    /// Answer to light.
    pub(super) finish: Finish,
    /// 0: the thing itself; others: the part of this number, which may have several pieces.
    pub(super) part: usize,
    /// 1 hides what is below.
    pub(super) opacity: f32,
}

/// A thing in unit coordinates: x across, y from -1 (top) to 0 (bottom), pieces from back to front.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembly {
    /// From back to front.
    pub(super) pieces: Vec<Piece>,
}

/// What builders draw from.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    /// The scene's random source.
    pub(super) rng: &'a mut Rng,
    /// The scene's colours.
    pub(super) palette: &'a Palette,
    /// The thing's height in pixels, which decides how much detail is worth making.
    pub(super) size: f32,
}

impl Maker<'_> {
    /// A colour of one substance.
    pub(super) fn colour(&mut self, substance: Substance) -> Colour {
        self.palette.colour(self.rng, substance)
    }

    /// A colour near `colour`.
    pub(super) fn near(&mut self, colour: Colour, amount: f32) -> Colour {
        self.palette.jitter(self.rng, colour, amount)
    }

    /// A plain surface of `colour`.
    pub(super) fn plain(&mut self, colour: Colour) -> Texture {
        Texture::plain(self.rng, colour)
    }

    /// A random surface around `colour`.
    pub(super) fn any(&mut self, colour: Colour) -> Texture {
        Texture::random(self.rng, self.palette, colour, self.size)
    }
}

/// How a thing stands in the scene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// Unit coordinates to pixels.
    pub(super) affine: Affine,
    /// What the thing belongs to.
    pub(super) parent: Option<NodeId>,
    /// Haze over the thing: colour and amount.
    pub(super) haze: Option<(Colour, f32)>,
    /// How the thing throws its shadow.
    pub(super) shadow: ShadowKind,
    /// Radius of the edges' blur in pixels.
    pub(super) softness: f32,
}

/// How a thing throws its shadow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ShadowKind {
    /// None.
    Nothing,
    /// On a surface behind it that faces the viewer, this many pixels away.
    Wall(f32),
    /// On the ground it stands on.
    Ground,
}

impl Assembly {
    /// Adds an opaque piece.
    pub(super) fn add(&mut self, part: usize, shape: Shape, texture: Texture, finish: Finish) {
        self.pieces.push(Piece {
            shape,
            texture,
            finish,
            part,
            opacity: 1.0,
        });
    }

    /// Adds a piece that lets through what is below.
    pub(super) fn add_clear(
        &mut self,
        part: usize,
        shape: Shape,
        texture: Texture,
        finish: Finish,
        opacity: f32,
    ) {
        self.pieces.push(Piece {
            shape,
            texture,
            finish,
            part,
            opacity,
        });
    }

    /// All outlines as one.
    pub(super) fn silhouette(&self) -> Shape {
        let mut shape = Shape::default();
        for piece in &self.pieces {
            // Holes of one piece do not open the pieces behind it.
            shape.merge(piece.shape.clone());
        }
        shape
    }

    /// Puts the thing on stage and returns its node.
    pub(super) fn put(self, stage: &mut Stage, setting: Setting) -> NodeId {
        let affine = setting.affine;
        match setting.shadow {
            ShadowKind::Nothing => {}
            ShadowKind::Wall(distance) => stage.drop_shadow(&self.silhouette().placed(&affine), distance),
            ShadowKind::Ground => {
                let [lx, _, lz] = stage.light.direction;
                let length = 0.35 + 0.5 * (1.0 - lz).max(0.0);
                // Seen at a low angle, the shadow on the ground is the outline squashed and leaning from the light.
                let lying = Affine {
                    x_axis: [1.0, 0.0],
                    y_axis: [lx * length * 1.4, 0.22 + 0.25 * length],
                    origin: [0.0, -0.01],
                };
                let size = affine.scale();
                let cast = self.silhouette().placed(&affine.after(&lying));
                stage.shadow(cast, (size * 0.06 * (0.3 + stage.light.softness)).max(1.0), 0.85);
                if let Some([x0, _, x1, _]) = self.silhouette().bounds() {
                    let foot = Shape::ellipse(0.5 * (x0 + x1), -0.01, 0.45 * (x1 - x0), 0.045);
                    stage.shadow(foot.placed(&affine), (size * 0.03).max(1.0), 0.8);
                }
            }
        }
        let node = stage.node(setting.parent, RegionKind::Object);
        let mut parts: Vec<(usize, NodeId)> = Vec::new();
        for mut piece in self.pieces {
            let owner = if piece.part == 0 {
                node
            } else if let Some(&(_, known)) = parts.iter().find(|(part, _)| *part == piece.part) {
                known
            } else {
                let fresh = stage.node(Some(node), RegionKind::Part);
                parts.push((piece.part, fresh));
                fresh
            };
            piece.texture.shift(&mut stage.rng);
            if let Some((haze, amount)) = setting.haze {
                piece.texture = piece.texture.recoloured(|colour| mix(colour, haze, amount));
            }
            stage.paint(Paint {
                shape: piece.shape.placed(&affine),
                texture: piece.texture,
                finish: piece.finish,
                node: Some(owner),
                opacity: piece.opacity,
                softness: setting.softness,
            });
        }
        node
    }

    /// A near twin: the same outlines, with each piece's colour a little different.
    pub(super) fn twin(&self, rng: &mut Rng, palette: &Palette, amount: f32) -> Self {
        let factor = palette.jitter(rng, [0.5; 3], amount).map(|channel| channel * 2.0);
        let mut twin = self.clone();
        for piece in &mut twin.pieces {
            let texture = piece.texture.clone();
            piece.texture = texture.recoloured(|c| [c[0] * factor[0], c[1] * factor[1], c[2] * factor[2]]);
        }
        twin
    }
}
