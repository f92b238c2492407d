//! What `samtok export` is asked for when it makes training data, and how it shows what it made.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::GlobalArgs;
use crate::dataset::Status;
use crate::image_file::RgbImage;
use crate::interchange::training::{
    Container, Group, Kind, Manifest, Part, Templates, TrainingOptions, ZoomTokenizer,
};
use crate::mask::Mask;
use crate::tokenizer::MaskTokenizer;

/// Options of training data; refused where another format is written.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Options of training data")]
pub(super) struct TrainingArgs {
    /// The beginning of every file name [default: samtok]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Shares of training, validation and test, such as 80,10,10 [default: all for training]
    #[arg(long, value_name = "TRAIN,VALIDATION,TEST")]
    split: Option<Shares>,
    /// What stays together in one part: image, folder, or attribute:KEY [default: image]
    #[arg(long, value_name = "GROUP", value_parser = group)]
    group: Option<Group>,
    /// Another number gives another split and other templates [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Most records per file [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    shard_records: Option<u64>,
    /// Prompts of your own: an edited copy of the prompt_templates.json that every export has
    #[arg(long, value_name = "FILE")]
    templates: Option<PathBuf>,
    /// What to make records of [default: all that the annotations have]
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    kinds: Vec<Kind>,
    /// How far work has to be: draft, done or approved [default: draft]
    #[arg(long, value_name = "STATUS", value_parser = status)]
    min_status: Option<Status>,
    /// Make records with enlarged crops of small regions too; the model that made the words describes them
    #[arg(long)]
    zoom_in: bool,
    /// Name images by absolute paths instead of paths below FOLDER
    #[arg(long)]
    absolute_paths: bool,
    /// Leave images out of parquet files; rows have their paths
    #[arg(long)]
    paths_only: bool,
    /// Leave out the key from which `samtok import` restores every annotation
    #[arg(long)]
    plain: bool,
    /// Put an empty thought before every answer, for models that think
    #[arg(long)]
    empty_thought: bool,
    /// The id of the first new token in added_tokens.json [default: 151669, for Qwen3-VL]
    #[arg(long, value_name = "N")]
    first_token_id: Option<u32>,
}

/// Shares as people write them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shares([f64; 3]);

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shares: Option<Vec<f64>> = text.split(',').map(|share| share.trim().parse().ok()).collect();
        let shares = shares.and_then(|shares| <[f64; 3]>::try_from(shares).ok());
        let shares = shares.filter(|shares| {
            shares.iter().all(|share| share.is_finite() && *share >= 0.0)
                && shares.iter().any(|share| *share > 0.0)
        });
        shares
            .map(Self)
            .ok_or_else(|| "give three numbers of at least 0 that are not all 0, such as 80,10,10".to_owned())
    }
}

fn group(text: &str) -> Result<Group, String> {
    match (text, text.strip_prefix("attribute:")) {
        ("image", _) => Ok(Group::Image),
        ("folder", _) => Ok(Group::Folder),
        (_, Some(key)) if !key.is_empty() => Ok(Group::Attribute(key.to_owned())),
        _ => Err("use image, folder, or attribute:KEY".to_owned()),
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name);
            format!("use some of {}", names.join(","))
        })
}

fn status(name: &str) -> Result<Status, String> {
    [Status::Draft, Status::Done, Status::Approved]
        .into_iter()
        .find(|status| status.as_str() == name)
        .ok_or_else(|| "use draft, done or approved".to_owned())
}

impl TrainingArgs {
    /// Fails where any of the options was given, since `format` has no use for them.
    pub(super) fn refuse(&self, format: &str) -> anyhow::Result<()> {
        if *self != Self::default() {
            bail!(
                "options of training data were given, but {format} is none; leave them out, or see samtok export --help"
            );
        }
        Ok(())
    }

