//! The `segmentation` of COCO and of the many formats that borrowed it: polygons, run lengths, or a list of either.
//!
//! Polygons are filled by COCO's own rule and not by ours: every measure that was ever published on such data was
//! taken on the pixels of that rule, and the two differ along slanted edges. On polygons with corners at whole
//! pixels, such as [`Mask::trace`] gives, they agree.

use crate::geometry::ImageSize;
use crate::mask::{Mask, MaskPolygon, Rle};
use serde_json::{Map, Value, json};

/// COCO looks at polygons on a grid this many times finer than the pixels.
const GRID: i64 = 5;

/// The step of the grid at which a line that passes it enters the next column of pixels.
const STEP_IN_COLUMN: i64 = 2;

/// Corners farther away than this many pixels are no image's; it also keeps all arithmetic exact.
const FARTHEST_PX: f64 = 1e7;

/// Most crossings of lines with columns in one polygon; the noisiest mask of 5,000 x 5,000 pixels has that many.
const MAX_CROSSINGS: usize = 25_000_000;

/// The mask that `value`, the `segmentation` of an annotation, describes in an image of `size`.
///
/// A list of polygons is their union; so is a list of run lengths, which RefCLEF and GranDf have. Run lengths may be
/// compressed or not.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub(super) fn read(value: &Value, size: ImageSize) -> Result<Mask, String> {
    match value {
        Value::Object(_) => Ok(Mask::from_rle(&read_rle(value, size)?)),
        Value::Array(items) => {
            let mut mask = Mask::empty(size).map_err(|error| error.to_string())?;
            // Some writers forget the outer list around a single polygon.
            if items.first().is_some_and(Value::is_number) {
                fill(&mut mask, items)?;
                return Ok(mask);
            }
            for item in items {
                match item {
                    Value::Array(polygon) => fill(&mut mask, polygon)?,
                    Value::Object(_) => {
                        let part = Mask::from_rle(&read_rle(item, size)?);
                        mask.union_with(&part).map_err(|error| error.to_string())?;
                    }
                    _ => return Err("a part of it is neither a polygon nor run lengths".to_owned()),
                }
            }
            Ok(mask)
        }
        _ => Err("it is neither polygons nor run lengths".to_owned()),
    }
}

/// As [`read`], as run lengths: those that are there already need no raster.
///
/// # Errors
/// As [`read`].
pub(super) fn read_runs(value: &Value, size: ImageSize) -> Result<Rle, String> {
    match value {
        Value::Object(_) => read_rle(value, size),
        _ => read(value, size).map(|mask| mask.to_rle()),
    }
}

/// Run lengths, `{"size": [height, width], "counts": …}`, for an image of `size`.
fn read_rle(value: &Value, size: ImageSize) -> Result<Rle, String> {
    let side = |index: usize| value.get("size")?.get(index)?.as_u64();
    let (height, width) = side(0)
        .zip(side(1))
        .ok_or("its run lengths have no size [height, width]")?;
    if (width, height) != (u64::from(size.width), u64::from(size.height)) {
        return Err(format!(
            "its run lengths are for {width} x {height} pixels and the image has {size}"
        ));
    }
    let rle = match value.get("counts") {
        Some(Value::String(text)) => Rle::from_compressed(size, text),
        Some(Value::Array(counts)) => {
            let count = |count: &Value| count.as_u64().and_then(|count| u32::try_from(count).ok());
            let counts: Option<Vec<u32>> = counts.iter().map(count).collect();
            Rle::from_counts(
                size,
                counts.ok_or("a run length is not a whole number of pixels")?,
            )
        }
        _ => return Err("its run lengths have no counts".to_owned()),
    };
    rle.map_err(|error| error.to_string())
}

