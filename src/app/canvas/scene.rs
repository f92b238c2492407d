//! The renderer, kept in step with the document, the selection and what the tools show.

use std::collections::HashMap;

use eframe::egui::Painter;

use super::super::render::{
    CanvasRenderer, Difference, DisplaySettings, Emphasis, RegionLayer, RegionPixels, RegionStyle,
    ViewTransform,
};
use super::super::state::{Tab, UiState};
use super::super::theme;
use crate::dataset::{Color, Document};
use crate::geometry::{ImagePoint, ImageSize, PixelRect};
use crate::mask::{Mask, Rle};
use crate::session::regions::color_of;
use crate::session::{OpenDocument, Session};
use crate::settings::Settings;
use crate::tools::{Combine, Patch, Preview, PreviewShape};

/// Keys of masks that were found in a text, behind those of all regions.
const FOUND_KEYS: u64 = 1 << 62;

/// Keys of masks of the chat.
const CHAT_KEYS: u64 = 1 << 61;

/// Least opacity of a region under the brush.
const STROKE_OPACITY: f32 = 0.3;

/// Least opacity of a mask of the chat.
const CHAT_OPACITY: f32 = 0.25;

/// What the renderer holds of a region.
#[derive(Debug)]
struct Held {
    id: String,
    key: u64,
    revision: u64,
    of: Rle,
}

/// All that the look of the regions depends on; where it is as before there is nothing to do.
#[derive(Debug, PartialEq)]
struct Look {
    revision: u64,
    selection: u64,
    hovered: Option<String>,
    live: Option<String>,
    dimmed: Option<String>,
    fill_opacity: f32,
    found: Option<(u64, Vec<bool>)>,
    /// Keys of the masks of the chat while one reads it.
    chat: Vec<u64>,
    hovered_chat: Option<u64>,
}

/// What the preview layer shows, to change it only when that changes.
#[derive(Clone, Debug, PartialEq)]
enum ShownPreview {
    Nothing,
    /// The stroke of a region that is being made.
    Stroke,
    Proposal {
        shown: u64,
        revision: u64,
    },
    Pixels {
        revision: u64,
        combine: Combine,
    },
    Moved {
        dx: i32,
        dy: i32,
    },
}

/// What the canvas draws.
#[derive(Debug)]
pub(super) struct Scene {
    renderer: CanvasRenderer,
    /// [`Session::shown`] of the image that the renderer holds.
    shown: u64,
    /// The regions, in the order of the document.
    held: Vec<Held>,
    /// The place in `held` of each key.
    places: HashMap<u64, usize>,
    /// The region whose pixels a stroke has changed in the renderer, but not in the document yet.
    painted: Option<String>,
    look: Option<Look>,
    last_key: u64,
    preview: ShownPreview,
    difference: Option<(String, Rle)>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            renderer: CanvasRenderer::new(),
            shown: 0,
            held: Vec::new(),
            places: HashMap::new(),
            painted: None,
            look: None,
            last_key: 0,
            preview: ShownPreview::Nothing,
            difference: None,
        }
    }
}

impl Scene {
    /// Takes over the image that the session calls `shown`; whether it is another one.
    pub(super) fn set_image(&mut self, shown: u64, open: &OpenDocument) -> bool {
        if self.shown == shown {
            return false;
        }
        *self = Self {
            renderer: std::mem::take(&mut self.renderer),
            shown,
            last_key: self.last_key,
            ..Self::default()
        };
        self.renderer
            .set_image(shown, open.size(), open.image.picture.clone());
        true
    }

    /// Draws everything.
    pub(super) fn paint(&mut self, painter: &Painter, view: &ViewTransform, display: &DisplaySettings) {
        self.renderer.paint(painter, view, display);
    }

    /// Places in the document and ids of the visible regions at a point, frontmost first.
    pub(super) fn regions_at(&self, at: ImagePoint) -> impl Iterator<Item = (usize, &str)> {
        self.keys_at(at).filter_map(|key| self.region_of(key))
    }

