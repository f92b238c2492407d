//! The formats by name, and where each is.

use super::{Images, Incoming, Notes, Outgoing, OutputFolder, Result};
use super::{
    coco, coco_panoptic, cvat, grandf, grefcoco, labelme, labelstudio, masks, osprey, refcoco, voc,
    xanylabeling, yolo_seg,
};
use std::path::Path;

/// A foreign annotation format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// COCO instances JSON.
    Coco,
    /// COCO panoptic JSON and PNG.
    CocoPanoptic,
    /// labelme JSON beside each image.
    Labelme,
    /// X-AnyLabeling JSON beside each image.
    XAnyLabeling,
    /// YOLO segmentation text files.
    YoloSeg,
    /// Pascal VOC folders.
    Voc,
    /// One instance PNG per image.
    Masks,
    /// CVAT for images 1.1 XML.
    Cvat,
    /// Label Studio tasks with brush regions.
    LabelStudio,
    /// RefCOCO `refs(*).p` and `instances.json`.
    RefCoco,
    /// gRefCOCO `grefs(*).json` and `instances.json`.
    GRefCoco,
    /// GLaMM's GranDf.
    GranDf,
    /// Osprey-724K.
    Osprey,
}

impl Format {
    /// All formats, in the order in which they are listed to people.
    pub const ALL: [Self; 13] = [
        Self::Coco,
        Self::CocoPanoptic,
        Self::Labelme,
        Self::XAnyLabeling,
        Self::YoloSeg,
        Self::Voc,
        Self::Masks,
        Self::Cvat,
        Self::LabelStudio,
        Self::RefCoco,
        Self::GRefCoco,
        Self::GranDf,
        Self::Osprey,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::CocoPanoptic => "coco-panoptic",
            Self::Labelme => "labelme",
            Self::XAnyLabeling => "xanylabeling",
            Self::YoloSeg => "yolo-seg",
            Self::Voc => "voc",
            Self::Masks => "masks",
            Self::Cvat => "cvat",
            Self::LabelStudio => "labelstudio",
            Self::RefCoco => "refcoco",
            Self::GRefCoco => "grefcoco",
            Self::GranDf => "grandf",
            Self::Osprey => "osprey",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Coco => "COCO instances JSON",
            Self::CocoPanoptic => "COCO panoptic JSON and PNGs",
            Self::Labelme => "labelme JSON beside each image",
            Self::XAnyLabeling => "X-AnyLabeling JSON beside each image",
            Self::YoloSeg => "YOLO segmentation text files",
            Self::Voc => "Pascal VOC folders",
            Self::Masks => "one PNG of region numbers per image",
            Self::Cvat => "CVAT for images 1.1 XML",
            Self::LabelStudio => "Label Studio tasks with brush regions",
            Self::RefCoco => "RefCOCO refs and instances",
            Self::GRefCoco => "gRefCOCO grefs and instances",
            Self::GranDf => "GLaMM's GranDf",
            Self::Osprey => "Osprey-724K",
        }
    }

    /// Writes `items` into `out`.
    pub(super) fn export(
        self,
        items: &mut Outgoing<'_>,
        out: &OutputFolder,
        notes: &mut Notes,
    ) -> Result<()> {
        match self {
            Self::Coco => coco::export(items, out, notes),
            Self::CocoPanoptic => coco_panoptic::export(items, out, notes),
            Self::Labelme => labelme::export(items, out, notes),
            Self::XAnyLabeling => xanylabeling::export(items, out, notes),
            Self::YoloSeg => yolo_seg::export(items, out, notes),
            Self::Voc => voc::export(items, out, notes),
            Self::Masks => masks::export(items, out, notes),
            Self::Cvat => cvat::export(items, out, notes),
            Self::LabelStudio => labelstudio::export(items, out, notes),
            Self::RefCoco => refcoco::export(items, out, notes),
            Self::GRefCoco => grefcoco::export(items, out, notes),
            Self::GranDf => grandf::export(items, out, notes),
            Self::Osprey => osprey::export(items, out, notes),
        }
    }

    /// Reads `source` and hands its documents to `take`.
    pub(super) fn import(
        self,
        source: &Path,
        images: &Images,
        take: &mut Incoming<'_>,
        notes: &mut Notes,
    ) -> Result<()> {
        match self {
            Self::Coco => coco::import(source, images, take, notes),
            Self::CocoPanoptic => coco_panoptic::import(source, images, take, notes),
            Self::Labelme => labelme::import(source, images, take, notes),
            Self::XAnyLabeling => xanylabeling::import(source, images, take, notes),
            Self::YoloSeg => yolo_seg::import(source, images, take, notes),
            Self::Voc => voc::import(source, images, take, notes),
            Self::Masks => masks::import(source, images, take, notes),
            Self::Cvat => cvat::import(source, images, take, notes),
            Self::LabelStudio => labelstudio::import(source, images, take, notes),
            Self::RefCoco => refcoco::import(source, images, take, notes),
            Self::GRefCoco => grefcoco::import(source, images, take, notes),
            Self::GranDf => grandf::import(source, images, take, notes),
            Self::Osprey => osprey::import(source, images, take, notes),
        }
    }

    /// The folder that images belong in, below that of an export, with `/` at the end.
    pub(super) const fn image_folder(self) -> &'static str {
        match self {
            // Annotations lie beside their images, or name them from the same folder.
            Self::Labelme | Self::XAnyLabeling | Self::LabelStudio => "",
            Self::Voc => "JPEGImages/",
            Self::Coco
            | Self::CocoPanoptic
            | Self::YoloSeg
            | Self::Masks
            | Self::Cvat
            | Self::RefCoco
            | Self::GRefCoco
            | Self::GranDf
            | Self::Osprey => "images/",
        }
    }
}
