//! Tensor names: what training tools put in front of them is taken off, and base SAM 2 names get their place.
//!
//! Canonical names are those of the published SAMTok checkpoint: `model.sam2_model.…` and `quantizer.…`.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::error::printable;

/// Put in front of every name by trainers: Hugging Face wrappers, data parallel training, `torch.compile`.
const WRAPPERS: [&str; 3] = ["hf_model.", "module.", "_orig_mod."];
const SAM2: &str = "model.sam2_model.";
/// What the names of a base SAM 2 checkpoint start with.
const SAM2_PARTS: [&str; 3] = ["image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder."];
const QUANTIZER: &str = "quantizer.codebooks.";

/// What a checkpoint can be used for, judged by its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// A mask tokenizer: mask encoder and quantizer on a SAM 2 image encoder.
    Samtok,
    /// A base SAM 2 or 2.1 network, which answers clicks and boxes but knows no mask words.
    Sam2,
    /// Something else, such as a language model.
    Other,
}

/// Maps tensors to their canonical names; says which name two of them would share.
pub(super) fn canonical<T>(
    tensors: impl IntoIterator<Item = (String, T)>,
) -> Result<BTreeMap<String, T>, String> {
    let mut named = BTreeMap::new();
    for (name, tensor) in tensors {
        insert_new(&mut named, unwrapped(&name).to_owned(), tensor)?;
    }
    let starts = |parts: &[&str]| {
        named
            .keys()
            .any(|name| parts.iter().any(|part| name.starts_with(part)))
    };
    if starts(&[SAM2, QUANTIZER]) || !starts(&SAM2_PARTS) {
        return Ok(named);
    }
    Ok(named
        .into_iter()
        .map(|(name, tensor)| (format!("{SAM2}{name}"), tensor))
        .collect())
}

fn insert_new<T>(map: &mut BTreeMap<String, T>, name: String, tensor: T) -> Result<(), String> {
    if map.contains_key(&name) {
        return Err(format!("it holds two tensors named {}", printable(&name)));
    }
    map.insert(name, tensor);
    Ok(())
}

fn unwrapped(mut name: &str) -> &str {
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = inner;
    }
    name
}

/// Judges a checkpoint by its canonical names.
pub(super) fn kind<T>(tensors: &BTreeMap<String, T>) -> CheckpointKind {
    let has = |start: &str| {
        let from_start = tensors.range::<str, _>((Bound::Included(start), Bound::Unbounded));
        from_start
            .map(|(name, _)| name)
            .next()
            .is_some_and(|name| name.starts_with(start))
    };
    if has("model.sam2_model.sam_mask_encoder.") && has(QUANTIZER) {
        CheckpointKind::Samtok
    } else if has("model.sam2_model.image_encoder.trunk.") {
        CheckpointKind::Sam2
    } else {
        CheckpointKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_names(names: &[&str]) -> Result<Vec<String>, String> {
        Ok(canonical(names.iter().map(|name| ((*name).to_owned(), ())))?
            .into_keys()
            .collect())
    }

    #[test]
    fn wrappers_come_off_and_base_names_get_their_place() {
        let samtok = [
            "model.sam2_model.image_encoder.trunk.pos_embed",
            "quantizer.codebooks.0.weight",
        ];
        assert_eq!(canonical_names(&samtok).unwrap(), samtok);
        for wrapper in [
            "hf_model.",
            "module.",
            "module.hf_model.",
            "hf_model._orig_mod.module.",
        ] {
            let wrapped = samtok.map(|name| format!("{wrapper}{name}"));
            assert_eq!(canonical_names(&[&wrapped[0], &wrapped[1]]).unwrap(), samtok);
        }
        assert_eq!(
            canonical_names(&["image_encoder.trunk.pos_embed", "no_mem_embed"]).unwrap(),
            [
                "model.sam2_model.image_encoder.trunk.pos_embed",
                "model.sam2_model.no_mem_embed"
            ]
        );
        let language = ["lm_head.weight", "model.visual.patch_embed.proj.weight"];
        assert_eq!(canonical_names(&language).unwrap(), language);
    }

    #[test]
    fn names_that_meet_are_refused() {
        assert!(
            canonical_names(&["module.a", "a"])
                .unwrap_err()
                .contains("named a")
        );
    }

    #[test]
    fn kinds() {
        let encoder = "model.sam2_model.sam_mask_encoder.mask_tokens.weight";
        let trunk = "model.sam2_model.image_encoder.trunk.pos_embed";
        let quantizer = "quantizer.codebooks.0.weight";
        let kind_of = |names: &[&str]| kind(&names.iter().map(|name| ((*name).to_owned(), ())).collect());
        assert_eq!(kind_of(&[encoder, trunk, quantizer]), CheckpointKind::Samtok);
        assert_eq!(kind_of(&[trunk]), CheckpointKind::Sam2);
        assert_eq!(kind_of(&[quantizer]), CheckpointKind::Other);
    }
}