    /// The name of the frontmost region or mask of the chat at a point, by which a text can mention it.
    pub(super) fn mentionable_at(&self, at: ImagePoint, session: &Session) -> Option<String> {
        let chat_name = |key| {
            let (mask, _) = session
                .chat_masks()
                .find(|(mask, _)| CHAT_KEYS + mask.key == key)?;
            Some(mask.name.clone())
        };
        self.keys_at(at).find_map(|key| {
            self.region_of(key)
                .map_or_else(|| chat_name(key), |(_, id)| Some(id.to_owned()))
        })
    }

    fn keys_at(&self, at: ImagePoint) -> impl Iterator<Item = u64> {
        let is_inside = at.x >= 0.0 && at.y >= 0.0;
        let pixel = is_inside.then_some((at.x as u32, at.y as u32));
        pixel
            .into_iter()
            .flat_map(|(x, y)| self.renderer.regions_at(x, y))
    }

    fn region_of(&self, key: u64) -> Option<(usize, &str)> {
        let place = *self.places.get(&key)?;
        Some((place, self.held.get(place)?.id.as_str()))
    }

    // ---- strokes

    /// Shows the part of a stroke that is new; `new_color` is for a region that is being made.
    pub(super) fn show_stroke(
        &mut self,
        region: Option<&str>,
        mask: &Mask,
        dirty: PixelRect,
        new_color: Color,
    ) {
        let held = region.and_then(|id| self.held.iter_mut().find(|held| held.id == id));
        if let Some(held) = held {
            held.revision += 1;
            self.renderer.update_region(held.key, held.revision, mask, dirty);
            if self.painted.as_ref() != Some(&held.id) {
                self.painted = Some(held.id.clone());
            }
        } else if self.preview == ShownPreview::Stroke {
            self.renderer.update_preview(mask, dirty);
        } else {
            self.renderer
                .set_preview(Some((RegionPixels::Mask(mask), RegionStyle::new(new_color.rgb))));
            self.preview = ShownPreview::Stroke;
        }
    }

    /// Notes that the document has what the stroke painted, so that it is not made again from the run lengths.
    pub(super) fn keep_stroke(&mut self, document: &Document) {
        let Some(id) = self.painted.take() else { return };
        let held = self.held.iter_mut().find(|held| held.id == id);
        if let Some((held, region)) = held.zip(document.region(&id)) {
            held.of = region.mask.rle.clone();
        }
    }

    // ---- the document

    /// Brings the renderer in step.
    pub(super) fn sync(
        &mut self,
        session: &mut Session,
        preview: &Preview<'_>,
        state: &UiState,
        settings: &Settings,
    ) {
        let Some(open) = session.open() else { return };
        let found = session.found.as_ref();
        let look = Look {
            revision: open.revision(),
            selection: open.selection_changes(),
            hovered: state.was_hovered.clone(),
            live: open.live_mask().and_then(|(region, _)| region.map(str::to_owned)),
            // While its difference is painted the fill must not hide what is underneath.
            dimmed: self
                .difference
                .as_ref()
                .filter(|_| state.shows_rebuilt)
                .map(|(id, _)| id.clone()),
            fill_opacity: settings.fill_opacity,
            found: found.map(|found| {
                let are_shown = found.masks.iter().map(|mask| mask.shown().is_some());
                (found.revision, are_shown.collect())
            }),
            chat: session
                .chat_masks()
                .filter(|_| state.tab == Tab::Chat)
                .map(|(mask, _)| mask.key)
                .collect(),
            hovered_chat: state.was_hovered_mask,
        };
        if self.look.as_ref() != Some(&look) {
            self.compare(open, look.live.as_deref());
            self.set_regions(session, &look);
            self.look = Some(look);
        }
        self.sync_preview(session, preview);
        self.sync_difference(session, state);
    }