/// Adds a flat polygon `x1, y1, x2, y2, …` to `mask`; fewer than three corners cover nothing.
fn fill(mask: &mut Mask, numbers: &[Value]) -> Result<(), String> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!(
            "a polygon has {} numbers, which are no pairs of x and y",
            numbers.len()
        ));
    }
    let coordinate = |value: &Value| value.as_f64().filter(|number| number.abs() <= FARTHEST_PX);
    let corner = |[x, y]: &[Value; 2]| coordinate(x).zip(coordinate(y));
    let corners: Option<Vec<(f64, f64)>> = pairs.iter().map(corner).collect();
    let corners = corners.ok_or("a corner of a polygon is not a number, or far outside of any image")?;
    if corners.len() < 3 {
        return Ok(());
    }
    let part = Mask::from_rle(&polygon_rle(&corners, mask.size())?);
    mask.union_with(&part).map_err(|error| error.to_string())
}

/// The run lengths of a polygon by COCO's rule.
///
/// Corners are rounded to the fine grid and joined by lines of grid points, one per step along the longer side of
/// each line. Where a line passes the middle of a column of pixels, the column changes between inside and outside,
/// from the row on whose middle is below the upper of the two grid points there.
fn polygon_rle(corners: &[(f64, f64)], size: ImageSize) -> Result<Rle, String> {
    // Rounded as a C cast does, towards zero after adding a half.
    let on_grid = |number: f64| (GRID as f64 * number + 0.5) as i64;
    let points: Vec<(i64, i64)> = corners.iter().map(|&(x, y)| (on_grid(x), on_grid(y))).collect();
    let mut crossings = Vec::new();
    for (&from, &to) in points.iter().zip(points.iter().cycle().skip(1)) {
        cross(from, to, size, &mut crossings)?;
    }
    crossings.sort_unstable();
    let mut counts = Vec::with_capacity(crossings.len() + 1);
    let mut position = 0;
    for crossing in crossings {
        counts.push(crossing - position);
        position = crossing;
    }
    counts.push(size.area() as u32 - position);
    Rle::from_counts(size, counts).map_err(|error| error.to_string())
}

/// Adds where the line between two grid points crosses the columns of the image, as positions in column-major order.
fn cross(from: (i64, i64), to: (i64, i64), size: ImageSize, crossings: &mut Vec<u32>) -> Result<(), String> {
    let (dx, dy) = ((to.0 - from.0).abs(), (to.1 - from.1).abs());
    let is_flat = dx >= dy;
    let is_backwards = if is_flat { from.0 > to.0 } else { from.1 > to.1 };
    let ((x0, y0), (x1, y1)) = if is_backwards { (to, from) } else { (from, to) };
    let (left, right) = (x0.min(x1), x0.max(x1));
    if left == right {
        return Ok(());
    }
    let slope = if is_flat {
        (y1 - y0) as f64 / dx as f64
    } else {
        (x1 - x0) as f64 / dy as f64
    };
    // The middle of column `c` is passed between the grid points `5 c + 2` and `5 c + 3`.
    let first =
        (left - STEP_IN_COLUMN).div_euclid(GRID) + i64::from((left - STEP_IN_COLUMN).rem_euclid(GRID) != 0);
    let last = (right - 1 - STEP_IN_COLUMN).div_euclid(GRID);
    for column in first.max(0)..=last.min(i64::from(size.width) - 1) {
        if crossings.len() >= MAX_CROSSINGS {
            return Err("a polygon has too many corners for its size".to_owned());
        }
        let x = GRID * column + STEP_IN_COLUMN;
        let upper = if is_flat {
            let y = |x: i64| (y0 as f64 + slope * (x - x0) as f64 + 0.5) as i64;
            y(x).min(y(x + 1))
        } else {
            // The first step that is beyond the middle, and the one before it.
            let is_beyond = |step: i64| {
                let at = (x0 as f64 + slope * step as f64 + 0.5) as i64;
                if slope > 0.0 { at > x } else { at <= x }
            };
            let mut step = ((x as f64 + 0.5 - x0 as f64) / slope)
                .floor()
                .clamp(0.0, dy as f64) as i64;
            while step > 0 && is_beyond(step - 1) {
                step -= 1;
            }
            while step < dy && !is_beyond(step) {
                step += 1;
            }
            y0 + step - 1
        };
        let row = ((upper as f64 + 0.5) / GRID as f64 - 0.5)
            .clamp(0.0, f64::from(size.height))
            .ceil();
        // Below `size.area()`, which a mask's size keeps within 32 bits.
        crossings.push((column * i64::from(size.height)) as u32 + row as u32);
    }
    Ok(())
}

