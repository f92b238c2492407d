//! Abstract arrangements: dead leaves of every size, groups of one kind, strokes and writing, and close views.

use super::RegionKind;
use super::assembly::{Assembly, Maker, Setting, ShadowKind};
use super::contour::{Affine, Shape, wandering_path};
use super::lighting::{Finish, Relief};
use super::palette::{Substance, scale};
use super::stage::{NodeId, Stage};
use super::texture::Texture;
use super::{beings, furniture, goods, structures, vehicles};

impl Stage {
    /// Builders for a thing `size` pixels high.
    pub(super) fn maker(&mut self, size: f32) -> Maker<'_> {
        Maker {
            rng: &mut self.rng,
            palette: &self.palette,
            size,
        }
    }

    /// A random surface around a random colour.
    pub(super) fn any_texture(&mut self, size: f32) -> Texture {
        let colour = self.palette.colour(&mut self.rng, Substance::Any);
        Texture::random(&mut self.rng, &self.palette, colour, size)
    }

    /// A random point of the image.
    fn anywhere(&mut self) -> [f32; 2] {
        let (w, h) = self.extent();
        [self.rng.range(-0.05, 1.05) * w, self.rng.range(-0.05, 1.05) * h]
    }

    /// The blur of the edges of a thing at some distance from the focus; mostly none.
    pub(super) fn softness(&mut self) -> f32 {
        if self.rng.chance(0.08) {
            self.rng.range(1.0, 2.6)
        } else {
            0.0
        }
    }
}

/// Any thing with parts, natural or made.
pub(super) fn any_thing(maker: &mut Maker<'_>) -> Assembly {
    match maker.rng.weighted(&[5.0, 3.0, 3.0]) {
        0 => goods::any(maker),
        1 => beings::any(maker),
        _ => match maker.rng.int(0, 6) {
            0 => structures::building(maker),
            1 => structures::tree(maker),
            2 => vehicles::vehicle(maker),
            3 => furniture::furniture(maker),
            4 => structures::sign(maker),
            5 => vehicles::bicycle(maker),
            _ => structures::fence(maker),
        },
    }
}

/// Shapes of power-law sizes laid over each other until the image is full, as in a dead-leaves model.
pub(super) fn dead_leaves(stage: &mut Stage) {
    let side = stage.side();
    let ground = stage.node(None, RegionKind::Stuff);
    let texture = stage.any_texture(side);
    stage.backdrop(
        ground,
        texture.clone(),
        Finish {
            relief: Relief::Flat,
            gloss: 0.0,
            falloff: 0.2,
        },
    );
    // In some scenes a few leaves share the ground's surface and show by light and outline only.
    let camouflage = if stage.rng.chance(0.3) { 0.3 } else { 0.03 };
    if stage.rng.chance(0.3) {
        let (w, h) = stage.extent();
        let node = stage.node(None, RegionKind::Stuff);
        let texture = stage.any_texture(side);
        let (y, tilt) = (h * stage.rng.range(0.25, 0.75), stage.rng.normal() * 0.2 * h);
        let half = Shape::outline(vec![
            [-2.0, y - tilt],
            [w + 2.0, y + tilt],
            [w + 2.0, h + 2.0],
            [-2.0, h + 2.0],
        ]);
        stage.solid(node, half, texture, Finish::MATT);
    }
    let count = stage.rng.int(8, 34);
    let exponent = stage.rng.range(1.2, 2.4);
    let mut sizes: Vec<f32> = (0..count)
        .map(|_| stage.rng.power_law(0.035, 0.75, exponent) * side)
        .collect();
    if stage.rng.chance(0.7) {
        // Large things mostly lie behind, or little else would be seen; not always, though.
        sizes.sort_by(|a, b| b.total_cmp(a));
        for _ in 0..count / 4 {
            let (a, b) = (stage.rng.int(0, count - 1), stage.rng.int(0, count - 1));
            sizes.swap(a, b);
        }
    }
    let flat_light = stage.rng.chance(0.2);
    let clusters = stage.rng.int(0, 2);
    for (index, size) in sizes.into_iter().enumerate() {
        if index < clusters {
            cluster(stage);
        }
        match stage.rng.weighted(&[6.0, 3.0, 1.4, 0.7]) {
            0 => {
                let like = stage.rng.chance(camouflage).then_some(&texture);
                leaf(stage, size, flat_light, like);
            }
            1 => thing(stage, size.max(0.12 * side)),
            2 => strand(stage, size.max(0.2 * side)),
            _ => writing(stage, size.max(0.06 * side)),
        }
    }
    if stage.rng.chance(0.12) {
        reflection(stage);
    }
}

