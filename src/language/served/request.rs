//! A question as the JSON that OpenAI-compatible servers take.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Endpoint, SentImages};
use crate::geometry::ImageSize;
use crate::image_file::resize::bicubic_rgb;
use crate::image_file::{RgbImage, encode_jpeg, encode_rgb_png};
use crate::language::{ChatRequest, LanguageError, Message, Part};

/// Keys that a server may refuse and that an answer can do without.
const OPTIONAL: [&str; 7] = [
    "stream_options",
    "stop",
    "seed",
    "top_p",
    "top_k",
    "repetition_penalty",
    "temperature",
];

/// The body of a question, without the keys in `refused`.
pub(super) fn body(
    endpoint: &Endpoint,
    request: &ChatRequest,
    refused: &BTreeSet<String>,
) -> Result<Map<String, Value>, LanguageError> {
    let sampling = &request.sampling;
    let messages = request
        .messages
        .iter()
        .map(|message| to_json(message, endpoint.images));
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| {
        body.insert(key.to_owned(), value);
    };
    set("model", json!(endpoint.model));
    set("messages", Value::Array(messages.collect::<Result<_, _>>()?));
    set("stream", json!(true));
    set("stream_options", json!({"include_usage": true}));
    set("max_tokens", json!(sampling.max_new_tokens));
    set("temperature", json!(decimal(sampling.temperature)));
    if sampling.temperature > 0.0 {
        set("seed", json!(sampling.seed));
        if sampling.top_p < 1.0 {
            set("top_p", json!(decimal(sampling.top_p)));
        }
        // Not of OpenAI, but vLLM, SGLang and llama.cpp have it.
        if sampling.top_k > 0 {
            set("top_k", json!(sampling.top_k));
        }
    }
    if sampling.repetition_penalty != 1.0 {
        set("repetition_penalty", json!(decimal(sampling.repetition_penalty)));
    }
    if !sampling.stop.is_empty() {
        set("stop", json!(sampling.stop));
    }
    for (key, value) in &endpoint.extra {
        set(key, value.clone());
    }
    body.retain(|key, _| !refused.contains(key));
    Ok(body)
}

/// The optional keys of `body` that a refusal names.
pub(super) fn refused_keys(body: &Map<String, Value>, message: &str) -> Vec<String> {
    let named = OPTIONAL
        .iter()
        .filter(|key| body.contains_key(**key) && message.contains(**key));
    named.map(|key| (*key).to_owned()).collect()
}

/// A number as people write it, not as the nearest double of a float.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

fn to_json(message: &Message, images: SentImages) -> Result<Value, LanguageError> {
    // Many servers take no list from others than the user.
    if !message.parts.iter().any(|part| matches!(part, Part::Image(_))) {
        return Ok(json!({"role": message.role.as_str(), "content": message.said()}));
    }
    let parts = message.parts.iter().map(|part| {
        Ok(match part {
            Part::Text(text) => json!({"type": "text", "text": text}),
            Part::Image(image) => {
                json!({"type": "image_url", "image_url": {"url": data_url(image, images)?}})
            }
        })
    });
    let parts = parts.collect::<Result<Vec<Value>, LanguageError>>()?;
    Ok(json!({"role": message.role.as_str(), "content": parts}))
}

/// The image as a `data:` address, made smaller where it has more pixels than are sent.
fn data_url(image: &RgbImage, images: SentImages) -> Result<String, LanguageError> {
    let failed = |reason: String| LanguageError::Image(reason);
    let smaller = fitting(image.size, images.max_pixels).map(|size| bicubic_rgb(image, size));
    let image = smaller.as_ref().unwrap_or(image);
    let (kind, bytes) = if images.lossless {
        let bytes = encode_rgb_png(image).map_err(|error| failed(error.to_string()))?;
        ("png", bytes)
    } else {
        let bytes = encode_jpeg(image)
            .ok_or_else(|| failed("it has no pixels, or more than 65,535 in a row or column".to_owned()))?;
        ("jpeg", bytes)
    };
    let mut url = format!("data:image/{kind};base64,");
    STANDARD.encode_string(bytes, &mut url);
    Ok(url)
}

