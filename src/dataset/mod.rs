//! The annotations of an image: what they are in memory, how they are written beside the image, and how safely.
//!
//! A [`Document`] belongs to one image and lives in its *sidecar*, `photo.jpg.samtok.json` (see [`store`]).
//! Only [`format`](mod@format) knows that the file is JSON; only [`store`] touches the disk.
//! The mask of a region is the truth; boxes, areas and training texts are derived from it whenever a file is written.
//!
//! No data is lost: keys that this version does not know survive at every level, a file that cannot be read is never
//! overwritten, and neither is one that somebody else changed in the meantime.

pub mod backup;
pub mod document;
pub mod edit;
pub mod folder;
pub mod format;
pub mod history;
pub mod index;
mod lock;
pub mod mention;
pub mod merge;
pub mod natural_order;
#[cfg(test)]
mod sample;
pub mod store;
pub mod timestamp;
pub mod vocabulary;

pub use self::document::{
    Attributes, Caption, Conversation, Document, ImageRef, MaskWords, Region, RegionMask, Tokenizer, Turn,
    UnknownKeys, mask_blake3,
};
pub use self::edit::{ConversationChange, Edit, EditError, MaskChange, Mentions, RegionChange};
pub use self::history::History;
pub use self::merge::{Conflict, Merged};
pub use self::store::{DatasetError, Saved, Sidecar, remove_abandoned, sidecar_path};
pub use self::timestamp::Timestamp;
pub use self::vocabulary::{Color, Role, Status, Task};