/// One outline with one surface.
fn leaf(stage: &mut Stage, size: f32, flat: bool, like: Option<&Texture>) {
    let at = stage.anywhere();
    let (stretch, angle) = (stage.rng.log_range(0.45, 2.2), stage.rng.angle());
    let mut maker = stage.maker(size);
    let colour = maker.colour(Substance::Any);
    let outline = goods::random_outline(&mut maker);
    let texture = match like {
        Some(texture) => {
            let tone = maker.rng.range(0.75, 1.3);
            let mut near = texture.clone().recoloured(|c| scale(c, tone));
            near.shift(maker.rng);
            near
        }
        None => maker.any(colour),
    };
    let finish = if flat {
        Finish::MATT
    } else {
        goods::random_finish(&mut maker)
    };
    let half = 0.5 * size;
    let mut shape = outline.placed(&Affine::place(
        at,
        half * stretch.sqrt(),
        half / stretch.sqrt(),
        angle,
    ));
    if stage.rng.chance(0.35) && size > 16.0 {
        let (amount, wavelength) = (stage.rng.power_law(0.3, 4.0, 1.5), stage.rng.log_range(5.0, 40.0));
        shape = shape.roughen(&mut stage.rng, amount, wavelength);
    }
    if stage.rng.chance(0.7) {
        let height = size * stage.rng.range(0.01, 0.15);
        stage.drop_shadow(&shape, height);
    }
    let node = stage.node(None, RegionKind::Object);
    let softness = stage.softness();
    stage.paint(super::stage::Paint {
        shape,
        texture,
        finish,
        node: Some(node),
        opacity: 1.0,
        softness,
    });
}

/// A thing with parts, anywhere, at any angle.
fn thing(stage: &mut Stage, size: f32) {
    let size = size * 1.2;
    let at = stage.anywhere();
    let built = any_thing(&mut stage.maker(size));
    let angle = if stage.rng.chance(0.5) {
        stage.rng.normal() * 0.25
    } else {
        stage.rng.angle()
    };
    let flip = stage.rng.sign();
    let affine = Affine::place(at, size * flip, size, angle).after(&Affine::place([0.0, 0.5], 1.0, 1.0, 0.0));
    let shadow = if stage.rng.chance(0.7) {
        ShadowKind::Wall(size * stage.rng.range(0.01, 0.1))
    } else {
        ShadowKind::Nothing
    };
    let softness = stage.softness();
    built.put(
        stage,
        Setting {
            affine,
            parent: None,
            haze: None,
            shadow,
            softness,
        },
    );
}

/// A wire, twig, rope, crack or pole.
pub(super) fn strand(stage: &mut Stage, length: f32) {
    let start = stage.anywhere();
    let (heading, curl) = (stage.rng.angle(), stage.rng.power_law(0.02, 2.0, 1.0));
    let path = wandering_path(&mut stage.rng, start, heading, length * 1.6, curl);
    let half = stage.rng.power_law(0.7, (length * 0.06).max(1.0), 1.4);
    let taper = if stage.rng.chance(0.4) {
        stage.rng.range(0.3, 1.0)
    } else {
        0.0
    };
    let shape = Shape::stroke(&path, |t| (half * (1.0 - taper * t)).max(0.35));
    let texture = stage.any_texture(half * 4.0);
    stage.drop_shadow(&shape, half * 1.5);
    let node = stage.node(None, RegionKind::Object);
    stage.solid(node, shape, texture, Finish::glossy(Relief::Cushion(1.0), 0.3));
}

