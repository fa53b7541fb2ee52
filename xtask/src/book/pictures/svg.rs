//! The few shapes of which the book's pictures are made.

use std::fmt::{Display, Write};

/// As wide as a page.
pub(super) const WIDTH: usize = 720;
/// The height of a line of text.
pub(super) const LINE: usize = 22;

/// Whose a thing is; the two differ in shape, for readers without colours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Filled.
    Own,
    /// An outline.
    Host,
}

/// A drawing that grows downwards.
#[derive(Default)]
pub(super) struct Svg {
    shapes: String,
    height: usize,
}

impl Svg {
    /// A box.
    pub(super) fn rect(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), whose: Whose) {
        let fill = if whose == Whose::Own { "currentColor\" fill-opacity=\"0.2" } else { "none" };
        self.shape(
            y + height,
            format_args!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"{fill}\" \
                 stroke=\"currentColor\"></rect>"
            ),
        );
    }

    /// Text whose baseline is at `y`; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, (x, y): (usize, usize), anchor: &str, words: &str) {
        let words = escaped(words);
        self.shape(
            y + 6,
            format_args!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"currentColor\">{words}</text>"
            ),
        );
    }

    /// An arrow. Its head is drawn, for an SVG marker needs an id, and a page has several pictures.
    pub(super) fn arrow(&mut self, (x1, y1): (usize, usize), (x2, y2): (usize, usize)) {
        const HEAD: f64 = 8.0;
        let (dx, dy) = (x2 as f64 - x1 as f64, y2 as f64 - y1 as f64);
        let length = dx.hypot(dy).max(1.0);
        let (along_x, along_y) = (dx / length * HEAD, dy / length * HEAD);
        let corner = |side: f64| {
            let x = x2 as f64 - along_x - side * along_y / 2.0;
            let y = y2 as f64 - along_y + side * along_x / 2.0;
            format!("{x:.1},{y:.1}")
        };
        let head = format!("M{x2},{y2} L{} L{} z", corner(1.0), corner(-1.0));
        self.shape(
            y2.max(y1),
            format_args!(
                "<path d=\"M{x1},{y1} L{x2},{y2} {head}\" fill=\"currentColor\" \
                 stroke=\"currentColor\"></path>"
            ),
        );
    }

    fn shape(&mut self, bottom: usize, shape: impl Display) {
        self.height = self.height.max(bottom);
        let _ = writeln!(self.shapes, "{shape}");
    }

    /// All of it; `title` is what a screen reader says.
    pub(super) fn html(&self, title: &str) -> String {
        let height = self.height + 4;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\">\n<title>{}</title>\n{}</svg>\n",
            escaped(title),
            self.shapes
        )
    }
}

/// Text as HTML has it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
