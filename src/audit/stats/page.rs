//! The statistics as one HTML page that opens offline: no script, nothing from elsewhere, light and dark.

use super::chart::{Mark, bars, binned, columns, escaped, grouped, stacked};
use super::{
    CodeUse, Distribution, IOU_UNITS, Model, ModelUse, SizeClass, Stats, THINNESS_BINS, Tally, TextKind,
};
use crate::dataset::{Status, Task};

const STYLE: &str = include_str!("page.css");
/// Bars of one plot; the rest is in a table or added up.
const MAX_BARS: usize = 20;
/// Rows of the table of classes.
const MAX_ROWS: usize = 500;
/// Columns of the plot of a codebook; larger codebooks have several codes in one.
const MAX_CODE_COLUMNS: u32 = 256;
/// Attributes that are shown.
const MAX_ATTRIBUTES: usize = 12;
/// Days that are shown one by one; longer times are shown by month, then by year.
const MAX_DATES: usize = 62;

/// The page; `title` says which folder it is about.
pub(super) fn page(stats: &Stats, title: &str) -> String {
    let sections = [
        images(stats),
        progress(stats),
        classes(stats),
        sizes(stats),
        shapes(stats),
        models(stats),
        round_trip(stats),
        texts(stats),
        tasks(stats),
        people(stats),
        attributes(stats),
        dates(stats),
    ];
    let title = escaped(title);
    let incomplete = if stats.is_complete {
        ""
    } else {
        "<p><strong>Not everything was counted: the count was stopped, or a sub-folder could not be listed.</strong></p>"
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title} – annotation statistics</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p>Annotation statistics by SAMTok Studio</p>\n{incomplete}{}\n\
         <div class=\"cards\">\n{}\n</div>\n</main>\n</body>\n</html>\n",
        tiles(stats),
        sections.join("\n"),
    )
}

fn section(heading: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{body}\n</section>", escaped(heading))
}

/// A section as wide as the page, for what has many columns or several plots.
fn wide_section(heading: &str, body: &str) -> String {
    format!(
        "<section class=\"wide\">\n<h2>{}</h2>\n{body}\n</section>",
        escaped(heading)
    )
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escaped(text))
}

fn tiles(stats: &Stats) -> String {
    let images = stats.images;
    let all = images.annotated + images.not_annotated + images.unreadable;
    let mut tiles = vec![
        ("images", all),
        ("annotated", images.annotated),
        ("regions", stats.regions()),
        ("captions", stats.captions()),
        ("conversations", stats.conversations()),
        ("regions with fresh words", stats.words.fresh),
    ];
    // Troubles only where there are any.
    let troubles = [
        ("regions with stale words", stats.words.stale),
        ("unreadable sidecars", images.unreadable),
        ("missing images", images.missing),
    ];
    tiles.extend(troubles.into_iter().filter(|&(_, count)| count > 0));
    let tile = |(name, count): (&str, u64)| {
        format!(
            "<div class=\"tile\"><b>{}</b><span>{name}</span></div>",
            grouped(count)
        )
    };
    let tiles: Vec<String> = tiles.into_iter().map(tile).collect();
    format!("<div class=\"tiles\">{}</div>", tiles.concat())
}

/// One sentence about a distribution.
fn in_words(distribution: &Distribution, unit: &str) -> String {
    let (Some(mean), Some(median), Some(p90), Some(max)) = (
        distribution.mean(),
        distribution.quantile(0.5),
        distribution.quantile(0.9),
        distribution.max(),
    ) else {
        return paragraph("None yet.");
    };
    paragraph(&format!(
        "Median {}, mean {mean:.1}, 90 % up to {}, at most {} {unit}.",
        grouped(median),
        grouped(p90),
        grouped(max)
    ))
}

fn images(stats: &Stats) -> String {
    let regions = &stats.regions_per_image;
    let plot = columns(
        "Images by number of regions",
        "regions in an image",
        &binned(regions),
    );
    section(
        "Regions per image",
        &format!("{}{plot}", in_words(regions, "regions")),
    )
}

fn progress(stats: &Stats) -> String {
    let names: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
    let rows: [(&str, &[u64]); 3] = [
        ("images", &stats.image_statuses),
        ("regions", &stats.region_statuses),
        ("conversations", &stats.conversation_statuses),
    ];
    let done: u64 = stats.image_statuses.iter().skip(1).sum();
    let text = format!(
        "{} of {} annotated images are done, approved or rejected.",
        grouped(done),
        grouped(stats.images.annotated)
    );
    section(
        "Status",
        &format!("{}{}", paragraph(&text), stacked("Status", &rows, &names)),
    )
}

