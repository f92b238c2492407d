//! Documents into the files of a training data set.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::super::{Annotated, Notes, Outgoing, OutputFolder, Result};
use super::added_tokens;
use super::manifest::{self, Manifest};
use super::record::{Record, Scene};
use super::records::{Maker, Zooming};
use super::rendering::{ImageNames, OWN_KEY, Rendered, content_blake3, own_text};
use super::rl_parquet::Row;
use super::shards::{Item, Series, Shards};
use super::splitting::Part;
use super::zoom::ZoomTokenizer;
use super::{Container, TrainingError, TrainingOptions, templates};
use crate::dataset::{DatasetError, Role, Tokenizer, format, sidecar_path};
use crate::image_file::{Limits, read_bytes};
use crate::words::WordFormat;

/// Images with words of a second tokenizer that an error names.
const NAMED_IMAGES: usize = 10;

/// Writes `items` into `out` as `options` say and gives an account of it, which is also written there.
///
/// `zoom` makes the words of enlarged crops; without it there are no zoom-in records. What cannot be used is noted
/// and left out. If this fails, the folder holds part of an export, without a manifest.
///
/// # Errors
/// [`TrainingError`] for options that make no sense and for words of more than one tokenizer, what `items` say, and
/// I/O.
pub fn export(
    items: &mut Outgoing<'_>,
    options: &TrainingOptions,
    zoom: Option<&mut dyn ZoomTokenizer>,
    out: &OutputFolder,
    notes: &mut Notes,
) -> Result<Manifest> {
    options.split.check()?;
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if options.name.is_empty() || options.name.starts_with('.') || !options.name.chars().all(is_plain) {
        let name = options.name.clone();
        return Err(TrainingError::Name { name }.into());
    }
    let zoom = zoom.map(|tokenizer| Zooming { tokenizer, out });
    let mut maker = Maker::new(options, zoom);
    let shards = Shards::new(
        out,
        &options.name,
        options.container,
        options.shard_records,
        options.own_key,
    );
    let mut writing = Writing {
        options,
        names: ImageNames::new(options, out.path()),
        out,
        shards,
        manifest: Manifest {
            container: options.container,
            files: Vec::new(),
            records: BTreeMap::new(),
            images: BTreeMap::new(),
            images_without_records: 0,
            regions: 0,
            tokenizer: None,
        },
        tokenizer_image: String::new(),
        mixed: None,
    };
    for item in items {
        let item = item?;
        let scene = Scene::new(&item.name, &item.document);
        // Once words of two tokenizers were met, the rest is only looked through to say where else they are.
        if writing.check_tokenizers(&scene) {
            let records = maker.records(&scene, &item.path, notes)?;
            writing.write(&item, &scene, &records, notes)?;
        }
    }
    writing.finish()
}

/// The records that [`export`] makes of one image, without those of enlarged crops and the key of our own; nothing is
/// written. What is left out is noted.
///
/// # Errors
/// None at present: only crops can fail.
pub fn preview(item: &Annotated, options: &TrainingOptions, notes: &mut Notes) -> Result<Vec<Value>> {
    let scene = Scene::new(&item.name, &item.document);
    let records = Maker::new(options, None).records(&scene, &item.path, notes)?;
    let mut names = ImageNames::new(options, Path::new(""));
    let value = |record: &Record| {
        let rendered = Rendered::new(&scene, record, names.of(item, record));
        rendered.value(options.container, None)
    };
    Ok(records.iter().map(value).collect())
}

struct Writing<'a> {
    options: &'a TrainingOptions,
    names: ImageNames,
    out: &'a OutputFolder,
    shards: Shards<'a>,
    manifest: Manifest,
    /// The first image with words.
    tokenizer_image: String,
    mixed: Option<TrainingError>,
}

