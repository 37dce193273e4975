//! `automdev run`, around what stands in for a QEMU and around real ones.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::calls::{first_words, some_time, wait_for};
use super::cast::{self, Device};
use super::stage::{Stage, there};
use crate::random::Random;
use crate::run::qemu::{arguments, device as value_of, kill, runs};

pub(super) fn take_part(stage: &Stage, random: &mut Random, number: usize) {
    let name = format!("run-{number}");
    while stage.goes_on() {
        let device = match random.below(4) {
            0 => cast::SHARED[0],
            1 => cast::SHARED[1],
            _ => cast::WRAPPED[number],
        };
        live(stage, random, &name, device);
    }
}

fn start(device: Device, program: &str) -> Child {
    let mut command = Command::new("/usr/bin/automdev");
    command.args(["run", "--"]);
    let value = value_of(device.uuid);
    if program == "qemu" {
        command.args(arguments(&["-S", "-monitor", "stdio", "-device", &value]));
    } else {
        command.args([program, "-device", &value]);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the program is there")
}

/// One life of a QEMU, or of what stands in for it.
fn live(stage: &Stage, random: &mut Random, name: &str, device: Device) {
    let program = match random.below(12) {
        0 => "qemu",
        1..=6 => cast::OPENS,
        _ => cast::WAITS,
    };
    let begun = Instant::now();
    let mut wrapper = start(device, program);
    stage.count("run");
    if program == "qemu" {
        stage.count("of them real QEMUs");
    }
    let told = format!("{name} with {program} and {}", device.uuid);
    if random.once_in(6) {
        thread::sleep(some_time(random, 700));
        drop(wrapper.kill());
        stage.count("of them killed");
        stage.tell(&format!("{told}: killed"));
    }
    let words = first_words(&mut wrapper);
    if words.is_empty() {
        return refused(stage, wrapper, &told);
    }
    // It runs, whatever became of the wrapper.
    let Some(found) = there(device.uuid).filter(|found| found.parent == device.parent) else {
        stage.fault(format!("{told} runs without its device"));
        return end(stage, wrapper, &told);
    };
    let number = stage.known().hold(name, device.uuid, found);
    stage.tell(&format!(
        "{told}: runs after {:.2} s",
        begun.elapsed().as_secs_f64()
    ));
    thread::sleep(some_time(random, 1000));
    if random.once_in(6) {
        drop(wrapper.kill());
        stage.count("of them killed");
        stage.tell(&format!("{told}: its wrapper is killed"));
        thread::sleep(some_time(random, 1000));
    }
    stage.let_go(number);
    let pid = words.trim().parse().ok();
    if let Some(pid) = pid.filter(|pid| random.once_in(4) && runs(*pid)) {
        kill(pid, Signal::SIGKILL);
    }
    end(stage, wrapper, &told);
}

fn refused(stage: &Stage, wrapper: Child, told: &str) {
    let output = wrapper.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    stage.tell(&format!(
        "{told}: {:?} {}",
        output.status.code(),
        stderr.trim_end()
    ));
    match output.status.code() {
        Some(125) if stderr.starts_with("automdev: ") && stderr.lines().count() == 1 => {
            stage.count("of them refused");
        }
        None => {}
        _ => stage.fault(format!("{told}: {output:?}")),
    }
}

/// It ends, and its wrapper after it.
fn end(stage: &Stage, mut wrapper: Child, told: &str) {
    let mut stdin = wrapper.stdin.take().expect("a pipe");
    // It may have been killed.
    drop(stdin.write_all(b"quit\n"));
    drop(stdin);
    let begun = Instant::now();
    if !wait_for(&mut wrapper, Duration::from_secs(150)) {
        stage.fault(format!("{told} does not end"));
        drop(wrapper.kill());
    }
    stage.took(begun.elapsed());
    stage.tell(&format!("{told}: has ended"));
    drop(wrapper.wait());
}
