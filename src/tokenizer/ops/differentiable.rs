//! Layers with gradients for training on a CPU, where candle's composed operations spend their time on temporaries.
//!
//! Every node of candle's graph costs a zeroed gradient and an addition besides its own work, and sums over rows
//! run one element at a time; here GELU, LayerNorm, linear layers and attention are one node each.
//! On other devices the same functions are composed of candle's own operations.

use super::attention::{Attention, Groups, Operand};
use super::gemm::{Fused, PackedMatrix, row_statistics};
use super::{simd, with_values};
use crate::tokenizer::{Result, TokenizerError};
use candle_core::{CpuStorage, CustomOp1, CustomOp3, D, Layout, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Elements per parallel task.
const TASK: usize = 1 << 14;

/// Exact GELU.
pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        Ok(x.contiguous()?.apply_op1(Gelu)?)
    } else {
        Ok(x.gelu_erf()?)
    }
}

/// LayerNorm over the last dimension, with its affine part.
pub(super) fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    if x.device().is_cpu() {
        return Ok(x
            .contiguous()?
            .apply_op3(gamma, beta, LayerNorm { eps: eps as f32 })?);
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normalized = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    Ok(normalized.broadcast_mul(gamma)?.broadcast_add(beta)?)
}

/// `(rows, inputs)` times the transposed `(outputs, inputs)` plus `(outputs)`.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return Ok(x
            .contiguous()?
            .apply_op3(&weight.contiguous()?, &bias.contiguous()?, LinearLayer)?);
    }
    Ok(x.matmul(&weight.t()?)?.broadcast_add(bias)?)
}

/// Softmax attention over `(batch, rows, heads * dim)` operands.
pub(super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    if q.device().is_cpu() {
        let op = SoftmaxAttention { heads };
        return Ok(q
            .contiguous()?
            .apply_op3(&k.contiguous()?, &v.contiguous()?, op)?);
    }
    let (batch, rows, width) = q.dims3()?;
    let dim = width / heads;
    let split = |t: &Tensor| -> Result<Tensor> {
        let (batch, rows, _) = t.dims3()?;
        Ok(t.reshape((batch, rows, heads, dim))?
            .transpose(1, 2)?
            .contiguous()?)
    };
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let scores = (q * (1.0 / (dim as f64).sqrt()))?.matmul(&k.transpose(2, 3)?.contiguous()?)?;
    let mixed = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
    Ok(mixed
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch, rows, width))?)
}

/// Sums of the columns of a `rows x width` matrix.
fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let task = (TASK / width).max(1) * width;
    values
        .par_chunks(task)
        .map(|rows| {
            let mut sums = vec![0.0_f32; width];
            for row in rows.chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(s, v)| *s += v);
            }
            sums
        })
        .reduce(
            || vec![0.0; width],
            |mut a, b| {
                a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
                a
            },
        )
}

/// The values of a contiguous CPU storage.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::RequiresContiguous { op: "samtok" }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// A gradient with the values that `body` computes from argument, result and incoming gradient.
fn gradient(
    tensors: [&Tensor; 3],
    body: impl Fn(&[f32], &[f32], &[f32]) -> Vec<f32>,
) -> candle_core::Result<Option<Tensor>> {
    let [arg, result, grad] = tensors;
    let computed = with_values(arg, |x| {
        with_values(result, |y| with_values(grad, |g| body(x, y, g)))
    })
    .and_then(|r| r)
    .and_then(|r| r)
    .map_err(candle_core::Error::wrap)?;
    Ok(Some(Tensor::from_vec(computed, arg.shape(), arg.device())?))
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut out = vec![0.0; x.len()];
        let arch = Arch::new();
        out.par_chunks_mut(TASK)
            .zip(x.par_chunks(TASK))
            .for_each(|(out, x)| {
                arch.dispatch(GeluForward { x, out });
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        gradient([arg, res, grad], |x, _, g| {
            let mut out = vec![0.0; x.len()];
            let arch = Arch::new();
            out.par_chunks_mut(TASK)
                .zip(x.par_chunks(TASK))
                .zip(g.par_chunks(TASK))
                .for_each(|((out, x), grad)| {
                    arch.dispatch(GeluBackward { x, grad, out });
                });
            out
        })
    }
}

struct GeluForward<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for GeluForward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (out, x) in self.out.chunks_mut(S::F32_LANES).zip(self.x.chunks(S::F32_LANES)) {
            simd.partial_store_f32s(out, simd::gelu(simd, simd.partial_load_f32s(x)));
        }
    }
}

