//! The statistics as one JSON document.

use serde_json::{Map, Value, json};

use super::{
    CodeUse, Distribution, IOU_UNITS, Model, ModelUse, SizeClass, Stats, StatusCounts, THINNESS_BINS, Tally,
    TextKind,
};
use crate::dataset::{Status, Task};

/// Codebooks with more codes have their unused ones only counted.
const MAX_LISTED_CODES: u32 = 65_536;

pub(super) fn document(stats: &Stats) -> Value {
    let images = stats.images;
    json!({
        "is_complete": stats.is_complete,
        "images": {
            "total": images.annotated + images.not_annotated + images.unreadable,
            "annotated": images.annotated,
            "not_annotated": images.not_annotated,
            "unreadable_sidecars": images.unreadable,
            "missing_images": images.missing,
        },
        "regions": stats.regions(),
        "captions": stats.captions(),
        "conversations": stats.conversations(),
        "regions_per_image": distribution(&stats.regions_per_image),
        "captions_per_region": distribution(&stats.captions_per_region),
        "turns_per_conversation": distribution(&stats.turns_per_conversation),
        "classes": classes(stats),
        "sizes": sizes(stats.sizes),
        "areas_log2": counts(&stats.areas_log2),
        "thinness": thinness(stats),
        "words": {
            "fresh": stats.words.fresh,
            "stale": stats.words.stale,
            "missing": stats.words.missing,
            "models": stats.words.models.iter().map(|(model, used)| self::model(model, used, stats)).collect::<Vec<_>>(),
        },
        "iou": iou(&stats.ious),
        "texts": texts(stats),
        "tasks": Task::ALL.iter().zip(stats.tasks).map(|(task, count)| (task.as_str().to_owned(), json!(count)))
            .collect::<Map<_, _>>(),
        "statuses": {
            "images": statuses(stats.image_statuses),
            "regions": statuses(stats.region_statuses),
            "conversations": statuses(stats.conversation_statuses),
        },
        "authors": tally(&stats.authors),
        "reviewers": tally(&stats.reviewers),
        "sources": tally(&stats.sources),
        "attributes": stats.attributes.iter().map(|(key, values)| (key.clone(), tally(values))).collect::<Map<_, _>>(),
        "days": stats.days,
    })
}

/// A number with four decimals, which is more than it means.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// `[number, how often]` in order.
fn counts(distribution: &Distribution) -> Value {
    distribution
        .iter()
        .map(|(value, count)| json!([value, count]))
        .collect()
}

fn distribution(distribution: &Distribution) -> Value {
    json!({
        "count": distribution.count(),
        "min": distribution.min(),
        "median": distribution.quantile(0.5),
        "mean": distribution.mean().map(rounded),
        "p90": distribution.quantile(0.9),
        "max": distribution.max(),
        "counts": counts(distribution),
    })
}

fn classes(stats: &Stats) -> Value {
    let class = |(label, class): (&str, &super::ClassUse)| {
        json!({
            "label": label,
            "regions": class.regions,
            "images": class.images,
            "area_px": class.area_px,
            "mean_area_px": rounded(class.area_px as f64 / class.regions.max(1) as f64),
            "sizes": sizes(class.sizes),
        })
    };
    stats.classes.sorted().into_iter().map(class).collect()
}

fn sizes(sizes: [u64; SizeClass::ALL.len()]) -> Value {
    let size = |(class, count): (&SizeClass, u64)| (class.as_str().to_owned(), json!(count));
    Value::Object(SizeClass::ALL.iter().zip(sizes).map(size).collect())
}

fn thinness(stats: &Stats) -> Value {
    let bin = |(&from, count): (&u32, u64)| json!({"from": from, "regions": count});
    THINNESS_BINS.iter().zip(stats.thinness).map(bin).collect()
}

fn model(model: &Model, used: &ModelUse, stats: &Stats) -> Value {
    json!({
        "name": used.name,
        "fingerprint": model.fingerprint,
        "codebook_size": model.codebook_size,
        "codebook_depth": model.codebook_depth,
        "regions": used.regions,
        "unfit": used.unfit,
        "depths": used.depths.iter().map(|codes| self::codes(codes, model.codebook_size, stats)).collect::<Vec<_>>(),
    })
}

fn codes(codes: &CodeUse, codebook_size: u32, stats: &Stats) -> Value {
    let rare: Vec<u32> = codes.rare(stats.options.rare_below).collect();
    let unused = (codebook_size <= MAX_LISTED_CODES).then(|| codes.unused(codebook_size).collect::<Vec<_>>());
    json!({
        "used": codes.used(),
        "unused": u64::from(codebook_size) - codes.used(),
        "perplexity": rounded(codes.perplexity()),
        "rare_below": stats.options.rare_below,
        "rare_codes": rare,
        "unused_codes": unused,
        "counts": codes.iter().map(|(code, count)| json!([code, count])).collect::<Vec<_>>(),
    })
}

fn iou(ious: &Distribution) -> Value {
    let scaled = |units: Option<u64>| units.map(|units| units as f64 / IOU_UNITS as f64);
    let mut bins = [0_u64; 20];
    for (units, count) in ious.iter() {
        // An IoU of 1 belongs to the last bin.
        let bin = (units * 20 / IOU_UNITS).min(19) as usize;
        bins[bin] += count;
    }
    json!({
        "count": ious.count(),
        "min": scaled(ious.min()),
        "p10": scaled(ious.quantile(0.1)),
        "median": scaled(ious.quantile(0.5)),
        "mean": ious.mean().map(|mean| rounded(mean / IOU_UNITS as f64)),
        "max": scaled(ious.max()),
        "bins_of_0.05": bins,
    })
}

fn texts(stats: &Stats) -> Value {
    let text = |&kind: &TextKind| {
        let lengths = stats.texts_of(kind);
        let value = json!({
            "words": distribution(&lengths.words),
            "characters": distribution(&lengths.characters),
        });
        (kind.as_str().to_owned(), value)
    };
    Value::Object(TextKind::ALL.iter().map(text).collect())
}

fn statuses(counts: StatusCounts) -> Value {
    let status = |(status, count): (&Status, u64)| (status.as_str().to_owned(), json!(count));
    Value::Object(Status::ALL.iter().zip(counts).map(status).collect())
}

fn tally(tally: &Tally) -> Value {
    json!({
        "names": tally.sorted().into_iter().map(|(name, count)| json!({"name": name, "count": count}))
            .collect::<Vec<_>>(),
        "others": tally.others(),
    })
}
