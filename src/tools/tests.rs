//! Scripted gestures with the masks that they must make, checked against plain loops over pixels.

mod operations;
mod outlines;
mod patches;
mod robustness;
mod selections;
mod speed;
mod strokes;
mod vertices;

use super::*;
use proptest::prelude::*;

/// A canvas in small: it passes events on and does what the answers say, as the window does.
struct Desk {
    toolbox: Toolbox,
    target: Mask,
    image: Option<RgbImage>,
    /// The regions that can be clicked, the topmost first.
    regions: Vec<Mask>,
    combine: Combine,
    image_px_per_screen_px: f32,
    button: PointerButton,
    modifiers: Modifiers,
    pressure: f32,
    before_stroke: Option<Mask>,
}

impl Desk {
    fn new(kind: ToolKind, width: u32, height: u32) -> Self {
        Self::on(kind, Mask::empty(ImageSize::new(width, height)).unwrap())
    }

    fn on(kind: ToolKind, target: Mask) -> Self {
        let mut toolbox = Toolbox::default();
        assert!(matches!(toolbox.choose(kind), Response::Redraw | Response::Idle));
        Self {
            toolbox,
            target,
            image: None,
            regions: Vec::new(),
            combine: Combine::Add,
            image_px_per_screen_px: 0.25,
            button: PointerButton::Primary,
            modifiers: Modifiers::default(),
            pressure: 1.0,
            before_stroke: None,
        }
    }

    fn pointer(&mut self, kind: PointerKind, x: f32, y: f32) -> Response {
        let event = PointerEvent {
            button: self.button,
            modifiers: self.modifiers,
            pressure: self.pressure,
            ..PointerEvent::new(kind, ImagePoint::new(x, y))
        };
        self.ask(|toolbox, context| toolbox.pointer(&event, context))
    }

    fn key(&mut self, key: ToolKey) -> Response {
        let modifiers = self.modifiers;
        self.ask(|toolbox, context| toolbox.key(key, modifiers, context))
    }

    fn ask(&mut self, ask: impl FnOnce(&mut Toolbox, &ToolContext<'_>) -> Response) -> Response {
        let regions = &self.regions;
        let hit_test = |at: ImagePoint| {
            let is_hit = |region: &Mask| at.x >= 0.0 && at.y >= 0.0 && region.get(at.x as u32, at.y as u32);
            let hits = regions.iter().enumerate().filter(|(_, region)| is_hit(region));
            hits.map(|(index, _)| index).collect()
        };
        let context = ToolContext {
            size: self.target.size(),
            image: self.image.as_ref(),
            target: Some(&self.target),
            combine: self.combine,
            image_px_per_screen_px: self.image_px_per_screen_px,
            hit_test: Some(&hit_test),
        };
        let response = ask(&mut self.toolbox, &context);
        self.obey(&response);
        response
    }

    fn obey(&mut self, response: &Response) {
        match response {
            Response::Stroke {
                part,
                combine,
                is_last,
            } => {
                self.before_stroke.get_or_insert_with(|| self.target.clone());
                assert!(matches!(combine, Combine::Add | Combine::Subtract));
                if let Some(part) = part {
                    part.apply(&mut self.target, *combine);
                }
                if *is_last {
                    self.before_stroke = None;
                }
            }
            Response::Commit(patch, combine) => {
                patch.apply(&mut self.target, *combine);
            }
            Response::Cancelled => {
                if let Some(before) = self.before_stroke.take() {
                    self.target = before;
                }
            }
            _ => {}
        }
    }

    fn press(&mut self, x: f32, y: f32) -> Response {
        self.pointer(PointerKind::Press, x, y)
    }

    fn drag(&mut self, x: f32, y: f32) -> Response {
        self.pointer(PointerKind::Drag, x, y)
    }

    fn release(&mut self, x: f32, y: f32) -> Response {
        self.pointer(PointerKind::Release, x, y)
    }

    /// What the release answers, unless that is nothing and the press said more.
    fn click(&mut self, x: f32, y: f32) -> Response {
        let pressed = self.press(x, y);
        match self.release(x, y) {
            Response::Idle | Response::Ignored => pressed,
            released => released,
        }
    }

    /// Presses at the first point, drags through the others and lets go at the last.
    fn stroke(&mut self, points: &[(f32, f32)]) -> Response {
        let (&(x, y), rest) = points.split_first().unwrap();
        assert_ne!(self.press(x, y), Response::Ignored);
        for &(x, y) in rest {
            assert_ne!(self.drag(x, y), Response::Ignored);
        }
        let &(x, y) = points.last().unwrap();
        self.release(x, y)
    }
}

const SHIFT: Modifiers = Modifiers {
    shift: true,
    ctrl: false,
    alt: false,
};
const CTRL: Modifiers = Modifiers {
    shift: false,
    ctrl: true,
    alt: false,
};
const ALT: Modifiers = Modifiers {
    shift: false,
    ctrl: false,
    alt: true,
};

/// A generator of numbers of which a test only knows the seed.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// `default` cases per test, or as many as `PROPTEST_CASES` asks for.
fn cases(default: u32) -> ProptestConfig {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        config.cases
    } else {
        default
    };
    ProptestConfig { cases, ..config }
}

