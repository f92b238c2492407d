//! The window: SAMTok Studio.
//!
//! [`StudioApp`] owns the [`Session`] (everything about data), the settings, the tools, the canvas and what the window
//! itself remembers. In every frame it takes the events of the workers (`logic`, also while hidden), draws the panels,
//! which only send [`Command`]s, and runs those at the end.

mod accessible;
mod canvas;
mod commands;
mod dialogs;
mod keys;
#[cfg(test)]
mod killed;
mod language_commands;
mod mask_pictures;
mod mention_text;
#[cfg(test)]
mod monkey;
mod native_dialog;
mod notifications;
mod panels;
pub mod render;
mod state;
#[cfg(test)]
mod tests;
mod theme;
mod thumbnails;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use eframe::egui::{self, CentralPanel, Frame, Margin, Panel, ScrollArea, Ui};

use crate::command::Command;
use crate::locale::Locale;
use crate::session::{Session, SessionOptions};
use crate::settings::{LastView, Settings};
use crate::tools::{ToolKind, Toolbox};
use crate::worker::files::FileOptions;
use crate::worker::network::{ModelChoice, NetworkOptions, load_tokenizer};
use canvas::{Canvas, Hands};
use mask_pictures::MaskPictures;
use native_dialog::NativeDialog;
use notifications::Notifications;
use state::{Dialog, PathWish, Tab, UiState};
use thumbnails::Thumbnails;

/// Name of the window and identity of the program on the desktop.
const APP_ID: &str = "dev.samtok.Studio";

/// What the command line asks of the window.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// A folder or image to open.
    pub path: Option<PathBuf>,
    /// The model, if it is not that of the settings.
    pub model: Option<ModelChoice>,
    /// Where the settings are; `None` for nowhere.
    pub settings: Option<PathBuf>,
    /// Where what can be made again is kept; `None` for nowhere.
    pub cache: Option<PathBuf>,
}

impl StartOptions {
    /// The options of a person's own window.
    #[must_use]
    pub fn usual(path: Option<PathBuf>, model: Option<ModelChoice>) -> Self {
        Self {
            path,
            model,
            settings: Settings::usual_path(),
            cache: Settings::cache_folder(),
        }
    }
}

/// The window.
#[derive(Debug)]
pub struct StudioApp {
    session: Session,
    settings: Settings,
    settings_path: Option<PathBuf>,
    locale: Locale,
    state: UiState,
    canvas: Canvas,
    tools: Toolbox,
    thumbnails: Thumbnails,
    pictures: MaskPictures,
    notifications: Notifications,
    native: Option<NativeDialog>,
    /// Commands that were sent in this frame.
    queue: Vec<Command>,
    /// [`Session::shown`] of the image that was last noticed.
    noticed: u64,
    is_first_frame: bool,
}

/// Opens the window and works until it is closed.
///
/// # Errors
/// If there is no display or no graphics adapter.
pub fn run(options: StartOptions) -> anyhow::Result<()> {
    let viewport = egui::ViewportBuilder::default()
        .with_app_id(APP_ID)
        .with_title("SAMTok Studio")
        .with_inner_size([1440.0, 900.0])
        .with_min_inner_size([720.0, 480.0])
        .with_drag_and_drop(true);
    let native = eframe::NativeOptions {
        viewport,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "SAMTok Studio",
        native,
        Box::new(move |context| {
            let app = StudioApp::new(context, options, load_tokenizer)?;
            Ok(Box::new(app))
        }),
    )
    .map_err(|error| anyhow::anyhow!("{error}"))
    .context("the window cannot be opened; `samtok --help` lists what works without one")
}