/// The size with at most `max_pixels` of an image of `size`; `None` where it has no more.
fn fitting(size: ImageSize, max_pixels: u64) -> Option<ImageSize> {
    if size.area() <= max_pixels {
        return None;
    }
    let scale = (max_pixels as f64 / size.area() as f64).sqrt();
    let scaled = |side: u32| ((f64::from(side) * scale) as u32).max(1);
    Some(ImageSize::new(scaled(size.width), scaled(size.height)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::image_file::{Limits, decode_rgb};
    use crate::language::{ChatRole, Sampling};

    fn endpoint() -> Endpoint {
        Endpoint::new("http://localhost:1", "m").unwrap()
    }

    fn question(sampling: Sampling) -> ChatRequest {
        let image = RgbImage {
            size: ImageSize::new(40, 30),
            pixels: (0..3600).map(|n| (n % 251) as u8).collect(),
        };
        let parts = vec![Part::Image(Arc::new(image)), Part::Text("What?".to_owned())];
        let role = ChatRole::User;
        ChatRequest {
            messages: vec![
                Message::text(ChatRole::System, "Be brief."),
                Message { role, parts },
            ],
            sampling,
        }
    }

    #[test]
    fn greedy_questions_are_short_and_drawn_ones_complete() {
        let none = BTreeSet::new();
        let body_of = |sampling| body(&endpoint(), &question(sampling), &none).unwrap();
        let keys = |body: &Map<String, Value>| body.keys().cloned().collect::<Vec<_>>().join(" ");
        let plain = body_of(Sampling::default());
        assert_eq!(
            keys(&plain),
            "model messages stream stream_options max_tokens temperature"
        );
        assert_eq!(
            plain["messages"][0],
            json!({"role": "system", "content": "Be brief."})
        );
        let drawn = body_of(Sampling {
            temperature: 0.7,
            top_p: 0.9,
            top_k: 40,
            repetition_penalty: 1.05,
            seed: 7,
            stop: vec!["x".to_owned()],
            ..Sampling::default()
        });
        assert_eq!(drawn["temperature"], json!(0.7));
        assert_eq!(
            keys(&drawn),
            "model messages stream stream_options max_tokens temperature seed top_p top_k repetition_penalty stop"
        );
        let refused = refused_keys(&drawn, "Unexpected keys: {'top_k', 'seed'}");
        assert_eq!(refused, ["seed", "top_k"]);
        let mut endpoint = endpoint();
        endpoint
            .extra
            .insert("skip_special_tokens".to_owned(), json!(false));
        let again = body(
            &endpoint,
            &question(Sampling::default()),
            &["stream_options".to_owned()].into(),
        );
        assert_eq!(
            keys(&again.unwrap()),
            "model messages stream max_tokens temperature skip_special_tokens"
        );
    }

    #[test]
    fn images_arrive_as_they_are_or_smaller() {
        let image = |lossless, max_pixels| {
            let mut endpoint = endpoint();
            endpoint.images = SentImages { lossless, max_pixels };
            let body = body(&endpoint, &question(Sampling::default()), &BTreeSet::new()).unwrap();
            let url = body["messages"][1]["content"][0]["image_url"]["url"]
                .as_str()
                .unwrap()
                .to_owned();
            let (kind, data) = url.split_once(";base64,").unwrap();
            let bytes = STANDARD.decode(data).unwrap();
            let image = decode_rgb(&bytes, Path::new("a"), &Limits::default()).unwrap();
            (kind.to_owned(), image)
        };
        let (kind, png) = image(true, 10_000);
        assert_eq!(
            (kind.as_str(), png.size),
            ("data:image/png", ImageSize::new(40, 30))
        );
        let Part::Image(sent) = &question(Sampling::default()).messages[1].parts[0] else {
            panic!()
        };
        assert_eq!(png.pixels, sent.pixels);
        let (kind, jpeg) = image(false, 300);
        assert_eq!(
            (kind.as_str(), jpeg.size),
            ("data:image/jpeg", ImageSize::new(20, 15))
        );
        assert_eq!(
            fitting(ImageSize::new(1 << 20, 1), 100),
            Some(ImageSize::new(10240, 1))
        );
    }
}
