//! Which language model a command asks: one in a folder, or one on a server.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::GlobalArgs;
use crate::language::Engine;
use crate::language::opening::{self, OpenError};
use crate::language::proposals::{TrainedWith, Vocabulary};
use crate::language::qwen3_vl::{Precision, Qwen3Vl, mask_tokenizer_files};
use crate::language::served::{ApiKey, Endpoint, ServedEngine};
use crate::tokenizer::{ChosenDevice, MaskTokenizer, ModelFiles};

/// The language model.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The language model")]
pub(super) struct EngineArgs {
    /// Folder of a Qwen3-VL model that was trained with mask words
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "endpoint",
        required_unless_present = "endpoint"
    )]
    vlm: Option<PathBuf>,
    /// How its weights are held: f32, bf16, f16, q8_0 or q4_k
    #[arg(
        long,
        value_name = "PRECISION",
        default_value = "bf16",
        conflicts_with = "endpoint"
    )]
    precision: Precision,
    /// Address of an OpenAI-compatible server, such as http://localhost:8000; images and texts are sent there
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The model on the server [default: the only one it has]
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    vlm_name: Option<String>,
    /// Environment variable that has the server's key
    #[arg(long, value_name = "VARIABLE", requires = "endpoint")]
    key_variable: Option<String>,
    /// Send images as PNG instead of JPEG
    #[arg(long, requires = "endpoint")]
    png: bool,
    /// Longest time without a sign of the server, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Times that a question is asked again after a failure that may pass
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=20))]
    retries: u32,
    /// Fingerprint of the tokenizer that the language model was trained with; another tokenizer is refused then
    #[arg(long, value_name = "FINGERPRINT")]
    trained_with: Option<String>,
}

impl EngineArgs {
    /// Opens the model, several times over where questions are asked at once.
    pub(super) fn open(
        &self,
        global: &GlobalArgs,
        concurrency: NonZeroUsize,
        takes_finished_answers: bool,
    ) -> anyhow::Result<(Vec<Box<dyn Engine>>, TrainedWith)> {
        let mut trained = TrainedWith {
            fingerprint: self.trained_with.clone(),
            word_count: None,
        };
        let engines = match (&self.vlm, &self.endpoint) {
            (Some(folder), _) => {
                let engine = self.local(folder, global)?;
                trained.word_count = Some(engine.mask_words());
                vec![Box::new(engine) as Box<dyn Engine>]
            }
            (None, Some(address)) => {
                let engine = self.served(address, concurrency, takes_finished_answers)?;
                let endpoint = engine.endpoint();
                if endpoint.address.is_encrypted() || endpoint.address.is_this_computer() {
                    tracing::info!("{}", endpoint.describe());
                } else {
                    tracing::warn!("{}", endpoint.describe());
                }
                (0..concurrency.get())
                    .map(|_| Box::new(engine.clone()) as Box<dyn Engine>)
                    .collect()
            }
            (None, None) => bail!("name a language model with --vlm or --endpoint"),
        };
        Ok((engines, trained))
    }

    fn local(&self, folder: &Path, global: &GlobalArgs) -> anyhow::Result<Qwen3Vl> {
        let bar = super::progress::bar(0);
        let engine = opening::open_local(folder, global.device, self.precision, &mut |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        Ok(engine)
    }

    fn served(
        &self,
        address: &str,
        concurrency: NonZeroUsize,
        takes_finished_answers: bool,
    ) -> anyhow::Result<ServedEngine> {
        let mut endpoint = Endpoint::new(address, self.vlm_name.as_deref().unwrap_or_default())?;
        endpoint.key = self
            .key_variable
            .as_deref()
            .map(ApiKey::from_environment)
            .transpose()?;
        endpoint.images.lossless = self.png;
        endpoint.time_limits.silence = Duration::from_secs(self.timeout);
        endpoint.retries.retries = self.retries;
        endpoint.retries.after_text = takes_finished_answers;
        endpoint.concurrency = concurrency;
        opening::open_served(endpoint, &|| false).map_err(|error| match error {
            OpenError::NoModel { .. } | OpenError::SeveralModels { .. } => {
                anyhow::Error::from(error).context("choose a model with --vlm-name")
            }
            error => error.into(),
        })
    }

    /// The tokenizer of the model's words: the one asked for, else the one beside a published model, else the usual
    /// one; refused where it is known to be another than the model's.
    pub(super) fn tokenizer(
        &self,
        global: &GlobalArgs,
        model: &str,
        trained: &TrainedWith,
    ) -> anyhow::Result<MaskTokenizer> {
        let beside = self.vlm.as_deref().and_then(mask_tokenizer_files);
        let beside = beside.map(|files| files.weights);
        let files = match beside.filter(|_| !global.names_model()) {
            Some(path) => ModelFiles::open(&path).context("the tokenizer beside the language model")?,
            None => {
                let files = global.model_files()?;
                if !global.names_model() && trained.fingerprint.is_none() {
                    tracing::warn!(
                        "masks are made by the built-in tokenizer; if {model:?} was trained with another one, as published \
                         models are, name that by --model, or its masks will be wrong though they may look right"
                    );
                }
                files
            }
        };
        let tokenizer = MaskTokenizer::load(&files, &ChosenDevice::open(global.device)?)?;
        let checked = Vocabulary::of(&tokenizer).check(model, trained);
        checked.context("the tokenizer has to be named by --model")?;
        Ok(tokenizer)
    }
}