struct GeluBackward<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for GeluBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = S::F32_LANES;
        for ((out, x), grad) in self
            .out
            .chunks_mut(lanes)
            .zip(self.x.chunks(lanes))
            .zip(self.grad.chunks(lanes))
        {
            let slope = simd::gelu_derivative(simd, simd.partial_load_f32s(x));
            simd.partial_store_f32s(out, simd.mul_f32s(slope, simd.partial_load_f32s(grad)));
        }
    }
}

struct LayerNorm {
    eps: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, gamma, beta) = (
            values(x, x_layout)?,
            values(gamma, gamma_layout)?,
            values(beta, beta_layout)?,
        );
        let width = gamma.len();
        let mut out = vec![0.0; x.len()];
        let (arch, eps) = (Arch::new(), self.eps);
        let task = (TASK / width).max(1) * width;
        out.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .for_each(|(out, x)| {
                arch.dispatch(NormForward {
                    x,
                    gamma,
                    beta,
                    out,
                    eps,
                });
            });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = gamma.elem_count();
        let task = (TASK / width).max(1) * width;
        let computed = with_values(x, |x| {
            with_values(gamma, |gamma| {
                with_values(grad, |grad| {
                    let mut out = vec![0.0; x.len()];
                    let (arch, eps) = (Arch::new(), self.eps);
                    let affine = out
                        .par_chunks_mut(task)
                        .zip(x.par_chunks(task).zip(grad.par_chunks(task)))
                        .map(|(out, (x, grad))| {
                            arch.dispatch(NormBackward {
                                x,
                                gamma,
                                grad,
                                out,
                                eps,
                            })
                        })
                        .reduce(
                            || vec![0.0; 2 * width],
                            |mut a, b| {
                                a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
                                a
                            },
                        );
                    (out, affine)
                })
            })
        });
        let (out, affine) = flatten(computed.map(|r| r.and_then(|r| r)))?;
        let (d_gamma, d_beta) = affine.split_at(width);
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(out, x.shape(), device)?),
            Some(Tensor::from_slice(d_gamma, gamma.shape(), device)?),
            Some(Tensor::from_slice(d_beta, beta.shape(), device)?),
        ))
    }
}

/// A result of nested accesses as candle's own.
fn flatten<T>(result: Result<Result<T>>) -> candle_core::Result<T> {
    result.and_then(|r| r).map_err(candle_core::Error::wrap)
}

struct NormForward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    out: &'a mut [f32],
    eps: f32,
}

impl WithSimd for NormForward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.gamma.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let (mean, scale) = row_statistics(simd, x, self.eps);
            for (((out, x), gamma), beta) in out.iter_mut().zip(x).zip(self.gamma).zip(self.beta) {
                *out = (x - mean) * scale * gamma + beta;
            }
        }
    }
}

/// With `y` the normalised row and `h = g gamma`: `dx = (h - mean(h) - y mean(h y)) / std`; returns the sums of
/// `g y` and of `g` over rows, side by side.
struct NormBackward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
    eps: f32,
}

