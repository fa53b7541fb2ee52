//! The book's pictures of a measurement: made from its numbers, never drawn.
//!
//! Each picture is a file to be included: SVG inline, then the same as a table.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::floor::STEPS;
use super::record::{Measured, Record};
use super::stats::{Series, quantile};
use crate::workspace::Workspace;

/// What to draw, and where to.
#[derive(Args)]
pub(crate) struct Options {
    /// The raw numbers; book/data/bench-run.json if nothing else is said.
    data: Option<PathBuf>,
    /// The folder of the pictures; book/data if nothing else is said.
    #[arg(long)]
    into: Option<PathBuf>,
}

pub(super) fn plot(options: &Options) -> Result<bool> {
    let root = Workspace::read()?.root;
    let data = options.data.clone().unwrap_or_else(|| root.join("book/data/bench-run.json"));
    let into = options.into.clone().unwrap_or_else(|| root.join("book/data"));
    fs::create_dir_all(&into)?;
    for (name, text) in pictures(&data)? {
        fs::write(into.join(name), text)?;
        println!("{}", into.join(name).display());
    }
    Ok(true)
}

/// File names and texts.
fn pictures(data: &Path) -> Result<[(&'static str, String); 2]> {
    let record = Record::read(data)?;
    let root = record.measured.iter().find(|m| m.who == "root").context("nothing was measured as root")?;
    Ok([("bench-run.md", beside_peers(&record, root)?), ("bench-steps.md", steps(&record, root)?)])
}

const WIDTH: f64 = 720.0;
/// Right of the names, left of the figures.
const LEFT: f64 = 256.0;
const RIGHT: f64 = 640.0;
const ROW: f64 = 34.0;

/// "What does a start cost beside other tools?": a dot at the median, a line from the fastest run to the
/// 99th of 100. The axis is logarithmic.
fn beside_peers(record: &Record, measured: &Measured) -> Result<String> {
    let mut all: Vec<&Series> = measured.series.iter().collect();
    all.sort_by(|a, b| a.median().total_cmp(&b.median()));
    let most = all.iter().map(|s| s.p99()).fold(1.0, f64::max);
    let decades = most.log10().ceil().max(1.0);
    ensure!(all.iter().all(|s| s.median() >= 1.0), "a start below one millisecond: the axis begins there");
    let x = |ms: f64| LEFT + (RIGHT - LEFT) * ms.max(1.0).log10() / decades;
    let mut svg = Svg::new("What does a start cost beside other tools", 30.0 + ROW * all.len() as f64 + 40.0);
    let bottom = 30.0 + ROW * all.len() as f64;
    for decade in 0..=(decades as i32) {
        let ms = 10f64.powi(decade);
        svg.line(x(ms), 20.0, x(ms), bottom, "stroke-opacity=\".25\"");
        svg.text(x(ms), bottom + 20.0, "middle", &format!("{ms} ms"));
    }
    for (row, series) in all.iter().enumerate() {
        let y = 40.0 + ROW * row as f64;
        let fastest = quantile(&series.times, 0, 1);
        svg.text(LEFT - 14.0, y + 5.0, "end", &series.name);
        svg.line(x(fastest), y, x(series.p99()), y, "stroke-width=\"2\"");
        svg.dot(x(series.median()), y, series.name == "minidocker");
        svg.text(
            x(series.p99()).max(x(series.median())) + 14.0,
            y + 5.0,
            "start",
            &format!("{:.1}", series.median()),
        );
    }
    let mut out = svg.end();
    let _ = writeln!(out, "\n| `{}` | median, ms | 99 of 100 within | minidocker over it |", record.command);
    out.push_str("|---|---|---|---|\n");
    let ours = measured.series("minidocker").context("minidocker was not measured")?;
    for series in &all {
        let ratio = if series.name == ours.name { String::new() } else { ours.over(series).to_string() };
        let _ = writeln!(out, "| {} | {:.2} | {:.2} | {ratio} |", series.name, series.median(), series.p99());
    }
    out.push_str(&facts(record, ours.times.len()));
    Ok(out)
}

/// "Where does the time of a start go?": each bar begins where the one before it ended.
fn steps(record: &Record, measured: &Measured) -> Result<String> {
    let floor = measured.series("floor").context("the floor was not measured")?;
    let ours = measured.series("minidocker").context("minidocker was not measured")?;
    let mut rows: Vec<(&str, f64)> =
        STEPS.iter().copied().zip(measured.steps.iter().chain([floor]).map(Series::median)).collect();
    rows.push(("minidocker itself", ours.median()));
    let x = |ms: f64| LEFT + (RIGHT - LEFT) * ms / ours.median();
    let bottom = 30.0 + ROW * rows.len() as f64;
    let mut svg = Svg::new("Where does the time of a start go", bottom + 40.0);
    // At most ten marks.
    let apart = (ours.median() / 10.0).ceil() as usize;
    for ms in (0..=(ours.median() as u32)).step_by(apart.max(1)) {
        let at = x(f64::from(ms));
        svg.line(at, 20.0, at, bottom, "stroke-opacity=\".25\"");
        svg.text(at, bottom + 20.0, "middle", &if ms == 0 { "0".to_owned() } else { format!("{ms} ms") });
    }
    let mut table = String::from("\n| step | adds, ms | until here |\n|---|---|---|\n");
    let mut before = 0.0;
    for (row, (name, until)) in rows.iter().enumerate() {
        let y = 40.0 + ROW * row as f64;
        // A step that costs less than the clock can tell from the one before.
        let from = f64::min(before, *until);
        svg.text(LEFT - 14.0, y + 5.0, "end", name);
        svg.bar(x(from), y - 9.0, (x(*until) - x(from)).max(1.0), *name == "minidocker itself");
        svg.text(x(*until) + 8.0, y + 5.0, "start", &format!("{:.2}", until - before));
        let _ = writeln!(table, "| {name} | {:.2} | {until:.2} |", until - before);
        before = *until;
    }
    Ok(svg.end() + &table + &facts(record, ours.times.len()))
}

fn facts(record: &Record, rounds: usize) -> String {
    let m = &record.machine;
    format!(
        "\nMedians of {rounds} interleaved rounds as root on {}, {} cores, {}, Linux {}, the store on {}, \
         load average {} before and {} after. In brackets: where the true ratio lies, 95 times in 100.\n",
        m.cpu, m.cores, m.system, m.kernel, record.store, m.load[0], m.load[1]
    )
}

/// Lines and letters in the page's own colour; ours is filled, what is the host's is an outline.
struct Svg {
    text: String,
    title: &'static str,
}

impl Svg {
    fn new(title: &'static str, height: f64) -> Self {
        let text = format!(
            "<figure class=\"picture\">\n<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" role=\"img\" \
             font-size=\"14\" fill=\"currentColor\">\n<title>{title}</title>\n"
        );
        Self { text, title }
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let _ = writeln!(self.text, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, more: &str) {
        let place = format!("x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"");
        let _ = writeln!(self.text, "<line {place} stroke=\"currentColor\" {more}/>");
    }

    fn dot(&mut self, x: f64, y: f64, own: bool) {
        let _ = writeln!(self.text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\" {}/>", paint(own));
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, own: bool) {
        let _ = writeln!(
            self.text,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"18\" {}/>",
            paint(own)
        );
    }

    fn end(self) -> String {
        format!("{}</svg>\n<figcaption>{}?</figcaption>\n</figure>\n", self.text, self.title)
    }
}

/// Two accents that are told apart in print too.
fn paint(own: bool) -> &'static str {
    if own {
        "fill=\"#c2410c\" stroke=\"#c2410c\" stroke-width=\"2\""
    } else {
        "fill=\"#2563eb\" fill-opacity=\".12\" stroke=\"#2563eb\" stroke-width=\"2\""
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_books_pictures_are_those_of_its_numbers() {
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book");
        for (name, text) in super::pictures(&book.join("data/bench-run.json")).unwrap() {
            let kept = std::fs::read_to_string(book.join("data").join(name)).unwrap_or_default();
            assert!(
                kept == text,
                "{name} is not that of book/data/bench-run.json: run `cargo xtask bench plot`"
            );
            assert!(text.contains("<title>") && text.lines().all(|l| !l.contains("NaN")), "{name}");
        }
    }
}