    /// Notes which regions have other pixels than the renderer holds.
    fn compare(&mut self, open: &OpenDocument, live: Option<&str>) {
        let regions = &open.document().regions;
        let is_same_order = self.held.len() == regions.len()
            && self
                .held
                .iter()
                .zip(regions)
                .all(|(held, region)| held.id == region.id);
        if !is_same_order {
            let mut old: HashMap<String, Held> =
                self.held.drain(..).map(|held| (held.id.clone(), held)).collect();
            for region in regions {
                let held = old.remove(&region.id).unwrap_or_else(|| {
                    self.last_key += 1;
                    Held {
                        id: region.id.clone(),
                        key: self.last_key,
                        revision: self.last_key << 32,
                        of: region.mask.rle.clone(),
                    }
                });
                self.held.push(held);
            }
            self.places = (0..)
                .zip(&self.held)
                .map(|(place, held)| (held.key, place))
                .collect();
        }
        // A stroke that was given up has left its pixels in the renderer.
        let abandoned = self.painted.take_if(|painted| live != Some(painted));
        for (held, region) in self.held.iter_mut().zip(regions) {
            let is_other = held.of != region.mask.rle && live != Some(&held.id);
            if is_other || abandoned.as_ref() == Some(&held.id) {
                // A number that no stroke reaches, and another one each time.
                self.last_key += 1;
                held.revision = self.last_key << 32;
                held.of.clone_from(&region.mask.rle);
            }
        }
    }

    fn set_regions(&mut self, session: &Session, look: &Look) {
        let Some(open) = session.open() else { return };
        let regions = open.document().regions.iter().zip(&self.held);
        let mut layers: Vec<RegionLayer<'_>> = regions
            .map(|(region, held)| {
                let id = region.id.as_str();
                let is_selected = open.is_selected(id);
                let is_live = look.live.as_deref() == Some(id);
                let style = RegionStyle {
                    fill_opacity: look.fill_opacity.max(if is_live { STROKE_OPACITY } else { 0.0 }),
                    is_hidden: open.is_hidden(id),
                    is_solo: is_selected,
                    emphasis: if is_selected {
                        Emphasis::Selected
                    } else if look.hovered.as_deref() == Some(id) {
                        Emphasis::Hovered
                    } else {
                        Emphasis::None
                    },
                    is_dimmed: look.dimmed.as_deref() == Some(id),
                    ..RegionStyle::new(color_of(region).rgb)
                };
                RegionLayer {
                    key: held.key,
                    revision: held.revision,
                    pixels: RegionPixels::Rle(&region.mask.rle),
                    style,
                }
            })
            .collect();
        if let Some(found) = &session.found {
            let masks = (FOUND_KEYS..).zip(&found.masks);
            layers.extend(masks.filter_map(|(key, mask)| {
                Some(RegionLayer {
                    key,
                    revision: found.revision,
                    pixels: RegionPixels::Mask(mask.shown()?),
                    style: RegionStyle {
                        emphasis: Emphasis::Hovered,
                        ..RegionStyle::new(theme::PROPOSAL)
                    },
                })
            }));
        }
        for (mask, drawn) in session.chat_masks().filter(|_| !look.chat.is_empty()) {
            let is_hovered = look.hovered_chat == Some(mask.key);
            layers.push(RegionLayer {
                key: CHAT_KEYS + mask.key,
                revision: 0,
                pixels: RegionPixels::Rle(drawn),
                style: RegionStyle {
                    emphasis: if is_hovered {
                        Emphasis::Selected
                    } else {
                        Emphasis::Hovered
                    },
                    fill_opacity: look.fill_opacity.max(CHAT_OPACITY),
                    ..RegionStyle::new(mask.color.rgb)
                },
            });
        }
        self.renderer.set_regions(&layers);
    }

    // ---- what lies over the regions