impl WithSimd for NormBackward<'_> {
    type Output = Vec<f32>;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let width = self.gamma.len();
        let mut affine = vec![0.0_f32; 2 * width];
        let (d_gamma, d_beta) = affine.split_at_mut(width);
        let (mut normalized, mut scaled) = (vec![0.0_f32; width], vec![0.0_f32; width]);
        let rows = self.x.chunks_exact(width).zip(self.grad.chunks_exact(width));
        for (out, (x, grad)) in self.out.chunks_exact_mut(width).zip(rows) {
            let (mean, scale) = row_statistics(simd, x, self.eps);
            for i in 0..width {
                normalized[i] = (x[i] - mean) * scale;
                scaled[i] = grad[i] * self.gamma[i];
                d_gamma[i] += grad[i] * normalized[i];
                d_beta[i] += grad[i];
            }
            let (mut sum, mut product) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for (h, y) in scaled.chunks(S::F32_LANES).zip(normalized.chunks(S::F32_LANES)) {
                let h = simd.partial_load_f32s(h);
                sum = simd.add_f32s(sum, h);
                product = simd.mul_add_f32s(h, simd.partial_load_f32s(y), product);
            }
            let mean = simd.reduce_sum_f32s(sum) / width as f32;
            let slope = simd.reduce_sum_f32s(product) / width as f32;
            for ((out, h), y) in out.iter_mut().zip(&scaled).zip(&normalized) {
                *out = (h - mean - y * slope) * scale;
            }
        }
        affine
    }
}

struct LinearLayer;

