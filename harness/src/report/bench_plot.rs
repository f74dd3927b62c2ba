//! Plots of a benchmark as SVG that needs no script.
//!
//! In: points, labels. Out: one `<svg>`. Numbers on the axes are the points' own, so that every label is a value that was measured.

use std::fmt::Write as _;

use super::figures::{ms, rate};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;
/// Most labels on the horizontal axis.
const LABELS_MAX: usize = 8;

/// How far apart sizes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// By their value.
    Even,
    /// By the power of ten.
    Powers,
}

/// One line over a horizontal axis, from 0 upwards. Points are in order of their first number. Empty without points.
#[must_use]
pub(super) fn svg(points: &[(f64, f64)], unit: &str, spacing: Spacing) -> String {
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut svg, points, unit, spacing);
    svg
}

fn draw(svg: &mut String, points: &[(f64, f64)], unit: &str, spacing: Spacing) -> std::fmt::Result {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
    let along = |x: f64| if spacing == Spacing::Powers { x.max(1e-9).log10() } else { x };
    let (from, to) = (along(first.0), along(last.0));
    let width = (to - from).max(f64::MIN_POSITIVE);
    let top = ceiling(points.iter().map(|point| point.1).fold(0.0, f64::max));
    let x = |value: f64| if points.len() == 1 { LEFT } else { LEFT + (along(value) - from) / width * (WIDTH - LEFT - RIGHT) };
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    write!(svg, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{unit}">"#)?;
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = y(top * part);
        let label = if top < 100.0 { ms(top * part) } else { rate(top * part) };
        write!(svg, r#"<path class="grid" d="M{LEFT} {at:.1}H{:.1}"/>"#, WIDTH - RIGHT)?;
        write!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 6.0, at + 4.0)?;
    }
    let step = points.len().div_ceil(LABELS_MAX).max(1);
    for (size, _) in points.iter().step_by(step) {
        write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            x(*size),
            HEIGHT - BOTTOM + 18.0,
            label_of(*size)
        )?;
    }
    let path: Vec<String> = points.iter().map(|point| format!("{:.1} {:.1}", x(point.0), y(point.1))).collect();
    write!(svg, r#"<path class="line" d="M{}"/>"#, path.join("L"))?;
    if points.len() <= 2 * LABELS_MAX {
        for point in points {
            write!(svg, r#"<circle cx="{:.1}" cy="{:.1}" r="3"/>"#, x(point.0), y(point.1))?;
        }
    }
    svg.write_str("</svg>")
}

/// The next round number at or above a value: 1, 2, 2.5 or 5 times a power of ten.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

fn label_of(size: f64) -> String {
    match size {
        size if size >= 1e6 => format!("{}M", trimmed(size / 1e6)),
        size if size >= 1e4 => format!("{}k", trimmed(size / 1e3)),
        size => trimmed(size),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_begins_at_zero_and_labels_what_was_measured() {
        let drawn = svg(&[(1.0, 10.0), (100.0, 40.0), (10_000.0, 20.0)], "per second", Spacing::Powers);
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>"), "{drawn}");
        for label in [">0.000<", ">50.0<", ">1<", ">100<", ">10k<"] {
            assert!(drawn.contains(label), "{label} in {drawn}");
        }
        assert_eq!(drawn.matches("<circle").count(), 3);
    }

    #[test]
    fn no_points_make_no_plot_and_one_makes_a_dot() {
        assert_eq!(svg(&[], "", Spacing::Even), "");
        assert!(!svg(&[(5.0, 5.0)], "", Spacing::Even).contains("NaN"));
        assert!(!svg(&[(0.0, 0.0), (1.0, 0.0)], "", Spacing::Even).contains("NaN"));
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        assert_eq!([0.0, 0.9, 1.0, 2.1, 26.0, 730.0].map(ceiling), [1.0, 1.0, 1.0, 2.5, 50.0, 1_000.0]);
    }
}
