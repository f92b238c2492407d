//! The statistics as CSV tables (RFC 4180: commas, quotes where needed, CRLF), in UTF-8 without byte order mark.

use super::{IOU_UNITS, SizeClass, Stats, THINNESS_BINS, Tally, TextKind};
use crate::dataset::{Status, Task};

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvFile {
    /// Name of the file, such as `classes.csv`.
    pub name: &'static str,
    /// What is in it; the first line has the names of the columns.
    pub text: String,
}

impl CsvFile {
    /// The names of all files.
    pub const NAMES: [&str; 12] = [
        "summary.csv",
        "classes.csv",
        "shapes.csv",
        "distributions.csv",
        "models.csv",
        "codes.csv",
        "iou.csv",
        "tasks.csv",
        "statuses.csv",
        "people_and_sources.csv",
        "attributes.csv",
        "days.csv",
    ];

    fn new(name: &'static str, columns: &[&str]) -> Self {
        let mut file = Self {
            name,
            text: String::new(),
        };
        file.add(columns);
        file
    }

    fn add<T: AsRef<str>>(&mut self, fields: &[T]) {
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            push_field(&mut self.text, field.as_ref());
        }
        self.text.push_str("\r\n");
    }
}

fn push_field(text: &mut String, field: &str) {
    // Outer spaces and empty fields are quoted too, because some readers trim the one and skip the other.
    let is_plain = !field.is_empty() && field == field.trim() && !field.contains([',', '"', '\r', '\n']);
    if is_plain {
        text.push_str(field);
    } else {
        text.push('"');
        text.push_str(&field.replace('"', "\"\""));
        text.push('"');
    }
}

/// All tables.
pub(super) fn files(stats: &Stats) -> Vec<CsvFile> {
    vec![
        summary(stats),
        classes(stats),
        shapes(stats),
        numbers(stats),
        models(stats),
        codes(stats),
        ious(stats),
        conversations(stats),
        statuses(stats),
        names(stats),
        attributes(stats),
        days(stats),
    ]
}

fn summary(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("summary.csv", &["quantity", "count"]);
    let images = stats.images;
    for (name, count) in [
        ("annotated_images", images.annotated),
        ("images_not_annotated", images.not_annotated),
        ("unreadable_sidecars", images.unreadable),
        ("missing_images", images.missing),
        ("regions", stats.regions()),
        ("captions", stats.captions()),
        ("conversations", stats.conversations()),
        ("regions_with_fresh_words", stats.words.fresh),
        ("regions_with_stale_words", stats.words.stale),
        ("regions_without_words", stats.words.missing),
    ] {
        file.add(&[name, &count.to_string()]);
    }
    file
}

fn classes(stats: &Stats) -> CsvFile {
    let columns = [
        "label", "regions", "images", "area_px", "empty", "small", "medium", "large",
    ];
    let mut file = CsvFile::new("classes.csv", &columns);
    for (label, class) in stats.classes.sorted() {
        let numbers = [class.regions, class.images, class.area_px]
            .into_iter()
            .chain(class.sizes);
        let fields: Vec<String> = std::iter::once(label.to_owned())
            .chain(numbers.map(|number| number.to_string()))
            .collect();
        file.add(&fields);
    }
    file
}

fn shapes(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("shapes.csv", &["measure", "bin", "regions"]);
    for (class, count) in SizeClass::ALL.iter().zip(stats.sizes) {
        file.add(&["size", class.as_str(), &count.to_string()]);
    }
    for (log2, count) in stats.areas_log2.iter() {
        file.add(&["area_log2", &log2.to_string(), &count.to_string()]);
    }
    for (from, count) in THINNESS_BINS.iter().zip(stats.thinness) {
        file.add(&["thinness_from", &from.to_string(), &count.to_string()]);
    }
    file
}

/// Everything that is a number of something, with how often it occurred.
fn numbers(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("distributions.csv", &["quantity", "value", "count"]);
    let mut distributions = vec![
        ("regions_per_image".to_owned(), &stats.regions_per_image),
        ("captions_per_region".to_owned(), &stats.captions_per_region),
        ("turns_per_conversation".to_owned(), &stats.turns_per_conversation),
    ];
    for kind in TextKind::ALL {
        let lengths = stats.texts_of(kind);
        distributions.push((format!("{}_words", kind.as_str()), &lengths.words));
        distributions.push((format!("{}_characters", kind.as_str()), &lengths.characters));
    }
    for (name, distribution) in distributions {
        for (value, count) in distribution.iter() {
            file.add(&[&*name, &value.to_string(), &count.to_string()]);
        }
    }
    file
}

