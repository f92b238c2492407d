//! The residual vector quantizer: a mask embedding becomes one code per depth, and codes become an embedding.

use super::Result;
use super::config::QuantizerConfig;
use super::parameters::Scope;

/// Codebook tables in main memory; they are small and looked up a few rows at a time.
#[derive(Clone, Debug)]
pub(crate) struct ResidualQuantizer {
    /// One per depth.
    codebooks: Vec<Codebook>,
    dim: usize,
}

/// The rows that one depth's codes stand for.
#[derive(Clone, Debug)]
pub(crate) struct Codebook {
    /// `codes x dim`; the checkpoint's last row is padding and left out.
    rows: Vec<f32>,
    dim: usize,
}

/// A row of a codebook and its squared distance to what was looked up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Neighbour {
    /// Row of the codebook.
    pub(crate) code: u32,
    /// Squared Euclidean distance.
    pub(crate) distance: f32,
}

impl Codebook {
    /// Rows of `dim` values each.
    pub(crate) fn new(rows: Vec<f32>, dim: usize) -> Self {
        Self { rows, dim }
    }

    /// All rows, one after another.
    pub(crate) fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// All rows, to be moved.
    pub(crate) fn rows_mut(&mut self) -> &mut [f32] {
        &mut self.rows
    }

    /// The row of `code`.
    pub(crate) fn row(&self, code: u32) -> &[f32] {
        &self.rows[code as usize * self.dim..][..self.dim]
    }

    /// Every row's distance to `vector`, in order.
    fn neighbours(&self, vector: &[f32]) -> impl Iterator<Item = Neighbour> {
        (0..)
            .zip(self.rows.chunks_exact(self.dim))
            .map(move |(code, row)| {
                let distance = row.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum();
                Neighbour { code, distance }
            })
    }

    /// The code of the row nearest to `vector`; equal distances go to the lower code.
    pub(crate) fn nearest(&self, vector: &[f32]) -> u32 {
        let nearest = self
            .neighbours(vector)
            .min_by(|a, b| a.distance.total_cmp(&b.distance));
        nearest.map_or(0, |neighbour| neighbour.code)
    }
}

impl ResidualQuantizer {
    pub(crate) fn new(scope: &Scope<'_>, config: &QuantizerConfig) -> Result<Self> {
        let QuantizerConfig {
            codebook_size: size,
            codebook_depth,
            latent_dim: dim,
            ..
        } = *config;
        let tables = if config.shared_codebook { 1 } else { codebook_depth };
        let mut codebooks = Vec::with_capacity(codebook_depth);
        for depth in 0..tables {
            let table = scope
                .child(format!("codebooks.{depth}"))
                .tensor("weight", &[size + 1, dim])?;
            let rows = table.narrow(0, 0, size)?.flatten_all()?.to_vec1::<f32>()?;
            codebooks.push(Codebook::new(rows, dim));
        }
        if config.shared_codebook {
            codebooks = vec![codebooks.swap_remove(0); codebook_depth];
        }
        Ok(Self { codebooks, dim })
    }

    /// Number of residual steps.
    pub(crate) fn depth(&self) -> usize {
        self.codebooks.len()
    }

    /// The row of `code` at `depth`.
    pub(crate) fn row(&self, depth: usize, code: u32) -> &[f32] {
        self.codebooks[depth].row(code)
    }

    /// The `count` nearest rows at `depth`, nearest first; equal distances go to the lower code.
    pub(crate) fn nearest(&self, depth: usize, embedding: &[f32], count: usize) -> Vec<Neighbour> {
        let mut all: Vec<Neighbour> = self.codebooks[depth].neighbours(embedding).collect();
        all.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        all.truncate(count.max(1));
        all
    }

    /// One code per depth: the nearest row to the embedding, then to what the rows so far leave of it.
    pub(crate) fn encode(&self, embedding: &[f32]) -> Vec<u32> {
        self.candidates(embedding, 1).swap_remove(0)
    }

    /// All code sequences that take one of the `width` nearest rows at every step, the plain encoding first.
    pub(crate) fn candidates(&self, embedding: &[f32], width: usize) -> Vec<Vec<u32>> {
        let mut partial = vec![(Vec::new(), embedding.to_vec())];
        for depth in 0..self.depth() {
            partial = partial
                .into_iter()
                .flat_map(|(codes, residual)| {
                    self.nearest(depth, &residual, width)
                        .into_iter()
                        .map(move |neighbour| {
                            let row = self.row(depth, neighbour.code);
                            let rest = residual.iter().zip(row).map(|(a, b)| a - b).collect();
                            ([codes.as_slice(), &[neighbour.code]].concat(), rest)
                        })
                })
                .collect();
        }
        partial.into_iter().map(|(codes, _)| codes).collect()
    }

    /// The sum of the chosen rows.
    ///
    /// A missing code adds nothing. The published `embed_code` means the same but overwrites -1 with 0 before it
    /// computes the validity mask, so there a missing code decodes as code 0.
    pub(crate) fn embed(&self, codes: impl IntoIterator<Item = Option<u32>>) -> Vec<f32> {
        let mut sum = vec![0.0; self.dim];
        for (depth, code) in codes.into_iter().enumerate() {
            if let Some(code) = code {
                sum.iter_mut()
                    .zip(self.row(depth, code))
                    .for_each(|(s, r)| *s += r);
            }
        }
        sum
    }
}
