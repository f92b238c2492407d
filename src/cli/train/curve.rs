//! The learning curve as an SVG file, which every browser shows.

use std::fmt::Write as _;

use serde_json::Value;

/// Size of one panel, in SVG units.
const PANEL: (f64, f64) = (460.0, 300.0);
const MARGIN: f64 = 50.0;
const TICKS: usize = 5;
/// Points per line; more are averaged, since nobody sees them.
const POINTS: usize = 400;

/// One line of a panel.
struct Line {
    name: &'static str,
    key: &'static str,
    color: &'static str,
}

const LOSS: [Line; 1] = [Line {
    name: "loss",
    key: "loss",
    color: "#b5542b",
}];
const IOU: [Line; 2] = [
    Line {
        name: "IoU of words",
        key: "iou",
        color: "#2b6cb5",
    },
    Line {
        name: "IoU of prompts",
        key: "prompt_iou",
        color: "#3a9a5b",
    },
];

/// Loss and IoU over the steps, from the lines of `metrics.jsonl`.
pub(super) fn svg(metrics: &[Value]) -> String {
    let (width, height) = (2.0 * PANEL.0 + 3.0 * MARGIN, PANEL.1 + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#333\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let last_step = metrics
        .iter()
        .filter_map(|line| line["step"].as_f64())
        .fold(1.0, f64::max);
    let most = metrics
        .iter()
        .filter_map(|line| line["loss"].as_f64())
        .fold(1e-3, f64::max);
    panel(&mut out, MARGIN, (last_step, most), metrics, &LOSS);
    panel(&mut out, PANEL.0 + 2.0 * MARGIN, (last_step, 1.0), metrics, &IOU);
    out.push_str("</svg>\n");
    out
}

/// Axes from 0 to `most` (step, value) and the lines.
fn panel(out: &mut String, left: f64, most: (f64, f64), metrics: &[Value], lines: &[Line]) {
    let at = |step: f64, value: f64| {
        (
            left + PANEL.0 * step / most.0,
            MARGIN + PANEL.1 * (1.0 - (value / most.1).clamp(0.0, 1.0)),
        )
    };
    for tick in 0..=TICKS {
        let share = tick as f64 / TICKS as f64;
        let (x, y) = at(share * most.0, share * most.1);
        let (right, bottom) = (left + PANEL.0, MARGIN + PANEL.1);
        // Writing to a string cannot fail.
        let _written = writeln!(
            out,
            "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.2}</text>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0}</text>",
            left - 6.0,
            y + 4.0,
            share * most.1,
            bottom + 18.0,
            share * most.0,
        );
    }
    for (index, Line { name, key, color }) in lines.iter().enumerate() {
        let points: Vec<(f64, f64)> = metrics
            .iter()
            .filter_map(|line| Some((line["step"].as_f64()?, line[*key].as_f64()?)))
            .collect();
        if points.is_empty() {
            continue;
        }
        let path: String = points
            .chunks(points.len().div_ceil(POINTS))
            .map(|chunk| {
                let count = chunk.len() as f64;
                let (step, value) = chunk.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
                let (x, y) = at(step / count, value / count);
                format!("{x:.1},{y:.1} ")
            })
            .collect();
        let last = points.last().map_or(0.0, |point| point.1);
        let _written = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{color}\">{name} {last:.3}</text>",
            path.trim_end(),
            left + 8.0 + 170.0 * index as f64,
            MARGIN - 12.0,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_figure_becomes_a_line_and_gaps_are_left_out() {
        let metrics: Vec<Value> = (1..=3000)
            .map(|i| json!({"step": 20 * i, "loss": 3.0 / f64::from(i), "iou": 0.5, "prompt_iou": null}))
            .collect();
        let text = svg(&metrics);
        assert_eq!(
            text.matches("<polyline").count(),
            2,
            "no line for prompts without figures"
        );
        assert!(
            text.len() < 40_000 && !text.contains("NaN") && !text.contains("inf"),
            "{}",
            text.len()
        );
        assert!(text.contains("60000") && text.contains("loss 0.001"), "{text}");
        assert!(svg(&[]).ends_with("</svg>\n"));
    }
}
