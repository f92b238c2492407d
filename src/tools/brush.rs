//! Brush and eraser: strokes swept between the samples of the pointer, applied while the hand moves.

use super::raster::{Dab, sweep_round, sweep_square};
use super::{
    Combine, Modifiers, Patch, PointerButton, PointerEvent, PointerKind, Preview, PreviewShape, Response,
    Tool, ToolContext, ToolKey,
};
use crate::geometry::{ImagePoint, ImageSize};
use std::borrow::Cow;

/// What a stroke does to the pixels it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrushMode {
    /// Adds them.
    Paint,
    /// Takes them away.
    Erase,
}

/// The form of the tip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BrushTip {
    /// A disc.
    #[default]
    Round,
    /// A square along the axes of the image.
    Square,
}

/// The size of a tip as a position on a scale of equal steps for the hand: single pixels up to 10, then a tenth more
/// with each step. Going up and down again leads back to the same size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrushSize {
    steps: f32,
}

impl BrushSize {
    /// Diameter up to which a step is one pixel.
    const LINEAR_PX: f32 = 10.0;
    /// Growth by one step beyond.
    const GROWTH: f32 = 1.1;
    /// The largest diameter.
    pub const MAX_PX: f32 = 4096.0;

    /// The size nearest to a diameter, which is kept between 1 and [`BrushSize::MAX_PX`].
    #[must_use]
    pub fn from_diameter_px(diameter_px: f32) -> Self {
        // What is not a number becomes the smallest size.
        let diameter = if diameter_px.is_nan() {
            1.0
        } else {
            diameter_px.clamp(1.0, Self::MAX_PX)
        };
        let steps = if diameter <= Self::LINEAR_PX {
            diameter
        } else {
            Self::LINEAR_PX + (diameter / Self::LINEAR_PX).ln() / Self::GROWTH.ln()
        };
        Self { steps }
    }

    /// The diameter in whole pixels.
    #[must_use]
    pub fn diameter_px(self) -> u32 {
        let diameter = if self.steps <= Self::LINEAR_PX {
            self.steps
        } else {
            Self::LINEAR_PX * Self::GROWTH.powf(self.steps - Self::LINEAR_PX)
        };
        diameter.round().clamp(1.0, Self::MAX_PX) as u32
    }

    /// The size `steps` further up, or down if negative.
    #[must_use]
    pub fn stepped(self, steps: f32) -> Self {
        let largest = Self::from_diameter_px(Self::MAX_PX).steps;
        let steps = if steps.is_finite() { steps } else { 0.0 };
        Self {
            steps: (self.steps + steps).clamp(1.0, largest),
        }
    }
}

impl Default for BrushSize {
    /// 24 pixels.
    fn default() -> Self {
        Self::from_diameter_px(24.0)
    }
}

/// The brush, and in [`BrushMode::Erase`] the eraser.
///
/// Drag paints; the secondary button, or Ctrl, does the opposite; Shift+click draws a straight line from the end of
/// the stroke before.
#[derive(Clone, Debug)]
pub struct Brush {
    /// What a stroke does.
    pub mode: BrushMode,
    /// The form of the tip.
    pub tip: BrushTip,
    /// The size of the tip.
    pub size: BrushSize,
    /// Whether a pen's pressure scales the tip.
    pub follows_pressure: bool,
    hover: Option<Hover>,
    stroke: Option<Stroke>,
    /// Where the stroke before ended.
    last_end: Option<ImagePoint>,
}

#[derive(Clone, Copy, Debug)]
struct Hover {
    at: ImagePoint,
    draws_line: bool,
}

#[derive(Clone, Copy, Debug)]
struct Stroke {
    last: Dab,
    combine: Combine,
    button: PointerButton,
}

impl Brush {
    /// A brush or an eraser of default size.
    #[must_use]
    pub fn new(mode: BrushMode) -> Self {
        Self {
            mode,
            tip: BrushTip::default(),
            size: BrushSize::default(),
            follows_pressure: true,
            hover: None,
            stroke: None,
            last_end: None,
        }
    }

    /// The tip as the pointer holds it now.
    fn dab(&self, event: &PointerEvent) -> Dab {
        let nominal = self.size.diameter_px() as f32 / 2.0;
        let pressure = if self.follows_pressure && event.pressure.is_finite() {
            event.pressure.clamp(0.0, 1.0)
        } else {
            1.0
        };
        let radius_px = (nominal * pressure).max(0.5);
        Dab {
            at: self.snapped(event.at, radius_px),
            radius_px,
        }
    }

