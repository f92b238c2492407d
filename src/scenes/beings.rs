//! Living things built from limbs and bodies: people, portraits, four-legged animals, birds and fish.

use super::assembly::{Assembly, Maker};
use super::contour::{Affine, Shape};
use super::lighting::{Finish, Relief};
use super::palette::{Colour, Substance, scale};
use super::texture::Texture;
use std::f32::consts::{FRAC_PI_2, PI};

const ROUND: Finish = Finish::matt(Relief::Cushion(1.0));

/// Any living thing.
pub(super) fn any(maker: &mut Maker<'_>) -> Assembly {
    match maker.rng.weighted(&[4.0, 4.0, 1.5, 1.0]) {
        0 => person(maker),
        1 => quadruped(maker),
        2 => bird(maker),
        _ => fish(maker),
    }
}

fn cloth(maker: &mut Maker<'_>) -> (Texture, Colour) {
    let colour = maker.colour(Substance::Any);
    let texture = if maker.rng.chance(0.5) {
        maker.plain(colour)
    } else {
        maker.any(colour)
    };
    (texture, colour)
}

/// A standing or walking person.
pub(super) fn person(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let skin_colour = maker.colour(Substance::Skin);
    let skin = maker.plain(skin_colour);
    let (shirt, _) = cloth(maker);
    let (trousers, _) = cloth(maker);
    let hair_colour = maker.colour(Substance::Fur);
    let hair = Texture::fur(maker.rng, maker.palette, hair_colour, FRAC_PI_2);
    let shoe_colour = maker.colour(Substance::Any);
    let shoe = maker.plain(scale(shoe_colour, 0.5));
    let rng = &mut *maker.rng;
    let build = rng.range(0.8, 1.3);
    let (hip, shoulder) = (0.085 * build, 0.115 * build);
    let stride = rng.normal() * 0.09;
    let hips = [0.0, -0.5];
    let knees = [[-hip * 0.6 - stride, -0.26], [hip * 0.6 + stride, -0.26]];
    let feet = [
        [-hip * 0.7 - stride * 1.7, -0.02],
        [hip * 0.7 + stride * 1.4, -0.02],
    ];
    let skirt = rng.chance(0.2);
    for side in 0..2 {
        let from = [hips[0] + (side as f32 - 0.5) * hip, hips[1]];
        let leg = if skirt { &skin } else { &trousers };
        let mut shape = Shape::limb(from, knees[side], 0.1 * build, 0.075 * build);
        shape.merge(Shape::limb(knees[side], feet[side], 0.072 * build, 0.05 * build));
        thing.add(1, shape, leg.clone(), ROUND);
        let toe = if stride > 0.0 { 0.06 } else { -0.06 };
        let shape = Shape::limb(feet[side], [feet[side][0] + toe, -0.015], 0.04, 0.03);
        thing.add(2, shape, shoe.clone(), ROUND);
    }
    let arm = |rng: &mut super::random::Rng, side: f32| {
        let from = [side * shoulder, -0.79];
        let swing = if rng.chance(0.2) {
            rng.range(0.8, 2.6)
        } else {
            rng.range(0.0, 0.4)
        };
        let elbow = [from[0] + side * 0.16 * swing.sin(), from[1] + 0.16 * swing.cos()];
        let fold = swing + rng.range(-0.2, 1.0);
        let hand = [elbow[0] + side * 0.15 * fold.sin(), elbow[1] + 0.15 * fold.cos()];
        (from, elbow, hand)
    };
    let long_sleeve = rng.chance(0.6);
    let arms = [arm(rng, -1.0), arm(rng, 1.0)];
    for (side, (from, elbow, hand)) in arms.into_iter().enumerate() {
        if side == 1 {
            let mut torso = Shape::outline(vec![
                [-shoulder, -0.82],
                [-0.03, -0.855],
                [0.03, -0.855],
                [shoulder, -0.82],
                [shoulder * 0.9, -0.65],
                [hip * 1.1, -0.47],
                [-hip * 1.1, -0.47],
                [-shoulder * 0.9, -0.65],
            ]);
            torso.merge(Shape::ellipse(0.0, -0.79, shoulder, 0.05));
            thing.add(3, torso, shirt.clone(), ROUND);
            if skirt {
                let flare = hip * maker.rng.range(1.3, 2.6);
                let hem = maker.rng.range(-0.36, -0.12);
                let shape = Shape::outline(vec![
                    [-hip, -0.52],
                    [hip, -0.52],
                    [flare, hem],
                    [0.0, hem + 0.02],
                    [-flare, hem],
                ]);
                thing.add(8, shape, trousers.clone(), ROUND);
            }
        }
        let upper = Shape::limb(from, elbow, 0.06 * build, 0.05 * build);
        let lower = Shape::limb(elbow, hand, 0.045 * build, 0.035 * build);
        thing.add(3, upper, shirt.clone(), ROUND);
        thing.add(
            if long_sleeve { 3 } else { 4 },
            lower,
            if long_sleeve { shirt.clone() } else { skin.clone() },
            ROUND,
        );
        thing.add(
            4,
            Shape::ellipse(hand[0], hand[1], 0.024, 0.028),
            skin.clone(),
            ROUND,
        );
    }
    thing.add(
        5,
        Shape::limb([0.0, -0.83], [0.0, -0.88], 0.05, 0.05),
        skin.clone(),
        ROUND,
    );
    thing.add(
        5,
        Shape::ellipse(0.0, -0.925, 0.052, 0.07),
        skin,
        Finish::matt(Relief::Ball),
    );
    if maker.rng.chance(0.85) {
        let drop = maker.rng.range(0.0, 0.09);
        let mut shape = Shape::ellipse(0.0, -0.955, 0.058, 0.05);
        if drop > 0.03 {
            shape.merge(Shape::ellipse(-0.045, -0.93 + 0.4 * drop, 0.02, drop));
            shape.merge(Shape::ellipse(0.045, -0.93 + 0.4 * drop, 0.02, drop));
        }
        thing.add(6, shape, hair, ROUND);
    }
    if maker.rng.chance(0.35) {
        let side = maker.rng.sign();
        let (bag, _) = cloth(maker);
        let y = maker.rng.range(-0.62, -0.4);
        let shape = Shape::rounded_rectangle(side * 0.17 - 0.07, y, side * 0.17 + 0.07, y + 0.14, 0.03);
        thing.add(7, shape, bag, Finish::glossy(Relief::Cushion(0.4), 0.2));
    }
    thing
}

