//! Inspection pictures: a part or sheet of material under a camera, and the defects on it, each a region.

use super::RegionKind;
use super::contour::{Affine, Point, Shape, wandering_path};
use super::defects::{Surface, defect};
use super::layout::glyph;
use super::lighting::{Finish, Relief};
use super::noise::NoiseKind;
use super::palette::{Substance, from_hsv, mix, scale};
use super::stage::{NodeId, Paint, Stage};
use super::texture::{Pattern, Texture};
use std::f32::consts::TAU;

/// A sheet or part with defects.
pub(super) fn inspection(stage: &mut Stage) {
    if stage.rng.chance(0.3) {
        stage.palette.make_monochrome();
    }
    let surface = match stage.rng.weighted(&[3.0, 2.0, 2.0, 2.5, 1.5]) {
        0 => metal(stage),
        1 => timber(stage),
        2 => fabric(stage),
        3 => board(stage),
        _ => slab(stage),
    };
    for _ in 0..stage.rng.int(4, 16) {
        defect(stage, &surface);
    }
}

fn sheet(stage: &mut Stage, texture: Texture, gloss: f32) -> NodeId {
    let node = stage.node(None, RegionKind::Stuff);
    stage.backdrop(
        node,
        texture,
        Finish {
            relief: Relief::Flat,
            gloss,
            falloff: 0.1 + 0.3 * gloss,
        },
    );
    node
}

fn metal(stage: &mut Stage) -> Surface {
    let (w, h) = stage.extent();
    let side = stage.side();
    let colour = stage.palette.colour(&mut stage.rng, Substance::Metal);
    let angle = stage.rng.angle();
    let pattern = match stage.rng.int(0, 2) {
        0 => Pattern::Noise {
            kind: NoiseKind::Streaks,
            wavelength: 24.0,
            stretch: stage.rng.range(1.0, 4.0),
            contrast: 1.0,
        },
        1 => Pattern::Plain,
        _ => Pattern::Noise {
            kind: NoiseKind::Rough,
            wavelength: 16.0,
            stretch: 1.0,
            contrast: 0.7,
        },
    };
    let mut texture = Texture::new(
        &mut stage.rng,
        pattern,
        &[scale(colour, 0.8), colour, scale(colour, 1.12)],
    );
    texture.turn(&mut stage.rng, angle, 1.0);
    let texture = texture.with_mottle(side * 0.6, stage.rng.range(0.05, 0.4));
    if stage.rng.chance(0.4) {
        sheet(stage, texture.clone(), 0.2);
    } else {
        let table = stage.any_texture(side);
        sheet(stage, table, 0.0);
        machined_part(stage, &texture);
    }
    if stage.rng.chance(0.4) {
        // A weld or seam across the sheet.
        let start = [-4.0, h * stage.rng.range(0.2, 0.8)];
        let heading = stage.rng.normal() * 0.2;
        let path = wandering_path(&mut stage.rng, start, heading, w * 1.3, 0.05);
        let half = side * stage.rng.range(0.012, 0.04);
        let bands = Pattern::Bands {
            wavelength: half * 0.6,
            warp: 1.0,
            sharpness: 1.0,
        };
        let mut bead = Texture::new(&mut stage.rng, bands, &[scale(colour, 0.5), scale(colour, 1.1)]);
        bead.turn(&mut stage.rng, std::f32::consts::FRAC_PI_2, 1.0);
        let shape = Shape::stroke(&path, |_| half).roughen(&mut stage.rng, half * 0.08, half);
        stage.drop_shadow(&shape, half * 0.2);
        let node = stage.node(None, RegionKind::Object);
        stage.solid(node, shape, bead, Finish::glossy(Relief::Cushion(1.0), 0.5));
    }
    Surface {
        colour,
        texture,
        beneath: from_hsv(0.06, 0.6, 0.35),
    }
}

