//! What the window itself remembers while it is open; nothing of it is data.

use std::path::PathBuf;

use super::render::{DisplaySettings, Tone};
use crate::command::Command;
use crate::interchange::training::Container;
use crate::language::proposals::outcome::GroupBy;
use crate::language::tasks::VisionTask;
use crate::session::TrainingPreview;
use crate::settings::LanguageSettings;
use crate::tools::Combine;
use crate::worker::batch::Exchange;

/// The tabs of the inspector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    /// Label, words, attributes of the selected region.
    #[default]
    Region,
    /// Captions and conversations.
    Language,
    /// What a language model says about the image.
    Chat,
    /// How far the work is.
    Review,
}

/// A text that can mention regions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextTarget {
    /// A caption of a region.
    Caption {
        /// The region.
        region: String,
        /// Which caption.
        index: usize,
    },
    /// A turn of a conversation.
    Turn {
        /// The conversation.
        conversation: String,
        /// Which turn.
        index: usize,
    },
    /// The next question of the chat.
    Chat,
}

/// The text that was written last, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MentionTarget {
    pub(super) text: TextTarget,
    /// Characters before the cursor.
    pub(super) cursor: usize,
}

/// The dialog that is open.
#[derive(Clone, Debug)]
pub(super) enum Dialog {
    /// A command by typing.
    Palette { typed: String, chosen: usize },
    /// The keys, to read and to change.
    KeySheet {
        typed: String,
        listening: Option<Command>,
    },
    /// The label of the selected regions.
    Label { typed: String },
    /// The comment of a rejection.
    Reject { typed: String },
    /// The model and its device.
    Models,
    /// The language model.
    LanguageModel { form: LanguageSettings },
    /// What proposals are asked for.
    Propose { task: VisionTask, typed: String },
    /// How good proposals are.
    ProposalStatistics { by: GroupBy },
    /// A form to write.
    Export {
        to: Exchange,
        copies_images: bool,
        folder: String,
    },
    /// A form to read.
    Import { from: Exchange, path: String },
    /// The report of the folder.
    Report,
    /// All messages.
    Messages,
    /// Version and licences.
    About,
    /// The training records of what is open.
    Preview(Box<ShownPreview>),
}

/// Training records on show, made anew when the annotations are others.
#[derive(Clone, Debug)]
pub(super) struct ShownPreview {
    pub(super) container: Container,
    /// The image, the revision of its annotations and the form that they were made of.
    pub(super) of: Option<(u64, u64, Container)>,
    pub(super) made: Result<TrainingPreview, String>,
}

impl Default for ShownPreview {
    fn default() -> Self {
        Self {
            container: Container::Messages,
            of: None,
            made: Ok(TrainingPreview::default()),
        }
    }
}

/// A path that a native dialog is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathWish {
    /// A folder of images.
    Folder,
    /// An image.
    Image,
    /// A model folder.
    ModelFolder,
    /// A weights file.
    ModelFile,
    /// The folder of a language model.
    LanguageFolder,
    /// Where an export goes.
    ExportFolder,
    /// A file that is imported.
    ImportFile,
    /// A folder that is imported.
    ImportFolder,
}

/// What the window remembers.
#[derive(Debug, Default)]
pub(super) struct UiState {
    pub(super) tab: Tab,
    pub(super) dialog: Option<Dialog>,
    /// Whether the dialog just opened, so that its first field gets the focus.
    pub(super) is_dialog_new: bool,
    /// How a finished shape joins the selected region.
    pub(super) combine: Combine,
    /// Whether the rebuilt mask of the selected region is shown against it.
    pub(super) shows_rebuilt: bool,
    /// Whether masks are shown.
    pub(super) hides_masks: bool,
    /// How samples become brightness.
    pub(super) tone: Tone,
    /// Whether the panel of brightness and contrast is open.
    pub(super) adjusts: bool,
    /// The region under the pointer, in the canvas, a list or a chip.
    pub(super) hovered: Option<String>,
    /// The same in the frame before, which is what is drawn.
    pub(super) was_hovered: Option<String>,
    /// The mask of the chat whose chip the pointer is on.
    pub(super) hovered_mask: Option<u64>,
    /// The same in the frame before, which is what is drawn.
    pub(super) was_hovered_mask: Option<u64>,
    /// The text that regions are put into.
    pub(super) mention: Option<MentionTarget>,
    /// What is typed as a new attribute.
    pub(super) new_attribute: String,
    /// Regions that are to be put into texts in this frame.
    pub(super) inserts: Vec<(MentionTarget, String)>,
    /// A text that gets the focus in the next frame, with the cursor there.
    pub(super) focus: Option<MentionTarget>,
    /// The last command's focus wish: the search field.
    pub(super) focuses_search: bool,
    /// What is typed into the search field.
    pub(super) search: String,
    /// Whether closing was asked for once while changes could not be saved.
    pub(super) is_closing: bool,
    /// Whether the window closes as soon as everything is saved.
    pub(super) closes_when_saved: bool,
    /// A region that is selected once its image is shown.
    pub(super) select_after: Option<(PathBuf, String)>,
    /// How far the list of images is scrolled, in points.
    pub(super) list_offset: f32,
    /// The shown image for which the list was scrolled.
    pub(super) scrolled_for: u64,
    /// The pixel under the pointer, with its samples.
    pub(super) pixel: Option<(u32, u32, Vec<f64>)>,
}

impl UiState {
    pub(super) fn open_dialog(&mut self, dialog: Dialog) {
        self.dialog = Some(dialog);
        self.is_dialog_new = true;
    }
}

/// How the canvas is shown with these settings.
pub(super) fn display(
    state: &UiState,
    settings: &crate::settings::Settings,
    is_solo: bool,
) -> DisplaySettings {
    let mut display = DisplaySettings {
        tone: state.tone,
        has_pixel_grid: settings.has_grid,
        backdrop: super::theme::backdrop(settings.theme),
        ..DisplaySettings::default()
    };
    display.regions.are_shown = !state.hides_masks;
    display.regions.only_solo = is_solo;
    display.regions.outline_width = 1.25;
    display
}