/// Head and shoulders, for close views.
pub(super) fn portrait(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let skin_colour = maker.colour(Substance::Skin);
    let skin = Texture::plain(maker.rng, skin_colour).with_mottle(maker.size * 0.3, 0.12);
    let hair_colour = maker.colour(Substance::Fur);
    let tilt = maker.rng.normal() * 0.3;
    let hair = Texture::fur(maker.rng, maker.palette, hair_colour, FRAC_PI_2 + tilt);
    let (shirt, _) = cloth(maker);
    let length = maker.rng.range(0.2, 0.75);
    if length > 0.35 {
        let long = Shape::superellipse(0.0, -0.9 + 0.5 * length, 0.27, 0.5 * length + 0.08, 2.6);
        thing.add(1, long.roughen(maker.rng, 0.012, 0.08), hair.clone(), ROUND);
    }
    let width = maker.rng.range(0.38, 0.55);
    let mut shoulders = Shape::superellipse(0.0, 0.05, width, 0.3, 2.5);
    shoulders.merge(Shape::limb([0.0, -0.2], [0.0, -0.3], 0.26, 0.2));
    thing.add(2, shoulders, shirt, ROUND);
    thing.add(
        3,
        Shape::limb([0.0, -0.27], [0.0, -0.42], 0.19, 0.18),
        skin.clone(),
        Finish::matt(Relief::Bar(FRAC_PI_2)),
    );
    for side in [-1.0, 1.0] {
        thing.add(
            3,
            Shape::ellipse(side * 0.205, -0.6, 0.035, 0.065),
            skin.clone(),
            ROUND,
        );
    }
    let jaw = maker.rng.range(0.8, 1.0);
    let face = Shape::superellipse(0.0, -0.61, 0.2, 0.275, 2.3).map(|[x, y]| {
        [
            if y > -0.55 {
                x * (1.0 - (1.0 - jaw + 0.25) * (y + 0.55) / 0.2)
            } else {
                x
            },
            y,
        ]
    });
    thing.add(3, face, skin.clone(), Finish::glossy(Relief::Ball, 0.08));
    let turn = maker.rng.normal() * 0.025;
    let dark = maker.plain(scale(hair_colour, 0.6));
    let white = maker.plain([0.75, 0.73, 0.7]);
    let iris_colour = maker.colour(Substance::Any);
    let iris = maker.plain(scale(iris_colour, 0.3));
    for (side, eye) in [(-1.0, 10), (1.0, 10)] {
        let x = side * 0.085 + turn;
        thing.add(
            eye,
            Shape::superellipse(x, -0.63, 0.042, 0.02, 1.6),
            white.clone(),
            Finish::MATT,
        );
        thing.add(
            eye,
            Shape::ellipse(x, -0.63, 0.017, 0.018),
            iris.clone(),
            Finish::glossy(Relief::Ball, 1.0),
        );
        let brow = [[x - 0.05, -0.68], [x, -0.7], [x + 0.05, -0.685]];
        thing.add(11, Shape::stroke(&brow, |_| 0.009), dark.clone(), Finish::MATT);
    }
    let shade = scale(skin_colour, 0.72);
    let nose = maker.plain(shade);
    let shape = Shape::outline(vec![
        [turn, -0.62],
        [turn + 0.035, -0.5],
        [turn, -0.49],
        [turn - 0.035, -0.5],
    ]);
    thing.add_clear(3, shape, nose, ROUND, 0.55);
    let lips = maker.plain([skin_colour[0] * 0.85, skin_colour[1] * 0.5, skin_colour[2] * 0.5]);
    let w = maker.rng.range(0.05, 0.09);
    thing.add(
        12,
        Shape::superellipse(turn, -0.435, w, 0.022, 1.5),
        lips,
        Finish::glossy(Relief::Cushion(1.0), 0.2),
    );
    let crown = maker.rng.range(-0.78, -0.7);
    let mut top = Shape::superellipse(0.0, -0.78, 0.235, 0.16, 2.2);
    let fringe: Vec<_> = (0..=10)
        .map(|i| {
            let t = i as f32 / 10.0;
            [
                0.215 - 0.43 * t,
                crown + 0.1 * (PI * (t + tilt * 0.4)).cos().abs(),
            ]
        })
        .collect();
    let mut cut = fringe;
    cut.extend([[-0.3, -0.5], [0.3, -0.5]]);
    top.cut(cut);
    thing.add(1, top.roughen(maker.rng, 0.008, 0.06), hair, ROUND);
    if maker.rng.chance(0.25) {
        let (hat, _) = cloth(maker);
        let mut shape = Shape::superellipse(0.0, -0.87, 0.25, 0.14, 3.0);
        shape.merge(Shape::ellipse(0.0, -0.77, maker.rng.range(0.26, 0.42), 0.045));
        thing.add(13, shape, hat, ROUND);
    } else if maker.rng.chance(0.3) {
        let frame = maker.plain([0.03, 0.03, 0.035]);
        for side in [-1.0, 1.0] {
            let mut rim = Shape::superellipse(side * 0.09 + turn, -0.625, 0.075, 0.055, 3.0);
            rim.cut_shape(Shape::superellipse(side * 0.09 + turn, -0.625, 0.063, 0.043, 3.0));
            thing.add(14, rim, frame.clone(), Finish::glossy(Relief::Flat, 0.5));
        }
        thing.add(
            14,
            Shape::limb([turn - 0.02, -0.64], [turn + 0.02, -0.64], 0.014, 0.014),
            frame,
            Finish::MATT,
        );
    }
    thing
}

