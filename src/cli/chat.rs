//! `samtok chat`: a conversation with a language model about an image, in the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::engine::EngineArgs;
use super::output_files::{self, OutputFolder, Overwriting};
use super::{ExitCode, GlobalArgs, inputs};
use crate::dataset::{Document, ImageRef, Region};
use crate::image_file;
use crate::language::proposals::{Proposal, Reader, Vocabulary};
use crate::language::tasks::{AskedRegion, EarlierTurn, Prompts, VisionTask};
use crate::language::{ChatRole, Engine, Finish};
use crate::mask::Mask;
use crate::tokenizer::{EmbeddedImage, MaskTokenizer};

/// Talk with a language model about an image
///
/// Questions are read from standard input, one per line, unless they are given with --text. Masks given with --mask are
/// mentioned as [[r1]], [[r2]], …; masks of the answers become further regions.
#[derive(Debug, clap::Args)]
pub(super) struct ChatArgs {
    /// The image: JPEG, PNG, WebP, BMP or TIFF
    image: PathBuf,
    /// A question; may be given several times
    #[arg(long = "text", value_name = "TEXT")]
    texts: Vec<String>,
    /// Mask files of the image's size, white on black, that questions can mention
    #[arg(long = "mask", value_name = "PNG", num_args = 1..)]
    masks: Vec<PathBuf>,
    /// The longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,
    /// How much chance there is in the choice of words; 0 takes the likeliest
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = temperature)]
    temperature: f32,
    /// Makes chance repeatable
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Folder to write the masks of the answers to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwriting: Overwriting,
    #[command(flatten)]
    engine: EngineArgs,
}

/// A number from 0 to 10.
fn temperature(text: &str) -> Result<f32, String> {
    let temperature: Option<f32> = text.parse().ok();
    temperature
        .filter(|temperature| (0.0..=10.0).contains(temperature))
        .ok_or_else(|| "give a number from 0 to 10, such as 0.7".to_owned())
}

/// The conversation so far, as a document that is never saved.
struct Chat<'a> {
    args: &'a ChatArgs,
    tokenizer: &'a MaskTokenizer,
    embedded: EmbeddedImage,
    document: Document,
    words: Vec<String>,
    turns: Vec<EarlierTurn>,
    answered: Vec<Value>,
}

pub(super) fn run(args: &ChatArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let image = Arc::new(image_file::read_rgb(&args.image, &global.limits())?);
    let (masks, failures) = inputs::read_masks(&args.masks, image.size, &global.limits());
    if !failures.is_empty() {
        return Ok(ExitCode::NothingDone);
    }
    let (mut engines, trained) = args.engine.open(global, NonZeroUsize::MIN, global.json)?;
    let mut engine = engines.pop().context("there is no language model")?;
    let tokenizer = args.engine.tokenizer(global, engine.name(), &trained)?;
    let embedded = tokenizer.embed_image(&image)?;
    let mut chat = Chat {
        args,
        tokenizer: &tokenizer,
        embedded,
        document: Document::new(ImageRef::new(&args.image, image.size, None)),
        words: Vec::new(),
        turns: Vec::new(),
        answered: Vec::new(),
    };
    for input in &masks {
        chat.add_region(&input.mask)?;
    }
    let _folder = args.out.as_deref().map(OutputFolder::open).transpose()?;
    let (mut asked, mut failed) = (0, 0);
    let mut ask = |question: &str, out: &mut dyn Write| -> anyhow::Result<()> {
        asked += 1;
        if let Err(error) = chat.ask(engine.as_mut(), &image, question, global.json, out) {
            if super::diagnostics::is_broken_pipe(&error) {
                return Err(error);
            }
            failed += 1;
            super::diagnostics::report(&error);
        }
        Ok(())
    };
    if args.texts.is_empty() {
        let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        let mut lines = io::stdin().lock().lines();
        loop {
            if is_terminal {
                // Without it the program would seem to hang.
                write!(io::stderr(), "> ")?;
            }
            let Some(line) = lines.next() else { break };
            let line = line.context("cannot read standard input")?;
            if !line.trim().is_empty() {
                ask(&line, out)?;
            }
        }
    } else {
        for text in &args.texts {
            ask(text, out)?;
        }
    }
    if global.json {
        let answer = json!({
            "image": args.image.display().to_string(),
            "width": image.size.width,
            "height": image.size.height,
            "model": super::model_json(&tokenizer),
            "language_model": engine.name(),
            "turns": chat.answered,
        });
        super::write_json(out, &answer)?;
    }
    Ok(ExitCode::of(asked - failed, failed))
}