    pub(super) fn options(&self, container: Container) -> anyhow::Result<TrainingOptions> {
        let mut options = TrainingOptions::new(container);
        if let Some(name) = &self.name {
            options.name.clone_from(name);
        }
        if let Some(Shares(shares)) = self.split {
            options.split.shares = shares;
        }
        if let Some(group) = &self.group {
            options.split.group = group.clone();
        }
        let seed = self.seed.unwrap_or(0);
        (options.seed, options.split.seed) = (seed, seed);
        if let Some(records) = self.shard_records {
            options.shard_records = records;
        }
        if let Some(path) = &self.templates {
            options.templates = Templates::read(path)?;
        }
        if !self.kinds.is_empty() {
            options.kinds.clone_from(&self.kinds);
        }
        if let Some(status) = self.min_status {
            options.min_status = status;
        }
        if let Some(id) = self.first_token_id {
            options.first_token_id = id;
        }
        options.absolute_paths = self.absolute_paths;
        options.embed_images = !self.paths_only;
        options.own_key = !self.plain;
        options.empty_thought = self.empty_thought;
        Ok(options)
    }

    /// The model for crops, where they are wanted.
    pub(super) fn zoom_tokenizer(&self, global: &GlobalArgs) -> anyhow::Result<Option<CropTokenizer>> {
        if !self.zoom_in {
            return Ok(None);
        }
        let files = global.model_files()?;
        let tokenizer = global.load(&files, &mut global.stages())?;
        Ok(Some(CropTokenizer {
            fingerprint: tokenizer.fingerprint().to_string(),
            tokenizer,
        }))
    }
}

/// The network as crops need it.
#[derive(Debug)]
pub(super) struct CropTokenizer {
    fingerprint: String,
    tokenizer: MaskTokenizer,
}

impl ZoomTokenizer for CropTokenizer {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn words(&mut self, crop: &RgbImage, mask: &Mask) -> Result<String, Box<dyn Error + Send + Sync>> {
        let image = self.tokenizer.embed_image(crop)?;
        let encoded = self.tokenizer.encode(&image, &[mask])?;
        let codes = encoded.first().map(|mask| &mask.codes);
        codes
            .map(|codes| self.tokenizer.format().write(codes))
            .ok_or_else(|| "the network gave no words".into())
    }
}

/// Records by part and kind, and the files.
pub(super) fn summary(manifest: &Manifest) -> Value {
    let mut records: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for ((part, kind), count) in &manifest.records {
        let of_part = records.entry(part.name()).or_default();
        of_part.insert(kind.name().to_owned(), json!(count));
    }
    let files = manifest.files.iter().map(|file| &file.path);
    json!({
        "records": records,
        "files": files.collect::<Vec<_>>(),
        "images_without_records": manifest.images_without_records,
    })
}

/// A table of the records.
pub(super) fn print(manifest: &Manifest, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out)?;
    write!(out, "{:<22}", "records")?;
    for part in Part::ALL {
        write!(out, " {:>10}", part.name())?;
    }
    writeln!(out)?;
    for kind in Kind::ALL {
        let counts = Part::ALL.map(|part| manifest.records.get(&(part, kind)).copied().unwrap_or(0));
        if counts.iter().any(|count| *count > 0) {
            write!(out, "{:<22}", kind.name())?;
            for count in counts {
                write!(out, " {count:>10}")?;
            }
            writeln!(out)?;
        }
    }
    let files = manifest.files.len();
    writeln!(out, "{}", super::counted(files, "file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_groups_are_read_or_refused() {
        assert_eq!("80, 15,5".parse(), Ok(Shares([80.0, 15.0, 5.0])));
        for text in [
            "", "1", "1,2", "1,2,3,4", "0,0,0", "-1,2,3", "nan,1,1", "inf,1,1", "a,b,c",
        ] {
            assert!(text.parse::<Shares>().is_err(), "{text:?}");
        }
        assert_eq!(group("attribute:site"), Ok(Group::Attribute("site".to_owned())));
        for text in ["", "attribute:", "Image"] {
            assert!(group(text).is_err(), "{text:?}");
        }
        assert_eq!(status("approved"), Ok(Status::Approved));
        assert!(status("rejected").is_err() && kind("nothing").is_err());
        assert_eq!(kind("region_qa"), Ok(Kind::RegionQa));
    }
}
