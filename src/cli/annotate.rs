//! `samtok annotate`: masks with labels, captions and a question become regions of the image's sidecar.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::ensure;
use serde_json::{Value, json};

use super::encode::{self, SearchArgs, TokenizedMask};
use super::inputs::{self, InputMask};
use super::stages::Stage;
use super::table::Table;
use super::{ExitCode, GlobalArgs};
use crate::dataset::mention;
use crate::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Sidecar, Task, Timestamp, Turn,
};
use crate::image_file::{self, RgbImage};
use crate::mask::Mask;
use crate::tokenizer::MaskTokenizer;

/// Who wrote the captions that are given on the command line.
const AUTHOR: &str = "human";

/// Add regions, captions and a question to the annotations of an image
///
/// They are kept in IMAGE.samtok.json beside the image; what is there already stays. In texts, [[r1]] mentions a
/// region by its id, and [[+1]] the first mask of this command.
#[derive(Debug, clap::Args)]
pub(super) struct AnnotateArgs {
    /// The image: JPEG, PNG, WebP, BMP or TIFF
    image: PathBuf,
    /// Mask files of the image's size, white on black; each becomes a region
    #[arg(long = "mask", value_name = "PNG", required = true, num_args = 1..)]
    masks: Vec<PathBuf>,
    /// Class or short name: one for all masks, or one for each in order
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Description of a mask, in the order of the masks; "" for none
    #[arg(long = "caption", value_name = "TEXT")]
    captions: Vec<String>,
    /// Attribute of all these regions
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Attribute>,
    /// A question about regions, which makes a conversation
    #[arg(long, value_name = "TEXT", requires = "answer")]
    question: Option<String>,
    /// The answer to the question
    #[arg(long, value_name = "TEXT", requires = "question")]
    answer: Option<String>,
    #[command(flatten)]
    search: SearchArgs,
}

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attribute {
    key: String,
    value: String,
}

