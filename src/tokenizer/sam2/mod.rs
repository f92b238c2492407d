//! SAM 2.1's parts, one file each, named and nested as in the published checkpoints.

pub(crate) mod hiera;
pub(crate) mod image_encoder;
pub(crate) mod mask_decoder;
pub(crate) mod mask_encoder;
pub(crate) mod neck;
pub(crate) mod position;
pub(crate) mod prompt_encoder;
pub(crate) mod two_way;
