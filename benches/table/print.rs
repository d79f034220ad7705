//! The table, as Markdown.

use crate::{
    Settings,
    cells::Round,
    rows::{Bound, Row, Work},
};

/// What became of a row.
pub(crate) struct Outcome<'a> {
    pub row: &'a Row,
    pub rounds: Vec<Round>,
    pub failed: Option<String>,
}

/// One round, in a line.
pub(crate) fn in_short(row: &Row, round: &Round) -> String {
    let (limit, everlog) = (amount(row, round.limit), amount(row, round.everlog));
    let figures = row.bounds.iter().zip(&round.figures);
    let figures: Vec<_> = figures.map(|(bound, figure)| bound.figure.text(*figure)).collect();
    format!("limit {limit}, Everlog {everlog}, {}", figures.join(", "))
}

/// The whole report.
pub(crate) fn report(settings: &Settings, facts: &[String], outcomes: &[Outcome<'_>]) -> String {
    let (warm_up, measured) = settings.times();
    let rounds = settings.rounds();
    let mut text = String::new();
    for fact in facts {
        text.push_str(&format!("- {fact}\n"));
    }
    text.push_str(&format!(
        "- {rounds} interleaved rounds of {measured} s after {warm_up} s of warm-up; events of 200 \
         bytes, a new stream every 10 publishes\n\n\
         | workload | limit (median) | Everlog (median, min–max) | ratio | at least | aim | verdict |\n\
         |---|---|---|---|---|---|---|\n"
    ));
    for outcome in outcomes {
        text.push_str(&line(outcome));
    }
    text
}

fn line(outcome: &Outcome<'_>) -> String {
    let Outcome { row, rounds, failed } = outcome;
    if let Some(failed) = failed {
        let why: String = failed.chars().take(120).collect();
        let bounds = bounds(row, |bound| bound.at_least);
        let aims = self::bounds(row, |bound| bound.aim);
        return format!("| {} | | | | {bounds} | {aims} | no figure: {why} |\n", row.name);
    }
    let limits: Vec<_> = rounds.iter().map(|round| round.limit).collect();
    let ours: Vec<_> = rounds.iter().map(|round| round.everlog).collect();
    let figures: Vec<f64> = (0..row.bounds.len())
        .map(|index| {
            let all: Vec<_> =
                rounds.iter().filter_map(|round| round.figures.get(index).copied()).collect();
            median(&all)
        })
        .collect();
    let told = row.bounds.iter().zip(&figures);
    let told: Vec<_> = told.map(|(bound, figure)| bound.figure.text(*figure)).collect();
    let min = ours.iter().copied().fold(f64::INFINITY, f64::min);
    let max = ours.iter().copied().fold(0.0, f64::max);
    format!(
        "| {} | {} | {} ({}–{}) | {} | {} | {} | {} |\n",
        row.name,
        amount(row, median(&limits)),
        amount(row, median(&ours)),
        amount(row, min),
        amount(row, max),
        told.join(", "),
        bounds(row, |bound| bound.at_least),
        bounds(row, |bound| bound.aim),
        verdict(row, &figures),
    )
}

/// A figure of the limit or of Everlog, in the row's unit.
fn amount(row: &Row, value: f64) -> String {
    match row.work {
        Work::Tail { .. } | Work::Idle { .. } => format!("{value:.2} ms"),
        _ => thousands(value),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bounds(row: &Row, which: impl Fn(&Bound) -> f64) -> String {
    let text = |bound: &Bound| {
        let sign = if bound.figure.more_is_better() { "" } else { "≤ " };
        format!("{sign}{}", bound.figure.text(which(bound)))
    };
    row.bounds.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn verdict(row: &Row, figures: &[f64]) -> &'static str {
    let all = |which: fn(&Bound) -> f64| {
        row.bounds.iter().zip(figures).all(|(bound, figure)| {
            let wanted = which(bound);
            if bound.figure.more_is_better() { *figure >= wanted } else { *figure <= wanted }
        })
    };
    if all(|bound| bound.aim) {
        "aim reached"
    } else if all(|bound| bound.at_least) {
        "holds"
    } else {
        "MISSED"
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    if sorted.len().is_multiple_of(2) {
        (at(middle.saturating_sub(1)) + at(middle)) / 2.0
    } else {
        at(middle)
    }
}