/// An animal on four legs, from the side.
pub(super) fn quadruped(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = maker.colour(Substance::Fur);
    let coat = if maker.rng.chance(0.7) {
        Texture::fur(maker.rng, maker.palette, colour, 0.1)
    } else {
        maker.any(colour)
    };
    let far = coat.clone().recoloured(|c| scale(c, 0.65));
    let rng = &mut *maker.rng;
    let facing = rng.sign();
    let (length, girth) = (rng.range(0.35, 0.6), rng.range(0.12, 0.22));
    let leg_length = rng.range(0.25, 0.5);
    let back = -leg_length - girth;
    let (front, rear) = (facing * length * 0.8, -facing * length * 0.8);
    let leg_width = girth * rng.range(0.35, 0.6);
    let leg = |rng: &mut super::random::Rng, x: f32| {
        let knee = [x + rng.normal() * 0.04, -leg_length * 0.5];
        let foot = [x + rng.normal() * 0.06, -leg_width * 0.3];
        let mut shape = Shape::limb([x, back + girth * 0.3], knee, leg_width * 1.6, leg_width * 0.8);
        shape.merge(Shape::limb(knee, foot, leg_width * 0.75, leg_width * 0.6));
        shape.merge(Shape::limb(
            foot,
            [foot[0] + facing * leg_width * 0.6, foot[1]],
            leg_width * 0.6,
            leg_width * 0.5,
        ));
        shape
    };
    for x in [front * 0.85, rear * 0.88] {
        thing.add(1, leg(rng, x), far.clone(), ROUND);
    }
    let tail_end = [rear - facing * rng.range(0.1, 0.35), back + rng.range(-0.25, 0.3)];
    let tail_width = girth * rng.range(0.2, 0.7);
    thing.add(
        2,
        Shape::limb([rear, back], tail_end, tail_width, tail_width * 0.5),
        coat.clone(),
        ROUND,
    );
    let mut body = Shape::superellipse(0.0, back, length, girth, 2.4);
    body.merge(Shape::ellipse(
        front * 0.75,
        back + girth * 0.05,
        length * 0.35,
        girth * 1.12,
    ));
    body.merge(Shape::ellipse(rear * 0.75, back, length * 0.33, girth * 1.06));
    let shaggy = rng.chance(0.5);
    let body = if shaggy {
        body.roughen(rng, 0.012, 0.06)
    } else {
        body
    };
    thing.add(3, body, coat.clone(), ROUND);
    for x in [front, rear] {
        thing.add(1, leg(rng, x), coat.clone(), ROUND);
    }
    let neck = rng.range(0.1, 0.4);
    let head = [
        front + facing * (0.12 + neck * 0.4),
        back - neck * rng.range(0.5, 1.0),
    ];
    thing.add(
        3,
        Shape::limb([front * 0.9, back], head, girth * 1.3, girth * 0.8),
        coat.clone(),
        ROUND,
    );
    let muzzle = [
        head[0] + facing * rng.range(0.08, 0.2),
        head[1] + rng.range(0.02, 0.1),
    ];
    let mut skull = Shape::ellipse(head[0], head[1], girth * 0.65, girth * 0.55);
    skull.merge(Shape::limb(head, muzzle, girth * 0.8, girth * 0.4));
    thing.add(4, skull, coat.clone(), ROUND);
    let (ear_size, ear_turn) = (girth * rng.range(0.5, 1.2), rng.range(-0.6, 1.8));
    let place = Affine::place(
        [head[0] - facing * girth * 0.3, head[1] - girth * 0.3],
        ear_size,
        ear_size,
        -facing * ear_turn,
    );
    thing.add(5, Shape::leaf(0.6, 0.0, 0.8).placed(&place), far, ROUND);
    let dark = maker.plain([0.01, 0.01, 0.01]);
    let r = girth * 0.09;
    thing.add(
        4,
        Shape::ellipse(head[0] + facing * girth * 0.25, head[1] - girth * 0.15, r, r),
        dark.clone(),
        Finish::glossy(Relief::Ball, 1.0),
    );
    thing.add(
        4,
        Shape::ellipse(muzzle[0] + facing * girth * 0.12, muzzle[1], r * 1.3, r),
        dark,
        Finish::glossy(Relief::Ball, 0.6),
    );
    if maker.rng.chance(0.3) {
        let patch_colour = maker.colour(Substance::Fur);
        let patch = Texture::fur(maker.rng, maker.palette, patch_colour, 0.1);
        let shape = Shape::blob(maker.rng, 0.3, 4);
        let place = Affine::place(
            [maker.rng.range(-0.5, 0.5) * length, back],
            length * 0.35,
            girth * 0.6,
            0.0,
        );
        thing.add(6, shape.placed(&place), patch, ROUND);
    }
    thing
}

