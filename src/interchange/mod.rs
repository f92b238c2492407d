//! Annotations in other programs' formats, both ways, with a measured account of what could not be carried over.
//!
//! Every format is one file with two functions: `export` writes a stream of annotated images into an
//! [`OutputFolder`], `import` turns a foreign file or folder into [`Document`]s one by one. Neither touches a
//! sidecar: [`AnnotatedFolder`] reads those, [`import`](fn@import) writes them. Neither trusts a name that it read:
//! images are looked up among those that are there ([`Images`]), and nothing is written outside the output folder.
//!
//! A format that cannot express something says so in [`Notes`]; what was lost in fact is measured by reading the
//! written files back ([`report`]).

mod carried;
mod coco;
mod coco_file;
mod coco_panoptic;
mod comparison;
mod conversion;
mod cvat;
mod error;
mod export;
mod failure;
mod folder;
mod format;
mod grandf;
mod grefcoco;
mod id_map;
mod images;
mod import;
mod json_list;
mod json_stream;
mod json_tree;
mod labelme;
mod labelstudio;
mod masks;
mod merging;
mod notes;
mod osprey;
mod outline;
mod output;
mod pickle;
mod pieces;
mod refcoco;
pub mod report;
#[cfg(test)]
mod sample;
mod segmentation;
#[cfg(test)]
mod set_tests;
mod shape;
mod shape_file;
mod shelf;
mod source_files;
mod staging;
#[cfg(test)]
mod tool_tests;
pub mod training;
mod voc;
mod xanylabeling;
mod xml_text;
mod yolo_seg;

pub use self::error::InterchangeError;
pub use self::export::{ExportOptions, export, export_training};
pub use self::failure::Failure;
pub use self::folder::AnnotatedFolder;
pub use self::format::Format;
pub use self::images::{FoundImage, Images};
pub use self::import::{ImportOptions, ImportReport, import, import_training};
pub use self::notes::{Note, Notes};
pub use self::output::OutputFolder;
pub use self::report::LossReport;

use crate::dataset::Document;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Result of this module.
pub type Result<T, E = InterchangeError> = std::result::Result<T, E>;

/// An image of the folder and what is said about it, on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotated {
    /// The image file.
    pub path: PathBuf,
    /// Its path below the folder, with `/` between the parts.
    pub name: String,
    /// Its annotations.
    pub document: Document,
}

/// The images on their way out, in natural order.
pub type Outgoing<'a> = dyn Iterator<Item = Result<Annotated>> + 'a;

/// Takes one image's annotations on their way in; an image may come more than once.
pub type Incoming<'a> = dyn FnMut(Arrived) -> Result<()> + 'a;

/// What a foreign file says about one image that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// The image.
    pub image: FoundImage,
    /// The annotations; `document.image` has the image's name and size, and regions and conversations have ids of
    /// their own that the folder may change where they are taken.
    pub document: Document,
}

/// How far a conversion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Images that are done.
    pub done: u64,
    /// Images there are, where that is known.
    pub total: Option<u64>,
}

/// The part of a conversion that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Foreign files are read.
    Reading,
    /// Foreign files are written.
    Writing,
    /// What was written is read again and compared.
    Checking,
}

/// Is told of every image; breaks to stop.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;
