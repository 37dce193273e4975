//! The table, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::{Cost, Measured};

/// The table; `size` is that of the program, and the most bytes that it may have.
pub(crate) fn table(results: &[Measured], size: (u64, u64)) -> String {
    let mut text = format!(
        "{:40} {:>10} {:>10}  {:14} {:>10}  {:>6} {:>4} {:>5}  {:>9} {:>8}  {:>9} {:>5} {:>5} {:>5}\n",
        "CASE",
        "MEDIAN",
        "SPREAD",
        "AGAINST",
        "MEDIAN",
        "RATIO",
        "GOAL",
        "CPU",
        "MORE CPU",
        "AT MOST",
        "INSTR.",
        "CALLS",
        "THEIR",
        "KIB"
    );
    for one in results {
        let Measured {
            name,
            own,
            peer,
            goals,
        } = one;
        let spread = own.quartiles.1.saturating_sub(own.quartiles.0);
        let line = format!(
            "{name:40} {:>10} {:>10}  {:14} {:>10}  {:>6.2} {:>4} {:>5}  {:>9} {:>8}  {:>9} {:>5} {:>5} {:>5}  {}",
            shown(own.median),
            shown(spread),
            peer.name,
            shown(peer.median),
            one.ratio(),
            or_nothing(goals.ratio),
            or_nothing(one.cpu_ratio().map(|ratio| format!("{ratio:.2}"))),
            shown(one.more_cpu()),
            goals.cpu.map(shown).unwrap_or_default(),
            or_nothing(own.instructions),
            or_nothing(own.system_calls),
            or_nothing(peer.system_calls),
            or_nothing(own.memory),
            verdict(one),
        );
        writeln!(text, "{}", line.trim_end()).expect("a String takes it");
    }
    let (size, most) = size;
    let verdict = if size > most { "missed" } else { "reached" };
    writeln!(
        text,
        "the program has {size} bytes, of at most {most}: {verdict}\n\
         SPREAD is that of the middle half of the runs; CPU is the ratio of what the processes took of the processor, MORE CPU is\n\
         beyond what the other takes; CALLS and THEIR are system calls, KIB is the most that one of our processes had resident, of at most {} for a hook's",
        super::call::MOST_MEMORY
    )
    .expect("a String takes it");
    text
}

/// Which of its goals were not reached.
fn verdict(one: &Measured) -> String {
    let Measured { own, goals, .. } = one;
    let missed = [
        ("ratio", goals.ratio.is_some_and(|most| one.ratio() > most)),
        ("cpu", goals.cpu.is_some_and(|most| one.more_cpu() > most)),
        (
            "memory",
            goals
                .memory
                .zip(own.memory)
                .is_some_and(|(most, memory)| memory > most),
        ),
    ];
    let missed: Vec<&str> = missed
        .iter()
        .filter(|(_, is)| *is)
        .map(|(name, _)| *name)
        .collect();
    match missed[..] {
        [] => String::new(),
        _ => format!("missed: {}", missed.join(", ")),
    }
}

fn or_nothing(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// The same as JSON: times in seconds, memory in KiB; what was not counted is null.
pub(crate) fn json(results: &[Measured], size: (u64, u64)) -> String {
    let cost = |cost: &Cost| {
        json!({
            "name": cost.name,
            "median": cost.median.as_secs_f64(),
            "cpu": cost.cpu.as_secs_f64(),
            "quartiles": [cost.quartiles.0.as_secs_f64(), cost.quartiles.1.as_secs_f64()],
            "instructions": cost.instructions,
            "system_calls": cost.system_calls,
            "memory": cost.memory,
        })
    };
    let cases: Vec<Value> = results
        .iter()
        .map(|one| {
            json!({
                "case": one.name,
                "own": cost(&one.own),
                "peer": cost(&one.peer),
                "ratio": one.ratio(),
                "goal": one.goals.ratio,
                "cpu_ratio": one.cpu_ratio(),
                "more_cpu": one.more_cpu().as_secs_f64(),
                "most_cpu": one.goals.cpu.map(|most| most.as_secs_f64()),
                "most_memory": one.goals.memory,
                "missed": !verdict(one).is_empty(),
            })
        })
        .collect();
    let (size, most) = size;
    let all = json!({"schema": 1, "bytes": size, "most_bytes": most, "cases": cases});
    let mut text = serde_json::to_string_pretty(&all).expect("it has only texts, numbers and lists");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::call::Goals;

    fn cost(name: &str, ms: u64) -> Cost {
        let time = Duration::from_millis(ms);
        Cost {
            name: name.to_owned(),
            median: time,
            quartiles: (time, time),
            cpu: time,
            instructions: None,
            system_calls: Some(7),
            memory: Some(900),
        }
    }

    fn measured(goals: Goals) -> Measured {
        Measured {
            name: "prepare".to_owned(),
            own: cost("automdev", 6),
            peer: cost("mdevctl", 3),
            goals,
        }
    }

    #[test]
    fn a_goal_that_is_not_reached_is_named() {
        let goals = |ratio, cpu: u64, memory| Goals {
            ratio: Some(ratio),
            cpu: Some(Duration::from_millis(cpu)),
            memory: Some(memory),
        };
        for (goals, expected) in [
            (Goals::default(), ""),
            (goals(2.0, 3, 900), ""),
            (goals(1.9, 3, 900), "missed: ratio"),
            (goals(2.0, 2, 900), "missed: cpu"),
            (goals(1.9, 3, 899), "missed: ratio, memory"),
        ] {
            assert_eq!(verdict(&measured(goals)), expected, "{goals:?}");
        }
    }

    #[test]
    fn the_table_says_what_was_missed_and_leaves_out_what_was_not_counted() {
        let goals = Goals {
            ratio: Some(0.4),
            ..Goals::default()
        };
        let table = table(&[measured(goals)], (10, 20));
        let line = table.lines().nth(1).expect("a line for the case");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "prepare", "6.00", "ms", "0.00", "ms", "mdevctl", "3.00", "ms", "2.00", "0.4", "2.00",
                "3.00", "ms", "7", "7", "900", "missed:", "ratio"
            ]
        );
        assert!(table.contains("10 bytes, of at most 20: reached"), "{table}");
    }
}