    /// Moves small and square tips to where they cover as many pixels as their size says: centres of pixels for odd
    /// diameters, corners for even ones.
    fn snapped(&self, at: ImagePoint, radius_px: f32) -> ImagePoint {
        const ALWAYS_BELOW_PX: f32 = 2.0;
        if self.tip == BrushTip::Round && radius_px >= ALWAYS_BELOW_PX {
            return at;
        }
        let is_odd = (2.0 * radius_px).round() as u32 % 2 == 1;
        let snap = |position: f32| {
            if is_odd {
                position.floor() + 0.5
            } else {
                position.round()
            }
        };
        ImagePoint::new(snap(at.x), snap(at.y))
    }

    fn sweep(&self, size: ImageSize, from: Dab, to: Dab) -> Option<Patch> {
        match self.tip {
            BrushTip::Round => sweep_round(size, from, to),
            BrushTip::Square => sweep_square(size, from, to),
        }
    }

    fn press(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        if event.button == PointerButton::Middle || self.stroke.is_some() {
            return Response::Ignored;
        }
        let is_opposite = event.modifiers.ctrl || event.button == PointerButton::Secondary;
        let combine = if (self.mode == BrushMode::Paint) == is_opposite {
            Combine::Subtract
        } else {
            Combine::Add
        };
        let dab = self.dab(event);
        let line_start = self.last_end.filter(|_| event.modifiers.shift);
        let from = line_start.map_or(dab, |at| Dab {
            at: self.snapped(at, dab.radius_px),
            ..dab
        });
        self.stroke = Some(Stroke {
            last: dab,
            combine,
            button: event.button,
        });
        Response::Stroke {
            part: self.sweep(context.size, from, dab),
            combine,
            is_last: false,
        }
    }

    /// Goes on with the stroke, or ends it.
    fn go_on(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        let is_last = event.kind == PointerKind::Release;
        let Some(stroke) = self.stroke.filter(|stroke| stroke.button == event.button) else {
            return Response::Ignored;
        };
        // A pen being lifted has no pressure any more.
        let dab = if is_last {
            Dab {
                at: self.snapped(event.at, stroke.last.radius_px),
                ..stroke.last
            }
        } else {
            self.dab(event)
        };
        let part = (dab != stroke.last)
            .then(|| self.sweep(context.size, stroke.last, dab))
            .flatten();
        self.stroke = (!is_last).then_some(Stroke { last: dab, ..stroke });
        if is_last {
            self.last_end = Some(event.at);
        }
        Response::Stroke {
            part,
            combine: stroke.combine,
            is_last,
        }
    }
}

impl Tool for Brush {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        let draws_line = event.modifiers.shift && self.stroke.is_none();
        self.hover = (event.kind != PointerKind::Leave).then_some(Hover {
            at: event.at,
            draws_line,
        });
        match event.kind {
            PointerKind::Press => self.press(event, context),
            PointerKind::Drag | PointerKind::Release => self.go_on(event, context),
            PointerKind::Move | PointerKind::Leave => Response::Redraw,
            PointerKind::DoubleClick => Response::Idle,
        }
    }

    fn key(&mut self, key: ToolKey, _: Modifiers, _: &ToolContext<'_>) -> Response {
        match key {
            ToolKey::Larger => self.resize(1.0),
            ToolKey::Smaller => self.resize(-1.0),
            ToolKey::Cancel if self.is_busy() => {
                self.cancel();
                Response::Cancelled
            }
            _ => Response::Ignored,
        }
    }

    fn resize(&mut self, steps: f32) -> Response {
        self.size = self.size.stepped(steps);
        Response::Redraw
    }

    fn preview(&self) -> Preview<'_> {
        let Some(hover) = self.hover else {
            return Preview::default();
        };
        let radius_px = self.size.diameter_px() as f32 / 2.0;
        let at = self.snapped(hover.at, radius_px);
        let line = self
            .last_end
            .filter(|_| hover.draws_line && self.stroke.is_none());
        let line = line.map(|from| PreviewShape::Polyline(Cow::Owned(vec![from, at])));
        let cursor = match self.tip {
            BrushTip::Round => PreviewShape::RoundCursor { at, radius_px },
            BrushTip::Square => PreviewShape::SquareCursor { at, radius_px },
        };
        line.into_iter().chain([cursor]).collect::<Vec<_>>().into()
    }

    fn cancel(&mut self) {
        self.stroke = None;
    }

    fn is_busy(&self) -> bool {
        self.stroke.is_some()
    }

    fn target_changed(&mut self) {
        self.last_end = None;
    }
}