fn classes(stats: &Stats) -> String {
    let sorted = stats.classes.sorted();
    let name = |label: &str| {
        if label.is_empty() {
            "(no label)".to_owned()
        } else {
            label.to_owned()
        }
    };
    let mut marks: Vec<Mark> = sorted
        .iter()
        .take(MAX_BARS)
        .map(|(label, class)| Mark::new(name(label), class.regions))
        .collect();
    let rest = sorted
        .iter()
        .skip(MAX_BARS)
        .map(|(_, class)| class.regions)
        .sum::<u64>()
        + stats.classes.others().regions;
    if rest > 0 {
        marks.push(Mark::new("all others", rest));
    }
    let row = |(label, class): &(&str, &super::ClassUse)| {
        let [_, small, medium, large] = class.sizes;
        let mean = class.area_px / class.regions.max(1);
        let numbers = [
            class.regions,
            class.images,
            mean,
            class.area_px,
            small,
            medium,
            large,
        ];
        let cells: Vec<String> = numbers
            .map(|number| format!("<td>{}</td>", grouped(number)))
            .into();
        format!("<tr><td>{}</td>{}</tr>", escaped(&name(label)), cells.concat())
    };
    let rows: Vec<String> = sorted.iter().take(MAX_ROWS).map(row).collect();
    let shown = if sorted.len() > MAX_ROWS {
        format!("The first {MAX_ROWS} classes as a table")
    } else {
        "As a table".to_owned()
    };
    let text = match sorted.len() {
        1 => "1 label.".to_owned(),
        count => format!("{} labels.", grouped(count as u64)),
    };
    section(
        "Classes",
        &format!(
            "{}{}<details><summary>{shown}</summary><div class=\"scroll\"><table><thead><tr><th>label</th><th>regions</th>\
         <th>images</th><th>mean px</th><th>total px</th><th>small</th><th>medium</th><th>large</th></tr></thead>\
         <tbody>{}</tbody></table></div></details>",
            paragraph(&text),
            bars("Regions by class", &marks),
            rows.concat(),
        ),
    )
}

fn sizes(stats: &Stats) -> String {
    let labels = ["empty", "small, under 32²", "medium, to 96²", "large, over 96²"];
    let marks: Vec<Mark> = labels
        .iter()
        .zip(stats.sizes)
        .zip(SizeClass::ALL)
        // Empty regions are an accident; they are shown where there are any.
        .filter(|((_, count), class)| *class != SizeClass::Empty || *count > 0)
        .map(|((label, count), _)| Mark::new(*label, count))
        .collect();
    let mut areas = Vec::new();
    if let (Some(first), Some(last)) = (stats.areas_log2.min(), stats.areas_log2.max()) {
        let counts: std::collections::BTreeMap<u64, u64> = stats.areas_log2.iter().collect();
        let mark = |log2: u64| Mark::new(power_of_two(log2), counts.get(&log2).copied().unwrap_or(0));
        areas = (first..=last).map(mark).collect();
    }
    section(
        "Sizes",
        &format!(
            "{}{}{}",
            bars("Regions by size class", &marks),
            "<h3>Pixels of a region</h3>",
            columns(
                "Regions by area",
                "pixels, from this number on to its double",
                &areas
            ),
        ),
    )
}

/// `512`, `4k`, `1M`: 2 to the power of `log2`, in short.
fn power_of_two(log2: u64) -> String {
    match log2 {
        0..10 => (1_u64 << log2).to_string(),
        10..20 => format!("{}k", 1_u64 << (log2 - 10)),
        20..30 => format!("{}M", 1_u64 << (log2 - 20)),
        _ => format!("2^{log2}"),
    }
}

fn shapes(stats: &Stats) -> String {
    let ends = THINNESS_BINS.iter().skip(1).map(Some).chain([None]);
    let mark = |((from, to), count): ((&u32, Option<&u32>), u64)| {
        let label = to.map_or_else(|| format!("{from}+"), |to| format!("{from}–{to}"));
        Mark::new(label, count)
    };
    let marks: Vec<Mark> = THINNESS_BINS
        .iter()
        .zip(ends)
        .zip(stats.thinness)
        .map(mark)
        .collect();
    let text = "1 is a square, a disc is near 3, a line has its length over its width. Ragged and scattered regions \
                count as thin too.";
    section(
        "Thinness",
        &format!(
            "{}{}",
            paragraph(text),
            columns(
                "Regions by thinness",
                "length over width of a rectangle with the same area and outline",
                &marks
            )
        ),
    )
}