/// A plate, gear, ring or bracket with bores and bolts.
fn machined_part(stage: &mut Stage, texture: &Texture) {
    let (w, h) = stage.extent();
    let side = stage.side();
    let (part, at) = (
        stage.node(None, RegionKind::Object),
        [w * 0.5 + stage.rng.normal() * 0.06 * w, h * 0.5],
    );
    let size = side * stage.rng.range(0.3, 0.55);
    let mut outline = match stage.rng.int(0, 3) {
        0 => Shape::gear(stage.rng.int(8, 28), stage.rng.range(0.08, 0.25), true),
        1 => Shape::ellipse(0.0, 0.0, 1.0, 1.0),
        2 => Shape::rounded_rectangle(-1.4, -0.8, 1.4, 0.8, stage.rng.range(0.02, 0.4)),
        _ => {
            let corners = stage.rng.int(3, 8);
            Shape::polygon(&mut stage.rng, corners, 0.3, 0.0)
        }
    };
    let bores = stage.rng.int(0, 6);
    let bore = stage.rng.range(0.06, 0.14);
    for i in 0..bores {
        let t = TAU * i as f32 / bores as f32;
        outline.cut_shape(Shape::ellipse(0.55 * t.cos(), 0.55 * t.sin(), bore, bore));
    }
    if stage.rng.chance(0.6) {
        let r = stage.rng.range(0.12, 0.35);
        outline.cut_shape(Shape::ellipse(0.0, 0.0, r, r));
    }
    let place = Affine::place(at, size, size, stage.rng.angle());
    let shape = outline.placed(&place);
    let thickness = side * stage.rng.range(0.01, 0.05);
    stage.drop_shadow(&shape, thickness);
    let gloss = stage.rng.range(0.2, 0.8);
    stage.solid(
        part,
        shape,
        texture.clone(),
        Finish::glossy(Relief::Cushion(0.08), gloss),
    );
    let dark = texture.clone().recoloured(|c| scale(c, 0.7));
    for i in 0..bores {
        // Some bores hold a bolt; an empty one among bolts is a missing part.
        if stage.rng.chance(0.4) {
            let t = TAU * (i as f32 + 0.0) / bores as f32;
            let head = Shape::polygon(&mut stage.rng, 6, 0.0, 0.0);
            let r = bore * 1.35;
            let bolt = head.placed(&place.after(&Affine::place([0.55 * t.cos(), 0.55 * t.sin()], r, r, 0.0)));
            let node = stage.node(Some(part), RegionKind::Part);
            stage.drop_shadow(&bolt, 2.0);
            stage.solid(
                node,
                bolt,
                dark.clone(),
                Finish::glossy(Relief::Cushion(0.4), 0.7),
            );
        }
    }
}

fn timber(stage: &mut Stage) -> Surface {
    let (w, h) = stage.extent();
    let side = stage.side();
    let colour = stage.palette.colour(&mut stage.rng, Substance::Wood);
    let upright = stage.rng.chance(0.5);
    let angle = if upright { std::f32::consts::FRAC_PI_2 } else { 0.0 };
    let planks = stage.rng.int(1, 5);
    let mut texture = Texture::wood(&mut stage.rng, &stage.palette, colour, angle);
    for i in 0..planks {
        let tone = stage.palette.jitter(&mut stage.rng, colour, 0.12);
        texture = Texture::wood(&mut stage.rng, &stage.palette, tone, angle);
        let (from, to) = (i as f32 / planks as f32, (i + 1) as f32 / planks as f32);
        let gap = if planks > 1 { side * 0.004 } else { 0.0 };
        let shape = if upright {
            Shape::rectangle(w * from + gap, -2.0, w * to - gap, h + 2.0)
        } else {
            Shape::rectangle(-2.0, h * from + gap, w + 2.0, h * to - gap)
        };
        let node = stage.node(None, RegionKind::Object);
        stage.solid(node, shape, texture.clone(), Finish::matt(Relief::Cushion(0.06)));
    }
    for _ in 0..stage.rng.int(0, 4) {
        // Knots.
        let at = [w * stage.rng.unit(), h * stage.rng.unit()];
        let r = side * stage.rng.log_range(0.02, 0.08);
        let rings = Pattern::Bands {
            wavelength: r * 0.4,
            warp: 3.0,
            sharpness: 1.0,
        };
        let knot = Texture::new(&mut stage.rng, rings, &[scale(colour, 0.2), scale(colour, 0.5)]);
        let shape = Shape::blob(&mut stage.rng, 0.12, 4).placed(&Affine::place(at, r, r * 0.7, angle));
        let node = stage.node(None, RegionKind::Defect);
        stage.paint(Paint {
            shape,
            texture: knot,
            finish: Finish::MATT,
            node: Some(node),
            opacity: 1.0,
            softness: 1.0,
        });
    }
    Surface {
        colour,
        texture,
        beneath: scale(colour, 0.35),
    }
}

