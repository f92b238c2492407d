//! Codebooks in training: looked up like the tokenizer's, moved by averages instead of gradients.

use crate::scenes::random::Rng;
use crate::tokenizer::Result;
use crate::tokenizer::config::QuantizerConfig;
use crate::tokenizer::quantizer::Codebook;
use crate::tokenizer::weights::Checkpoint;
use std::collections::VecDeque;

/// How long a code remembers what it was chosen for.
const DECAY: f32 = 0.99;
/// Keeps empty clusters from dividing by zero.
const EPS: f32 = 1e-5;
/// Embeddings remembered for the first k-means.
const MEMORY: usize = 8192;
const KMEANS_ROUNDS: usize = 12;

/// When a code that is hardly chosen moves to a random embedding of the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Restart {
    /// Below this share of an equally used code's count.
    Share(f32),
    /// Below this count.
    Count(f32),
}

/// One depth's codebook with the averages that move it, as the reference names and counts them.
#[derive(Clone, Debug)]
pub(super) struct MovingCodebook {
    pub(super) table: Codebook,
    /// How often each code was chosen per step, averaged over the last steps.
    pub(super) cluster_size_ema: Vec<f32>,
    /// The sum of what chose it per step, averaged likewise, `size x dim`.
    pub(super) embed_ema: Vec<f32>,
}

/// The residual codebooks and the embeddings seen lately.
#[derive(Clone, Debug)]
pub(super) struct Codebooks {
    pub(super) books: Vec<MovingCodebook>,
    pub(super) memory: VecDeque<Vec<f32>>,
    pub(super) started: bool,
    pub(super) restart: Restart,
    /// How often a step chooses each code if all are used equally.
    expected_uses: f32,
    size: usize,
    dim: usize,
}

/// A batch after the lookup; per depth, `batch` codes or `batch x dim` values.
#[derive(Debug)]
pub(super) struct Quantized {
    pub(super) codes: Vec<Vec<u32>>,
    /// What was looked up: the embedding less the rows chosen before.
    residuals: Vec<Vec<f32>>,
    /// The rows chosen so far, added up.
    pub(super) partial_sums: Vec<Vec<f32>>,
}

impl Codebooks {
    /// Codebooks for steps of `batch` masks, not started yet.
    pub(super) fn new(quantizer: &QuantizerConfig, batch: usize, restart: Restart) -> Self {
        let (size, dim) = (quantizer.codebook_size, quantizer.latent_dim);
        let book = MovingCodebook {
            table: Codebook::new(vec![0.0; size * dim], dim),
            cluster_size_ema: vec![0.0; size],
            embed_ema: vec![0.0; size * dim],
        };
        Self {
            books: vec![book; quantizer.codebook_depth],
            memory: VecDeque::new(),
            started: false,
            restart,
            expected_uses: batch as f32 / size as f32,
            size,
            dim,
        }
    }

    /// Goes on from the codebooks of a model; answers false if it has none of this shape.
    pub(super) fn continue_from(&mut self, model: &Checkpoint) -> Result<bool> {
        let mut books = self.books.clone();
        for (depth, book) in books.iter_mut().enumerate() {
            let name = |kind: &str| format!("quantizer.codebooks.{depth}.{kind}");
            let has =
                |kind: &str, shape: &[usize]| model.get(&name(kind)).is_some_and(|info| info.shape == shape);
            // The published form has one more row, for padding.
            if !has("weight", &[self.size + 1, self.dim]) {
                return Ok(false);
            }
            let rows = model.read_f32(&name("weight"))?;
            let rows = &rows[..self.size * self.dim];
            if rows.iter().all(|value| *value == 0.0) {
                return Ok(false);
            }
            book.table.rows_mut().copy_from_slice(rows);
            // A code counts as used just now, or it would be restarted before it can be chosen.
            book.settle(self.expected_uses.max(1.0));
            if has("cluster_size_ema", &[self.size]) && has("embed_ema", &[self.size, self.dim]) {
                let counts = model.read_f32(&name("cluster_size_ema"))?;
                if counts.iter().all(|count| *count > 0.0 && count.is_finite()) {
                    book.cluster_size_ema = counts;
                    book.embed_ema = model.read_f32(&name("embed_ema"))?;
                }
            }
        }
        self.books = books;
        self.started = true;
        Ok(true)
    }

