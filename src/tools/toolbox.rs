//! One tool of every kind, and which of them is in the hand.

use super::{
    Brush, BrushMode, Lasso, Modifiers, PointerEvent, Polygon, Preview, Response, Select, Shape, ShapeKind,
    SmartSelect, Tool, ToolContext, ToolKey, VertexEditor, Wand,
};
use crate::geometry::{ImagePoint, ImageSize};

/// The kinds of tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToolKind {
    /// Select and move.
    #[default]
    Select,
    /// Brush.
    Brush,
    /// Eraser.
    Eraser,
    /// Polygon, drawn anew.
    Polygon,
    /// Vertices of existing outlines.
    Vertices,
    /// Freehand lasso.
    Lasso,
    /// Rectangle.
    Rectangle,
    /// Ellipse.
    Ellipse,
    /// Magic wand.
    Wand,
    /// Prompts for the network.
    SmartSelect,
}

impl ToolKind {
    /// All kinds, in the order of the toolbar.
    pub const ALL: [Self; 10] = [
        Self::Select,
        Self::Brush,
        Self::Eraser,
        Self::Polygon,
        Self::Vertices,
        Self::Lasso,
        Self::Rectangle,
        Self::Ellipse,
        Self::Wand,
        Self::SmartSelect,
    ];
}

/// All tools with their settings, one of them in use.
#[derive(Debug)]
pub struct Toolbox {
    active: ToolKind,
    /// Select and move.
    pub select: Select,
    /// Brush.
    pub brush: Brush,
    /// Eraser.
    pub eraser: Brush,
    /// Polygon.
    pub polygon: Polygon,
    /// Vertex editor.
    pub vertices: VertexEditor,
    /// Lasso.
    pub lasso: Lasso,
    /// Rectangle.
    pub rectangle: Shape,
    /// Ellipse.
    pub ellipse: Shape,
    /// Magic wand.
    pub wand: Wand,
    /// Smart select.
    pub smart_select: SmartSelect,
}

impl Default for Toolbox {
    fn default() -> Self {
        Self {
            active: ToolKind::default(),
            select: Select::default(),
            brush: Brush::new(BrushMode::Paint),
            eraser: Brush::new(BrushMode::Erase),
            polygon: Polygon::default(),
            vertices: VertexEditor::default(),
            lasso: Lasso::default(),
            rectangle: Shape::new(ShapeKind::Rectangle),
            ellipse: Shape::new(ShapeKind::Ellipse),
            wand: Wand::default(),
            smart_select: SmartSelect::default(),
        }
    }
}

impl Toolbox {
    /// The kind of the tool in use.
    #[must_use]
    pub const fn active(&self) -> ToolKind {
        self.active
    }

    /// Takes up another tool; a gesture of the one put down is given up ([`Response::Cancelled`]).
    pub fn choose(&mut self, kind: ToolKind) -> Response {
        if kind == self.active {
            return Response::Idle;
        }
        let was_busy = self.tool().is_busy();
        self.tool_mut().cancel();
        self.active = kind;
        if was_busy {
            Response::Cancelled
        } else {
            Response::Redraw
        }
    }

    /// The tool in use.
    #[must_use]
    pub const fn tool(&self) -> &dyn Tool {
        self.of_kind(self.active)
    }

    /// The tool in use, to be changed.
    pub const fn tool_mut(&mut self) -> &mut dyn Tool {
        match self.active {
            ToolKind::Select => &mut self.select,
            ToolKind::Brush => &mut self.brush,
            ToolKind::Eraser => &mut self.eraser,
            ToolKind::Polygon => &mut self.polygon,
            ToolKind::Vertices => &mut self.vertices,
            ToolKind::Lasso => &mut self.lasso,
            ToolKind::Rectangle => &mut self.rectangle,
            ToolKind::Ellipse => &mut self.ellipse,
            ToolKind::Wand => &mut self.wand,
            ToolKind::SmartSelect => &mut self.smart_select,
        }
    }

    const fn of_kind(&self, kind: ToolKind) -> &dyn Tool {
        match kind {
            ToolKind::Select => &self.select,
            ToolKind::Brush => &self.brush,
            ToolKind::Eraser => &self.eraser,
            ToolKind::Polygon => &self.polygon,
            ToolKind::Vertices => &self.vertices,
            ToolKind::Lasso => &self.lasso,
            ToolKind::Rectangle => &self.rectangle,
            ToolKind::Ellipse => &self.ellipse,
            ToolKind::Wand => &self.wand,
            ToolKind::SmartSelect => &self.smart_select,
        }
    }

    /// Passes a pointer event to the tool in use.
    ///
    /// A position that is not finite is ignored, and one far outside the image brought near it, where it means the same.
    pub fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        let Some(at) = sane(event.at, context.size) else {
            return Response::Ignored;
        };
        self.tool_mut().pointer(&PointerEvent { at, ..*event }, context)
    }

    /// Passes a key to the tool in use.
    pub fn key(&mut self, key: ToolKey, modifiers: Modifiers, context: &ToolContext<'_>) -> Response {
        self.tool_mut().key(key, modifiers, context)
    }

    /// Changes the size of the tip of the tool in use by `steps`.
    pub fn resize(&mut self, steps: f32) -> Response {
        self.tool_mut().resize(steps)
    }

    /// What to draw over the image now.
    #[must_use]
    pub fn preview(&self) -> Preview<'_> {
        self.tool().preview()
    }

    /// Tells every tool that the target is another or was changed by other means than a tool's response.
    pub fn target_changed(&mut self) {
        self.brush.target_changed();
        self.eraser.target_changed();
        self.vertices.target_changed();
    }
}

/// `at`, at most one image away from the image.
fn sane(at: ImagePoint, size: ImageSize) -> Option<ImagePoint> {
    let near = |position: f32, length: u32| position.clamp(-(length as f32), 2.0 * length as f32);
    (at.x.is_finite() && at.y.is_finite())
        .then(|| ImagePoint::new(near(at.x, size.width), near(at.y, size.height)))
}
