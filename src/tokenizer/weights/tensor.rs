//! One stored tensor: its type and shape, where its elements lie, and how they are read in row-major order.

use std::io;

use super::blob::Blob;
use super::dtype::Dtype;
use super::source::Source;

/// Tensors of more dimensions are refused; PyTorch's own limit is 64.
const MAX_RANK: usize = 16;
/// A view that repeats elements may have this many values even if its storage is smaller.
const MAX_EXPANDED: usize = 1 << 20;

/// Type and shape of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type as stored; values are always read as f32.
    pub dtype: Dtype,
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Number of values.
    #[must_use]
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A tensor whose layout has been checked against the bytes it lies in.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub info: TensorInfo,
    blob: Blob,
    /// Bytes before the first element.
    offset: u64,
    /// Elements that the view spans, from first to last.
    extent: usize,
    /// Step in elements along each dimension; `None` if the values lie in row-major order.
    strides: Option<Box<[usize]>>,
}

impl Tensor {
    /// A view of `blob` that starts `offset` elements in; `strides` as in PyTorch, or `None` for row-major order.
    /// Says what is wrong if the view does not lie wholly inside `blob`.
    pub(super) fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        blob: Blob,
        offset: usize,
        strides: Option<Vec<usize>>,
    ) -> Result<Self, &'static str> {
        if shape.len() > MAX_RANK {
            return Err("has too many dimensions");
        }
        let numel = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))
            .ok_or("has an impossible shape")?;
        let strides = match strides {
            Some(strides) if strides.len() != shape.len() => {
                return Err("has a different number of strides and sizes");
            }
            Some(strides) => (!is_row_major(&shape, &strides)).then(|| strides.into_boxed_slice()),
            None => None,
        };
        let extent = match &strides {
            _ if numel == 0 => Some(0),
            None => Some(numel),
            Some(strides) => shape
                .iter()
                .zip(strides)
                .try_fold(1_usize, |extent, (&size, &stride)| {
                    extent.checked_add((size - 1).checked_mul(stride)?)
                }),
        };
        let extent = extent.ok_or("has impossible strides")?;
        let available = usize::try_from(blob.len / dtype.bytes() as u64).unwrap_or(usize::MAX);
        if offset.checked_add(extent).is_none_or(|end| end > available) {
            return Err("reaches beyond its data");
        }
        if numel > available.max(MAX_EXPANDED) {
            return Err("repeats its data too often");
        }
        let offset = offset as u64 * dtype.bytes() as u64;
        Ok(Self {
            info: TensorInfo { dtype, shape },
            blob,
            offset,
            extent,
            strides,
        })
    }

    /// Fills `out`, which has as many elements as the tensor, in row-major order.
    pub(super) fn read_into(&self, source: &Source, out: &mut [f32]) -> io::Result<()> {
        match &self.strides {
            None => self.read_extent(source, out),
            Some(strides) => {
                let mut span = vec![0.0; self.extent];
                self.read_extent(source, &mut span)?;
                gather(&span, &self.info.shape, strides, out);
                Ok(())
            }
        }
    }

    fn read_extent(&self, source: &Source, out: &mut [f32]) -> io::Result<()> {
        let dtype = self.info.dtype;
        let len = self.extent as u64 * dtype.bytes() as u64;
        let mut left = out;
        self.blob.read(source, self.offset, len, |chunk| {
            let count = (chunk.len() / dtype.bytes()).min(left.len());
            let (now, later) = std::mem::take(&mut left).split_at_mut(count);
            dtype.decode(chunk, now);
            left = later;
        })
    }
}

/// Whether the strides are those of contiguous row-major values; PyTorch leaves the stride of a size of 1 open.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size <= 1 || stride == expected;
        expected = expected.saturating_mul(size);
        fits
    }) || shape.contains(&0)
}

/// Copies a strided view into row-major order.
fn gather(span: &[f32], shape: &[usize], strides: &[usize], out: &mut [f32]) {
    let (Some((&width, outer_shape)), Some((&step, outer_strides))) =
        (shape.split_last(), strides.split_last())
    else {
        return;
    };
    if width == 0 {
        return;
    }
    let mut index = vec![0_usize; outer_shape.len()];
    let mut base = 0_usize;
    for row in out.chunks_mut(width) {
        for (column, value) in row.iter_mut().enumerate() {
            *value = span.get(base + column * step).copied().unwrap_or_default();
        }
        for ((position, &size), &stride) in index.iter_mut().zip(outer_shape).zip(outer_strides).rev() {
            *position += 1;
            base += stride;
            if *position < size {
                break;
            }
            *position = 0;
            base -= size * stride;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: &[usize], strides: Option<&[usize]>, offset: usize) -> Result<Vec<f32>, &'static str> {
        let source = Source::from_vec((0..12_i16).flat_map(i16::to_le_bytes).collect());
        let blob = Blob::plain(0, source.len());
        let tensor = Tensor::new(
            Dtype::I16,
            shape.to_vec(),
            blob,
            offset,
            strides.map(<[usize]>::to_vec),
        )?;
        let mut out = vec![f32::NAN; tensor.info.numel()];
        tensor.read_into(&source, &mut out).map_err(|_error| "read")?;
        Ok(out)
    }

    #[test]
    fn views_are_read_in_row_major_order() {
        assert_eq!(read(&[2, 3], None, 1).unwrap(), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(read(&[3, 2], Some(&[1, 3]), 0).unwrap(), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(
            read(&[2, 2, 2], Some(&[1, 4, 2]), 1).unwrap(),
            [1., 3., 5., 7., 2., 4., 6., 8.]
        );
        assert_eq!(read(&[2, 2], Some(&[0, 1]), 5).unwrap(), [5., 6., 5., 6.]);
        assert_eq!(
            read(&[3, 3], Some(&[1, 1]), 0).unwrap(),
            [0., 1., 2., 1., 2., 3., 2., 3., 4.]
        );
        assert_eq!(read(&[1, 2], Some(&[99, 1]), 0).unwrap(), [0., 1.]);
        assert_eq!(read(&[], Some(&[]), 7).unwrap(), [7.]);
        assert!(read(&[0, 5], Some(&[7, 9]), 0).unwrap().is_empty());
    }

    #[test]
    fn views_outside_their_data_are_refused() {
        for (shape, strides, offset) in [
            (vec![13], vec![1], 0),
            (vec![12], vec![1], 1),
            (vec![2], vec![1], usize::MAX),
            (vec![2, 2], vec![11, 1], 0),
            (vec![usize::MAX, 2], vec![1, 1], 0),
            (vec![usize::MAX], vec![usize::MAX], 0),
            (vec![1 << 40], vec![0], 0),
            (vec![2], vec![1, 1], 0),
            (vec![1; 17], vec![1; 17], 0),
        ] {
            assert!(
                read(&shape, Some(&strides), offset).is_err(),
                "{shape:?} {strides:?} {offset}"
            );
        }
    }
}
