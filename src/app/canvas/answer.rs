//! What the tools answer, done to the annotations.

use super::{Canvas, Hands, makes_regions};
use crate::dataset::Region;
use crate::session::Session;
use crate::session::regions::next_color;
use crate::tools::{Combine, Patch, Response, ToolKind};

impl Canvas {
    /// Does what a tool answers.
    pub(in crate::app) fn respond(&mut self, answer: Response, hands: &mut Hands<'_>) {
        let kind = hands.tools.active();
        let session = &mut *hands.session;
        match answer {
            Response::Ignored | Response::Idle | Response::Redraw => {}
            Response::Stroke {
                part,
                combine,
                is_last,
            } => self.stroke(part.as_ref(), combine, is_last, session),
            Response::Commit(patch, combine) => {
                if makes_regions(kind) {
                    session.commit(&patch, combine, source(kind));
                } else {
                    session.replace_active(&patch, combine);
                }
                hands.tools.target_changed();
            }
            Response::Prompt(request) => session.prompt(request),
            Response::Accept(combine) => {
                if let Some(mask) = session.take_proposal()
                    && let Some(patch) = Patch::around(&mask)
                {
                    session.commit(&patch, combine, source(kind));
                    hands.tools.target_changed();
                }
            }
            Response::Select { region, extends } => {
                let Some(open) = session.open_mut() else { return };
                let id = region
                    .and_then(|place| open.document().regions.get(place))
                    .map(|region| region.id.clone());
                match (id, extends) {
                    (Some(id), true) => open.toggle_selected(&id),
                    (Some(id), false) => open.select([id]),
                    (None, true) => {}
                    (None, false) => open.select([]),
                }
                hands.tools.target_changed();
            }
            Response::Cancelled => {
                session.proposal = None;
                if let Some(open) = session.open_mut() {
                    open.cancel_stroke();
                }
                hands.state.hovered = None;
            }
        }
    }

    fn stroke(&mut self, part: Option<&Patch>, combine: Combine, is_last: bool, session: &mut Session) {
        if session.is_read_only_told() {
            return;
        }
        let label = session.next_label();
        let Some(open) = session.open_mut() else { return };
        let erases_nothing =
            combine == Combine::Subtract && open.active().is_none() && open.live_mask().is_none();
        if erases_nothing {
            return;
        }
        let dirty = match open.stroke(part, combine, false) {
            Ok(dirty) => dirty,
            Err(error) => {
                session.notices.error(error.to_string());
                return;
            }
        };
        if let (Some(dirty), Some((region, mask))) = (dirty, open.live_mask()) {
            self.scene
                .show_stroke(region, mask, dirty, next_color(open.document()));
        }
        if is_last {
            self.end_stroke(label, session);
        }
    }

    fn end_stroke(&mut self, label: String, session: &mut Session) {
        let Some(open) = session.open_mut() else { return };
        let ended = open.end_stroke(|document, mask| {
            let mut region = Region::new(document.next_region_id(), mask);
            region.label = label;
            region.color = Some(next_color(document));
            "brush".clone_into(&mut region.source);
            region
        });
        match ended {
            Ok(_) => self.scene.keep_stroke(open.document()),
            Err(error) => session.notices.warn(format!("the stroke was lost: {error}")),
        }
        session.changed();
    }
}

/// What regions of a tool say they come from.
const fn source(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Select => "select",
        ToolKind::Brush => "brush",
        ToolKind::Eraser => "eraser",
        ToolKind::Polygon | ToolKind::Vertices => "polygon",
        ToolKind::Lasso => "lasso",
        ToolKind::Rectangle => "rectangle",
        ToolKind::Ellipse => "ellipse",
        ToolKind::Wand => "wand",
        ToolKind::SmartSelect => "smart_select",
    }
}
