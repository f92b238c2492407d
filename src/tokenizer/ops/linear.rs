//! Linear layers, alone or several over the same input, with what surrounds them in a transformer block.

use super::differentiable::linear;
use super::gemm::{Fused, PackedMatrix};
use super::{Activation, Norm, with_values};
use crate::tokenizer::Result;
use crate::tokenizer::parameters::Scope;
use candle_core::Tensor;

/// How a checkpoint stores the weight of a layer that acts as a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightLayout {
    /// `outputs x inputs`.
    Matrix,
    /// Convolution `outputs x channels x k x k` whose stride is `k` (or whose patches are gathered beforehand);
    /// inputs are ordered `k, k, channels`.
    Convolution {
        /// Kernel side.
        kernel: usize,
    },
    /// Transposed convolution `inputs x channels x 2 x 2` of stride 2; outputs are ordered `2, 2, channels`.
    Upsampling,
}

impl WeightLayout {
    fn shape(self, inputs: usize, outputs: usize) -> Vec<usize> {
        match self {
            Self::Matrix => vec![outputs, inputs],
            Self::Convolution { kernel } => vec![outputs, inputs / (kernel * kernel), kernel, kernel],
            Self::Upsampling => vec![inputs, outputs / 4, 2, 2],
        }
    }

    fn matrix(self, weight: &Tensor, inputs: usize, outputs: usize) -> Result<Tensor> {
        Ok(match self {
            Self::Matrix => weight.clone(),
            Self::Convolution { kernel: 1 } => weight.reshape((outputs, inputs))?,
            Self::Convolution { .. } => weight
                .permute((0, 2, 3, 1))?
                .contiguous()?
                .reshape((outputs, inputs))?,
            Self::Upsampling => weight
                .permute((2, 3, 1, 0))?
                .contiguous()?
                .reshape((outputs, inputs))?,
        })
    }

    fn bias_len(self, outputs: usize) -> usize {
        if self == Self::Upsampling {
            outputs / 4
        } else {
            outputs
        }
    }

    fn bias(self, bias: &Tensor) -> Result<Tensor> {
        Ok(if self == Self::Upsampling {
            bias.repeat(4)?
        } else {
            bias.clone()
        })
    }
}

/// One or several linear layers over the same input, their outputs side by side.
#[derive(Debug)]
pub(crate) struct Linear {
    body: Body,
    inputs: usize,
    outputs: usize,
}

#[derive(Debug)]
enum Body {
    /// Weights repacked for the CPU kernel, a preceding norm's affine part folded in.
    Packed {
        weight: PackedMatrix,
        bias: Vec<f32>,
        normalize: Option<f32>,
    },
    /// Weights as stored, for training and GPUs.
    Plain { parts: Vec<Part>, norm: Option<Norm> },
}

#[derive(Debug)]
struct Part {
    weight: Tensor,
    bias: Tensor,
    layout: WeightLayout,
    inputs: usize,
    outputs: usize,
}

/// What surrounds a linear layer besides its own bias and norm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    /// `period x outputs`, added to rows modulo `period`.
    pub(crate) row_bias: Option<&'a Tensor>,
    /// Applied after the biases.
    pub(crate) activation: Activation,
    /// Shape of the result, added last.
    pub(crate) residual: Option<&'a Tensor>,
}

impl Around<'_> {
    /// Nothing.
    pub(crate) const NONE: Self = Around {
        row_bias: None,
        activation: Activation::Identity,
        residual: None,
    };

    /// Only an activation.
    pub(crate) const fn activation(activation: Activation) -> Self {
        Around {
            row_bias: None,
            activation,
            residual: None,
        }
    }
}

impl Linear {
    /// The layer whose `weight` and `bias` lie directly in `scope`.
    pub(crate) fn new(scope: &Scope<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with_layout(scope, WeightLayout::Matrix, inputs, outputs)
    }