/// A bird, from the side.
pub(super) fn bird(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = if maker.rng.chance(0.5) {
        maker.colour(Substance::Any)
    } else {
        maker.colour(Substance::Fur)
    };
    let lie = maker.rng.range(-0.6, 0.6);
    let plumage = Texture::fur(maker.rng, maker.palette, colour, lie);
    let facing = maker.rng.sign();
    let beak_colour = maker.colour(Substance::Fruit);
    let beak = maker.plain(beak_colour);
    let legs = Finish::matt(Relief::Cushion(1.0));
    for x in [-0.05, 0.06] {
        thing.add(
            1,
            Shape::limb([x, -0.3], [x, -0.01], 0.025, 0.02),
            beak.clone(),
            legs,
        );
        thing.add(
            1,
            Shape::limb([x, -0.01], [x + facing * 0.1, -0.01], 0.02, 0.015),
            beak.clone(),
            legs,
        );
    }
    let tail = Affine::place(
        [-facing * 0.25, -0.4],
        0.45,
        0.5,
        -facing * maker.rng.range(1.5, 2.2),
    );
    thing.add(
        2,
        Shape::leaf(0.4, 0.0, 1.4).placed(&tail),
        plumage.clone().recoloured(|c| scale(c, 0.6)),
        ROUND,
    );
    let lean = facing * maker.rng.range(0.0, 0.5);
    thing.add(
        3,
        Shape::ellipse(0.0, 0.0, 0.3, 0.21).placed(&Affine::place([0.0, -0.45], 1.0, 1.0, -lean)),
        plumage.clone(),
        ROUND,
    );
    let head = [facing * 0.27, -0.68 - maker.rng.range(0.0, 0.15)];
    thing.add(
        3,
        Shape::limb([facing * 0.17, -0.5], head, 0.26, 0.18),
        plumage.clone(),
        ROUND,
    );
    let point = [head[0] + facing * maker.rng.range(0.18, 0.35), head[1] + 0.03];
    thing.add(
        4,
        Shape::outline(vec![[head[0], head[1] - 0.06], point, [head[0], head[1] + 0.06]]),
        beak,
        ROUND,
    );
    let crown = maker.near(colour, 0.4);
    let texture = Texture::fur(maker.rng, maker.palette, crown, 0.0);
    thing.add(
        5,
        Shape::ellipse(head[0], head[1], 0.12, 0.11),
        texture,
        Finish::matt(Relief::Ball),
    );
    let dark = maker.plain([0.01, 0.01, 0.01]);
    thing.add(
        5,
        Shape::ellipse(head[0] + facing * 0.04, head[1] - 0.02, 0.02, 0.02),
        dark,
        Finish::glossy(Relief::Ball, 1.0),
    );
    let shade = plumage.recoloured(|c| scale(c, 0.75));
    let wing = Affine::place(
        [facing * 0.14, -0.5],
        0.35,
        0.5,
        -facing * maker.rng.range(1.3, 1.9),
    );
    thing.add(
        6,
        Shape::leaf(0.65, facing * 0.1, 0.8).placed(&wing),
        shade,
        ROUND,
    );
    thing
}