/// Compressed run lengths as COCO has them.
pub(super) fn run_lengths(mask: &Rle) -> Value {
    let size = mask.size();
    json!({"size": [size.height, size.width], "counts": mask.to_compressed()})
}

/// The outlines as COCO's polygons, which COCO fills to exactly this mask; `None` if it has holes, which they cannot
/// express.
pub(super) fn polygons(mask: &Rle) -> Option<Value> {
    let outline = |polygon: MaskPolygon| {
        let is_whole = polygon.holes.is_empty();
        // Traced corners are whole numbers.
        let numbers = polygon
            .outer
            .iter()
            .flat_map(|corner| [corner.x as u32, corner.y as u32]);
        is_whole.then(|| numbers.collect::<Value>())
    };
    Mask::from_rle(mask).trace().into_iter().map(outline).collect()
}

/// Puts `mask` into an annotation that may have come with it: what is there stays if it gives these pixels, else
/// `segmentation`, `bbox` and `area` are written anew, with run lengths in the form that the format has them where
/// there are holes.
pub(super) fn renew(annotation: &mut Map<String, Value>, mask: &Rle, form: impl Fn(Value) -> Value) {
    let before = annotation
        .get("segmentation")
        .and_then(|before| read(before, mask.size()).ok());
    if before.is_none_or(|before| before != Mask::from_rle(mask)) {
        let written = polygons(mask).unwrap_or_else(|| form(run_lengths(mask)));
        annotation.insert("segmentation".to_owned(), written);
        annotation.shift_remove("bbox");
        annotation.shift_remove("area");
    }
    let bounds = mask.bounding_box();
    let bbox = bounds.map_or([0; 4], |bounds| [bounds.x, bounds.y, bounds.width, bounds.height]);
    annotation.entry("bbox").or_insert_with(|| json!(bbox));
    annotation.entry("area").or_insert_with(|| mask.area().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(rows: &str) -> Mask {
        let rows: Vec<&[u8]> = rows.split(' ').map(str::as_bytes).collect();
        let size = ImageSize::new(rows[0].len() as u32, rows.len() as u32);
        Mask::from_fn(size, |x, y| rows[y as usize][x as usize] == b'#').unwrap()
    }

    /// Expected masks are what `pycocotools.mask.frPyObjects` gave for these polygons.
    #[test]
    fn polygons_are_filled_as_coco_fills_them() {
        let cases: [(&[f64], &str); 8] = [
            (
                &[0.5, 0.5, 7.2, 1.9, 5.1, 4.4],
                "........ ..###... ...####. ....##.. ........",
            ),
            (
                &[8.0, 0.0, 1.0, 2.0, 3.0, 4.5, 6.5, 3.0],
                "......## ...####. .######. ..###... ........",
            ),
            (
                &[-3.5, -2.2, 4.4, 2.6, 2.2, 7.9, -1.0, 3.0],
                "#....... ###..... ####.... ####.... ####....",
            ),
            (
                &[1.0, 1.0, 6.0, 1.0, 1.0, 4.0, 6.0, 4.0],
                "........ ..###... ...#.... ..###... ........",
            ),
            (
                &[2.4, 0.2, 2.6, 0.2, 2.6, 4.9, 2.4, 4.9],
                "..#..... ..#..... ..#..... ..#..... ..#.....",
            ),
            (
                &[-5.0, 2.3, 20.0, 2.4, 20.0, 3.6, -5.0, 3.7],
                "........ ........ ######## ######## ........",
            ),
            (
                &[0.0, 0.0, 8.0, 5.0, 8.0, 0.0, 0.0, 5.0],
                "#......# ##....## ######## ##....## #......#",
            ),
            (
                &[3.3, -8.0, 5.9, 12.5, 4.1, 12.5],
                "........ ....#... ....#... ....#... ....#...",
            ),
        ];
        for (polygon, expected) in cases {
            let expected = mask(expected);
            assert_eq!(
                read(&json!([polygon]), expected.size()),
                Ok(expected),
                "{polygon:?}"
            );
        }
    }

    #[test]
    fn every_form_is_read() {
        let (left, both) = (mask("#... #..."), mask("#..# #..#"));
        let right = mask("...# ...#").to_rle();
        let size = left.size();
        let polygon = json!([0, 0, 1, 0, 1, 2, 0, 2]);
        let counts = json!({"size": [2, 4], "counts": [0, 2, 6]});
        assert_eq!(read(&json!([polygon]), size).as_ref(), Ok(&left));
        assert_eq!(read(&polygon, size).as_ref(), Ok(&left));
        assert_eq!(read(&counts, size).as_ref(), Ok(&left));
        assert_eq!(read(&run_lengths(&right), size), Ok(Mask::from_rle(&right)));
        assert_eq!(
            read(&json!([counts, run_lengths(&right)]), size).as_ref(),
            Ok(&both)
        );
        assert_eq!(read(&json!([]), size).as_ref(), Ok(&Mask::empty(size).unwrap()));
        assert_eq!(
            read(&json!([[1, 2], [1, 2, 3, 4]]), size),
            Mask::empty(size).map_err(|e| e.to_string())
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let size = ImageSize::new(4, 2);
        let cases = [
            (json!(null), "neither polygons nor"),
            (json!("0<"), "neither polygons nor"),
            (json!(["0<"]), "neither a polygon nor"),
            (json!([[1, 2, 3]]), "no pairs"),
            (json!([[1, 2, 3, 4, 5, null]]), "not a number"),
            (json!([[1, 2, 3, 4, 5, 1e300]]), "far outside"),
            (json!({"counts": "08"}), "no size"),
            (json!({"size": [4, 2], "counts": "08"}), "the image has 4 x 2"),
            (json!({"size": [-2, 4], "counts": "08"}), "no size"),
            (json!({"size": [2, 4]}), "no counts"),
            (
                json!({"size": [2, 4], "counts": [1, -1, 8]}),
                "not a whole number",
            ),
            (json!({"size": [2, 4], "counts": [1, 2]}), "cover 3 pixels"),
            (json!({"size": [2, 4], "counts": "~"}), "0x7e"),
        ];
        for (value, expected) in cases {
            let error = read(&value, size).unwrap_err();
            assert!(error.contains(expected), "{value}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn traces_of_masks_come_back(bits in prop::collection::vec(prop::bool::weighted(0.6), 63)) {
            let mask = Mask::from_fn(ImageSize::new(9, 7), |x, y| bits[(y * 9 + x) as usize]).unwrap();
            let written = polygons(&mask.to_rle());
            let has_holes = mask.trace().iter().any(|polygon| !polygon.holes.is_empty());
            prop_assert_eq!(written.is_none(), has_holes);
            for value in written.into_iter().chain([run_lengths(&mask.to_rle())]) {
                let read = read(&value, mask.size());
                prop_assert_eq!(read.as_ref(), Ok(&mask));
            }
        }

        #[test]
        fn any_polygon_is_filled(numbers in prop::collection::vec(-1e7..1e7, 0..20)) {
            let size = ImageSize::new(9, 7);
            prop_assert_eq!(read(&json!([numbers]), size).is_ok(), numbers.len() % 2 == 0);
        }
    }
}
