//! The masks of an image: empty, tiny, the same twice, and boxes and areas that are not theirs.

use serde_json::Value;

use super::findings::{Code, Subject};
use super::near_duplicates::{self, Repeat};
use super::recorder::Recorder;
use super::sidecar::ReadSidecar;
use super::{CheckOptions, same_number};
use crate::mask::Rle;

/// Checks the masks of all regions.
pub(super) fn check(sidecar: &ReadSidecar, options: &CheckOptions, recorder: &mut Recorder<'_>) {
    for (region, at, raw) in sidecar.regions() {
        let subject = Subject::Region(region.id.clone());
        let area = region.mask.rle.area();
        if area == 0 {
            recorder.add(Code::EmptyRegion, &subject, "the region has no pixels");
        } else if area < options.min_area_px {
            let message = format!("the region has {area} pixels, fewer than {}", options.min_area_px);
            recorder.add(Code::TinyRegion, &subject, message);
        }
        check_derived(&region.mask.rle, area, raw, &at, &subject, recorder);
    }
    if recorder.wants(Code::DuplicateRegion) || recorder.wants(Code::NearDuplicateRegion) {
        check_repeats(sidecar, options, recorder);
    }
}

/// `bbox` and `area` as the file has them, where it has them.
fn check_derived(
    mask: &Rle,
    area: u64,
    raw: &Value,
    at: &str,
    subject: &Subject,
    recorder: &mut Recorder<'_>,
) {
    let bounds = mask.bounding_box();
    let bbox = bounds.map_or([0; 4], |bounds| [bounds.x, bounds.y, bounds.width, bounds.height]);
    if let Some(found) = raw.get("bbox").filter(|found| !found.is_null()) {
        let is_right = found.as_array().is_some_and(|found| {
            found.len() == bbox.len()
                && found
                    .iter()
                    .zip(bbox)
                    .all(|(found, side)| same_number(found, u64::from(side)))
        });
        if !is_right {
            let message = format!("the box is {}, that of the mask {bbox:?}", in_short(found));
            recorder.add_at(Code::BboxDiffers, subject, format!("{at}.bbox"), message);
        }
    }
    if let Some(found) = raw.get("area").filter(|found| !found.is_null())
        && !same_number(found, area)
    {
        let message = format!("the area is {}, that of the mask {area}", in_short(found));
        recorder.add_at(Code::AreaDiffers, subject, format!("{at}.area"), message);
    }
}

fn check_repeats(sidecar: &ReadSidecar, options: &CheckOptions, recorder: &mut Recorder<'_>) {
    let regions = &sidecar.document.regions;
    let masks: Vec<&Rle> = regions.iter().map(|region| &region.mask.rle).collect();
    let id = |index: usize| regions.get(index).map_or("", |region| &*region.id);
    for Repeat { index, of, iou } in near_duplicates::find(&masks, options.near_duplicate_iou) {
        let subject = Subject::Region(id(index).to_owned());
        if iou == 1.0 {
            let message = format!("the region has the same pixels as {:?}", id(of));
            recorder.add(Code::DuplicateRegion, &subject, message);
        } else {
            let message = format!(
                "the region has nearly the same pixels as {:?}: their IoU is {iou:.3}",
                id(of)
            );
            recorder.add(Code::NearDuplicateRegion, &subject, message);
        }
    }
}

/// A value as it is written, cut where it is long.
fn in_short(value: &Value) -> String {
    const MAX_CHARS: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
