//! Where a network gets its weights from: a checkpoint, training variables, or a recorder that only notes shapes.

use super::Result;
use candle_core::{Device, Tensor};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A source of named weights.
pub(crate) trait Parameters {
    /// The tensor `name`, which must have this shape.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor>;

    /// The device the network runs on.
    fn device(&self) -> &Device;

    /// Whether weights never change, so that they may be repacked and folded into each other.
    fn frozen(&self) -> bool;
}

/// A position in the tree of weight names; modules walk it exactly as the checkpoint's names do.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    parameters: &'a dyn Parameters,
    prefix: String,
}

impl<'a> Scope<'a> {
    pub(crate) fn root(parameters: &'a dyn Parameters) -> Self {
        Self {
            parameters,
            prefix: String::new(),
        }
    }

    /// The scope `name` below this one; `name` may hold dots.
    pub(crate) fn child(&self, name: impl std::fmt::Display) -> Self {
        let prefix = if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        };
        Self {
            parameters: self.parameters,
            prefix,
        }
    }

    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let full_name = if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        };
        self.parameters.tensor(&full_name, shape)
    }

    pub(crate) fn device(&self) -> &Device {
        self.parameters.device()
    }

    /// Whether the fused CPU kernels may be prepared for these weights.
    pub(crate) fn fuses(&self) -> bool {
        self.parameters.frozen() && self.parameters.device().is_cpu()
    }
}

/// Notes the names and shapes a network asks for, without holding any weights.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    shapes: RefCell<BTreeMap<String, Vec<usize>>>,
}

impl Recorder {
    pub(crate) fn into_shapes(self) -> BTreeMap<String, Vec<usize>> {
        self.shapes.into_inner()
    }
}

impl Parameters for Recorder {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.shapes.borrow_mut().insert(name.to_owned(), shape.to_vec());
        // One stored zero, broadcast: building a network only looks at shapes.
        Ok(Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?.broadcast_as(shape)?)
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn frozen(&self) -> bool {
        false
    }
}