impl StudioApp {
    /// The app in the window of `context`; `load` opens models.
    ///
    /// # Errors
    /// If the system refuses threads, or the graphics adapter is too weak.
    pub fn new<M: crate::worker::network::MaskModel + 'static>(
        context: &eframe::CreationContext<'_>,
        options: StartOptions,
        load: impl Fn(&ModelChoice) -> Result<M, String> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (settings, told) = options
            .settings
            .as_deref()
            .map(Settings::read)
            .unwrap_or_default();
        if let Some(render_state) = &context.wgpu_render_state {
            render::install(render_state).context("the graphics adapter cannot draw the canvas")?;
        }
        theme::apply(&context.egui_ctx, settings.theme, settings.interface_scale);
        // Keys zoom the image, not the interface.
        context
            .egui_ctx
            .options_mut(|options| options.zoom_with_keyboard = false);
        let ctx = context.egui_ctx.clone();
        let choice = options.model.unwrap_or_else(|| ModelChoice {
            path: settings.model.clone(),
            device: settings.device.parse().unwrap_or_default(),
        });
        let network = NetworkOptions {
            embedding_bytes: settings.embedding_mb << 20,
            cache: options.cache.as_ref().map(|cache| cache.join("embeddings")),
            ..NetworkOptions::default()
        };
        let files = FileOptions {
            cache: options.cache.map(|cache| cache.join("lists")),
            ..FileOptions::default()
        };
        let session_options = SessionOptions {
            files,
            network,
            model: choice,
        };
        let session = Session::start(session_options, load, Arc::new(move || ctx.request_repaint()))
            .context("the system refuses the threads that the program needs")?;
        let mut app = Self {
            session,
            locale: Locale {
                language: settings.language,
            },
            settings,
            settings_path: options.settings,
            state: UiState::default(),
            canvas: Canvas::default(),
            tools: Toolbox::default(),
            thumbnails: Thumbnails::default(),
            pictures: MaskPictures::default(),
            notifications: Notifications::default(),
            native: None,
            queue: Vec::new(),
            noticed: 0,
            is_first_frame: true,
        };
        for text in told {
            app.session.notices.warn(text);
        }
        app.use_language_model();
        if let Some(path) = options.path {
            app.open_path(&path);
        }
        Ok(app)
    }

    /// What the window works on, for tests and benchmarks.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Opens a folder, or an image and the folder it is in; a folder goes on where it was left.
    fn open_path(&mut self, path: &Path) {
        self.remember();
        self.thumbnails.clear();
        self.state.search.clear();
        let left = self
            .settings
            .recent
            .iter()
            .find(|view| view.folder == path)
            .cloned();
        self.session.open_path(path);
        if let Some(image) = left
            .as_ref()
            .and_then(|left| left.image.clone())
            .filter(|image| image.is_file())
        {
            if let Some((center, scale)) = left.and_then(|left| left.center.zip(left.scale)) {
                self.canvas.remember_view(image.clone(), center, scale);
            }
            self.session.open_image(&image);
        }
    }

    fn open_samples(&mut self) {
        match Settings::samples_folder() {
            Some(folder) => {
                self.remember();
                self.thumbnails.clear();
                self.session.open_samples(&folder);
            }
            None => self.session.notices.error(
                self.locale
                    .text("the system names no place for the samples; open a folder of your own"),
            ),
        }
    }

    /// Notes which folder and image are open, for the next start.
    fn remember(&mut self) {
        let Some(folder) = self.session.list.as_ref().map(|list| list.folder.clone()) else {
            return;
        };
        let view = self.canvas.view().filter(|view| !view.is_fitted());
        self.settings.remember(LastView {
            folder,
            image: self.session.open().map(|open| open.path.clone()),
            center: view.map(render::ViewTransform::center),
            scale: view.map(render::ViewTransform::scale),
        });
        self.save_settings();
    }

    fn save_settings(&mut self) {
        // A few hundred bytes, and only when a person changes something.
        if let Some(path) = &self.settings_path
            && let Err(error) = self.settings.write(path)
        {
            self.session.notices.warn(format!(
                "the settings cannot be kept: {error}: {}",
                path.display()
            ));
        }
    }

    /// Opens a dialog of the system that asks for a path.
    fn ask_path(&mut self, ctx: &egui::Context, wish: PathWish) {
        if self.native.is_some() {
            self.session
                .notices
                .info(self.locale.text("a dialog of the system is open already"));
            return;
        }
        let title = match wish {
            PathWish::Folder => self.locale.text("A folder of images"),
            PathWish::Image => self.locale.text("An image"),
            PathWish::ModelFolder | PathWish::ModelFile => self.locale.text("A model"),
            PathWish::LanguageFolder => self.locale.text("The folder of a language model"),
            PathWish::ExportFolder => self.locale.text("A new or empty folder for the export"),
            PathWish::ImportFile | PathWish::ImportFolder => self.locale.text("What is to be imported"),
        };
        let folder = self.session.list.as_ref().map(|list| list.folder.clone());
        match NativeDialog::open(ctx, wish, title, folder) {
            Ok(dialog) => self.native = Some(dialog),
            Err(error) => self
                .session
                .notices
                .error(format!("the dialog cannot be opened: {error}")),
        }
    }

    fn take_native_answer(&mut self) {
        let Some((wish, answer)) = self
            .native
            .as_ref()
            .and_then(|dialog| Some((dialog.wish, dialog.try_answer()?)))
        else {
            return;
        };
        self.native = None;
        let Some(path) = answer else { return };
        match wish {
            PathWish::Folder | PathWish::Image => self.open_path(&path),
            PathWish::ModelFolder | PathWish::ModelFile => self.choose_model(Some(path)),
            PathWish::LanguageFolder => {
                if let Some(Dialog::LanguageModel { form }) = &mut self.state.dialog {
                    form.folder = path;
                }
            }
            PathWish::ExportFolder | PathWish::ImportFile | PathWish::ImportFolder => {
                if let Some(Dialog::Export { folder: field, .. } | Dialog::Import { path: field, .. }) =
                    &mut self.state.dialog
                {
                    *field = path.display().to_string();
                }
            }
        }
    }

    fn choose_model(&mut self, path: Option<PathBuf>) {
        self.settings.model.clone_from(&path);
        self.save_settings();
        let device = self.settings.device.parse().unwrap_or_default();
        self.session.load_model(ModelChoice { path, device });
    }

    /// Takes files that were dropped on the window: an image or folder is opened, a text searched for words.
    fn take_dropped(&mut self, ctx: &egui::Context) {
        let dropped = ctx.input(|input| input.raw.dropped_files.clone());
        let path = dropped
            .iter()
            .map(|file| file.path().to_path_buf())
            .find(|path| !path.as_os_str().is_empty());
        if let Some(path) = path {
            self.open_path(&path);
        }
    }

    /// Notes that another image is shown.
    fn notice_image(&mut self) {
        if self.noticed == self.session.shown {
            return;
        }
        self.noticed = self.session.shown;
        self.state.mention = None;
        self.state.hovered = None;
        self.state.was_hovered = None;
        self.tools.tool_mut().cancel();
        self.tools.target_changed();
        self.remember();
        if let Some((path, region)) = self.state.select_after.take()
            && let Some(open) = self.session.open_mut().filter(|open| open.path == path)
        {
            open.select([region]);
            self.show_selection();
        }
    }

    fn inspector_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        ui.horizontal(|ui| {
            for (tab, name) in [
                (Tab::Region, locale.text("Region")),
                (Tab::Language, locale.text("Language")),
                (Tab::Chat, locale.text("Chat")),
                (Tab::Review, locale.text("Review")),
            ] {
                ui.selectable_value(&mut self.state.tab, tab, name);
            }
        });
        ui.separator();
        match self.state.tab {
            Tab::Region => {
                ScrollArea::vertical()
                    .auto_shrink([false, false])
                    .id_salt("region")
                    .show(ui, |ui| self.region_tab_ui(ui));
            }
            Tab::Language => self.language_tab_ui(ui),
            Tab::Chat => self.chat_tab_ui(ui),
            Tab::Review => {
                ScrollArea::vertical()
                    .auto_shrink([false, false])
                    .id_salt("review")
                    .show(ui, |ui| self.review_tab_ui(ui));
            }
        }
    }

    /// Lets the canvas work with everything it needs.
    fn with_canvas<R>(&mut self, work: impl FnOnce(&mut Canvas, &mut Hands<'_>) -> R) -> R {
        let mut hands = Hands {
            session: &mut self.session,
            tools: &mut self.tools,
            state: &mut self.state,
            settings: &self.settings,
        };
        work(&mut self.canvas, &mut hands)
    }

    fn canvas_ui(&mut self, ui: &mut Ui) {
        let rect = ui.available_rect_before_wrap();
        self.with_canvas(|canvas, hands| canvas.ui(ui, hands));
        if self.session.found.is_some() {
            self.found_words_ui(ui.ctx(), rect);
        }
        if self.state.adjusts {
            self.adjust_ui(ui.ctx(), rect);
        }
        if !self.settings.is_hint_seen {
            egui::Area::new(egui::Id::unique("hint"))
                .fixed_pos(rect.left_bottom() + egui::vec2(12.0, -12.0))
                .pivot(egui::Align2::LEFT_BOTTOM)
                .show(ui.ctx(), |ui| self.hint_ui(ui, rect.width() - 40.0));
        }
    }

    /// A click somewhere else than on the canvas or the lists ends writing mentions.
    fn end_mention(&mut self, ctx: &egui::Context) {
        let is_focused = ctx.memory(|memory| memory.focused().is_some());
        let is_elsewhere = !matches!(self.state.tab, Tab::Language | Tab::Chat);
        if is_elsewhere
            || (!is_focused && self.tools.active() != ToolKind::Select && !ctx.egui_is_using_pointer())
        {
            self.state.mention = None;
        }
    }
}

