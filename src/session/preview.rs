//! What a language model would be trained on, for the image on screen.

use super::Session;
use crate::interchange::training::{self, Container, TrainingOptions};
use crate::interchange::{Annotated, Notes};

/// The training records of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainingPreview {
    /// Each as JSON, as an export with the usual options writes it.
    pub records: Vec<String>,
    /// Why annotations give no record, a sentence each, and how many.
    pub left_out: Vec<(String, u64)>,
}

impl Session {
    /// The records of the image on screen.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn training_preview(&self, container: Container) -> Result<TrainingPreview, String> {
        let Some(open) = self.open() else {
            return Ok(TrainingPreview::default());
        };
        let name = self.list.as_ref().and_then(|list| list.name_of(&open.path));
        let item = Annotated {
            path: open.path.clone(),
            name: name.unwrap_or_else(|| open.document().image.file_name.clone()),
            document: open.document().clone(),
        };
        let mut notes = Notes::default();
        let records = training::preview(&item, &TrainingOptions::new(container), &mut notes)
            .map_err(|error| error.to_string())?;
        Ok(TrainingPreview {
            records: records.iter().map(|record| format!("{record:#}")).collect(),
            left_out: notes
                .losses()
                .map(|(what, count, _)| (what.to_owned(), count))
                .collect(),
        })
    }
}