fn models(stats: &Stats) -> String {
    let words = &stats.words;
    let text = format!(
        "{} regions have words of their present mask, {} stale ones, {} none. A code is rare if it is used fewer than \
         {} times; perplexity is the number of codes that would be used as evenly.",
        grouped(words.fresh),
        grouped(words.stale),
        grouped(words.missing),
        stats.options.rare_below,
    );
    let mut body = paragraph(&text);
    if words.models.len() > 1 {
        body += "<p><strong>The folder has words of more than one model; they mean different things.</strong></p>";
    }
    for (model, used) in &words.models {
        body += &self::model(model, used, stats);
    }
    wide_section("Words", &body)
}

fn model(model: &Model, used: &ModelUse, stats: &Stats) -> String {
    let short: String = model.fingerprint.chars().take(12).collect();
    let heading = format!(
        "{} {short}: {} regions, {} x {} codes",
        used.name,
        grouped(used.regions),
        model.codebook_depth,
        grouped(u64::from(model.codebook_size)),
    );
    let plot = |(depth, codes): (usize, &CodeUse)| {
        let size = u64::from(model.codebook_size);
        let rare = codes.rare(stats.options.rare_below).count() as u64;
        let text = format!(
            "Depth {}: {} of {} codes used ({} rare), perplexity {:.1}.",
            depth + 1,
            grouped(codes.used()),
            grouped(size),
            grouped(rare),
            codes.perplexity(),
        );
        let title = format!("Use of the codes at depth {}", depth + 1);
        let plot = columns(&title, "code", &code_columns(codes, model.codebook_size));
        format!("<div>{}{plot}</div>", paragraph(&text))
    };
    let plots: Vec<String> = used.depths.iter().enumerate().map(plot).collect();
    let unfit = if used.unfit > 0 {
        paragraph(&format!(
            "The codes of {} regions do not fit these codebooks.",
            grouped(used.unfit)
        ))
    } else {
        String::new()
    };
    format!(
        "<h3>{}</h3>{unfit}<div class=\"side-by-side\">{}</div>",
        escaped(&heading),
        plots.concat()
    )
}

/// One column per code, or per several codes of a large codebook.
fn code_columns(codes: &CodeUse, codebook_size: u32) -> Vec<Mark> {
    let step = codebook_size.div_ceil(MAX_CODE_COLUMNS).max(1);
    let label = |column: u32| {
        let first = u64::from(column) * u64::from(step);
        if step == 1 {
            first.to_string()
        } else {
            format!("{first}–{}", first + u64::from(step) - 1)
        }
    };
    let mut marks: Vec<Mark> = (0..codebook_size.div_ceil(step))
        .map(|column| Mark::new(label(column), 0))
        .collect();
    for (code, count) in codes.iter() {
        if let Some(mark) = marks.get_mut((code / step) as usize) {
            mark.count += count;
        }
    }
    marks
}

fn round_trip(stats: &Stats) -> String {
    const BINS: u64 = 20;
    let mut counts = [0_u64; BINS as usize];
    for (units, count) in stats.ious.iter() {
        if let Some(bin) = counts.get_mut((units * BINS / IOU_UNITS).min(BINS - 1) as usize) {
            *bin += count;
        }
    }
    let bin = |(bin, &count): (usize, &u64)| Mark::new(format!("{:.2}", bin as f64 / BINS as f64), count);
    let marks: Vec<Mark> = counts.iter().enumerate().map(bin).collect();
    let share = |units: u64| units as f64 / IOU_UNITS as f64;
    let text = match (
        stats.ious.mean(),
        stats.ious.quantile(0.5),
        stats.ious.quantile(0.1),
    ) {
        (Some(mean), Some(median), Some(p10)) => format!(
            "Of {} regions: mean {:.3}, median {:.3}, a tenth up to {:.3}.",
            grouped(stats.ious.count()),
            mean / IOU_UNITS as f64,
            share(median),
            share(p10),
        ),
        _ => "No round trip was recorded.".to_owned(),
    };
    section(
        "Round trip",
        &format!(
            "{}{}",
            paragraph(&text),
            columns(
                "Regions by round-trip IoU",
                "IoU of the mask with the one that its words give back",
                &marks
            )
        ),
    )
}

fn texts(stats: &Stats) -> String {
    let names = [
        (TextKind::Caption, "Captions"),
        (TextKind::UserTurn, "Questions"),
        (TextKind::AssistantTurn, "Answers"),
    ];
    let plot = |&(kind, name): &(TextKind, &str)| {
        let lengths = stats.texts_of(kind);
        let characters = lengths.characters.quantile(0.5).unwrap_or(0);
        let count = format!("<h3>{name}: {}</h3>", grouped(lengths.words.count()));
        if lengths.words.count() == 0 {
            return format!("<div>{count}</div>");
        }
        let summary = in_words(&lengths.words, "words");
        let characters = paragraph(&format!("Median {} characters.", grouped(characters)));
        let plot = columns(&format!("Lengths of {name}"), "words", &binned(&lengths.words));
        format!("<div>{count}{summary}{characters}{plot}</div>")
    };
    let plots: Vec<String> = names.iter().map(plot).collect();
    wide_section(
        "Lengths of texts",
        &format!("<div class=\"side-by-side\">{}</div>", plots.concat()),
    )
}