    /// As [`Linear::new`] for a weight that is stored as a convolution.
    pub(crate) fn with_layout(
        scope: &Scope<'_>,
        layout: WeightLayout,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self> {
        Self::build(scope, vec![Part::new(scope, layout, inputs, outputs)?], None)
    }

    /// A layer that normalises its input first.
    pub(crate) fn after_norm(norm: Norm, scope: &Scope<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::build(
            scope,
            vec![Part::new(scope, WeightLayout::Matrix, inputs, outputs)?],
            Some(norm),
        )
    }

    /// Several layers over one input; the result holds their outputs one after another.
    pub(crate) fn joined(scopes: &[Scope<'_>], inputs: usize, outputs: usize) -> Result<Self> {
        let parts = scopes
            .iter()
            .map(|scope| Part::new(scope, WeightLayout::Matrix, inputs, outputs))
            .collect::<Result<Vec<_>>>()?;
        Self::build(&scopes[0], parts, None)
    }

    fn build(scope: &Scope<'_>, parts: Vec<Part>, norm: Option<Norm>) -> Result<Self> {
        let inputs = parts[0].inputs;
        let outputs = parts.iter().map(|part| part.outputs).sum();
        let body = if scope.fuses() {
            let (mut weight, mut bias) = (Vec::with_capacity(inputs * outputs), Vec::with_capacity(outputs));
            for part in &parts {
                with_values(&part.matrix()?, |values| weight.extend_from_slice(values))?;
                with_values(&part.layout.bias(&part.bias)?, |values| {
                    bias.extend_from_slice(values)
                })?;
            }
            let normalize = norm
                .map(|norm| norm.fold_into(&mut weight, &mut bias))
                .transpose()?;
            Body::Packed {
                weight: PackedMatrix::new(&weight, outputs, inputs),
                bias,
                normalize,
            }
        } else {
            Body::Plain { parts, norm }
        };
        Ok(Self {
            body,
            inputs,
            outputs,
        })
    }

    /// `(…, inputs)` to `(…, outputs)`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, Around::NONE)
    }

    /// `(…, inputs)` to `(…, outputs)` with what `around` asks for.
    pub(crate) fn apply(&self, x: &Tensor, around: Around<'_>) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let rows = x.elem_count() / self.inputs;
        if shape.pop() != Some(self.inputs) {
            return Err(candle_core::Error::Msg(format!(
                "a linear layer of {} inputs was given {:?}",
                self.inputs,
                x.dims()
            ))
            .into());
        }
        shape.push(self.outputs);
        match &self.body {
            Body::Packed {
                weight,
                bias,
                normalize,
            } => {
                let optional = |t: Option<&Tensor>| t.map(Tensor::contiguous).transpose();
                let (row_bias, residual) = (optional(around.row_bias)?, optional(around.residual)?);
                let out = with_values(x, |x| {
                    with_optional(row_bias.as_ref(), |row_bias| {
                        with_optional(residual.as_ref(), |residual| {
                            let fused = Fused {
                                normalize: *normalize,
                                bias: Some(bias),
                                row_bias,
                                activation: around.activation,
                                residual,
                            };
                            weight.multiply(x, rows, &fused)
                        })
                    })
                })???;
                Ok(Tensor::from_vec(out, shape, x.device())?)
            }
            Body::Plain { parts, norm } => {
                let x = x.reshape((rows, self.inputs))?;
                let x = match norm {
                    Some(norm) => norm.forward(&x)?,
                    None => x,
                };
                let weights = parts.iter().map(Part::matrix).collect::<Result<Vec<_>>>()?;
                let biases = parts
                    .iter()
                    .map(|p| p.layout.bias(&p.bias))
                    .collect::<Result<Vec<_>>>()?;
                let (weight, bias) = match (&weights[..], &biases[..]) {
                    ([weight], [bias]) => (weight.clone(), bias.clone()),
                    _ => (Tensor::cat(&weights, 0)?, Tensor::cat(&biases, 0)?),
                };
                let mut y = linear(&x, &weight, &bias)?;
                if let Some(row_bias) = around.row_bias {
                    let period = row_bias.elem_count() / self.outputs;
                    y = y
                        .reshape((rows / period, period, self.outputs))?
                        .broadcast_add(&row_bias.reshape((period, self.outputs))?)?;
                }
                let y = around.activation.forward(&y.reshape(shape)?)?;
                match around.residual {
                    Some(residual) => Ok((y + residual)?),
                    None => Ok(y),
                }
            }
        }
    }
}

/// As [`with_values`], passing `None` through.
fn with_optional<T>(tensor: Option<&Tensor>, body: impl FnOnce(Option<&[f32]>) -> T) -> Result<T> {
    match tensor {
        Some(tensor) => with_values(tensor, |values| body(Some(values))),
        None => Ok(body(None)),
    }
}

impl Part {
    fn new(scope: &Scope<'_>, layout: WeightLayout, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = scope.tensor("weight", &layout.shape(inputs, outputs))?;
        let bias = scope.tensor("bias", &[layout.bias_len(outputs)])?;
        Ok(Self {
            weight,
            bias,
            layout,
            inputs,
            outputs,
        })
    }

    fn matrix(&self) -> Result<Tensor> {
        self.layout.matrix(&self.weight, self.inputs, self.outputs)
    }
}
