//! Why an edit does not fit a document.

use crate::geometry::ImageSize;

/// An edit that does not fit; it changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// No region has the id.
    #[error("there is no region {id:?} any more")]
    NoRegion {
        /// The id.
        id: String,
    },
    /// The region has fewer captions.
    #[error("region {region:?} has no caption number {} any more", index + 1)]
    NoCaption {
        /// Id of the region.
        region: String,
        /// Position of the caption.
        index: usize,
    },
    /// No conversation has the id.
    #[error("there is no conversation {id:?} any more")]
    NoConversation {
        /// The id.
        id: String,
    },
    /// The conversation has fewer turns.
    #[error("conversation {conversation:?} has no turn number {} any more", index + 1)]
    NoTurn {
        /// Id of the conversation.
        conversation: String,
        /// Position of the turn.
        index: usize,
    },
    /// No tokenizer has the id.
    #[error("tokenizer {id:?} is not listed; list it first")]
    NoTokenizer {
        /// The id.
        id: String,
    },
    /// Regions have words of the tokenizer.
    #[error("tokenizer {id:?} made words of regions; remove those first")]
    TokenizerInUse {
        /// The id.
        id: String,
    },
    /// Another region, conversation or tokenizer has the id.
    #[error("the id {id:?} is in use already; choose another one")]
    UsedId {
        /// The id.
        id: String,
    },
    /// The id cannot be mentioned.
    #[error("{id:?} is no id; one has at least one character and no square brackets")]
    InvalidId {
        /// The id.
        id: String,
    },
    /// The mask is of another size than the image.
    #[error("the mask has {mask} pixels and the image {image}; both must be equal")]
    MaskSize {
        /// Size of the mask.
        mask: ImageSize,
        /// Size of the image.
        image: ImageSize,
    },
    /// The new image is of another size.
    #[error("the annotations are for {annotated} pixels and the image has {image}; scale them first")]
    ImageSize {
        /// Size of the document's image.
        annotated: ImageSize,
        /// Size of the other image.
        image: ImageSize,
    },
}
