//! A histogram of several series as SVG: how often each value came, on a scale of powers
//! of ten, so that the one that came once is seen beside the one that came a thousand times.
//!
//! Coordinates are whole numbers: the same figures give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

/// How often each value came.
pub type Times = BTreeMap<u64, u64>;

/// One of them.
pub struct Series<'a> {
    pub name: &'a str,
    pub times: &'a Times,
}

const WIDTH: u64 = 960;
const HEIGHT: u64 = 420;
const LEFT: u64 = 70;
const TOP: u64 = 60;
const BOTTOM: u64 = 360;
const PLOT: u64 = 860;
/// So many bars of each series at most.
const BARS: u64 = 86;

const COLOURS: [&str; 4] = ["#3b6ea5", "#d9822b", "#5a9c51", "#8c5aa6"];

/// Draws them, with `what` below the axis of the values.
pub fn draw(title: &str, what: &str, series: &[Series<'_>]) -> String {
    let most = series.iter().filter_map(|one| one.times.keys().last()).max().copied().unwrap_or(0);
    let step = nice((most + 1).div_ceil(BARS));
    let bars: Vec<Times> = series.iter().map(|one| gather(one.times, step)).collect();
    let highest = bars.iter().flat_map(Times::values).max().copied().unwrap_or(1);
    let decades = u64::from(highest.max(1).ilog10()) + 1;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    text(&mut svg, (LEFT, 24), "start", title);
    axes(&mut svg, what, step, decades);
    for (number, (one, bars)) in series.iter().zip(&bars).enumerate() {
        let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or("black");
        legend(&mut svg, number as u64, one, colour);
        let width = PLOT / BARS / series.len() as u64;
        for (bar, count) in bars {
            let (x, y) =
                (LEFT + bar * (PLOT / BARS) + number as u64 * width, height(*count, decades));
            let tall = BOTTOM - y;
            put(
                &mut svg,
                format_args!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{tall}\" fill=\"{colour}\"/>"
                ),
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn nice(least: u64) -> u64 {
    let tens = (0..18).map(|power| 10_u64.pow(power));
    let all = tens.flat_map(|ten| [ten, 2 * ten, 5 * ten]);
    all.into_iter().find(|step| *step >= least).unwrap_or(u64::MAX)
}

/// By the number of the bar.
fn gather(times: &Times, step: u64) -> Times {
    let mut bars = Times::new();
    for (value, count) in times {
        *bars.entry(value / step).or_default() += count;
    }
    bars
}

/// Where the top of a bar is: a decade begins above the line, so that one is seen.
fn height(count: u64, decades: u64) -> u64 {
    let decade = (BOTTOM - TOP) / (decades + 1);
    let whole = u64::from(count.max(1).ilog10());
    // The logarithm of what is left, by thirds of the way: 1, 2, 5, 10.
    let rest = count * 100 / 10_u64.pow(whole as u32);
    let part = (rest as f64 / 100.0).log10() * decade as f64;
    BOTTOM - decade * (whole + 1) - part.round() as u64
}

fn axes(svg: &mut String, what: &str, step: u64, decades: u64) {
    let right = LEFT + PLOT;
    for power in 0..=decades {
        let (count, y) = (10_u64.pow(power as u32), height(10_u64.pow(power as u32), decades));
        put(svg, format_args!("<path d=\"M{LEFT} {y}H{right}\" stroke=\"#ddd\"/>"));
        text(svg, (LEFT - 8, y + 4), "end", &count.to_string());
    }
    for bar in (0..=BARS).step_by(10) {
        let x = LEFT + bar * (PLOT / BARS);
        put(svg, format_args!("<path d=\"M{x} {BOTTOM}v5\" stroke=\"black\"/>"));
        text(svg, (x, BOTTOM + 20), "middle", &(bar * step).to_string());
    }
    put(
        svg,
        format_args!("<path d=\"M{LEFT} {TOP}V{BOTTOM}H{right}\" stroke=\"black\" fill=\"none\"/>"),
    );
    text(svg, (LEFT + PLOT / 2, BOTTOM + 44), "middle", what);
    text(svg, (LEFT - 8, TOP - 8), "end", "times");
}

fn legend(svg: &mut String, number: u64, series: &Series<'_>, colour: &str) {
    let (x, y) = (LEFT + PLOT / 2, TOP + 20 * number);
    put(
        svg,
        format_args!(
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>",
            y - 11
        ),
    );
    let ends = series.times.keys().next().zip(series.times.keys().last());
    let ends = ends.map(|(least, most)| format!(": {least} to {most}")).unwrap_or_default();
    text(svg, (x + 18, y), "start", &format!("{}{ends}", series.name));
}

fn text(svg: &mut String, (x, y): (u64, u64), anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    put(svg, format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"));
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(svg, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!([0, 1, 3, 17, 50, 51].map(nice), [1, 1, 5, 20, 50, 100]);
    }

    #[test]
    fn what_came_once_is_seen_and_ten_times_as_often_is_a_decade_higher() {
        let [one, ten, hundred] = [1, 10, 100].map(|count| height(count, 3));
        assert!(one < BOTTOM && one - ten == ten - hundred && hundred >= TOP);
    }

    #[test]
    fn it_has_a_bar_for_each_that_came() {
        let (few, many) = (Times::from([(5, 1)]), Times::from([(5, 3), (900, 1), (905, 2)]));
        let series = [Series { name: "a < b", times: &few }, Series { name: "c", times: &many }];
        let svg = draw("title", "instructions", &series);
        assert_eq!(svg, draw("title", "instructions", &series));
        assert_eq!(svg.matches("height=\"12\"").count(), 2);
        let bars = |colour: &str| svg.matches(&format!("fill=\"{colour}\"")).count() - 1;
        assert_eq!((bars(COLOURS[0]), bars(COLOURS[1])), (1, 2));
        assert!(svg.contains("a &lt; b: 5 to 5") && svg.ends_with("</svg>\n"));
    }
}