    /// Remembers embeddings (`batch x dim`) for the first k-means.
    pub(super) fn remember(&mut self, embeddings: &[f32]) {
        for row in embeddings.chunks_exact(self.dim) {
            if self.memory.len() == MEMORY {
                self.memory.pop_front();
            }
            self.memory.push_back(row.to_vec());
        }
    }

    /// Places the codes by k-means on the remembered embeddings, depth by depth.
    pub(super) fn start(&mut self, rng: &mut Rng) {
        let mut residuals: Vec<Vec<f32>> = self.memory.iter().cloned().collect();
        if residuals.is_empty() {
            return;
        }
        for book in &mut self.books {
            spread(book.table.rows_mut(), &residuals, self.dim, rng);
            for _ in 0..KMEANS_ROUNDS {
                let mut counts = vec![0.0_f32; self.size];
                let mut sums = vec![0.0_f32; self.size * self.dim];
                for residual in &residuals {
                    let code = book.table.nearest(residual) as usize;
                    counts[code] += 1.0;
                    add(&mut sums[code * self.dim..][..self.dim], residual, 1.0);
                }
                let rows = book.table.rows_mut().chunks_exact_mut(self.dim);
                for ((row, sum), count) in rows.zip(sums.chunks_exact(self.dim)).zip(&counts) {
                    if *count > 0.0 {
                        row.iter_mut().zip(sum).for_each(|(r, s)| *r = s / count);
                    } else {
                        row.copy_from_slice(&residuals[rng.int(0, residuals.len() - 1)]);
                    }
                }
            }
            for residual in &mut residuals {
                let row = book.table.row(book.table.nearest(residual));
                add(residual, row, -1.0);
            }
            book.settle(self.expected_uses);
        }
        self.started = true;
        self.memory.clear();
    }

    /// Looks up a batch (`batch x dim`).
    pub(super) fn quantize(&self, embeddings: &[f32]) -> Quantized {
        let mut residual = embeddings.to_vec();
        let mut sum = vec![0.0_f32; embeddings.len()];
        let mut quantized = Quantized {
            codes: Vec::new(),
            residuals: Vec::new(),
            partial_sums: Vec::new(),
        };
        for MovingCodebook { table, .. } in &self.books {
            quantized.residuals.push(residual.clone());
            let vectors = residual.chunks_exact_mut(self.dim);
            let codes = vectors
                .zip(sum.chunks_exact_mut(self.dim))
                .map(|(residual, sum)| {
                    let code = table.nearest(residual);
                    add(residual, table.row(code), -1.0);
                    add(sum, table.row(code), 1.0);
                    code
                });
            quantized.codes.push(codes.collect());
            quantized.partial_sums.push(sum.clone());
        }
        quantized
    }

    /// Moves the chosen codes towards what chose them and restarts those that are hardly chosen.
    pub(super) fn update(&mut self, quantized: &Quantized, rng: &mut Rng) {
        let (least, fresh) = match self.restart {
            Restart::Share(share) => (share * self.expected_uses, self.expected_uses),
            Restart::Count(count) => (count, count),
        };
        let chosen = quantized.codes.iter().zip(&quantized.residuals);
        for (book, (codes, vectors)) in self.books.iter_mut().zip(chosen) {
            book.average(codes, vectors, self.dim);
            for code in 0..self.size {
                if book.cluster_size_ema[code] < least {
                    let pick = rng.int(0, codes.len() - 1);
                    book.cluster_size_ema[code] = fresh;
                    let average = &mut book.embed_ema[code * self.dim..][..self.dim];
                    average.fill(0.0);
                    add(average, &vectors[pick * self.dim..][..self.dim], fresh);
                }
            }
            book.move_rows(self.dim);
        }
    }
}

impl MovingCodebook {
    /// Averages as if every code had always been chosen `uses` times a step, by its own row.
    pub(super) fn settle(&mut self, uses: f32) {
        self.cluster_size_ema.fill(uses);
        self.embed_ema.clear();
        self.embed_ema
            .extend(self.table.rows().iter().map(|value| value * uses));
    }