impl FromStr for Attribute {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text
            .split_once('=')
            .ok_or("expected KEY=VALUE such as severity=minor")?;
        if key.is_empty() {
            return Err("the key is empty; give KEY=VALUE such as severity=minor");
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl AnnotateArgs {
    fn check(&self) -> anyhow::Result<()> {
        let (masks, labels, captions) = (self.masks.len(), self.labels.len(), self.captions.len());
        ensure!(
            labels <= 1 || labels == masks,
            "there are {labels} labels and {masks} masks; give one --label for all, or one for each mask"
        );
        ensure!(
            captions <= masks,
            "there are {captions} captions and {masks} masks; give at most one --caption for each mask"
        );
        Ok(())
    }

    fn label(&self, index: usize) -> &str {
        let one_for_all = || self.labels.first().filter(|_| self.labels.len() == 1);
        self.labels
            .get(index)
            .or_else(one_for_all)
            .map_or("", String::as_str)
    }
}

/// What a run of this command added, by id.
struct Added {
    regions: Vec<String>,
    conversation: Option<String>,
}

impl Added {
    /// Finds what was added to `before` in `merged`, where another program may have taken the same ids.
    fn follow(&mut self, before: &Document, merged: &Document) {
        for id in &mut self.regions {
            let Some(added) = before.regions.iter().find(|region| region.id == *id) else {
                continue;
            };
            let is_it = |region: &&Region| {
                (&region.mask.rle, &region.label) == (&added.mask.rle, &added.label)
                    && region.words == added.words
            };
            let mut same = merged.regions.iter().filter(is_it);
            let found = same
                .clone()
                .find(|region| region.id == *id)
                .or_else(|| same.next_back());
            if let Some(found) = found {
                id.clone_from(&found.id);
            }
        }
        if let Some(id) = &mut self.conversation {
            let added = before.conversations.iter().find(|known| known.id == *id);
            let is_it = |known: &&Conversation| {
                added.is_some_and(|added| known.task == added.task && known.turns == added.turns)
            };
            let mut same = merged.conversations.iter().filter(is_it);
            if let Some(found) = same
                .clone()
                .find(|known| known.id == *id)
                .or_else(|| same.next_back())
            {
                id.clone_from(&found.id);
            }
        }
    }
}

pub(super) fn run(args: &AnnotateArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    args.check()?;
    let mut stages = global.stages();
    let files = global.model_files()?;
    args.search.check(files.config.quantizer.codebook_depth)?;
    let limits = global.limits();
    let (image, image_blake3) = stages.time(Stage::ReadImage, || -> anyhow::Result<(RgbImage, String)> {
        let bytes = image_file::read_bytes(&args.image, &limits)?;
        let image = image_file::decode_rgb(&bytes, &args.image, &limits)?;
        Ok((image, blake3::hash(&bytes).to_hex().to_string()))
    })?;
    let size = image.size;
    // What cannot be read is told before the network has worked for it.
    Sidecar::load(&args.image, size)?;
    let (masks, failures) = inputs::read_masks(&args.masks, size, &limits);
    if masks.is_empty() {
        return Ok(ExitCode::NothingDone);
    }
    // Captions and mentions count on all masks, so half of them would be worse than none.
    ensure!(
        failures.is_empty(),
        "{} of {} masks cannot be used, so nothing was added; mend or leave them out: {}",
        failures.len(),
        args.masks.len(),
        args.image.display()
    );
    let tokenizer = global.load(&files, &mut stages)?;
    let embedded = stages.time(Stage::ImageEncode, || tokenizer.embed_image(&image))?;
    drop(image);
    let pixels: Vec<&Mask> = masks.iter().map(|input| &input.mask).collect();
    let tokenized = encode::tokenize(&tokenizer, &embedded, &pixels, args.search, &mut stages)?;

    let image_ref = ImageRef::new(&args.image, size, Some(image_blake3));
    let (mut sidecar, document) = Sidecar::load(&args.image, size)?;
    let mut document = opened(document, image_ref, sidecar.path());
    let mut added = add(&mut document, args, &masks, &tokenized, &tokenizer);
    document.touch(Timestamp::now());
    let saved = sidecar.save_merging(&document)?;
    for conflict in &saved.conflicts {
        tracing::warn!("{conflict}: {}", sidecar.path().display());
    }
    if let Some(merged) = saved.merged {
        added.follow(&document, &merged);
        document = merged;
    }

    if global.json {
        let regions = added.regions.iter().zip(&masks).zip(&tokenized).enumerate();
        let document = json!({
            "image": args.image.display().to_string(),
            "width": size.width,
            "height": size.height,
            "model": super::model_json(&tokenizer),
            "sidecar": sidecar.path().display().to_string(),
            "regions": regions.map(|(index, ((id, input), mask))| json!({
                "id": id,
                "file": input.path.display().to_string(),
                "label": args.label(index),
                "words": mask.words,
                "codes": mask.codes.as_slice(),
                "area": input.mask.area(),
                "bbox": super::bbox_json(input.mask.bounding_box()),
                "iou": super::rounded(mask.iou),
            })).collect::<Vec<Value>>(),
            "conversations": added.conversation.iter().collect::<Vec<_>>(),
            "timings_ms": stages.to_json(),
        });
        super::write_json(out, &document)?;
    } else {
        super::write_heading(out, &args.image, size, &tokenizer)?;
        let mut table = Table::new(["added", "label", "area", "box", "iou", "words"]);
        for (index, ((id, input), mask)) in added.regions.iter().zip(&masks).zip(&tokenized).enumerate() {
            table.add([
                id.clone(),
                args.label(index).to_owned(),
                input.mask.area().to_string(),
                super::bbox_text(input.mask.bounding_box()),
                format!("{:.3}", mask.iou),
                mask.words.clone(),
            ]);
        }
        table.write(out)?;
        if let Some(id) = &added.conversation {
            writeln!(out, "{id}     a question and its answer")?;
        }
        writeln!(
            out,
            "now {} and {} in {}",
            super::counted(document.regions.len(), "region"),
            super::counted(document.conversations.len(), "conversation"),
            sidecar.path().display()
        )?;
    }
    Ok(ExitCode::AllWell)
}

/// The document to add to: the one on disk, or a new one.
fn opened(document: Option<Document>, image: ImageRef, path: &Path) -> Document {
    let Some(mut document) = document else {
        return Document::new(image);
    };
    match &document.image.blake3 {
        Some(known) if Some(known) != image.blake3.as_ref() => {
            tracing::warn!(
                "the image file has changed since it was first annotated: {}",
                path.display()
            );
        }
        Some(_) => {}
        None => document.image.blake3 = image.blake3,
    }
    document
}

/// Adds the regions, then what is said about them.
fn add(
    document: &mut Document,
    args: &AnnotateArgs,
    masks: &[InputMask],
    tokenized: &[TokenizedMask],
    tokenizer: &MaskTokenizer,
) -> Added {
    let format = tokenizer.format();
    let tokenizer_id = document.tokenizer_id(
        &tokenizer.config().name,
        &tokenizer.fingerprint().to_string(),
        format.codebook_size(),
        format.codebook_depth(),
    );
    let mut regions = Vec::with_capacity(masks.len());
    for (index, (input, mask)) in masks.iter().zip(tokenized).enumerate() {
        let rle = input.mask.to_rle();
        if let Some(twin) = document.regions.iter().find(|region| region.mask.rle == rle) {
            tracing::warn!(
                "region {} has the same mask already: {}",
                twin.id,
                input.path.display()
            );
        }
        let mut region = Region::new(document.next_region_id(), rle);
        region.label = args.label(index).to_owned();
        region.source = input
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        region.words = Some(MaskWords::new(
            mask.words.clone(),
            mask.codes.complete().unwrap_or_default(),
            tokenizer_id.clone(),
            Some(mask.iou as f32),
            &region.mask.rle,
        ));
        for Attribute { key, value } in &args.attributes {
            region.attributes.insert(key.clone(), Value::from(value.as_str()));
        }
        regions.push(region.id.clone());
        document.regions.push(region);
    }
    let ids: HashSet<String> = document.regions.iter().map(|region| region.id.clone()).collect();
    let text = |text: &str| with_ids(text, &regions, &ids);
    for (id, caption) in regions
        .iter()
        .zip(&args.captions)
        .filter(|(_, caption)| !caption.is_empty())
    {
        if let Some(region) = document.region_mut(id) {
            region
                .captions
                .push(Caption::new(text(caption), Some(AUTHOR.to_owned())));
        }
    }
    let conversation = args
        .question
        .as_ref()
        .zip(args.answer.as_ref())
        .map(|(question, answer)| {
            let mut conversation = Conversation::new(document.next_conversation_id(), Task::RegionQa);
            conversation.turns = vec![
                Turn::new(Role::User, text(question)),
                Turn::new(Role::Assistant, text(answer)),
            ];
            let id = conversation.id.clone();
            document.conversations.push(conversation);
            id
        });
    Added {
        regions,
        conversation,
    }
}

/// The text with `[[+1]]` and so on replaced by the ids of the regions just added.
fn with_ids(text: &str, added: &[String], ids: &HashSet<String>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut copied = 0;
    for candidate in mention::candidates(text) {
        let number = candidate
            .id
            .strip_prefix('+')
            .and_then(|number| number.parse::<usize>().ok());
        let id = number.and_then(|number| added.get(number.checked_sub(1)?));
        if let Some(id) = id {
            replaced.push_str(text.get(copied..candidate.range.start).unwrap_or_default());
            replaced.push_str(&format!("[[{id}]]"));
            copied = candidate.range.end;
        } else if !ids.contains(candidate.id) {
            tracing::warn!("[[{}]] is no region and stays plain text", candidate.id);
        }
    }
    replaced.push_str(text.get(copied..).unwrap_or_default());
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read() {
        let attribute: Attribute = "a=b=c".parse().unwrap();
        assert_eq!((attribute.key.as_str(), attribute.value.as_str()), ("a", "b=c"));
        assert!("=b".parse::<Attribute>().is_err());
        assert!("ab".parse::<Attribute>().is_err());
    }

    #[test]
    fn new_regions_are_mentioned_by_number() {
        let added = ["r7".to_owned(), "r8".to_owned()];
        let ids = HashSet::from(["r1", "r7", "r8"].map(str::to_owned));
        for (text, expected) in [
            (
                "[[+1]] beside [[r1]], not [[+2]].",
                "[[r7]] beside [[r1]], not [[r8]].",
            ),
            ("[[+3]] [[+0]] [[+x]] [[r9]]", "[[+3]] [[+0]] [[+x]] [[r9]]"),
            ("é[[[+2]]]", "é[[[r8]]]"),
            ("", ""),
        ] {
            assert_eq!(with_ids(text, &added, &ids), expected);
        }
    }
}
