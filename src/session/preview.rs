//! What a language model would be trained on, for the image on screen.

use super::Session;
use crate::dataset::mention::RegionWords;

impl Session {
    /// The values of captions and conversations, as texts; an error in a sentence if words are missing.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn training_preview(&self) -> Result<Vec<String>, String> {
        let Some(open) = self.open() else {
            return Ok(Vec::new());
        };
        let document = open.document();
        let words = RegionWords::new(&document.regions);
        let value = |text: &str| words.value(text).unwrap_or_else(|| text.to_owned());
        let mut records = Vec::new();
        for region in &document.regions {
            for caption in region
                .captions
                .iter()
                .filter(|caption| !caption.text.trim().is_empty())
            {
                let Some(words) = &region.words else {
                    return Err(format!("region {} has no words yet", region.id));
                };
                records.push(format!("{}\n{}", words.text, value(&caption.text)));
            }
        }
        for conversation in &document.conversations {
            let turns = conversation
                .turns
                .iter()
                .map(|turn| format!("{}: {}", turn.role.as_str(), value(&turn.text)));
            records.push(turns.collect::<Vec<_>>().join("\n"));
        }
        Ok(records)
    }
}