impl CustomOp3 for LinearLayer {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, inputs) = x_layout.shape().dims2()?;
        let outputs = weight_layout.shape().dims2()?.0;
        let packed = PackedMatrix::new(values(weight, weight_layout)?, outputs, inputs);
        let fused = Fused {
            bias: Some(values(bias, bias_layout)?),
            ..Fused::NONE
        };
        let out = packed.multiply(values(x, x_layout)?, rows, &fused);
        Ok((CpuStorage::F32(out), Shape::from((rows, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (rows, inputs) = x.dims2()?;
        let transposed = weight.t()?.contiguous()?;
        let products = with_values(&grad, |g| {
            let slope = with_values(&transposed, |w| {
                PackedMatrix::new(w, inputs, bias.elem_count()).multiply(g, rows, &Fused::NONE)
            })?;
            Ok::<_, TokenizerError>((slope, column_sums(g, bias.elem_count())))
        });
        let (slope, sums) = products.and_then(|p| p).map_err(candle_core::Error::wrap)?;
        Ok((
            Some(Tensor::from_vec(slope, x.shape(), x.device())?),
            Some(grad.t()?.matmul(x)?),
            Some(Tensor::from_vec(sums, bias.shape(), bias.device())?),
        ))
    }
}

struct SoftmaxAttention {
    heads: usize,
}

impl CustomOp3 for SoftmaxAttention {
    fn name(&self) -> &'static str {
        "softmax_attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (batch, rows, width) = q_layout.shape().dims3()?;
        let keys = k_layout.shape().dims3()?.1;
        let operand = |data| Operand {
            data,
            row_stride: width,
            column: 0,
            padding_row: None,
        };
        let head_dim = width / self.heads;
        let out = Attention {
            q: operand(values(q, q_layout)?),
            k: operand(values(k, k_layout)?),
            v: operand(values(v, v_layout)?),
            q_groups: &Groups::consecutive(batch, rows),
            k_groups: &Groups::consecutive(batch, keys),
            heads: self.heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            out_rows: batch * rows,
        }
        .run();
        Ok((CpuStorage::F32(out), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, rows, width) = q.dims3()?;
        let keys = k.dim(1)?;
        let computed = with_values(q, |q| {
            with_values(k, |k| {
                with_values(v, |v| {
                    with_values(grad, |grad| {
                        let inputs = AttentionInputs {
                            q,
                            k,
                            v,
                            grad,
                            rows,
                            keys,
                            width,
                            heads: self.heads,
                        };
                        attention_gradients(&inputs)
                    })
                })
            })
        });
        let (dq, dk, dv) = flatten(computed.map(|r| r.and_then(|r| r.and_then(|r| r))))?;
        Ok((
            Some(Tensor::from_vec(dq, q.shape(), q.device())?),
            Some(Tensor::from_vec(dk, k.shape(), k.device())?),
            Some(Tensor::from_vec(dv, v.shape(), v.device())?),
        ))
    }
}

struct AttentionInputs<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    grad: &'a [f32],
    rows: usize,
    keys: usize,
    width: usize,
    heads: usize,
}

/// Gradients of queries, keys and values; the probabilities are computed again, one batch element at a time.
fn attention_gradients(inputs: &AttentionInputs<'_>) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let AttentionInputs {
        q,
        k,
        v,
        grad,
        rows,
        keys,
        width,
        heads,
    } = *inputs;
    let dim = width / heads;
    let scale = 1.0 / (dim as f32).sqrt();
    let (mut dq, mut dk, mut dv) = (
        vec![0.0_f32; q.len()],
        vec![0.0_f32; k.len()],
        vec![0.0_f32; v.len()],
    );
    let (q_size, k_size) = (rows * width, keys * width);
    let outputs = dq
        .par_chunks_mut(q_size)
        .zip(dk.par_chunks_mut(k_size))
        .zip(dv.par_chunks_mut(k_size));
    let sources = q
        .par_chunks(q_size)
        .zip(k.par_chunks(k_size))
        .zip(v.par_chunks(k_size))
        .zip(grad.par_chunks(q_size));
    outputs.zip(sources).for_each_init(
        || (vec![0.0_f32; rows * keys], vec![0.0_f32; rows * keys]),
        |(p, ds), (((dq, dk), dv), (((q, k), v), grad))| {
            for head in 0..heads {
                let at = head * dim;
                // Matrices of this head as (values, row stride, column stride).
                let (q, k, v) = (
                    Strided(&q[at..], width, 1),
                    Strided(&k[at..], width, 1),
                    Strided(&v[at..], width, 1),
                );
                let g = Strided(&grad[at..], width, 1);
                product(&mut p[..], keys, (rows, keys, dim), q, k.transposed(), scale);
                for row in p.chunks_exact_mut(keys) {
                    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    row.iter_mut().for_each(|s| *s = (*s - max).exp());
                    let total: f32 = row.iter().sum();
                    row.iter_mut().for_each(|s| *s /= total);
                }
                product(&mut ds[..], keys, (rows, keys, dim), g, v.transposed(), 1.0);
                for (ds, p) in ds.chunks_exact_mut(keys).zip(p.chunks_exact(keys)) {
                    let mean: f32 = ds.iter().zip(p).map(|(d, p)| d * p).sum();
                    ds.iter_mut()
                        .zip(p)
                        .for_each(|(d, p)| *d = p * (*d - mean) * scale);
                }
                let (p, ds) = (Strided(p, keys, 1), Strided(ds, keys, 1));
                product(&mut dv[at..], width, (keys, dim, rows), p.transposed(), g, 1.0);
                product(&mut dq[at..], width, (rows, dim, keys), ds, k, 1.0);
                product(&mut dk[at..], width, (keys, dim, rows), ds.transposed(), q, 1.0);
            }
        },
    );
    (dq, dk, dv)
}

/// A matrix inside a slice: values, row stride, column stride.
#[derive(Clone, Copy)]
struct Strided<'a>(&'a [f32], usize, usize);

impl Strided<'_> {
    fn transposed(self) -> Self {
        Self(self.0, self.2, self.1)
    }
}

