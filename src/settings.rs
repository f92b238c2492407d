//! What a person chose, kept between sessions; read leniently, written whole, unknown keys kept.

mod language_model;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::language_model::{LanguageSettings, LanguageSource};
use crate::atomic_file::{AtomicFile, Existing};
use crate::command::{Command, KeyChord};

/// Folders that are remembered.
const RECENT: usize = 12;

/// The language of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

/// The colours of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Light on dark.
    #[default]
    Dark,
    /// Dark on light.
    Light,
}

/// Where a folder was left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastView {
    /// The folder.
    pub folder: PathBuf,
    /// The image that was shown.
    pub image: Option<PathBuf>,
    /// Image pixel at the centre of the canvas.
    pub center: Option<[f64; 2]>,
    /// Screen pixels per image pixel.
    pub scale: Option<f64>,
}

/// Everything that is kept between sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The language of the window.
    pub language: Language,
    /// The colours of the window.
    pub theme: Theme,
    /// Size of text and buttons; 1 is normal.
    pub interface_scale: f32,
    /// How strongly masks are filled, 0 to 1.
    pub fill_opacity: f32,
    /// Whether the pixel grid shows when close.
    pub has_grid: bool,
    /// The model folder or file; `None` for the one built into the program.
    pub model: Option<PathBuf>,
    /// Where to run it, as on the command line.
    pub device: String,
    /// Most megabytes of image embeddings in memory.
    pub embedding_mb: usize,
    /// Folders that were opened, the latest first, and where they were left.
    pub recent: Vec<LastView>,
    /// Labels given to the digit keys, in their order.
    pub labels: Vec<String>,
    /// Keys that differ from the usual ones, by command.
    pub keys: BTreeMap<String, Vec<String>>,
    /// The language model.
    pub language_model: LanguageSettings,
    /// Whether the hint of the first start went away.
    pub is_hint_seen: bool,
    /// Who writes captions and reviews; empty for `human`.
    pub author: String,
    /// Keys of other versions.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: Language::English,
            theme: Theme::Dark,
            interface_scale: 1.0,
            fill_opacity: 0.35,
            has_grid: true,
            model: None,
            device: "auto".to_owned(),
            embedding_mb: 512,
            recent: Vec::new(),
            labels: Vec::new(),
            keys: BTreeMap::new(),
            language_model: LanguageSettings::default(),
            is_hint_seen: false,
            author: String::new(),
            unknown: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Where the settings of this user are; `None` where the system names no place.
    #[must_use]
    pub fn usual_path() -> Option<PathBuf> {
        directories::ProjectDirs::from("dev", "samtok", "Studio")
            .map(|places| places.config_dir().join("settings.json"))
    }

    /// Where what can be made again is kept.
    #[must_use]
    pub fn cache_folder() -> Option<PathBuf> {
        directories::ProjectDirs::from("dev", "samtok", "Studio")
            .map(|places| places.cache_dir().to_path_buf())
    }

    /// Where the sample images are made.
    #[must_use]
    pub fn samples_folder() -> Option<PathBuf> {
        directories::ProjectDirs::from("dev", "samtok", "Studio")
            .map(|places| places.data_dir().join("samples"))
    }

    /// Reads the settings at `path`; what is missing or makes no sense is as usual, and is told in the sentences.
    ///
    /// A file that is no JSON at all is put aside as `settings.damaged.json`, so that the next save does not lose it.
    #[must_use]
    pub fn read(path: &Path) -> (Self, Vec<String>) {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), Vec::new()),
            Err(error) => {
                let told = format!(
                    "cannot read the settings, so the usual ones are used: {error}: {}",
                    path.display()
                );
                return (Self::default(), vec![told]);
            }
        };
        let value = match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) {
            Ok(value) => value,
            Err(error) => {
                let aside = path.with_file_name("settings.damaged.json");
                let kept = fs::rename(path, &aside);
                let told = match kept {
                    Ok(()) => format!(
                        "the settings are damaged ({error}) and were put aside: {}",
                        aside.display()
                    ),
                    Err(_) => format!("the settings are damaged ({error}): {}", path.display()),
                };
                return (Self::default(), vec![told]);
            }
        };
        let mut told = Vec::new();
        // Key by key, so that one that makes no sense costs only itself.
        let mut kept = serde_json::Map::new();
        for (key, value) in value {
            let alone = serde_json::Map::from_iter([(key.clone(), value.clone())]);
            if serde_json::from_value::<Self>(alone.into()).is_ok() {
                kept.insert(key, value);
            } else {
                told.push(format!(
                    "the setting {key:?} makes no sense and is as usual: {}",
                    path.display()
                ));
            }
        }
        let mut settings: Self = serde_json::from_value(kept.into()).unwrap_or_default();
        settings.make_sense();
        (settings, told)
    }

    fn make_sense(&mut self) {
        let usual = Self::default();
        let finite = |value: f32, usual: f32| if value.is_finite() { value } else { usual };
        self.interface_scale = finite(self.interface_scale, usual.interface_scale).clamp(0.5, 4.0);
        self.fill_opacity = finite(self.fill_opacity, usual.fill_opacity).clamp(0.0, 1.0);
        self.embedding_mb = self.embedding_mb.clamp(16, 1 << 20);
    }

    /// Writes the settings as a whole.
    ///
    /// # Errors
    /// What the operating system says; the file is as it was then.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        bytes.push(b'\n');
        AtomicFile::write(path, &bytes, Existing::Replace)
    }

    /// Remembers where a folder was left.
    pub fn remember(&mut self, view: LastView) {
        self.recent.retain(|recent| recent.folder != view.folder);
        self.recent.insert(0, view);
        self.recent.truncate(RECENT);
    }

    /// The keys of a command.
    #[must_use]
    pub fn keys_of(&self, command: Command) -> Vec<KeyChord> {
        match self.keys.get(command.id()) {
            Some(keys) => keys.iter().filter_map(|key| key.parse().ok()).collect(),
            None => command
                .default_keys()
                .iter()
                .filter_map(|key| key.parse().ok())
                .collect(),
        }
    }

    /// Gives a command other keys; those it has by itself need no mention in the file.
    pub fn set_keys(&mut self, command: Command, keys: &[KeyChord]) {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        if keys == command.default_keys() {
            self.keys.remove(command.id());
        } else {
            self.keys.insert(command.id().to_owned(), keys);
        }
    }

    /// Another command that has this key too.
    #[must_use]
    pub fn conflict(&self, command: Command, key: &KeyChord) -> Option<Command> {
        Command::ALL
            .iter()
            .copied()
            .find(|other| *other != command && self.keys_of(*other).contains(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_and_so_do_the_keys_of_other_versions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub").join("settings.json");
        assert_eq!(Settings::read(&path), (Settings::default(), Vec::new()));
        let mut settings = Settings {
            theme: Theme::Light,
            ..Settings::default()
        };
        settings.unknown.insert("from_the_future".to_owned(), 7.into());
        settings.remember(LastView {
            folder: "a".into(),
            ..LastView::default()
        });
        settings.remember(LastView {
            folder: "b".into(),
            ..LastView::default()
        });
        settings.remember(LastView {
            folder: "a".into(),
            ..LastView::default()
        });
        settings.write(&path).unwrap();
        let (read, told) = Settings::read(&path);
        assert_eq!((&read, told.len()), (&settings, 0));
        assert_eq!(read.recent.len(), 2);
    }

    #[test]
    fn one_senseless_value_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        fs::write(
            &path,
            r#"{"theme": "purple", "language": "chinese", "interface_scale": 900}"#,
        )
        .unwrap();
        let (settings, told) = Settings::read(&path);
        assert_eq!(
            (settings.theme, settings.language),
            (Theme::Dark, Language::Chinese)
        );
        assert_eq!((settings.interface_scale, told.len()), (4.0, 1));
        fs::write(&path, "not json").unwrap();
        let (settings, told) = Settings::read(&path);
        assert_eq!((settings, told.len()), (Settings::default(), 1));
        assert!(folder.path().join("settings.damaged.json").exists() && !path.exists());
    }

    #[test]
    fn keys_can_be_changed_and_conflicts_are_found() {
        let mut settings = Settings::default();
        let key: KeyChord = "Ctrl+Z".parse().unwrap();
        assert_eq!(settings.conflict(Command::Redo, &key), Some(Command::Undo));
        settings.set_keys(Command::Undo, &["F9".parse().unwrap()]);
        assert_eq!(settings.conflict(Command::Redo, &key), None);
        let usual = settings.keys_of(Command::Redo);
        settings.set_keys(Command::Redo, &usual);
        assert_eq!(settings.keys.len(), 1);
    }
}
