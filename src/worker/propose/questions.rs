//! Which questions are asked about an image, by task.

use super::{ProposeError, ProposeOptions};
use crate::dataset::{Document, Region, Status, mention};
use crate::language::tasks::VisionTask;

/// The text of `describe` that asks for a short description.
pub(super) const BRIEFLY: &str = "briefly";

/// A question about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// What is asked; empty where the task says it all.
    pub(super) text: String,
    /// The region that it is about.
    pub(super) region: Option<String>,
}

/// Refuses a task that cannot be done for a folder, or lacks what it is to ask.
pub(super) fn check(options: &ProposeOptions) -> Result<(), ProposeError> {
    let task = options.task;
    let has_text = options.texts.iter().any(|text| !text.trim().is_empty());
    match task {
        VisionTask::Refine => Err(ProposeError::NotForFolders { task }),
        VisionTask::Ask | VisionTask::Segment | VisionTask::Detect if !has_text => {
            Err(ProposeError::NoText { task })
        }
        _ => Ok(()),
    }
}

/// The questions about the image of a document.
pub(super) fn about(document: &Document, options: &ProposeOptions) -> Vec<Question> {
    let usable = |region: &&Region| region.status != Status::Rejected && region.mask.rle.area() > 0;
    let regions = || document.regions.iter().filter(usable);
    let texts = options
        .texts
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty());
    let question = |text: &str, region: Option<&Region>| Question {
        text: text.to_owned(),
        region: region.map(|region| region.id.clone()),
    };
    match options.task {
        // What somebody has described is described.
        VisionTask::Caption => regions()
            .filter(|region| region.captions.is_empty())
            .map(|region| question("", Some(region)))
            .collect(),
        VisionTask::Ask => texts
            .flat_map(|text| {
                let mentioned: Vec<&str> = mention::candidates(text).map(|candidate| candidate.id).collect();
                if mentioned.is_empty() {
                    return regions()
                        .map(|region| question(text, Some(region)))
                        .collect::<Vec<_>>();
                }
                let are_there = mentioned
                    .iter()
                    .all(|id| regions().any(|region| region.id == **id));
                are_there.then(|| question(text, None)).into_iter().collect()
            })
            .collect(),
        VisionTask::Describe => {
            let mut texts = texts;
            let text = texts.next_back().unwrap_or_default();
            vec![question(if text == BRIEFLY { BRIEFLY } else { "" }, None)]
        }
        VisionTask::Segment => texts.map(|text| question(text, None)).collect(),
        VisionTask::Detect => {
            let all: Vec<&str> = texts.collect();
            vec![question(&all.join(", "), None)]
        }
        VisionTask::Refine => Vec::new(),
    }
}

impl Question {
    /// The text with a mention of the region it is about.
    pub(super) fn with_mentions(&self) -> String {
        match &self.region {
            Some(region) => format!("[[{region}]]\n{}", self.text),
            None => self.text.clone(),
        }
    }

    /// The regions that it mentions, each once.
    pub(super) fn mentioned(&self, document: &Document) -> Vec<Region> {
        let text = self.with_mentions();
        let mut found: Vec<Region> = Vec::new();
        for candidate in mention::candidates(&text) {
            if let Some(region) = document.region(candidate.id)
                && found.iter().all(|known| known.id != region.id)
            {
                found.push(region.clone());
            }
        }
        found
    }
}