/// `out (m x n, rows out_stride apart) = factor * a (m x k) b (k x n)`.
fn product(
    out: &mut [f32],
    out_stride: usize,
    (m, n, k): (usize, usize, usize),
    a: Strided<'_>,
    b: Strided<'_>,
    factor: f32,
) {
    let fits =
        |s: &Strided<'_>, rows: usize, columns: usize| s.0.len() > (rows - 1) * s.1 + (columns - 1) * s.2;
    assert!(
        fits(&a, m, k) && fits(&b, k, n) && out.len() > (m - 1) * out_stride + n - 1,
        "operands are too short"
    );
    // SAFETY: the assertion bounds every element that the strides reach; `out` is exclusively borrowed.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            false,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            0.0,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn noise(shape: &[usize], seed: usize) -> Tensor {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|i| (((i + seed) * 7919 % 1009) as f32 - 480.0) / 350.0)
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn flat(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Values and all gradients of `ours` against those of `composed`.
    fn check(
        name: &str,
        shapes: [&[usize]; 3],
        ours: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
        composed: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
    ) {
        let variables: Vec<Var> = shapes
            .iter()
            .enumerate()
            .map(|(i, s)| Var::from_tensor(&noise(s, 31 * i)).unwrap())
            .collect();
        let [a, b, c] = [&variables[0], &variables[1], &variables[2]];
        let (x, y) = (ours(a, b, c), composed(a, b, c));
        let weight = noise(x.dims(), 5);
        let slope = |t: &Tensor| (t * &weight).unwrap().sum_all().unwrap().backward().unwrap();
        for (p, q) in flat(&x).iter().zip(&flat(&y)) {
            assert!((p - q).abs() < 2e-5, "{name}: {p} against {q}");
        }
        let (grad_x, grad_y) = (slope(&x), slope(&y));
        for (i, variable) in variables.iter().enumerate() {
            let (Some(ours), Some(theirs)) = (grad_x.get(variable), grad_y.get(variable)) else {
                assert_eq!(
                    grad_x.get(variable).is_some(),
                    grad_y.get(variable).is_some(),
                    "{name} {i}"
                );
                continue;
            };
            for (p, q) in flat(ours).iter().zip(&flat(theirs)) {
                assert!(
                    (p - q).abs() < 1e-4 * (1.0 + q.abs()),
                    "{name}, gradient {i}: {p} against {q}"
                );
            }
        }
    }

    #[test]
    fn values_and_gradients_match_the_composed_operations() {
        check(
            "gelu",
            [&[12, 37], &[1], &[1]],
            |x, _, _| gelu(x).unwrap(),
            |x, _, _| x.gelu_erf().unwrap(),
        );
        check(
            "layer norm",
            [&[12, 37], &[37], &[37]],
            |x, g, b| layer_norm(x, g, b, 1e-6).unwrap(),
            |x, g, b| {
                let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1).unwrap()).unwrap();
                let variance = centred.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
                let scaled = centred
                    .broadcast_div(&(variance + 1e-6).unwrap().sqrt().unwrap())
                    .unwrap();
                scaled.broadcast_mul(g).unwrap().broadcast_add(b).unwrap()
            },
        );
        check(
            "linear",
            [&[50, 20], &[33, 20], &[33]],
            |x, w, b| linear(x, w, b).unwrap(),
            |x, w, b| x.matmul(&w.t().unwrap()).unwrap().broadcast_add(b).unwrap(),
        );
        check(
            "attention",
            [&[3, 10, 12], &[3, 17, 12], &[3, 17, 12]],
            |q, k, v| attention(q, k, v, 2).unwrap(),
            |q, k, v| {
                let split = |t: &Tensor| {
                    let (batch, rows, _) = t.dims3().unwrap();
                    t.reshape((batch, rows, 2, 6))
                        .unwrap()
                        .transpose(1, 2)
                        .unwrap()
                        .contiguous()
                        .unwrap()
                };
                let (q, k, v) = (split(q), split(k), split(v));
                let scores = (q * (1.0 / 6.0_f64.sqrt()))
                    .unwrap()
                    .matmul(&k.transpose(2, 3).unwrap())
                    .unwrap();
                let mixed = candle_nn::ops::softmax(&scores, D::Minus1)
                    .unwrap()
                    .matmul(&v)
                    .unwrap();
                mixed
                    .transpose(1, 2)
                    .unwrap()
                    .contiguous()
                    .unwrap()
                    .reshape((3, 10, 12))
                    .unwrap()
            },
        );
    }
}