/// A fish, from the side.
pub(super) fn fish(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = maker.colour(Substance::Any);
    let skin = maker.any(colour);
    let fin_colour = maker.near(colour, 0.4);
    let fin = maker.plain(fin_colour);
    let facing = maker.rng.sign();
    let (length, girth) = (maker.rng.range(0.4, 0.7), maker.rng.range(0.15, 0.35));
    let shiny = Finish::glossy(Relief::Cushion(1.0), 0.4);
    let tail = Shape::outline(vec![[0.0, -0.5], [-0.35, -0.85], [-0.25, -0.5], [-0.35, -0.15]]);
    thing.add(
        1,
        tail.map(|[x, y]| [facing * (x - length * 0.8), y]),
        fin.clone(),
        shiny,
    );
    let dorsal = Shape::leaf(0.6, -0.3, 0.7).placed(&Affine::place(
        [0.0, -0.5 - girth * 0.7],
        0.35,
        0.35,
        -facing * 0.4,
    ));
    thing.add(2, dorsal, fin.clone(), shiny);
    let body = Shape::ellipse(0.0, -0.5, length, girth)
        .map(|[x, y]| [x, -0.5 + (y + 0.5) * (1.0 + 0.3 * facing * x / length)]);
    thing.add(3, body, skin, shiny);
    let side = Shape::leaf(0.5, 0.2, 0.8).placed(&Affine::place(
        [facing * length * 0.3, -0.45],
        0.25,
        0.25,
        -facing * 2.0,
    ));
    thing.add(2, side, fin, shiny);
    let r = girth * 0.14;
    let eye = maker.plain([0.02, 0.02, 0.02]);
    thing.add(
        4,
        Shape::ellipse(facing * length * 0.75, -0.53, r, r),
        eye,
        Finish::glossy(Relief::Ball, 1.0),
    );
    thing
}