fn tasks(stats: &Stats) -> String {
    let mut marks: Vec<Mark> = Task::ALL
        .iter()
        .zip(stats.tasks)
        .filter(|&(_, count)| count > 0)
        .map(|(task, count)| Mark::new(task.as_str().replace('_', " "), count))
        .collect();
    marks.sort_by_key(|mark| std::cmp::Reverse(mark.count));
    let turns = in_words(&stats.turns_per_conversation, "turns");
    section(
        "Conversations by task",
        &format!("{turns}{}", bars("Conversations by task", &marks)),
    )
}

fn people(stats: &Stats) -> String {
    let part = |heading: &str, tally: &Tally, nameless: &str| {
        let marks = tally_marks(tally, nameless);
        let plot = if marks.is_empty() {
            paragraph("None yet.")
        } else {
            bars(heading, &marks)
        };
        format!("<h3>{}</h3>{plot}", escaped(heading))
    };
    let mut body = part("Captions by author", &stats.authors, "(not given)");
    if !stats.reviewers.is_empty() {
        body += &part("Reviewed by", &stats.reviewers, "(not given)");
    }
    body += &part("Regions by source", &stats.sources, "(not given)");
    section("People and sources", &body)
}

fn tally_marks(tally: &Tally, nameless: &str) -> Vec<Mark> {
    let sorted = tally.sorted();
    let name = |name: &str| {
        if name.is_empty() {
            nameless.to_owned()
        } else {
            name.to_owned()
        }
    };
    let mut marks: Vec<Mark> = sorted
        .iter()
        .take(MAX_BARS)
        .map(|&(label, count)| Mark::new(name(label), *count))
        .collect();
    let rest = sorted
        .iter()
        .skip(MAX_BARS)
        .map(|(_, count)| **count)
        .sum::<u64>()
        + tally.others();
    if rest > 0 {
        marks.push(Mark::new("all others", rest));
    }
    marks
}

fn attributes(stats: &Stats) -> String {
    let mut sorted: Vec<(&String, &Tally, u64)> = stats
        .attributes
        .iter()
        .map(|(key, values)| {
            let regions = values.sorted().iter().map(|(_, count)| **count).sum::<u64>() + values.others();
            (key, values, regions)
        })
        .collect();
    sorted.sort_by_key(|&(_, _, regions)| std::cmp::Reverse(regions));
    let plot = |&(key, values, regions): &(&String, &Tally, u64)| {
        let heading = format!("{key}: {} regions", grouped(regions));
        format!(
            "<div><h3>{}</h3>{}</div>",
            escaped(&heading),
            bars(key, &tally_marks(values, "(empty)"))
        )
    };
    let plots: Vec<String> = sorted.iter().take(MAX_ATTRIBUTES).map(plot).collect();
    let text = match sorted.len() {
        0 => paragraph("None yet."),
        count if count > MAX_ATTRIBUTES => paragraph(&format!(
            "The {MAX_ATTRIBUTES} most frequent of {count} attributes."
        )),
        _ => String::new(),
    };
    wide_section(
        "Attributes",
        &format!("{text}<div class=\"side-by-side\">{}</div>", plots.concat()),
    )
}

fn dates(stats: &Stats) -> String {
    // The year, then the month, then the day begin the date.
    let by = |length: usize| {
        let mut marks: Vec<Mark> = Vec::new();
        for (day, &count) in &stats.days {
            let label = day.get(..length).unwrap_or(day);
            match marks.last_mut().filter(|mark| mark.label == label) {
                Some(mark) => mark.count += count,
                None => marks.push(Mark::new(label, count)),
            }
        }
        marks
    };
    let all = [(10, "day"), (7, "month"), (4, "year")].map(|(length, unit)| (by(length), unit));
    let fitting = all
        .iter()
        .find(|(marks, unit)| marks.len() <= MAX_DATES || *unit == "year");
    let body = match fitting {
        Some((marks, unit)) if !marks.is_empty() => {
            let axis = format!("{unit} of the last change (UTC); those without any are left out");
            columns("Images by date", &axis, marks)
        }
        _ => paragraph("No dates were recorded."),
    };
    wide_section("Annotated images by date", &body)
}
