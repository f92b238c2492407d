//! Plots as inline SVG: bars for names, columns for numbers, one stacked bar per row.
//!
//! Colours come from the page's style sheet by class, so that one drawing serves light and dark; every mark says its
//! number when pointed at, and nothing is told by colour alone.

use std::fmt::Write as _;

use super::Distribution;

/// Width of every plot in its own units; the page scales it.
const WIDTH: f64 = 560.0;
/// Height of the columns' area.
const PLOT_HEIGHT: f64 = 150.0;
/// Height of one row of bars.
const ROW: f64 = 24.0;
/// Most columns of a plot.
const MAX_COLUMNS: u64 = 40;
/// Most labels under the columns.
const MAX_TICKS: usize = 9;

/// A column or a bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// What stands under or beside it.
    pub(super) label: String,
    pub(super) count: u64,
}

impl Mark {
    pub(super) fn new(label: impl Into<String>, count: u64) -> Self {
        Self {
            label: label.into(),
            count,
        }
    }
}

/// Text as HTML: nothing that a user wrote can become markup.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // No HTML text may have them.
            c if c.is_control() => html.push(if c.is_whitespace() { ' ' } else { '\u{fffd}' }),
            c => html.push(c),
        }
    }
    html
}

/// A number with commas between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Horizontal bars, one per name, with the name before and the number behind.
pub(super) fn bars(title: &str, marks: &[Mark]) -> String {
    /// Where the bars begin, and how long the longest is.
    const LEFT: f64 = 170.0;
    const LENGTH: f64 = 310.0;
    let most = marks.iter().map(|mark| mark.count).max().unwrap_or(0).max(1);
    let mut svg = opened(title, marks.len() as f64 * ROW + 4.0);
    for (row, mark) in marks.iter().enumerate() {
        let (y, length) = (row as f64 * ROW, mark.count as f64 / most as f64 * LENGTH);
        let (name, count) = (escaped(&mark.label), grouped(mark.count));
        draw(
            &mut svg,
            format_args!(
                "<g><title>{name}: {count}</title><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"mark\" x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\"/>\
             <text class=\"number\" x=\"{:.1}\" y=\"{}\">{count}</text></g>",
                LEFT - 8.0,
                y + 17.0,
                escaped(&shortened(&mark.label, 24)),
                y + 4.0,
                ROW - 6.0,
                LEFT + length + 6.0,
                y + 17.0,
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Columns side by side; labels that would touch each other are left out.
pub(super) fn columns(title: &str, x_axis: &str, marks: &[Mark]) -> String {
    const LEFT: f64 = 52.0;
    const TOP: f64 = 8.0;
    let (right, bottom) = (WIDTH - 8.0, TOP + PLOT_HEIGHT);
    let step = nice_step(marks.iter().map(|mark| mark.count).max().unwrap_or(0));
    let most = marks
        .iter()
        .map(|mark| mark.count.div_ceil(step))
        .max()
        .unwrap_or(0)
        .max(1)
        * step;
    let y = |count: u64| bottom - count as f64 / most as f64 * PLOT_HEIGHT;
    let mut svg = opened(title, bottom + 38.0);
    for count in (0..=most).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let y = y(count);
        draw(
            &mut svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"number\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                grouped(count),
            ),
        );
    }
    let width = (right - LEFT) / marks.len().max(1) as f64;
    let gap = if width > 6.0 { (width * 0.15).min(6.0) } else { 0.0 };
    let longest = marks
        .iter()
        .map(|mark| mark.label.chars().count())
        .max()
        .unwrap_or(1);
    let ticks = ((right - LEFT) / (longest as f64 * 7.5 + 10.0)).max(2.0) as usize;
    let every = marks.len().div_ceil(ticks.min(MAX_TICKS)).max(1);
    for (index, mark) in marks.iter().enumerate() {
        let (x, top) = (LEFT + index as f64 * width, y(mark.count));
        let label = escaped(&mark.label);
        if mark.count > 0 {
            // However few, they are seen.
            let top = top.min(bottom - 1.5);
            draw(
                &mut svg,
                format_args!(
                    "<rect class=\"mark\" x=\"{:.2}\" y=\"{top:.1}\" width=\"{:.2}\" height=\"{:.1}\">\
                 <title>{label}: {}</title></rect>",
                    x + gap / 2.0,
                    width - gap,
                    bottom - top,
                    grouped(mark.count),
                ),
            );
        }
        if index % every == 0 {
            draw(
                &mut svg,
                format_args!(
                    "<text class=\"number\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                    x + width / 2.0,
                    bottom + 16.0,
                ),
            );
        }
    }
    draw(
        &mut svg,
        format_args!(
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
         <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text></svg>",
            (LEFT + right) / 2.0,
            bottom + 34.0,
            escaped(x_axis),
        ),
    );
    svg
}

/// One bar per row, cut into parts of the classes `part0`, `part1`, … in proportion to their counts.
pub(super) fn stacked(title: &str, rows: &[(&str, &[u64])], parts: &[&str]) -> String {
    const LEFT: f64 = 110.0;
    const LENGTH: f64 = 370.0;
    let mut svg = opened(title, rows.len() as f64 * (ROW + 6.0) + 28.0);
    for (row, (name, counts)) in rows.iter().enumerate() {
        let y = row as f64 * (ROW + 6.0);
        let total: u64 = counts.iter().sum();
        let mut x = LEFT;
        draw(
            &mut svg,
            format_args!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 19.0,
                escaped(name),
            ),
        );
        for (part, (&count, part_name)) in counts.iter().zip(parts).enumerate() {
            let length = count as f64 / total.max(1) as f64 * LENGTH;
            if count > 0 {
                draw(
                    &mut svg,
                    format_args!(
                        "<rect class=\"part{part}\" x=\"{x:.1}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\">\
                     <title>{}: {}</title></rect>",
                        y + 4.0,
                        ROW - 2.0,
                        escaped(part_name),
                        grouped(count),
                    ),
                );
            }
            x += length;
        }
        draw(
            &mut svg,
            format_args!(
                "<text class=\"number\" x=\"{}\" y=\"{}\">{}</text>",
                LEFT + LENGTH + 8.0,
                y + 19.0,
                grouped(total),
            ),
        );
    }
    let y = rows.len() as f64 * (ROW + 6.0) + 8.0;
    let spacing = LENGTH / parts.len().max(1) as f64;
    for (part, name) in parts.iter().enumerate() {
        let x = LEFT + part as f64 * spacing;
        draw(
            &mut svg,
            format_args!(
                "<rect class=\"part{part}\" x=\"{x:.1}\" y=\"{y}\" width=\"12\" height=\"12\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
                x + 17.0,
                y + 11.0,
                escaped(name),
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Columns for a distribution: one per number, or one per step where there are many; the longest percent of a long
/// tail is one column at the end.
pub(super) fn binned(distribution: &Distribution) -> Vec<Mark> {
    let (Some(min), Some(max), Some(p99)) = (
        distribution.min(),
        distribution.max(),
        distribution.quantile(0.99),
    ) else {
        return Vec::new();
    };
    // Small numbers are shown from 0 on, where the eye expects it.
    let start = if min <= MAX_COLUMNS / 2 { 0 } else { min };
    let end = if max - start < MAX_COLUMNS { max } else { p99 };
    let step = step_of((end - start + 1).div_ceil(MAX_COLUMNS));
    let start = start / step * step;
    let columns = (end - start) / step + 1;
    let mut counts = vec![0_u64; usize::try_from(columns).unwrap_or(0)];
    let mut beyond = 0;
    for (value, count) in distribution.iter() {
        let column = usize::try_from((value - start) / step).ok();
        match column.and_then(|column| counts.get_mut(column)) {
            Some(slot) => *slot += count,
            None => beyond += count,
        }
    }
    let mut first = start;
    let mark = |count| {
        let label = if step == 1 {
            first.to_string()
        } else {
            format!("{first}–{}", first + step - 1)
        };
        first += step;
        Mark { label, count }
    };
    let mut marks: Vec<Mark> = counts.into_iter().map(mark).collect();
    if beyond > 0 {
        marks.push(Mark::new(format!("{first}+"), beyond));
    }
    marks
}

/// The step between at most five lines of a grid up to `most`.
fn nice_step(most: u64) -> u64 {
    step_of(most.div_ceil(4))
}

/// The smallest of 1, 2, 5, 10, 20, 50, … that is at least `size`.
fn step_of(size: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(step) if step >= size => return step,
                Some(_) => {}
                None => return size,
            }
        }
        power = power.saturating_mul(10);
    }
}

fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

fn opened(title: &str, height: f64) -> String {
    let title = escaped(title);
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">")
}

fn draw(svg: &mut String, marks: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = svg.write_fmt(marks);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(values: impl IntoIterator<Item = u64>) -> Distribution {
        let mut distribution = Distribution::default();
        values.into_iter().for_each(|value| distribution.record(value));
        distribution
    }

    fn shown(distribution: &Distribution) -> Vec<(String, u64)> {
        binned(distribution)
            .into_iter()
            .map(|mark| (mark.label, mark.count))
            .collect()
    }

    #[test]
    fn distributions_are_binned_without_losing_any() {
        let owned = |marks: &[(&str, u64)]| -> Vec<(String, u64)> {
            marks
                .iter()
                .map(|&(label, count)| (label.to_owned(), count))
                .collect()
        };
        assert_eq!(shown(&distribution([])), owned(&[]));
        assert_eq!(
            shown(&distribution([1, 1, 3])),
            owned(&[("0", 0), ("1", 2), ("2", 0), ("3", 1)])
        );
        let tail = shown(&distribution((0..1000).chain([1_000_000])));
        assert_eq!(
            (tail.len(), &tail[0], tail.last()),
            (21, &("0–49".into(), 50), Some(&("1000+".into(), 1)))
        );
        let far = shown(&distribution([u64::MAX, u64::MAX - 1]));
        assert_eq!(far.iter().map(|mark| mark.1).sum::<u64>(), 2, "{far:?}");
        let one = shown(&distribution([5_000_000; 3]));
        assert_eq!(one.iter().map(|mark| mark.1).sum::<u64>(), 3, "{one:?}");
    }

    #[test]
    fn text_is_escaped_and_numbers_are_grouped() {
        assert_eq!(
            escaped("<b a='1'>\"&\u{7}\n"),
            "&lt;b a=&#39;1&#39;&gt;&quot;&amp;\u{fffd} "
        );
        let numbers = [0, 12, 123, 1234, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "12", "123", "1,234", "1,234,567"]);
        let steps = [0, 1, 3, 5, 6, 11, 21, 99, 100, 101, u64::MAX].map(step_of);
        assert_eq!(steps, [1, 1, 5, 5, 10, 20, 50, 100, 100, 200, u64::MAX]);
    }
}