impl Writing<'_> {
    /// Whether all words so far are of one tokenizer.
    fn check_tokenizers(&mut self, scene: &Scene<'_>) -> bool {
        for index in scene.tokenizers() {
            let Some(tokenizer) = scene.document.tokenizers.get(index) else {
                continue;
            };
            let Some(first) = &self.manifest.tokenizer else {
                self.manifest.tokenizer = Some(tokenizer.clone());
                scene.name.clone_into(&mut self.tokenizer_image);
                continue;
            };
            if is_same(first, tokenizer) {
                continue;
            }
            let mixed = self.mixed.get_or_insert_with(|| TrainingError::MixedTokenizers {
                first: called(first),
                first_image: self.tokenizer_image.clone(),
                other: called(tokenizer),
                other_images: Vec::new(),
                more_images: 0,
            });
            if let TrainingError::MixedTokenizers {
                other_images,
                more_images,
                ..
            } = mixed
            {
                if other_images.len() < NAMED_IMAGES {
                    other_images.push(scene.name.to_owned());
                } else {
                    *more_images += 1;
                }
            }
            break;
        }
        self.mixed.is_none()
    }

    fn write(
        &mut self,
        item: &Annotated,
        scene: &Scene<'_>,
        records: &[Record],
        notes: &mut Notes,
    ) -> Result<()> {
        let part = self.options.split.part(&item.name, &item.document);
        self.manifest.regions += item.document.regions.len() as u64;
        let mut document = None;
        if self.options.own_key {
            let failed = |source| DatasetError::Format {
                source,
                path: sidecar_path(&item.path),
            };
            document = Some(format::write_line(&item.document).map_err(failed)?);
        }
        if records.is_empty() {
            self.manifest.images_without_records += 1;
            if let Some(document) = document {
                let own = own_text(&item.name, "", "", Some(&document));
                let line = json!({"image": item.name, OWN_KEY: own});
                self.shards.push(Series::Documents, Item::Record(line))?;
            }
            return Ok(());
        }
        *self.manifest.images.entry(part).or_default() += 1;
        let file_bytes = OnceLock::new();
        for record in records {
            *self.manifest.records.entry((part, record.kind)).or_default() += 1;
            let rendered = Rendered::new(scene, record, self.names.of(item, record));
            if self.options.container == Container::RlParquet {
                self.write_rows(part, item, record, &rendered, document.take(), &file_bytes, notes)?;
                continue;
            }
            let own = self.options.own_key.then(|| {
                let turns = rendered.turns.iter().map(|(role, text)| (*role, text.as_str()));
                let masks = rendered
                    .masks
                    .iter()
                    .map(|mask| (mask.size, mask.counts.as_str()));
                let blake3 = content_blake3(turns, masks);
                own_text(&item.name, &record.origin, &blake3, document.take().as_deref())
            });
            let value = rendered.value(self.options.container, own);
            self.shards
                .push(Series::Records(part, Some(record.kind)), Item::Record(value))?;
        }
        Ok(())
    }

    /// One row per question: the published rows have no dialogues.
    #[expect(
        clippy::too_many_arguments,
        reason = "all are parts of the one record being written"
    )]
    fn write_rows(
        &mut self,
        part: Part,
        item: &Annotated,
        record: &Record,
        rendered: &Rendered,
        mut document: Option<String>,
        file_bytes: &OnceLock<Option<Vec<u8>>>,
        notes: &mut Notes,
    ) -> Result<()> {
        let rounds = rendered
            .turns
            .as_chunks::<2>()
            .0
            .iter()
            .zip(rendered.said.as_chunks::<2>().0);
        if rounds.len() > 1 {
            notes.remark(
                "the rounds of a conversation became rows of their own, since rows have no dialogues",
                &item.name,
                &record.origin,
            );
        }
        for (index, ([(_, question), (_, answer)], [_, said])) in rounds.enumerate() {
            let problem = if index == 0 {
                question.clone()
            } else {
                format!("<image>\n{question}")
            };
            let masks = super::record::distinct(said.iter().copied()).into_iter();
            let masks: Vec<_> = masks
                .filter_map(|mask| rendered.masks.get(mask))
                .map(|mask| (mask.size, mask.counts.clone()))
                .collect();
            // Only the first round shows the crops.
            let shown = if index == 0 { rendered.images.len() } else { 1 };
            let mut images = Vec::with_capacity(shown);
            for (place, path) in rendered.images.iter().take(shown).enumerate() {
                images.push((
                    self.embedded(place, item, record, file_bytes, notes),
                    path.clone(),
                ));
            }
            let own = self.options.own_key.then(|| {
                let turns = [(Role::User, problem.as_str()), (Role::Assistant, answer.as_str())];
                let blake3 =
                    content_blake3(turns, masks.iter().map(|(size, counts)| (*size, counts.as_str())));
                own_text(&item.name, &record.origin, &blake3, document.take().as_deref())
            });
            let row = Row {
                images,
                problem,
                answer: answer.clone(),
                source: record.kind.source(masks.len()),
                masks,
                own,
            };
            self.shards.push(Series::Records(part, None), Item::Row(row))?;
        }
        Ok(())
    }

    /// The bytes of an image of the record, where they are to be inside the file.
    fn embedded(
        &self,
        place: usize,
        item: &Annotated,
        record: &Record,
        file_bytes: &OnceLock<Option<Vec<u8>>>,
        notes: &mut Notes,
    ) -> Option<Vec<u8>> {
        if !self.options.embed_images {
            return None;
        }
        let read = |path: &Path| read_bytes(path, &Limits::default()).ok();
        if let Some(crop) = place.checked_sub(1) {
            return read(&self.out.path().join(&record.crops.get(crop)?.file));
        }
        let bytes = file_bytes.get_or_init(|| {
            let bytes = read(&item.path);
            if bytes.is_none() {
                notes.lost(
                    "the image cannot be read, so its rows have only its path",
                    &item.name,
                    "",
                );
            }
            bytes
        });
        bytes.clone()
    }

    fn finish(mut self) -> Result<Manifest> {
        if let Some(mixed) = self.mixed {
            return Err(mixed.into());
        }
        self.manifest.files = self.shards.finish()?;
        let sizes = self.manifest.tokenizer.as_ref();
        let format = sizes
            .and_then(|tokenizer| WordFormat::new(tokenizer.codebook_size, tokenizer.codebook_depth).ok());
        added_tokens::write(self.out, format.unwrap_or_default(), self.options.first_token_id)?;
        if let Some(info) = self.manifest.dataset_info() {
            write_json(self.out, "dataset_info.json", &info)?;
        }
        self.out
            .write(templates::FILE, self.options.templates.file().as_bytes())?;
        // Last, so that an export with a manifest is whole.
        write_json(self.out, manifest::FILE, &self.manifest.value(self.options))?;
        Ok(self.manifest)
    }
}

/// A name differs without harm; what words mean does not depend on it.
fn is_same(a: &Tokenizer, b: &Tokenizer) -> bool {
    let key = |tokenizer: &Tokenizer| (tokenizer.codebook_size, tokenizer.codebook_depth);
    a.fingerprint == b.fingerprint && key(a) == key(b)
}

fn called(tokenizer: &Tokenizer) -> String {
    let start: String = tokenizer.fingerprint.chars().take(12).collect();
    format!(
        "{} ({start})",
        if tokenizer.name.is_empty() {
            "unnamed"
        } else {
            &tokenizer.name
        }
    )
}

fn write_json(out: &OutputFolder, name: &str, value: &Value) -> Result<()> {
    out.write(name, format!("{value:#}\n").as_bytes())
}
