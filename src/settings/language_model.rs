//! Which language model the window asks; never the key of a server, only the name of the variable that has it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::language::opening::EngineChoice;
use crate::language::qwen3_vl::Precision;
use crate::language::served::{ApiKey, Endpoint};

/// The longest answer that the window shows, in bytes; no person reads more.
const MAX_ANSWER_BYTES: usize = 1 << 16;

/// Where the language model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LanguageSource {
    /// There is none; nothing is sent anywhere.
    #[default]
    Off,
    /// On a server.
    Server,
    /// In a folder.
    Folder,
}

/// Which language model is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LanguageSettings {
    /// Where it is.
    pub source: LanguageSource,
    /// The server's address.
    pub address: String,
    /// The model's name on the server; empty for its only one.
    pub model: String,
    /// The environment variable that has the server's key; empty for no key.
    pub key_variable: String,
    /// The model's folder.
    pub folder: PathBuf,
    /// How its weights are held; empty for the usual way.
    pub precision: String,
    /// The fingerprint of the mask tokenizer that it was trained with; empty if nobody said.
    pub trained_with: String,
}

impl LanguageSettings {
    /// The model to ask, run on `device` if it is in a folder; `None` where there is none.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the settings.
    pub fn choice(&self, device: &str) -> Result<Option<EngineChoice>, String> {
        match self.source {
            LanguageSource::Off => Ok(None),
            LanguageSource::Server => {
                let endpoint = self.endpoint().map_err(|error| error.to_string())?;
                Ok(Some(EngineChoice::Served(Box::new(endpoint))))
            }
            LanguageSource::Folder => {
                if self.folder.as_os_str().is_empty() {
                    return Err("no folder of a language model is chosen; choose one".to_owned());
                }
                let precision = if self.precision.is_empty() {
                    Precision::default()
                } else {
                    self.precision.parse()?
                };
                Ok(Some(EngineChoice::Local {
                    folder: self.folder.clone(),
                    precision,
                    device: device.parse().unwrap_or_default(),
                }))
            }
        }
    }

    fn endpoint(&self) -> Result<Endpoint, crate::language::LanguageError> {
        let mut endpoint = Endpoint::new(&self.address, self.model.trim())?;
        let variable = self.key_variable.trim();
        if !variable.is_empty() {
            endpoint.key = Some(ApiKey::from_environment(variable)?);
        }
        endpoint.max_answer_bytes = MAX_ANSWER_BYTES;
        // A person who waits can ask again; a long wait looks like a fault of the window.
        endpoint.retries.retries = 1;
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_a_model_or_a_sentence() {
        let mut settings = LanguageSettings::default();
        assert!(settings.choice("auto").unwrap().is_none());
        settings.source = LanguageSource::Server;
        assert!(settings.choice("auto").unwrap_err().contains("it is empty"));
        settings.address = "http://user:secret@host".to_owned();
        let told = settings.choice("auto").unwrap_err();
        assert!(!told.contains("secret"), "{told}");
        settings.address = "localhost:8000".to_owned();
        let choice = settings.choice("auto").unwrap().unwrap();
        assert!(
            choice.describe().contains("http://localhost:8000/v1"),
            "{}",
            choice.describe()
        );
        settings.key_variable = "SAMTOK_SURELY_UNSET".to_owned();
        assert!(
            settings
                .choice("auto")
                .unwrap_err()
                .contains("SAMTOK_SURELY_UNSET")
        );
        settings.source = LanguageSource::Folder;
        assert!(settings.choice("auto").unwrap_err().contains("folder"));
        settings.folder = "models/qwen".into();
        assert!(
            settings
                .choice("cpu")
                .unwrap()
                .unwrap()
                .describe()
                .contains("sends nothing")
        );
        settings.precision = "q99".to_owned();
        assert!(settings.choice("cpu").is_err());
    }

    #[test]
    fn no_key_is_ever_written() {
        let text = serde_json::to_string(&LanguageSettings::default()).unwrap();
        assert!(
            !text.contains("secret") && text.contains("key_variable"),
            "{text}"
        );
    }
}