fn fabric(stage: &mut Stage) -> Surface {
    let colour = stage.palette.colour(&mut stage.rng, Substance::Any);
    let second = stage.palette.jitter(&mut stage.rng, colour, 0.4);
    let wavelength = stage.rng.log_range(2.5, 9.0);
    let pattern = match stage.rng.int(0, 3) {
        0 | 1 => Pattern::Weave { wavelength },
        2 => Pattern::Stripes {
            wavelength: wavelength * 2.0,
            duty: 0.5,
        },
        _ => Pattern::Plaid {
            wavelength: wavelength * 5.0,
        },
    };
    let texture = Texture::new(&mut stage.rng, pattern, &[scale(second, 0.5), colour]);
    let texture = texture.with_mottle(stage.rng.range(40.0, 150.0), stage.rng.range(0.05, 0.35));
    sheet(stage, texture.clone(), 0.0);
    let side = stage.side();
    for _ in 0..stage.rng.int(0, 3) {
        // Folds: bright and dark ridges that own nothing.
        let (w, h) = stage.extent();
        let start = [w * stage.rng.unit(), h * stage.rng.unit()];
        let heading = stage.rng.angle();
        let path = wandering_path(&mut stage.rng, start, heading, side * 0.7, 0.4);
        let half = side * stage.rng.range(0.02, 0.06);
        let shape = Shape::stroke(&path, |t| half * (4.0 * t * (1.0 - t)).max(0.1));
        stage.shadow(shape, half, 0.35);
    }
    Surface {
        colour,
        texture,
        beneath: scale(colour, 0.08),
    }
}

fn slab(stage: &mut Stage) -> Surface {
    let substance = stage.rng.pick(&[
        Substance::Stone,
        Substance::Stone,
        Substance::Earth,
        Substance::Any,
    ]);
    let colour = stage.palette.colour(&mut stage.rng, substance);
    let texture = Texture::mineral(&mut stage.rng, &stage.palette, colour);
    let node = sheet(stage, texture.clone(), 0.0);
    if stage.rng.chance(0.4) {
        // Tiles: each is an instance, the joint is what remains.
        let side = stage.side();
        let (w, h) = stage.extent();
        let step = side * stage.rng.range(0.2, 0.45);
        let gap = step * stage.rng.range(0.02, 0.06);
        let wall = stage.node(Some(node), RegionKind::Group);
        let (columns, rows) = ((w / step) as usize + 1, (h / step) as usize + 1);
        for i in 0..columns * rows {
            let (x, y) = ((i % columns) as f32 * step, (i / columns) as f32 * step);
            let tone = stage.palette.jitter(&mut stage.rng, colour, 0.12);
            let tile = Texture::mineral(&mut stage.rng, &stage.palette, tone);
            let member = stage.node(Some(wall), RegionKind::Object);
            let shape = Shape::rounded_rectangle(x + gap, y + gap, x + step - gap, y + step - gap, gap);
            stage.solid(member, shape, tile, Finish::glossy(Relief::Cushion(0.06), 0.3));
        }
    }
    Surface {
        colour,
        texture,
        beneath: scale(colour, 0.3),
    }
}

/// A printed circuit board: traces, pads, chips, resistors.
fn board(stage: &mut Stage) -> Surface {
    let (w, h) = stage.extent();
    let side = stage.side();
    let hue = stage.rng.pick(&[0.38, 0.36, 0.6, 0.02, 0.12]);
    let mut lacquer = from_hsv(hue, 0.8, stage.rng.range(0.2, 0.5));
    if stage.rng.chance(0.15) {
        lacquer = [0.03, 0.03, 0.03];
    }
    let texture = Texture::plain(&mut stage.rng, lacquer).with_grain(NoiseKind::Fractal, 20.0, 0.08);
    let node = sheet(stage, texture.clone(), 0.15);
    let copper = texture
        .clone()
        .recoloured(|c| mix(scale(c, 1.8), [0.4, 0.3, 0.1], 0.1));
    let grid = side * stage.rng.range(0.02, 0.04);
    for _ in 0..stage.rng.int(4, 14) {
        trace(stage, node, &copper, grid);
    }
    let solder = Texture::plain(&mut stage.rng, [0.5, 0.5, 0.48]);
    let gold = Texture::plain(&mut stage.rng, [0.6, 0.42, 0.12]);
    for _ in 0..stage.rng.int(4, 14) {
        let at = [w * stage.rng.unit(), h * stage.rng.unit()];
        let turn = if stage.rng.chance(0.5) {
            0.0
        } else {
            std::f32::consts::FRAC_PI_2
        };
        let size = side * stage.rng.log_range(0.03, 0.13);
        component(stage, at, size, turn, &solder, &gold);
    }
    Surface {
        colour: lacquer,
        texture,
        beneath: [0.5, 0.3, 0.12],
    }
}

