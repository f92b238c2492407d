//! What a hand does, free of any windowing library: pointer events in image pixels, and keys by their meaning.

use crate::geometry::ImagePoint;

/// What happened to the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointerKind {
    /// A button went down.
    Press,
    /// The pointer moved with the button down.
    Drag,
    /// The button came up.
    Release,
    /// The pointer moved with no button down.
    Move,
    /// A second click came soon after the first at the same place; follows the press of the second click.
    DoubleClick,
    /// The pointer left the canvas.
    Leave,
}

/// A button of the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointerButton {
    /// Left for the right-handed, and the tip of a pen.
    Primary,
    /// Right for the right-handed.
    Secondary,
    /// The wheel; panning takes it before any tool.
    Middle,
}

/// Modifier keys held down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modifiers {
    /// Shift.
    pub shift: bool,
    /// Ctrl, or Command on a Mac.
    pub ctrl: bool,
    /// Alt, or Option on a Mac.
    pub alt: bool,
}

/// One event of the pointer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointerEvent {
    /// What happened.
    pub kind: PointerKind,
    /// The button it is about; without meaning for moves.
    pub button: PointerButton,
    /// Where, possibly outside the image.
    pub at: ImagePoint,
    /// Modifier keys held down.
    pub modifiers: Modifiers,
    /// How hard a pen is pressed, 0 to 1; 1 for a mouse.
    pub pressure: f32,
}

impl PointerEvent {
    /// An event of the primary button without modifiers at full pressure.
    #[must_use]
    pub const fn new(kind: PointerKind, at: ImagePoint) -> Self {
        Self {
            kind,
            button: PointerButton::Primary,
            at,
            modifiers: Modifiers {
                shift: false,
                ctrl: false,
                alt: false,
            },
            pressure: 1.0,
        }
    }
}

/// A key by what it means to a tool; which key that is, the key map decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToolKey {
    /// Enter: finish.
    Accept,
    /// Escape: give up.
    Cancel,
    /// Backspace: take back the last step inside the gesture.
    RemoveLast,
    /// `]`: a larger tip.
    Larger,
    /// `[`: a smaller tip.
    Smaller,
    /// An arrow key.
    Arrow(Direction),
}

/// Where an arrow key points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards smaller columns.
    Left,
    /// Towards larger columns.
    Right,
    /// Towards smaller rows.
    Up,
    /// Towards larger rows.
    Down,
}
