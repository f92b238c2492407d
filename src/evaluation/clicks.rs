//! A simulated person: clicks in the middle of the object, then in the middle of the largest mistake.

use super::EvaluationError;
use crate::geometry::ImagePoint;
use crate::mask::{Mask, metrics};
use crate::tokenizer::{EmbeddedImage, MaskTokenizer, Prompt};

/// IoU with `wanted` after each of five clicks.
pub(super) fn ious(
    tokenizer: &MaskTokenizer,
    image: &EmbeddedImage,
    wanted: &Mask,
) -> Result<[f64; 5], EvaluationError> {
    let mut ious = [0.0; 5];
    let mut prompt = Prompt::default();
    let mut answered = Mask::empty(wanted.size())?;
    for iou in &mut ious {
        let Some((point, is_inside)) = next_click(wanted, &answered)? else {
            // Nothing is wrong any more.
            *iou = 1.0;
            continue;
        };
        prompt.points.push((point, is_inside));
        prompt.multimask = prompt.is_ambiguous();
        let answers = tokenizer.segment(image, &prompt)?;
        let best = answers
            .into_iter()
            .max_by(|a, b| a.predicted_iou.total_cmp(&b.predicted_iou));
        if let Some(best) = best {
            *iou = metrics::iou(wanted, &best.mask)?;
            answered = best.mask;
            prompt.logits = Some(best.logits);
        }
    }
    Ok(ious)
}

/// The deepest pixel of what is missing or too much, and whether it belongs to the object.
fn next_click(wanted: &Mask, answered: &Mask) -> Result<Option<(ImagePoint, bool)>, EvaluationError> {
    let missing = wanted.difference(answered)?.innermost_pixel();
    let surplus = answered.difference(wanted)?.innermost_pixel();
    let depth = |pixel: Option<crate::mask::InnermostPixel>| pixel.map_or(0.0, |pixel| pixel.distance_px);
    let is_inside = depth(missing) >= depth(surplus);
    Ok((if is_inside { missing } else { surplus })
        .map(|pixel| (ImagePoint::new(pixel.x as f32, pixel.y as f32), is_inside)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;

    #[test]
    fn clicks_go_to_the_middle_of_the_largest_mistake() {
        let size = ImageSize::new(40, 20);
        let square = |left: u32, side: u32| {
            Mask::from_fn(size, |x, y| (left..left + side).contains(&x) && y < side).unwrap()
        };
        let nothing = Mask::empty(size).unwrap();
        let click = |wanted: &Mask, answered: &Mask| next_click(wanted, answered).unwrap();
        let middle = |x: f32, y: f32, inside: bool| Some((ImagePoint::new(x, y), inside));
        assert_eq!(click(&square(3, 9), &nothing), middle(7.0, 4.0, true));
        assert_eq!(click(&nothing, &square(20, 9)), middle(24.0, 4.0, false));
        assert_eq!(click(&square(3, 5), &square(20, 9)), middle(24.0, 4.0, false));
        assert_eq!(click(&square(3, 5), &square(3, 5)), None);
    }
}