fn trace(stage: &mut Stage, board: NodeId, copper: &Texture, grid: f32) {
    let (w, h) = stage.extent();
    let mut at = [
        (w * stage.rng.unit() / grid).round() * grid,
        (h * stage.rng.unit() / grid).round() * grid,
    ];
    let (mut path, mut direction) = (vec![at], stage.rng.int(0, 7));
    for _ in 0..stage.rng.int(2, 5) {
        let angle = TAU * direction as f32 / 8.0;
        let length = grid * stage.rng.range(3.0, 14.0);
        at = [at[0] + angle.cos() * length, at[1] + angle.sin() * length];
        path.push(at);
        direction = (direction + stage.rng.pick(&[1, 7])) % 8;
    }
    let lanes = stage.rng.int(1, 4);
    let half = grid * stage.rng.range(0.12, 0.3);
    for lane in 0..lanes {
        let shift = lane as f32 * grid;
        let moved: Vec<Point> = path.iter().map(|p| [p[0] + shift, p[1] + shift * 0.4]).collect();
        let node = if stage.rng.chance(0.5) {
            board
        } else {
            stage.node(Some(board), RegionKind::Part)
        };
        stage.solid(
            node,
            Shape::stroke(&moved, |_| half),
            copper.clone(),
            Finish::MATT,
        );
    }
}

fn component(stage: &mut Stage, at: Point, size: f32, turn: f32, solder: &Texture, gold: &Texture) {
    let place = Affine::place(at, size, size, turn);
    let object = stage.node(None, RegionKind::Object);
    let dark = stage.rng.range(0.01, 0.06);
    let black = Texture::plain(&mut stage.rng, [dark; 3]);
    let white = Texture::plain(&mut stage.rng, [0.75; 3]);
    let metal = Finish::glossy(Relief::Cushion(0.5), 0.8);
    match stage.rng.int(0, 4) {
        0 | 1 => {
            let (half, pins) = (stage.rng.range(0.4, 1.1), stage.rng.int(3, 10));
            let legs = stage.node(Some(object), RegionKind::Part);
            let missing = if stage.rng.chance(0.25) {
                stage.rng.int(0, pins - 1)
            } else {
                pins
            };
            let mut shape = Shape::default();
            for i in (0..pins).filter(|&i| i != missing) {
                let x = -half + 2.0 * half * (i as f32 + 0.5) / pins as f32;
                let w = half * 0.5 / pins as f32;
                shape.merge(Shape::rectangle(x - w, -0.75, x + w, 0.75));
            }
            stage.solid(legs, shape.placed(&place), solder.clone(), metal);
            let body = stage.node(Some(object), RegionKind::Part);
            let case = Shape::rounded_rectangle(-half, -0.5, half, 0.5, 0.04).placed(&place);
            stage.drop_shadow(&case, size * 0.15);
            stage.solid(body, case, black, Finish::glossy(Relief::Cushion(0.12), 0.3));
            if size > 12.0 {
                let print = stage.node(Some(object), RegionKind::Part);
                for i in 0..stage.rng.int(2, 5) {
                    let mark = glyph(stage, 0.1);
                    let spot = place.after(&Affine::place(
                        [-half * 0.7 + 0.26 * i as f32, -0.15],
                        0.28,
                        0.28,
                        0.0,
                    ));
                    stage.solid(print, mark.placed(&spot), white.clone(), Finish::MATT);
                }
            }
        }
        2 => {
            let colour = stage.palette.colour(&mut stage.rng, Substance::Any);
            let body = Texture::plain(&mut stage.rng, colour);
            let ends = stage.node(Some(object), RegionKind::Part);
            stage.solid(
                ends,
                Shape::rectangle(-0.5, -0.25, 0.5, 0.25).placed(&place),
                solder.clone(),
                metal,
            );
            stage.solid(
                object,
                Shape::rectangle(-0.3, -0.25, 0.3, 0.25).placed(&place),
                body,
                Finish::matt(Relief::Cushion(0.2)),
            );
        }
        3 => {
            let can = Shape::ellipse(0.0, 0.0, 0.5, 0.5).placed(&place);
            stage.drop_shadow(&can, size * 0.5);
            stage.solid(object, can, black, Finish::glossy(Relief::Cushion(0.3), 0.4));
            let top = stage.node(Some(object), RegionKind::Part);
            stage.solid(
                top,
                Shape::ellipse(0.0, 0.0, 0.4, 0.4).placed(&place),
                solder.clone(),
                metal,
            );
        }
        _ => {
            let (columns, rows) = (stage.rng.int(1, 8), stage.rng.int(1, 2));
            let r = 0.2 * size;
            for i in 0..columns * rows {
                let pad = place.apply([(i % columns) as f32 * 0.6, (i / columns) as f32 * 0.6]);
                let node = stage.node(Some(object), RegionKind::Part);
                let mut shape = Shape::ellipse(pad[0], pad[1], r, r);
                if stage.rng.chance(0.8) {
                    shape.cut_shape(Shape::ellipse(pad[0], pad[1], r * 0.5, r * 0.5));
                }
                stage.solid(node, shape, gold.clone(), metal);
            }
        }
    }
}