    fn average(&mut self, codes: &[u32], vectors: &[f32], dim: usize) {
        self.cluster_size_ema.iter_mut().for_each(|count| *count *= DECAY);
        self.embed_ema.iter_mut().for_each(|sum| *sum *= DECAY);
        for (code, vector) in codes.iter().zip(vectors.chunks_exact(dim)) {
            let code = *code as usize;
            self.cluster_size_ema[code] += 1.0 - DECAY;
            add(&mut self.embed_ema[code * dim..][..dim], vector, 1.0 - DECAY);
        }
    }

    /// Every row becomes the mean of what chose it, by smoothed counts.
    fn move_rows(&mut self, dim: usize) {
        let total: f32 = self.cluster_size_ema.iter().sum();
        let all = total + self.cluster_size_ema.len() as f32 * EPS;
        let rows = self.table.rows_mut().chunks_exact_mut(dim);
        let averages = self.embed_ema.chunks_exact(dim).zip(&self.cluster_size_ema);
        for (row, (sum, count)) in rows.zip(averages) {
            let smoothed = total * (count + EPS) / all;
            row.iter_mut().zip(sum).for_each(|(r, s)| *r = s / smoothed);
        }
    }
}

/// `to += factor * from`.
fn add(to: &mut [f32], from: &[f32], factor: f32) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += factor * f);
}

/// First rows for k-means: each is an embedding picked with a chance that grows with its distance to the rows so far.
fn spread(rows: &mut [f32], vectors: &[Vec<f32>], dim: usize, rng: &mut Rng) {
    let mut distances = vec![1.0_f32; vectors.len()];
    for (code, row) in rows.chunks_exact_mut(dim).enumerate() {
        let picked = &vectors[rng.weighted(&distances)];
        row.copy_from_slice(picked);
        for (distance, vector) in distances.iter_mut().zip(vectors) {
            let own = vector
                .iter()
                .zip(picked)
                .map(|(a, b)| (a - b) * (a - b))
                .sum::<f32>();
            *distance = if code == 0 { own } else { distance.min(own) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_find_the_clusters_of_what_they_see() {
        let mut rng = Rng::new(3);
        let centres = [[5.0, 0.0], [-5.0, 1.0], [0.0, 7.0], [1.0, -6.0]];
        let mut books = Codebooks::new(&small(1), 64, Restart::Share(0.1));
        let draw = |rng: &mut Rng| -> Vec<f32> {
            (0..64)
                .flat_map(|i| centres[i % 4].map(|c| c + 0.1 * rng.normal()))
                .collect()
        };
        let seen = draw(&mut rng);
        books.remember(&seen);
        books.start(&mut rng);
        for _ in 0..300 {
            let batch = draw(&mut rng);
            let quantized = books.quantize(&batch);
            books.update(&quantized, &mut rng);
        }
        for centre in &centres {
            let table = &books.books[0].table;
            let row = table.row(table.nearest(centre));
            let distance = (row[0] - centre[0]).hypot(row[1] - centre[1]);
            assert!(distance < 0.2, "no code near {centre:?}: nearest is {row:?}");
        }
    }
    #[test]
    fn restarts_follow_their_rule() {
        let far = [100.0_f32, 100.0];
        for (restart, batch, moves) in [
            // An equally used code is expected 0.25 times in a step of one mask: 0.99 * 0.25 is above a tenth of it.
            (Restart::Share(0.1), 1, false),
            (Restart::Share(1.0), 1, true),
            (Restart::Count(1.0), 1, true),
            (Restart::Count(1.0), 400, false),
        ] {
            let mut books = Codebooks::new(&small(1), batch, restart);
            books.remember(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
            books.start(&mut Rng::new(1));
            let before = books.books[0].table.rows().to_vec();
            let quantized = books.quantize(&far);
            books.update(&quantized, &mut Rng::new(2));
            let rows = books.books[0].table.rows();
            let moved = rows
                .chunks(2)
                .zip(before.chunks(2))
                .filter(|(row, old)| (row[0] - old[0]).abs() > 50.0)
                .count();
            assert_eq!(moved > 0, moves, "{restart:?}, {batch} masks: {rows:?}");
        }
    }

    fn small(depth: usize) -> QuantizerConfig {
        QuantizerConfig {
            codebook_size: 4,
            codebook_depth: depth,
            shared_codebook: false,
            latent_dim: 2,
        }
    }
}
