//! Answers questions about masks on standard input, so that other programs can be compared with this library.
//!
//! Each line of input is a JSON array of masks of one size, each `{"size": [height, width], …}` with one of
//! `"counts"` (COCO RLE, a string or a list of numbers) and `"bits"` (the pixels row by row, eight to a byte,
//! lowest bit first, in hexadecimal).
//! Each line of output is `{"masks": […], "ious": […]}` with every form of each mask and its IoU with the first,
//! or `{"error": "…"}`.
//! `tests/peers/pycocotools_interop.py` asks the questions.

use samtok::geometry::ImageSize;
use samtok::mask::{Mask, MaskPolygon, Rle, metrics};
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line?).unwrap_or_else(|error| json!({"error": error.to_string()}));
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<Value, AnyError> {
    let specs: Vec<Value> = serde_json::from_str(line)?;
    let masks = specs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let first = masks.first().ok_or("no mask on this line")?;
    let ious = masks
        .iter()
        .map(|mask| metrics::iou(first, mask))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"masks": masks.iter().map(write).collect::<Vec<_>>(), "ious": ious}))
}

fn read(spec: &Value) -> Result<Mask, AnyError> {
    let [height, width]: [u32; 2] = serde_json::from_value(spec["size"].clone())?;
    let size = ImageSize::new(width, height);
    if let Some(text) = spec["counts"].as_str() {
        Ok(Mask::from_rle(&Rle::from_compressed(size, text)?))
    } else if spec["counts"].is_array() {
        let counts = serde_json::from_value(spec["counts"].clone())?;
        Ok(Mask::from_rle(&Rle::from_counts(size, counts)?))
    } else {
        let digits = spec["bits"]
            .as_str()
            .ok_or("a mask needs \"counts\" or \"bits\"")?;
        let byte = |digits: &[u8]| -> Result<u8, AnyError> {
            Ok(u8::from_str_radix(std::str::from_utf8(digits)?, 16)?)
        };
        let bytes = digits
            .as_bytes()
            .chunks(2)
            .map(byte)
            .collect::<Result<Vec<_>, _>>()?;
        let bits = bytes
            .iter()
            .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
        let pixels: Vec<u8> = bits.take(usize::try_from(size.area())?).collect();
        Ok(Mask::from_bytes(size, &pixels)?)
    }
}

fn write(mask: &Mask) -> Value {
    let (size, rle) = (mask.size(), mask.to_rle());
    let packed = mask.to_bytes();
    let bytes = packed
        .chunks(8)
        .map(|bits| bits.iter().rev().fold(0_u8, |byte, bit| byte << 1 | bit));
    let bounds = rle.bounding_box();
    json!({
        "size": [size.height, size.width],
        "counts": rle.to_compressed(),
        "runs": rle.counts(),
        "bits": bytes.map(|byte| format!("{byte:02x}")).collect::<String>(),
        "area": rle.area(),
        "bbox": bounds.map_or([0; 4], |bounds| [bounds.x, bounds.y, bounds.width, bounds.height]),
        "polygons": mask.trace().iter().map(polygon).collect::<Vec<_>>(),
    })
}

/// The rings of a polygon as COCO's flat lists, the outline first.
fn polygon(polygon: &MaskPolygon) -> Vec<Vec<f32>> {
    polygon
        .rings()
        .map(|ring| ring.iter().flat_map(|point| [point.x, point.y]).collect())
        .collect()
}
