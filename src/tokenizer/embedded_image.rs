//! The image embedding: everything the heads need of one image, computed once, kept, stored and read back.

use super::sam2::mask_decoder::HighResolution;
use super::weights::Fingerprint;
use super::{Result, TokenizerError};
use crate::geometry::ImageSize;
use candle_core::{Device, Tensor};
use half::f16;

/// One image as the mask encoder and mask decoder see it.
///
/// It belongs to the model that made it: the fingerprint is checked at every use.
#[derive(Clone, Debug)]
pub struct EmbeddedImage {
    /// Size of the image itself, in pixels.
    pub(super) size: ImageSize,
    /// The model that made it.
    pub(super) model: Fingerprint,
    /// Stride-16 features with `no_mem_embed` added, `(1, grid * grid, d_model)`.
    pub(super) features: Tensor,
    /// What SAMTok's mask decoder sees of strides 4 and 8.
    pub(super) high_resolution: HighResolution,
    /// What the prompt decoder of a base SAM 2.1 checkpoint sees of them, if one was loaded beside.
    pub(super) prompt_high_resolution: Option<HighResolution>,
}

/// First bytes of a stored embedding: name and version of the form.
const MAGIC: &[u8; 8] = b"samtokE1";

impl EmbeddedImage {
    /// Size of the image in pixels.
    #[must_use]
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// Fingerprint of the model that made this embedding.
    #[must_use]
    pub fn model(&self) -> Fingerprint {
        self.model
    }

    /// Memory the values take, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.tensors().iter().map(|t| t.elem_count() * 4).sum()
    }

    fn tensors(&self) -> Vec<&Tensor> {
        let mut tensors = vec![
            &self.features,
            &self.high_resolution.stride4,
            &self.high_resolution.stride8,
        ];
        if let Some(prompt) = &self.prompt_high_resolution {
            tensors.extend([&prompt.stride4, &prompt.stride8]);
        }
        tensors
    }

    /// The embedding as bytes, values rounded to f16; a checksum at the end.
    ///
    /// # Errors
    /// If the values cannot be copied from the device.
    pub fn to_f16_bytes(&self) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(self.model.to_string().as_bytes());
        out.extend(
            [self.size.width, self.size.height]
                .into_iter()
                .flat_map(u32::to_le_bytes),
        );
        let tensors = self.tensors();
        out.push(tensors.len() as u8);
        for tensor in tensors {
            let (_, rows, columns) = tensor.dims3()?;
            out.extend(
                [rows as u32, columns as u32]
                    .into_iter()
                    .flat_map(u32::to_le_bytes),
            );
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            out.extend(values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()));
        }
        let checksum = blake3::hash(&out);
        out.extend_from_slice(checksum.as_bytes());
        Ok(out)
    }

    /// Reads back what [`EmbeddedImage::to_f16_bytes`] gave.
    ///
    /// # Errors
    /// [`TokenizerError::Embedding`] if the bytes are damaged or of another form.
    pub fn from_f16_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        let damaged = || TokenizerError::Embedding {
            reason: "the stored image embedding is damaged",
        };
        let (body, checksum) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
        if blake3::hash(body).as_bytes() != checksum {
            return Err(damaged());
        }
        let mut rest = body.strip_prefix(MAGIC).ok_or(TokenizerError::Embedding {
            reason: "the stored image embedding is of another version",
        })?;
        let mut take = |count: usize| -> Result<&[u8]> {
            let (head, tail) = rest.split_at_checked(count).ok_or_else(damaged)?;
            rest = tail;
            Ok(head)
        };
        let model = std::str::from_utf8(take(64)?)
            .ok()
            .and_then(|s| s.parse().ok())
            .ok_or_else(damaged)?;
        let number = |bytes: &[u8]| -> Result<u32> {
            Ok(u32::from_le_bytes(bytes.try_into().ok().ok_or_else(damaged)?))
        };
        let size = ImageSize::new(number(take(4)?)?, number(take(4)?)?);
        let count = usize::from(take(1)?[0]);
        let mut tensors = Vec::new();
        for _ in 0..count {
            let (rows, columns) = (number(take(4)?)? as usize, number(take(4)?)? as usize);
            let bytes = rows
                .checked_mul(columns)
                .and_then(|n| n.checked_mul(2))
                .ok_or_else(damaged)?;
            let values: Vec<f32> = take(bytes)?
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| f16::from_le_bytes(*b).to_f32())
                .collect();
            tensors.push(Tensor::from_vec(values, (1, rows, columns), device)?);
        }
        let mut tensors = tensors.into_iter();
        let mut next = || tensors.next().ok_or_else(damaged);
        let features = next()?;
        let high_resolution = HighResolution {
            stride4: next()?,
            stride8: next()?,
        };
        let prompt_high_resolution = match count {
            3 => None,
            5 => Some(HighResolution {
                stride4: next()?,
                stride8: next()?,
            }),
            _ => return Err(damaged()),
        };
        Ok(Self {
            size,
            model,
            features,
            high_resolution,
            prompt_high_resolution,
        })
    }
}