fn sizes(max_side: u32) -> impl Strategy<Value = ImageSize> {
    (1..=max_side, 1..=max_side).prop_map(|(width, height)| ImageSize::new(width, height))
}

fn masks(max_side: u32) -> impl Strategy<Value = Mask> {
    sizes(max_side).prop_flat_map(masks_of)
}

/// Empty and full masks, noise, and discs that are set or cleared.
fn masks_of(size: ImageSize) -> impl Strategy<Value = Mask> {
    let noise = (0.0..1.0_f64, any::<u64>()).prop_map(move |(density, seed)| {
        let mut random = Random(seed);
        Mask::from_fn(size, |_, _| random.unit() < density).unwrap()
    });
    let discs = any::<u64>().prop_map(move |seed| {
        let mut random = Random(seed);
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let discs: [_; 7] = std::array::from_fn(|_| {
            let radius = random.unit() * width.max(height) / 3.0 + 0.5;
            (
                random.unit() * width,
                random.unit() * height,
                radius,
                random.unit() < 0.7,
            )
        });
        drawn(size, |x, y| {
            let covering = discs
                .iter()
                .rfind(|(centre_x, centre_y, radius, _)| (x - centre_x).hypot(y - centre_y) <= *radius);
            covering.is_some_and(|disc| disc.3)
        })
    });
    prop_oneof![
        1 => Just(Mask::empty(size).unwrap()),
        1 => Just(Mask::full(size).unwrap()),
        4 => noise,
        6 => discs,
    ]
}

/// The pixels whose centres `is_inside` accepts.
fn drawn(size: ImageSize, is_inside: impl Fn(f64, f64) -> bool) -> Mask {
    Mask::from_fn(size, |x, y| is_inside(f64::from(x) + 0.5, f64::from(y) + 0.5)).unwrap()
}

/// The pixels of columns `x0..x1` and rows `y0..y1`.
fn boxed(size: ImageSize, x0: u32, y0: u32, x1: u32, y1: u32) -> Mask {
    Mask::from_fn(size, |x, y| (x0..x1).contains(&x) && (y0..y1).contains(&y)).unwrap()
}

/// Whether the closed line through `ring` goes round the point.
fn goes_round(ring: &[(f64, f64)], x: f64, y: f64) -> bool {
    let mut winding = 0;
    for (index, &(ax, ay)) in ring.iter().enumerate() {
        let (bx, by) = ring[(index + 1) % ring.len()];
        let side = (bx - ax) * (y - ay) - (x - ax) * (by - ay);
        if ay <= y && by > y && side > 0.0 {
            winding += 1;
        } else if ay > y && by <= y && side < 0.0 {
            winding -= 1;
        }
    }
    winding != 0
}

fn ring_mask(size: ImageSize, ring: &[(f64, f64)]) -> Mask {
    drawn(size, |x, y| goes_round(ring, x, y))
}

/// The mask in text, for messages.
fn shown(mask: &Mask) -> String {
    let row = |y| {
        (0..mask.size().width)
            .map(|x| if mask.get(x, y) { '#' } else { '.' })
            .collect()
    };
    let rows: Vec<String> = (0..mask.size().height).map(row).collect();
    rows.join("\n")
}

#[track_caller]
fn assert_same(found: &Mask, expected: &Mask, what: &str) {
    assert!(
        found == expected,
        "{what}: found\n{}\nexpected\n{}",
        shown(found),
        shown(expected)
    );
}

/// Compares the mask with a distance to the edge of a shape, negative inside; pixels on the edge may be either.
#[track_caller]
fn assert_follows(found: &Mask, distance: impl Fn(f64, f64) -> f64, what: &str) {
    const ON_EDGE_PX: f64 = 1e-3;
    let ImageSize { width, height } = found.size();
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let distance = distance(f64::from(x) + 0.5, f64::from(y) + 0.5);
        assert!(
            distance.abs() < ON_EDGE_PX || (distance < 0.0) == found.get(x, y),
            "{what}: pixel ({x}, {y}) at distance {distance} in\n{}",
            shown(found)
        );
    }
}