    fn sync_preview(&mut self, session: &mut Session, preview: &Preview<'_>) {
        let Some(open) = session.open() else { return };
        let size = open.size();
        if open.live_mask().is_some_and(|(region, _)| region.is_none()) {
            return;
        }
        let shapes = &preview.shapes;
        let pixels = shapes.iter().find_map(|shape| match shape {
            PreviewShape::Pixels {
                patch,
                combine,
                revision,
            } => Some((*patch, *combine, *revision)),
            _ => None,
        });
        let moved = shapes.iter().find_map(|shape| match shape {
            PreviewShape::MovedTarget { dx, dy } => Some((*dx, *dy)),
            _ => None,
        });
        let wanted = if let Some((_, combine, revision)) = pixels {
            ShownPreview::Pixels { revision, combine }
        } else if let Some((dx, dy)) = moved {
            ShownPreview::Moved { dx, dy }
        } else if let Some(proposal) = session
            .proposal
            .as_ref()
            .filter(|proposal| proposal.mask().is_some())
        {
            ShownPreview::Proposal {
                shown: self.shown,
                revision: proposal.revision,
            }
        } else {
            ShownPreview::Nothing
        };
        if wanted == self.preview {
            return;
        }
        let style = RegionStyle {
            fill_opacity: 0.45,
            ..RegionStyle::new(theme::PROPOSAL)
        };
        match &wanted {
            ShownPreview::Pixels { combine, .. } => {
                let style = if *combine == Combine::Subtract {
                    RegionStyle {
                        color: theme::ONLY_DRAWN,
                        ..style
                    }
                } else {
                    style
                };
                let mask = pixels.and_then(|(patch, ..)| patch.to_mask(size).ok());
                self.renderer
                    .set_preview(mask.as_ref().map(|mask| (RegionPixels::Mask(mask), style)));
            }
            ShownPreview::Moved { dx, dy } => {
                let target = session.open_mut().and_then(OpenDocument::active_mask);
                let mask = target.and_then(|target| moved_mask(&target, *dx, *dy, size));
                self.renderer
                    .set_preview(mask.as_ref().map(|mask| (RegionPixels::Mask(mask), style)));
            }
            ShownPreview::Proposal { .. } => {
                let mask = session.proposal.as_ref().and_then(|proposal| proposal.mask());
                self.renderer
                    .set_preview(mask.map(|mask| (RegionPixels::Mask(mask), style)));
            }
            ShownPreview::Nothing | ShownPreview::Stroke => self.renderer.set_preview(None),
        }
        self.preview = wanted;
    }

    fn sync_difference(&mut self, session: &Session, state: &UiState) {
        let wanted = session.open().filter(|_| state.shows_rebuilt).and_then(|open| {
            let region = open.active()?;
            let rebuilt = open
                .rebuilt
                .get(&region.id)
                .filter(|rebuilt| rebuilt.of == region.mask.rle)?;
            Some((region, rebuilt))
        });
        let key = wanted.map(|(region, rebuilt)| (region.id.clone(), rebuilt.mask.clone()));
        if key == self.difference {
            return;
        }
        let style = |color| RegionStyle {
            fill_opacity: 0.5,
            ..RegionStyle::new(color)
        };
        self.renderer
            .set_difference(wanted.map(|(region, rebuilt)| Difference {
                original: RegionPixels::Rle(&region.mask.rle),
                rebuilt: RegionPixels::Rle(&rebuilt.mask),
                only_original: style(theme::ONLY_DRAWN),
                only_rebuilt: style(theme::ONLY_REBUILT),
                both: style(theme::BOTH),
            }));
        self.difference = key;
    }
}

fn moved_mask(mask: &Mask, dx: i32, dy: i32, size: ImageSize) -> Option<Mask> {
    Patch::around(mask)?
        .moved(i64::from(dx), i64::from(dy), size)?
        .to_mask(size)
        .ok()
}
