//! Codebooks in training: looked up like the tokenizer's, moved by averages instead of gradients.

use crate::scenes::random::Rng;
use std::collections::VecDeque;

/// How long a code remembers what it was chosen for.
const DECAY: f32 = 0.99;
/// Keeps empty clusters from dividing by zero.
const EPS: f32 = 1e-5;
/// A code used less than this share of an equally used one is restarted.
const RESTART_SHARE: f32 = 0.1;
/// Embeddings remembered for the first k-means.
const MEMORY: usize = 8192;
const KMEANS_ROUNDS: usize = 12;

/// One step's codebook.
#[derive(Clone, Debug)]
pub(super) struct Codebook {
    /// `size x dim`.
    pub(super) rows: Vec<f32>,
    /// Recent uses in units of what an equally used code gets.
    pub(super) uses: Vec<f32>,
    /// Recent sum of what was assigned, in the same units, `size x dim`.
    pub(super) sums: Vec<f32>,
}

/// The residual codebooks and the embeddings seen lately.
#[derive(Clone, Debug)]
pub(super) struct Codebooks {
    pub(super) books: Vec<Codebook>,
    pub(super) memory: VecDeque<Vec<f32>>,
    pub(super) started: bool,
    size: usize,
    dim: usize,
}

/// A batch after the lookup.
#[derive(Debug)]
pub(super) struct Quantized {
    /// Partial sums after each depth, `depth x (batch x dim)`.
    pub(super) partial_sums: Vec<Vec<f32>>,
}

impl Codebooks {
    pub(super) fn new(size: usize, depth: usize, dim: usize) -> Self {
        let book = Codebook {
            rows: vec![0.0; size * dim],
            uses: vec![0.0; size],
            sums: vec![0.0; size * dim],
        };
        Self {
            books: vec![book; depth],
            memory: VecDeque::new(),
            started: false,
            size,
            dim,
        }
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
            spread(&mut book.rows, &residuals, self.dim, rng);
            for _ in 0..KMEANS_ROUNDS {
                let mut counts = vec![0.0_f32; self.size];
                let mut sums = vec![0.0_f32; self.size * self.dim];
                for residual in &residuals {
                    let code = nearest(&book.rows, residual, self.dim);
                    counts[code] += 1.0;
                    sums[code * self.dim..][..self.dim]
                        .iter_mut()
                        .zip(residual)
                        .for_each(|(s, v)| *s += v);
                }
                for code in 0..self.size {
                    let row = &mut book.rows[code * self.dim..][..self.dim];
                    if counts[code] > 0.0 {
                        let sum = &sums[code * self.dim..][..self.dim];
                        row.iter_mut().zip(sum).for_each(|(r, s)| *r = s / counts[code]);
                    } else {
                        row.copy_from_slice(&residuals[rng.int(0, residuals.len() - 1)]);
                    }
                }
            }
            for residual in &mut residuals {
                let code = nearest(&book.rows, residual, self.dim);
                let row = &book.rows[code * self.dim..][..self.dim];
                residual.iter_mut().zip(row).for_each(|(v, r)| *v -= r);
            }
            book.uses.fill(1.0);
            book.sums.clone_from(&book.rows);
        }
        self.started = true;
        self.memory.clear();
    }

    /// Looks up a batch (`batch x dim`), then moves the chosen codes towards it and restarts unused ones.
    pub(super) fn quantize(&mut self, embeddings: &[f32], rng: &mut Rng) -> Quantized {
        let batch = embeddings.len() / self.dim;
        let expected_uses = batch as f32 / self.size as f32;
        let mut residual = embeddings.to_vec();
        let mut sum = vec![0.0_f32; embeddings.len()];
        let mut partial_sums = Vec::with_capacity(self.books.len());
        for book in &mut self.books {
            let codes: Vec<usize> = residual
                .chunks_exact(self.dim)
                .map(|row| nearest(&book.rows, row, self.dim))
                .collect();
            let before = residual.clone();
            for ((code, residual), sum) in codes
                .iter()
                .zip(residual.chunks_exact_mut(self.dim))
                .zip(sum.chunks_exact_mut(self.dim))
            {
                let row = &book.rows[code * self.dim..][..self.dim];
                residual.iter_mut().zip(row).for_each(|(v, r)| *v -= r);
                sum.iter_mut().zip(row).for_each(|(s, r)| *s += r);
            }
            partial_sums.push(sum.clone());
            book.update(&codes, &before, self.dim, expected_uses, rng);
        }
        Quantized { partial_sums }
    }
}

impl Codebook {
    fn update(&mut self, codes: &[usize], vectors: &[f32], dim: usize, expected_uses: f32, rng: &mut Rng) {
        let size = self.uses.len();
        self.uses.iter_mut().for_each(|u| *u *= DECAY);
        self.sums.iter_mut().for_each(|s| *s *= DECAY);
        for (code, vector) in codes.iter().zip(vectors.chunks_exact(dim)) {
            self.uses[*code] += (1.0 - DECAY) / expected_uses;
            self.sums[code * dim..][..dim]
                .iter_mut()
                .zip(vector)
                .for_each(|(s, v)| *s += (1.0 - DECAY) / expected_uses * v);
        }
        let total: f32 = self.uses.iter().sum();
        for code in 0..size {
            if self.uses[code] < RESTART_SHARE {
                let pick = rng.int(0, codes.len() - 1);
                self.uses[code] = 1.0;
                let vector = &vectors[pick * dim..(pick + 1) * dim];
                self.sums[code * dim..][..dim]
                    .iter_mut()
                    .zip(vector)
                    .for_each(|(s, v)| *s = *v);
                self.rows[code * dim..][..dim].copy_from_slice(vector);
                continue;
            }
            let smoothed = (self.uses[code] + EPS) / (total + size as f32 * EPS) * total;
            let sums = &self.sums[code * dim..][..dim];
            self.rows[code * dim..][..dim]
                .iter_mut()
                .zip(sums)
                .for_each(|(r, s)| *r = s / smoothed);
        }
    }
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

/// The row of `rows` nearest to `vector`.
fn nearest(rows: &[f32], vector: &[f32], dim: usize) -> usize {
    let mut best = (0, f32::INFINITY);
    for (code, row) in rows.chunks_exact(dim).enumerate() {
        let distance = row.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum();
        if distance < best.1 {
            best = (code, distance);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_find_the_clusters_of_what_they_see() {
        let mut rng = Rng::new(3);
        let centres = [[5.0, 0.0], [-5.0, 1.0], [0.0, 7.0], [1.0, -6.0]];
        let mut books = Codebooks::new(4, 1, 2);
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
            books.quantize(&batch, &mut rng);
        }
        for centre in &centres {
            let row = nearest(&books.books[0].rows, centre, 2);
            let row = &books.books[0].rows[2 * row..][..2];
            let distance = (row[0] - centre[0]).hypot(row[1] - centre[1]);
            assert!(distance < 0.2, "no code near {centre:?}: nearest is {row:?}");
        }
    }
}
