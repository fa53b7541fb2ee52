//! The table of `ps`.

use jiff::Timestamp;

use super::{State, Status, ago, cut, quoted, span, table};
use crate::spec::{Config, SHORT_ID};

/// Docker cuts the command here.
const COMMAND_WIDTH: usize = 20;

/// One container.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// 64 digits.
    pub id: &'a str,
    /// Without slash.
    pub name: &'a str,
    /// The whole configuration, with the image's defaults.
    pub config: &'a Config,
    /// When it was made.
    pub created: Timestamp,
    /// Where it stands.
    pub state: State<'a>,
}

/// The table, newest first.
#[must_use]
pub fn ps(rows: &[Row<'_>], now: Timestamp, no_trunc: bool) -> String {
    let header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    let cells = sorted(rows).into_iter().map(|row| {
        let image = if row.config.image.is_empty() { "<no image>" } else { &row.config.image };
        let command = command(row.config);
        vec![
            id(row, no_trunc).to_owned(),
            image.to_owned(),
            quoted(&if no_trunc { command } else { cut(&command, COMMAND_WIDTH) }),
            ago(row.created, now),
            status(&row.state, now),
            String::new(),
            row.name.to_owned(),
        ]
    });
    table(&header, cells)
}

/// The ids alone (`-q`), newest first.
#[must_use]
pub fn ids(rows: &[Row<'_>], no_trunc: bool) -> String {
    sorted(rows).into_iter().fold(String::new(), |text, row| text + id(row, no_trunc) + "\n")
}

fn sorted<'a, 'b>(rows: &'a [Row<'b>]) -> Vec<&'a Row<'b>> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(b.id)));
    rows
}

fn id<'a>(row: &Row<'a>, no_trunc: bool) -> &'a str {
    if no_trunc { row.id } else { row.id.get(..SHORT_ID).unwrap_or(row.id) }
}

/// Docker puts words with a blank in single quotes, the first word apart.
fn command(config: &Config) -> String {
    let words = super::command(config).into_iter().enumerate();
    let shown = words
        .map(|(n, word)| if n > 0 && word.contains(' ') { format!("'{word}'") } else { word.to_owned() });
    shown.collect::<Vec<_>>().join(" ")
}

fn status(state: &State<'_>, now: Timestamp) -> String {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => match time(state.started_at) {
            Some(since) => format!("Up {}", span(since, now)),
            None => "Up".to_owned(),
        },
        Status::Exited => match time(state.finished_at) {
            Some(end) => format!("Exited ({}) {}", state.exit_code, ago(end, now)),
            None => format!("Exited ({})", state.exit_code),
        },
    }
}