impl eframe::App for StudioApp {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.session.update();
        self.session.want_rebuilt();
        self.thumbnails.update(ctx, &mut self.session);
        self.take_native_answer();
        self.notice_image();
        if let Some(wait) = self.session.next_update() {
            ctx.request_repaint_after(wait);
        }
        if ctx.input(|input| input.viewport().close_requested()) && !self.session.is_saved() {
            // Closing waits for the disk; what cannot be saved asks.
            self.session.save();
            self.remember();
            if self.session.is_failing() && !self.state.is_closing {
                self.state.is_closing = true;
                self.session.notices.error(
                    self.locale
                        .text("changes are not saved; close again to lose them"),
                );
                ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            } else if !self.session.is_failing() {
                ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
                self.state.closes_when_saved = true;
            }
        }
        if self.state.closes_when_saved && (self.session.is_saved() || self.session.is_failing()) {
            self.state.closes_when_saved = false;
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        self.state.was_hovered = self.state.hovered.take();
        let runs_keys_now = keys::come_first(&ctx);
        self.state.was_hovered_mask = self.state.hovered_mask.take();
        self.take_keys(&ctx);
        if runs_keys_now {
            self.run_queue(&ctx);
        }
        self.take_dropped(&ctx);
        let bar = |ui: &Ui| Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(6, 2));
        Panel::top("menu")
            .frame(bar(ui))
            .show(ui, |ui| self.menu_bar_ui(ui));
        Panel::bottom("status")
            .exact_size(26.0)
            .frame(bar(ui))
            .show(ui, |ui| self.status_bar_ui(ui));
        if self.session.list.is_some() || self.session.open().is_some() {
            Panel::left("images")
                .resizable(true)
                .default_size(230.0)
                .size_range(140.0..=480.0)
                .show(ui, |ui| self.image_list_ui(ui));
        }
        if self.session.open().is_some() {
            Panel::right("inspector")
                .resizable(true)
                .default_size(330.0)
                .size_range(240.0..=640.0)
                .show(ui, |ui| {
                    Panel::top("regions")
                        .resizable(true)
                        .default_size(250.0)
                        .size_range(90.0..=900.0)
                        .frame(Frame::NONE.inner_margin(Margin {
                            bottom: 4,
                            ..Margin::ZERO
                        }))
                        .show(ui, |ui| {
                            // An empty list must not shrink the panel for good.
                            ui.set_min_height(ui.available_height());
                            self.region_list_ui(ui);
                        });
                    self.inspector_ui(ui);
                });
            Panel::left("tools")
                .exact_size(40.0)
                .resizable(false)
                .frame(Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(4, 2)))
                .show(ui, |ui| {
                    ScrollArea::vertical()
                        .id_salt("tools")
                        .scroll_bar_visibility(egui::scroll_area::ScrollBarVisibility::AlwaysHidden)
                        .show(ui, |ui| self.tool_bar_ui(ui));
                });
            Panel::top("options")
                .exact_size(30.0)
                .frame(bar(ui))
                .show(ui, |ui| self.tool_options_ui(ui));
        }
        CentralPanel::default()
            .frame(Frame::NONE.fill(ui.visuals().panel_fill))
            .show(ui, |ui| {
                if self.session.open().is_some() {
                    self.canvas_ui(ui);
                } else {
                    self.welcome_ui(ui);
                }
            });
        self.end_mention(&ctx);
        self.dialog_ui(&ctx);
        self.notifications.ui(&ctx, &self.session.notices, self.locale);
        self.run_queue(&ctx);
        if std::mem::take(&mut self.is_first_frame) {
            ctx.request_repaint_after(Duration::from_millis(50));
        }
    }

    fn on_exit(&mut self) {
        self.session.save();
        self.remember();
    }
}