fn models(stats: &Stats) -> CsvFile {
    let columns = [
        "model",
        "fingerprint",
        "codebook_size",
        "depth",
        "regions",
        "used_codes",
        "rare_codes",
        "unused_codes",
        "perplexity",
    ];
    let mut file = CsvFile::new("models.csv", &columns);
    for (model, used) in &stats.words.models {
        for (depth, codes) in used.depths.iter().enumerate() {
            file.add(&[
                used.name.clone(),
                model.fingerprint.clone(),
                model.codebook_size.to_string(),
                depth.to_string(),
                used.regions.to_string(),
                codes.used().to_string(),
                codes.rare(stats.options.rare_below).count().to_string(),
                (u64::from(model.codebook_size) - codes.used()).to_string(),
                format!("{:.4}", codes.perplexity()),
            ]);
        }
    }
    file
}

fn codes(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("codes.csv", &["fingerprint", "depth", "code", "count"]);
    for (model, used) in &stats.words.models {
        for (depth, codes) in used.depths.iter().enumerate() {
            for (code, count) in codes.iter() {
                file.add(&[
                    &*model.fingerprint,
                    &depth.to_string(),
                    &code.to_string(),
                    &count.to_string(),
                ]);
            }
        }
    }
    file
}

fn ious(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("iou.csv", &["iou", "regions"]);
    for (units, count) in stats.ious.iter() {
        file.add(&[
            format!("{:.4}", units as f64 / IOU_UNITS as f64),
            count.to_string(),
        ]);
    }
    file
}

fn conversations(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("tasks.csv", &["task", "conversations"]);
    for (task, count) in Task::ALL.iter().zip(stats.tasks) {
        file.add(&[task.as_str(), &count.to_string()]);
    }
    file
}

fn statuses(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("statuses.csv", &["status", "images", "regions", "conversations"]);
    let images = stats.image_statuses.iter();
    let others = stats.region_statuses.iter().zip(&stats.conversation_statuses);
    for ((status, images), (regions, conversations)) in Status::ALL.iter().zip(images).zip(others) {
        let counts = [images, regions, conversations].map(u64::to_string);
        let [images, regions, conversations] = &counts;
        file.add(&[status.as_str(), images, regions, conversations]);
    }
    file
}

fn names(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("people_and_sources.csv", &["kind", "name", "count"]);
    let kinds = [
        ("author", &stats.authors),
        ("reviewer", &stats.reviewers),
        ("source", &stats.sources),
    ];
    for (kind, tally) in kinds {
        add_tally(&mut file, kind, tally);
    }
    file
}

fn attributes(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("attributes.csv", &["attribute", "value", "regions"]);
    for (key, values) in &stats.attributes {
        add_tally(&mut file, key, values);
    }
    file
}

fn add_tally(file: &mut CsvFile, first: &str, tally: &Tally) {
    for (name, count) in tally.sorted() {
        file.add(&[first, name, &count.to_string()]);
    }
    if *tally.others() > 0 {
        file.add(&[first, "…", &tally.others().to_string()]);
    }
}

fn days(stats: &Stats) -> CsvFile {
    let mut file = CsvFile::new("days.csv", &["day", "images"]);
    for (day, count) in &stats.days {
        file.add(&[day, &count.to_string()]);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_rfc_4180_wants_it() {
        let mut file = CsvFile::new("x.csv", &["a", "b"]);
        for [a, b] in [
            ["plain", "naïve 猫"],
            ["a,b", "say \"hi\""],
            ["two\nlines", " x"],
            ["", "=1+1"],
        ] {
            file.add(&[a, b]);
        }
        assert_eq!(
            file.text,
            "a,b\r\nplain,naïve 猫\r\n\"a,b\",\"say \"\"hi\"\"\"\r\n\"two\nlines\",\" x\"\r\n\"\",=1+1\r\n"
        );
    }
}
