//! The table, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::{Cost, Measured};

/// The table.
pub(crate) fn table(results: &[Measured], size: u64) -> String {
    let mut text = format!(
        "{:34} {:>9} {:>9}  {:14} {:>9}  {:>6} {:>5}  {:>9} {:>9}  {:>9} {:>6}\n",
        "CASE",
        "MEDIAN",
        "SPREAD",
        "AGAINST",
        "MEDIAN",
        "RATIO",
        "GOAL",
        "MORE CPU",
        "AT MOST",
        "INSTR.",
        "CALLS"
    );
    for one in results {
        let Measured {
            name,
            own,
            peer,
            goal,
            most_cpu,
        } = one;
        let most_cpu = most_cpu.map(shown).unwrap_or_default();
        let goal = goal.map(|goal| goal.to_string()).unwrap_or_default();
        let spread = own.quartiles.1.saturating_sub(own.quartiles.0);
        writeln!(
            text,
            "{name:34} {:>9} {:>9}  {:14} {:>9}  {:>6.2} {goal:>5}  {:>9} {most_cpu:>9}  {:>9} {:>6}",
            shown(own.median),
            shown(spread),
            peer.name,
            shown(peer.median),
            ratio(one),
            shown(one.more_cpu()),
            own.counts.instructions,
            own.counts.system_calls
        )
        .expect("a String takes it");
    }
    writeln!(
        text,
        "the program has {size} bytes; SPREAD is that of the middle half of the runs, MORE CPU is beyond what the other takes"
    )
    .expect("a String takes it");
    text
}

fn ratio(one: &Measured) -> f64 {
    one.own.median.as_secs_f64() / one.peer.median.as_secs_f64()
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// The same as JSON: times in seconds.
pub(crate) fn json(results: &[Measured], size: u64) -> String {
    let cost = |cost: &Cost| {
        json!({
            "name": cost.name,
            "median": cost.median.as_secs_f64(),
            "cpu": cost.cpu.as_secs_f64(),
            "quartiles": [cost.quartiles.0.as_secs_f64(), cost.quartiles.1.as_secs_f64()],
            "instructions": cost.counts.instructions,
            "system_calls": cost.counts.system_calls,
        })
    };
    let cases: Vec<Value> = results
        .iter()
        .map(|one| {
            json!({
                "case": one.name,
                "own": cost(&one.own),
                "peer": cost(&one.peer),
                "ratio": ratio(one),
                "goal": one.goal,
                "more_cpu": one.more_cpu().as_secs_f64(),
                "most_cpu": one.most_cpu.map(|most| most.as_secs_f64()),
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&json!({"schema": 1, "bytes": size, "cases": cases}))
        .expect("it has only texts, numbers and lists");
    text.push('\n');
    text
}