impl Chat<'_> {
    /// Adds a region that questions can mention.
    fn add_region(&mut self, mask: &Mask) -> anyhow::Result<()> {
        let encoded = self.tokenizer.encode(&self.embedded, &[mask])?;
        let format = self.tokenizer.format();
        let words = encoded.first().map(|encoded| format.write(&encoded.codes));
        let id = self.document.next_region_id();
        self.document.regions.push(Region::new(id, mask.to_rle()));
        self.words.push(words.unwrap_or_default());
        Ok(())
    }

    /// Asks one question and shows the answer while it is written.
    fn ask(
        &mut self,
        engine: &mut dyn Engine,
        image: &Arc<image_file::RgbImage>,
        question: &str,
        json: bool,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let regions: Vec<AskedRegion<'_>> = self
            .document
            .regions
            .iter()
            .zip(&self.words)
            .map(|(region, words)| AskedRegion {
                id: &region.id,
                words,
            })
            .collect();
        let mut request = Prompts::default().refine(image, &self.turns, question, &regions)?;
        request.sampling.max_new_tokens = self.args.max_tokens as usize;
        request.sampling.temperature = self.args.temperature;
        request.sampling.seed = self.args.seed;
        let mut written = Ok(());
        let answer = engine.chat(
            &request,
            &mut |text| {
                if !json && written.is_ok() {
                    written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                }
            },
            &|| false,
        );
        written?;
        if !json {
            writeln!(out)?;
        }
        let answer = answer?;
        if answer.finish == Finish::Length {
            tracing::warn!("the answer reached its longest length and may be cut off");
        }
        let vocabulary = Vocabulary::of(self.tokenizer);
        let reader = Reader {
            model: engine.name(),
            task: VisionTask::Refine,
            vocabulary: &vocabulary,
            question,
            target: None,
            label: "",
            twin_iou: Reader::TWIN_IOU,
        };
        let proposal = reader.read(&self.document, &answer.text, &mut |codes| {
            let decoded = self.tokenizer.decode(&self.embedded, codes);
            let decoded = decoded.map_err(|error| error.to_string())?;
            Ok(decoded.into_iter().map(|decoded| decoded.mask).collect())
        })?;
        for problem in &proposal.problems {
            tracing::warn!("{}", problem.message);
        }
        let mentions = self.take_regions(&proposal);
        let mut text = proposal.answer.clone();
        for (number, id) in mentions.iter().enumerate() {
            text = text.replace(&format!("[[+{}]]", number + 1), &format!("[[{id}]]"));
        }
        let mut shown = Vec::new();
        for (id, region) in mentions.iter().zip(&proposal.regions) {
            let mask = Mask::from_rle(&region.mask);
            let file = self
                .args
                .out
                .as_deref()
                .map(|folder| self.write_mask(folder, id, &mask))
                .transpose()?;
            if !json {
                let bounds = super::bbox_text(mask.bounding_box());
                let name = if region.label.is_empty() { "" } else { " " };
                write!(
                    out,
                    "[[{id}]]{name}{}  area {}  box {bounds}",
                    region.label,
                    mask.area()
                )?;
                match &file {
                    Some(file) => writeln!(out, "  {}", file.display())?,
                    None => writeln!(out)?,
                }
            }
            shown.push(json!({
                "id": id,
                "label": region.label,
                "words": vocabulary.format.write(&region.codes),
                "codes": region.codes.as_slice(),
                "area": mask.area(),
                "bbox": super::bbox_json(mask.bounding_box()),
                "file": file.map(|file| file.display().to_string()),
            }));
        }
        self.answered.push(json!({
            "question": question,
            "answer": answer.text,
            "text": text,
            "masks": shown,
            "problems": proposal.problems.iter().map(|problem| &problem.message).collect::<Vec<_>>(),
            "prompt_tokens": answer.usage.prompt_tokens,
            "completion_tokens": answer.usage.completion_tokens,
        }));
        let turn = |role, text| EarlierTurn { role, text };
        self.turns.push(turn(ChatRole::User, question.to_owned()));
        self.turns.push(turn(ChatRole::Assistant, text));
        Ok(())
    }

    /// Makes the masks of an answer regions, unless they are some already; answers with their ids.
    fn take_regions(&mut self, proposal: &Proposal) -> Vec<String> {
        let mut ids = Vec::with_capacity(proposal.regions.len());
        for region in &proposal.regions {
            if let Some(twin) = &region.twin {
                ids.push(twin.id.clone());
                continue;
            }
            let id = self.document.next_region_id();
            self.document
                .regions
                .push(Region::new(id.clone(), region.mask.clone()));
            // In the very words of the answer, as models are trained.
            self.words.push(proposal.vocabulary.format.write(&region.codes));
            ids.push(id);
        }
        ids
    }

    fn write_mask(&self, folder: &Path, id: &str, mask: &Mask) -> anyhow::Result<PathBuf> {
        let path = folder.join(output_files::named_after(&self.args.image, &format!(".{id}.png")));
        self.args.overwriting.check(&path)?;
        image_file::write_mask_png(&path, mask)?;
        Ok(path)
    }
}