/// A row of glyph-like marks; each mark is an instance, the row a group.
pub(super) fn writing(stage: &mut Stage, height: f32) {
    let at = stage.anywhere();
    let (count, angle) = (stage.rng.int(2, 8), stage.rng.normal() * 0.3);
    let colour = stage.palette.colour(&mut stage.rng, Substance::Any);
    let texture = Texture::plain(&mut stage.rng, colour);
    let half = stage.rng.range(0.06, 0.16);
    let row = stage.node(None, RegionKind::Group);
    for i in 0..count {
        let mark = glyph(stage, half);
        let place = Affine::place(at, height, height, angle).after(&Affine::place(
            [i as f32 * 0.8, 0.0],
            1.0,
            1.0,
            0.0,
        ));
        let node = stage.node(Some(row), RegionKind::Object);
        stage.solid(node, mark.placed(&place), texture.clone(), Finish::MATT);
    }
}

/// A letter-like mark of a few strokes on a 3 x 4 grid, in the unit square.
pub(super) fn glyph(stage: &mut Stage, half_width: f32) -> Shape {
    let rng = &mut stage.rng;
    let mut shape = Shape::default();
    let point = |rng: &mut super::random::Rng| [rng.int(0, 2) as f32 * 0.3, rng.int(0, 3) as f32 * 0.33];
    for _ in 0..rng.int(2, 4) {
        let (a, b) = (point(rng), point(rng));
        if a == b {
            let place = Affine::place([0.3, 0.5], 0.3, 0.4, 0.0);
            shape.merge(Shape::ring(half_width * 4.0, std::f32::consts::TAU).placed(&place));
        } else {
            shape.merge(Shape::limb(a, b, half_width * 2.0, half_width * 2.0));
        }
    }
    shape
}

/// A pane or beam of light that owns no pixels.
fn reflection(stage: &mut Stage) {
    let at = stage.anywhere();
    let side = stage.side();
    let angle = stage.rng.angle();
    let (a, b) = (
        stage.rng.range(0.2, 0.8) * side,
        stage.rng.range(0.05, 0.3) * side,
    );
    let shape = Shape::rectangle(-1.0, -1.0, 1.0, 1.0).placed(&Affine::place(at, a, b, angle));
    let texture = Texture::plain(&mut stage.rng, [0.9, 0.92, 0.95]);
    let opacity = stage.rng.range(0.08, 0.28);
    stage.paint(super::stage::Paint {
        shape,
        texture,
        finish: Finish::MATT,
        node: None,
        opacity,
        softness: 1.0,
    });
}

/// Many of one kind: in a heap, on a grid, in a row or a ring.
pub(super) fn cluster(stage: &mut Stage) -> NodeId {
    let side = stage.side();
    let size = stage.rng.log_range(0.07, 0.2) * side;
    let outline = {
        let mut maker = stage.maker(size);
        match maker.rng.weighted(&[3.0, 3.0, 3.0]) {
            0 => {
                let mut single = Assembly::default();
                let colour = maker.colour(Substance::Any);
                let (texture, finish) = (maker.any(colour), goods::random_finish(&mut maker));
                let shape =
                    goods::random_outline(&mut maker).placed(&Affine::place([0.0, -0.5], 0.5, 0.5, 0.0));
                single.add(0, shape, texture, finish);
                single
            }
            1 => goods::fruit(&mut maker),
            _ => any_thing(&mut maker),
        }
    };
    let group = stage.node(None, RegionKind::Group);
    let count = stage.rng.int(3, 12);
    let centre = stage.anywhere();
    let (arrangement, spin) = (stage.rng.int(0, 3), stage.rng.angle());
    let free_turn = stage.rng.chance(0.4);
    let spacing = size * stage.rng.range(0.6, 1.25);
    let (variation, shade) = (stage.rng.range(0.0, 0.2), stage.rng.range(0.0, 0.3));
    let columns = stage.rng.int(2, 5);
    for i in 0..count {
        let offset = match arrangement {
            0 => [stage.rng.normal() * spacing, stage.rng.normal() * spacing * 0.7],
            1 => [(i % columns) as f32 * spacing, (i / columns) as f32 * spacing],
            2 => {
                let t = i as f32 - 0.5 * count as f32;
                [t * spacing * spin.cos(), t * spacing * spin.sin() * 0.5]
            }
            _ => {
                let t = std::f32::consts::TAU * i as f32 / count as f32;
                let r = spacing * count as f32 / 6.0;
                [r * t.cos(), r * t.sin()]
            }
        };
        let twin = outline.twin(&mut stage.rng, &stage.palette, shade);
        let size = size * (stage.rng.normal() * variation).exp();
        let angle = if free_turn {
            stage.rng.angle()
        } else {
            stage.rng.normal() * 0.05
        };
        let at = [centre[0] + offset[0], centre[1] + offset[1]];
        let affine = Affine::place(at, size, size, angle).after(&Affine::place([0.0, 0.5], 1.0, 1.0, 0.0));
        twin.put(
            stage,
            Setting {
                affine,
                parent: Some(group),
                haze: None,
                shadow: ShadowKind::Wall(size * 0.06),
                softness: 0.0,
            },
        );
    }
    group
}

/// One large subject before a blurred background, perhaps with a companion.
pub(super) fn close_view(stage: &mut Stage) {
    let (w, h) = stage.extent();
    let side = stage.side();
    let far = stage.node(None, RegionKind::Stuff);
    let texture = if stage.rng.chance(0.4) {
        let green = stage.palette.colour(&mut stage.rng, Substance::Foliage);
        Texture::foliage(&mut stage.rng, &stage.palette, green, side)
    } else {
        stage.any_texture(side)
    };
    stage.backdrop(
        far,
        texture,
        Finish {
            relief: Relief::Flat,
            gloss: 0.0,
            falloff: 0.4,
        },
    );
    for _ in 0..stage.rng.int(0, 6) {
        let size = stage.rng.log_range(0.1, 0.6) * side;
        if stage.rng.chance(0.6) {
            leaf(stage, size, false, None)
        } else {
            thing(stage, size)
        }
    }
    if stage.rng.chance(0.7) {
        let radius = (side * stage.rng.power_law(0.004, 0.03, 1.2)).clamp(1.0, 12.0);
        stage.defocus(radius);
    }
    for _ in 0..stage.rng.int(1, 3) {
        let size = stage.rng.range(0.5, 1.25) * side;
        let mut maker = stage.maker(size);
        let built = match maker.rng.weighted(&[2.5, 2.0, 1.0, 2.0, 2.0, 0.7]) {
            0 => beings::portrait(&mut maker),
            1 => beings::quadruped(&mut maker),
            2 => beings::bird(&mut maker),
            3 => goods::any(&mut maker),
            4 => goods::body_with_parts(&mut maker),
            _ => vehicles::vehicle(&mut maker),
        };
        let at = [w * stage.rng.range(0.2, 0.8), h * stage.rng.range(0.8, 1.1)];
        let (flip, angle) = (stage.rng.sign(), stage.rng.normal() * 0.12);
        let affine = Affine::place(at, size * flip, size, angle);
        let shadow = if stage.rng.chance(0.5) {
            ShadowKind::Wall(size * 0.05)
        } else {
            ShadowKind::Nothing
        };
        built.put(
            stage,
            Setting {
                affine,
                parent: None,
                haze: None,
                shadow,
                softness: 0.0,
            },
        );
    }
    if stage.rng.chance(0.3) {
        // Something close to the lens, out of focus.
        let size = stage.rng.range(0.3, 0.8) * side;
        let at = [if stage.rng.chance(0.5) { 0.0 } else { w }, h * stage.rng.unit()];
        let mut maker = stage.maker(size);
        let colour = maker.colour(Substance::Any);
        let texture = maker.plain(colour);
        let turn = maker.rng.angle();
        let shape =
            goods::random_outline(&mut maker).placed(&Affine::place(at, size * 0.5, size * 0.3, turn));
        let node = stage.node(None, RegionKind::Object);
        let softness = (side * 0.012).clamp(1.0, 6.0);
        let finish = Finish::matt(Relief::Cushion(1.0));
        stage.paint(super::stage::Paint {
            shape,
            texture,
            finish,
            node: Some(node),
            opacity: 1.0,
            softness,
        });
    }
}
