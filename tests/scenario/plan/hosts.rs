//! `plan --host`: several hosts are asked at once, over ssh.

use super::*;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use automdev::host::clock::Deadline;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::far::Far;
use crate::support::Tree;

/// What ssh is given before the command, where hosts have [`words`]' time.
const OPTIONS: &str = "-o BatchMode=yes -o RemoteCommand=none -o ConnectTimeout=59 -T --";

/// Long on a busy machine, too.
const LONG: Duration = Duration::from_secs(60);

/// An answer of automdev's.
const YES: &str = r#"{"schema":1,"file":"standard input","domain":{"name":"vm1","uuid":null},"startable":"yes","devices":[{"uuid":"u","action":"create","parent":"p","type":"t","model":"vfio-pci","attributes":[],"source":null,"code":null,"reason":null}]}"#;

/// A script that says yes.
fn says_yes() -> String {
    format!("cat > /dev/null\necho '{YES}'\n")
}

/// A host from which others are asked: nothing of it is looked at.
fn here() -> Tree {
    let here = Tree::new();
    here.file("vm1.xml", &vm().with(A).xml())
        .file("etc/automdev/automdev.toml", "this is broken");
    here
}

/// `plan` and its arguments; hosts have long where nothing else is said.
fn words(line: &str) -> Vec<&str> {
    let long: &[&str] = if line.contains("--host") && !line.contains("--timeout") {
        &["plan", "--timeout", "60"]
    } else {
        &["plan"]
    };
    long.iter().copied().chain(line.split(' ')).collect()
}

fn objects(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("an object a line")
}

/// Whether a process is there and no zombie.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// What a script has written down, once it has.
fn read_soon(path: &Path) -> String {
    let text = Deadline::after(LONG).poll(|| {
        let text = fs::read_to_string(path).ok()?;
        text.ends_with('\n').then_some(text)
    });
    text.expect("it is written")
}

#[test]
fn each_host_answers_for_itself() {
    let (fits, full) = (defined(), Host::new());
    full.mtty();
    let far = Far::new();
    far.host("gpu1", &fits).host("root@gpu-two", &full);
    let here = here();
    let before = [here.snapshot(), fits.snapshot(), full.snapshot()];
    let asked = far.run(&here, &words("--host gpu1 --host root@gpu-two vm1.xml"));
    assert_eq!(
        asked.stdout,
        format!(
            "HOST          DOMAIN  STARTS  WHERE\n\
             gpu1          vm1     yes     mtty-2 on mtty\n\
             root@gpu-two  vm1     no      -\n      {A}: this host has no definition of it;\n      \
             make one with automdev define --uuid UUID --parent PARENT --type TYPE\n\
             vm1 can start on 1 of 2 hosts\n"
        )
    );
    assert_eq!((asked.stderr.as_str(), asked.status), ("", Some(0)));
    assert_eq!(
        far.asked(),
        [
            format!("{OPTIONS} gpu1 automdev plan --format json -"),
            format!("{OPTIONS} root@gpu-two automdev plan --format json -"),
        ]
    );

    // The same for programs, and from standard input.
    let xml = vm().with(A).xml();
    let line = "--host gpu1 --host root@gpu-two --host gpu1 --format json";
    let told = far.run_with(&here, &words(line), &xml);
    let lines = objects(&told.stdout);
    assert_eq!((lines.len(), told.status), (2, Some(0)), "{told:?}");
    let own = ask_json(&fits, &vm().with(A));
    let keys = "schema host state reason file domain startable devices";
    for (line, host, startable) in [(&lines[0], "gpu1", "yes"), (&lines[1], "root@gpu-two", "no")] {
        let found: Vec<&str> = line
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(found.join(" "), keys);
        assert_eq!(
            (&line["host"], &line["state"]),
            (&host.into(), &"answered".into())
        );
        assert_eq!((&line["file"], &line["domain"]), (&own["file"], &own["domain"]));
        assert_eq!(
            (&line["startable"], &line["reason"]),
            (&startable.into(), &Value::Null)
        );
    }
    assert_eq!(lines[0]["devices"], own["devices"]);
    assert_eq!(lines[1]["devices"][0]["code"], "no-definition");
    for (before, tree) in before.iter().zip([&here, &*fits, &*full]) {
        before.assert_unchanged(&tree.snapshot());
    }
}

#[test]
fn one_that_can_is_enough_unless_all_are_asked_for() {
    let (fits, empty) = (defined(), Host::new());
    let far = Far::new();
    far.host("yes", &fits)
        .host("no", &empty)
        .script("off", "exit 255");
    let here = here();
    for (line, status) in [
        ("--host yes", 0),
        ("--host no", 3),
        ("--host off", 1),
        ("--host yes --host no --host off", 0),
        ("--host no --host off", 3),
        ("--all --host yes", 0),
        ("--all --host yes --host no", 3),
        ("--all --host yes --host off", 1),
        ("--all --host off --host no", 3),
        ("--all --host off --host no --format json", 3),
    ] {
        let ended = far.run(&here, &words(&format!("{line} vm1.xml")));
        assert_eq!(ended.status, Some(status), "{line}: {ended:?}");
    }
}

#[test]
fn several_domains_go_over_one_connection() {
    let far = Far::new();
    let (fits, other) = (defined(), defined());
    other.definition("mtty", C, "mtty-1", &[]);
    far.host("a", &fits).host("b", &other);
    let here = here();
    here.file("vm2.xml", &Domain::new("vm2", 2).with(C).xml())
        .file("broken.xml", "<domain>");
    let line = "--host a --host b vm1.xml broken.xml - vm2.xml";
    let asked = far.run_with(&here, &words(line), &Domain::new("vm3", 3).xml());
    assert_eq!(
        asked.stdout,
        format!(
            "HOST  DOMAIN  STARTS  WHERE\n\
             a     vm1     yes     mtty-2 on mtty\n\
             b     vm1     yes     mtty-2 on mtty\n\
             a     vm3     yes     no mediated devices\n\
             b     vm3     yes     no mediated devices\n\
             a     vm2     no      -\n      {C}: this host has no definition of it;\n      \
             make one with automdev define --uuid UUID --parent PARENT --type TYPE\n\
             b     vm2     yes     mtty-1 on mtty\n\
             vm1 can start on 2 of 2 hosts\nvm3 can start on 2 of 2 hosts\nvm2 can start on 1 of 2 hosts\n"
        )
    );
    assert!(
        asked.stderr.starts_with("automdev: broken.xml:1:1: "),
        "{asked:?}"
    );
    assert_eq!(asked.status, Some(1), "one FILE was no domain's");
    assert_eq!(
        far.asked(),
        ["a", "b"].map(|host| format!("{OPTIONS} {host} automdev plan --format json --null -"))
    );
    let asked = far.run(&here, &words("--host a --host b vm1.xml vm2.xml"));
    assert_eq!(asked.status, Some(0), "each has a host: {asked:?}");
    let asked = far.run(&here, &words("--host a vm1.xml vm2.xml"));
    assert_eq!(asked.status, Some(3), "{asked:?}");
    let before = far.asked().len();
    let asked = far.run(&here, &words("--host a broken.xml"));
    assert_eq!((asked.status, asked.stdout.as_str()), (Some(1), ""));
    assert_eq!(far.asked().len(), before, "there was nothing to ask");
}

/// What `--host` uses there can be used by anybody.
#[test]
fn standard_input_may_have_several_domains() {
    let host = defined();
    let (vm1, vm2) = (vm().with(B).xml(), Domain::new("vm2", 2).xml());
    let one = |number: u32, rest: &str| format!("standard input ({number}): {rest}");
    let both = format!(
        "{}\n{}",
        one(1, &format!("vm1 would start\n  create  {B}  mdpy-hd on mdpy\n")),
        one(2, "vm2 would start\n  it has no mediated devices\n")
    );
    for input in [
        format!("{vm1}\0{vm2}\0"),
        format!("{vm1}\0{vm2}"),
        format!("{vm1}\0{vm2}\0\n"),
    ] {
        for arguments in [&["--null"][..], &["-0", "-"]] {
            ask(&host, arguments, &input).answered(0, &both, "");
        }
    }
    let broken = ask(&host, &["-0"], &format!("{vm1}\0<domain>\0{vm2}\0"));
    assert!(
        broken.stdout.contains("standard input (3): vm2")
            && broken.stderr.contains("standard input (2):1:1: "),
        "{broken:?}"
    );
    assert_eq!(broken.status, Some(1));
    let large = format!("{vm2}\0{}\0{vm2}", " ".repeat(9 << 20));
    let asked = ask(&host, &["-0"], &large);
    assert_eq!(asked.stdout.matches("would start").count(), 1, "{}", asked.stdout);
    assert!(asked.stderr.contains("larger than 8 MiB"), "{}", asked.stderr);
    assert_eq!(asked.status, Some(1));
}

/// Hosts that do not answer, each for a reason of its own.
fn silent_ones() -> Far {
    let far = Far::new();
    far.script(
            "off",
            "echo 'Warning: Permanently added it.' >&2\necho 'ssh: connect to host off port 22: No route to host' >&2\nexit 255",
        )
        .script("mute", "exit 255")
        .script("none", "PATH=/nowhere\n$*")
        .script("torn", "exit 126")
        .script("csh", "echo 'automdev: Command not found.' >&2\nexit 1")
        .script(
            "past",
            "echo 'automdev: standard input:3:5: the element x of y is not known here: this domain needs a newer automdev' >&2\nexit 1",
        )
        .script("old", "echo \"error: unexpected argument '--format' found\" >&2\nexit 2")
        .script("new", "cat > /dev/null\necho '{\"schema\":2,\"file\":\"standard input\"}'")
        .script("rubbish", "cat > /dev/null\necho hello")
        .script("empty", "cat > /dev/null")
        .script("nologin", "echo This account is not available.\nexit 1")
        .script("broken", "echo 'automdev: /etc/automdev/automdev.toml: line 1: x' >&2\nexit 1")
        .script("odd", "exit 42")
        .script("killed", "kill -9 $$");
    far
}

#[test]
fn a_host_without_an_answer_is_told_and_the_others_stand() {
    let fits = defined();
    let far = silent_ones();
    far.host("good", &fits);
    let table = [
        (
            "off",
            "ssh: connect to host off port 22: No route to host",
            "unreachable",
        ),
        (
            "mute",
            "ssh ended with status 255 and does not say why",
            "unreachable",
        ),
        ("none", "automdev is not installed there: ", "no-automdev"),
        (
            "torn",
            "its automdev cannot be executed: nothing says why",
            "no-automdev",
        ),
        (
            "csh",
            "automdev is not installed there: Command not found.",
            "no-automdev",
        ),
        (
            "past",
            "vm1.xml:3:5: the element x of y is not known here: this domain needs a newer automdev",
            "older",
        ),
        (
            "old",
            "its automdev does not know what it was asked; install a newer one there: error: unexpected argument '--format' found",
            "older",
        ),
        (
            "new",
            "its automdev answers in a newer form (2); install a newer one here",
            "newer",
        ),
        (
            "rubbish",
            "what it prints is no answer of automdev's: \"hello\"",
            "not-understood",
        ),
        (
            "empty",
            "it printed nothing, and said that all is well",
            "not-understood",
        ),
        ("nologin", "This account is not available.", "failed"),
        ("broken", "/etc/automdev/automdev.toml: line 1: x", "failed"),
        (
            "odd",
            "what was run there ended with status 42: nothing says why",
            "failed",
        ),
        ("killed", "its ssh was killed by signal 9", "unreachable"),
    ];
    let mut hosts: Vec<&str> = table.iter().map(|(host, ..)| *host).collect();
    hosts.insert(6, "good");
    let line = format!("--host {} ", hosts.join(" --host "));
    let here = here();
    let told = far.run(&here, &words(&format!("{line}vm1.xml")));
    assert_eq!((told.stderr.as_str(), told.status), ("", Some(0)));
    let mut lines = told.stdout.lines();
    assert_eq!(lines.next(), Some("HOST     DOMAIN  STARTS  WHERE"));
    assert_eq!(lines.next(), Some("good     vm1     yes     mtty-2 on mtty"));
    assert_eq!(lines.next_back(), Some("vm1 can start on 1 of 15 hosts"));
    let told = lines.collect::<Vec<_>>().join("\n").replace("\n      ", " ");
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), table.len(), "{told:#?}");
    for ((host, reason, _), line) in table.iter().zip(&told) {
        assert!(
            line.starts_with(&format!("{host:7}  -       ?       - {reason}")),
            "{line}"
        );
    }

    let told = far.run(&here, &words(&format!("{line}--format json vm1.xml")));
    let objects = objects(&told.stdout);
    assert_eq!(objects.len(), table.len() + 1);
    for (host, reason, state) in table {
        let object = objects.iter().find(|object| object["host"] == host).expect(host);
        assert_eq!(object["state"], state, "{object}");
        let said = object["reason"].as_str().expect("a reason");
        assert!(said.starts_with(reason), "{object}");
        assert_eq!(
            (&object["startable"], &object["devices"]),
            (&Value::Null, &Value::Null)
        );
    }
}

/// One of two documents that a host cannot read is told beside the other.
#[test]
fn a_host_may_know_one_domain_and_not_the_other() {
    let far = Far::new();
    let second = YES.replace("standard input", "standard input (2)");
    far.script(
        "a",
        &format!("cat > /dev/null\necho '{second}'\necho 'automdev: standard input (1): newer' >&2\nexit 1"),
    );
    let here = here();
    here.file("vm2.xml", &Domain::new("vm2", 2).xml());
    let told = far.run(&here, &words("--host a vm1.xml vm2.xml"));
    assert_eq!(
        told.stdout,
        "HOST  DOMAIN  STARTS  WHERE\na     vm1     ?       -\n      vm1.xml: newer\n\
         a     vm2     yes     t on p\nvm1 can start on 0 of 1 host\nvm2 can start on 1 of 1 host\n"
    );
    assert_eq!((told.status, told.stderr.as_str()), (Some(1), ""));
}

#[test]
fn more_refusals_than_are_shown_are_counted() {
    let far = Far::new();
    let (start, rest) = YES
        .replace("\"yes\"", "\"no\"")
        .replace("create", "refuse")
        .split_once('[')
        .map(|(start, rest)| (start.to_owned(), rest.to_owned()))
        .expect("devices");
    let (device, end) = rest.rsplit_once(']').expect("devices");
    let devices = vec![device.replace("\"reason\":null", "\"reason\":\"full\""); 12].join(",");
    far.script(
        "a",
        &format!("cat > /dev/null\ncat <<'END'\n{start}[{devices}]{end}\nEND\n"),
    );
    let told = far.run(&here(), &words("--host a vm1.xml"));
    assert_eq!(
        told.stdout,
        format!(
            "HOST  DOMAIN  STARTS  WHERE\na     vm1     no      -\n{}      and 4 more\nvm1 can start on 0 of 1 host\n",
            "      u: full\n".repeat(8)
        )
    );
}

#[test]
fn what_could_not_be_looked_at_there_is_passed_on() {
    let far = Far::new();
    let note = "automdev: note: cannot read x; the plan was made without it (root may read it)";
    far.script(
        "a",
        &format!("echo Welcome >&2\necho '{note}' >&2\n{}", says_yes()),
    );
    let told = far.run(&here(), &words("--host a vm1.xml"));
    assert_eq!(told.stderr, note.replace("automdev: ", "automdev: a: ") + "\n");
    assert_eq!(told.status, Some(0));
}

#[test]
fn a_slow_host_is_ended_with_all_that_it_has_started() {
    let far = Far::new();
    far.script("slow", "sleep 1000 &\necho $! > \"$far/pid\"\nwait")
        .script("drip", "while :; do echo x; echo x >&2; sleep 0.05; done");
    let begun = Instant::now();
    let told = far.run(&here(), &words("--host slow --host drip --timeout 2.5 vm1.xml"));
    let took = begun.elapsed();
    assert_eq!(
        told.stdout,
        "HOST  DOMAIN  STARTS  WHERE\n\
         slow  -       ?       -\n      no answer within 2.5 s\n\
         drip  -       ?       -\n      no answer within 2.5 s\nvm1 can start on 0 of 2 hosts\n"
    );
    assert!(took >= Duration::from_millis(2500) && took < LONG, "{took:?}");
    let pid = fs::read_to_string(far.at("pid")).expect("it was started");
    assert!(
        Deadline::after(LONG)
            .poll(|| (!is_alive(&pid)).then_some(()))
            .is_some(),
        "{pid} is still there"
    );
}

/// ssh may leave a process behind that keeps the connection for later calls, and has the pipes open.
#[test]
fn what_stays_behind_is_not_waited_for() {
    let far = Far::new();
    far.script(
        "kept",
        &format!("sleep 1000 &\necho $! > \"$far/pid\"\n{}", says_yes()),
    );
    let begun = Instant::now();
    let told = far.run(&here(), &words("--host kept --timeout 600 vm1.xml"));
    assert!(begun.elapsed() < LONG, "it was waited for");
    assert_eq!(
        told.stdout,
        "HOST  DOMAIN  STARTS  WHERE\nkept  vm1     yes     t on p\nvm1 can start on 1 of 1 host\n"
    );
    let pid = read_soon(&far.at("pid"));
    assert!(is_alive(&pid), "nobody ends what belongs to ssh alone");
    let pid = pid.trim().parse().expect("a process");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
}

#[test]
fn what_takes_no_end_is_bounded() {
    let far = Far::new();
    far.script("stdout", "yes '{\"schema\":1'")
        .script("line", "tr '\\0' x < /dev/zero")
        .script(
            "stderr",
            "yes >&2 & \nsleep 0.5\nkill $!\ncat > /dev/null\nexit 255",
        )
        .script("good", &says_yes());
    let begun = Instant::now();
    let told = far.run(
        &here(),
        &words("--host stdout --host line --host stderr --host good --timeout 60 vm1.xml"),
    );
    assert!(begun.elapsed() < LONG, "it was not the time that ended it");
    let endless = "what it prints takes no end, and is no answer of automdev's";
    assert_eq!(
        told.stdout,
        format!(
            "HOST    DOMAIN  STARTS  WHERE\ngood    vm1     yes     t on p\n\
             stdout  -       ?       -\n      {endless}\nline    -       ?       -\n      {endless}\n\
             stderr  -       ?       -\n      y\nvm1 can start on 1 of 4 hosts\n"
        )
    );
}

/// What is said of a device takes some hundred bytes, as the device itself does: however many there are, no true answer is
/// too long.
#[test]
fn a_long_answer_is_an_answer() {
    const DOMAINS: usize = 400;
    let far = Far::new();
    let (start, rest) = YES.split_once('[').expect("devices");
    let (device, end) = rest.rsplit_once(']').expect("devices");
    let why = format!("\"reason\":\"{}\"", "why ".repeat(40));
    let devices = vec![device.replace("\"reason\":null", &why); 40].join(",");
    let lines: Vec<String> = (1..=DOMAINS)
        .map(|number| {
            let start = start.replace("standard input", &format!("standard input ({number})"));
            format!("{start}[{devices}]{end}\n")
        })
        .collect();
    let answer = lines.concat();
    assert!(answer.len() > 4 << 20, "{}", answer.len());
    let here = here();
    let element = "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='UUID'/></source></hostdev>";
    let element = |number: usize| element.replace("UUID", &format!("c0000000-0000-4000-8000-{number:012}"));
    let elements: String = (0..40).map(element).collect();
    let xml = format!("<domain><name>vm</name><devices>{elements}</devices></domain>");
    far.script("a", "cat > /dev/null\ncat \"$far/answer\"");
    fs::write(far.at("answer"), &answer).expect("a file");
    let told = far.run_with(
        &here,
        &words("--host a --null --timeout 120"),
        &vec![xml; DOMAINS].join("\0"),
    );
    assert_eq!((told.stderr.as_str(), told.status), ("", Some(0)));
    assert_eq!(
        told.stdout.matches("a     vm      yes     t on p\n").count(),
        DOMAINS
    );
}

/// Three pipes a host are more than the usual limit of open files allows. It is raised for ourselves alone, and where that
/// is not allowed, those that were not asked are told.
#[test]
fn open_files_are_no_limit_where_more_are_allowed() {
    let far = Far::new();
    for number in 0..40 {
        far.script(
            &format!("h{number}"),
            &format!("ulimit -Sn > \"$far/limit-$host\"\n{}", says_yes()),
        );
    }
    let hosts: Vec<String> = (0..40).map(|number| format!("--host=h{number}")).collect();
    let hosts = hosts.join(" ");
    let here = here();
    let run = |limits: &str| {
        let line = format!(
            "ulimit {limits}; exec '{}' --root '{}' plan --timeout 60 {hosts} vm1.xml",
            env!("CARGO_BIN_EXE_automdev"),
            here.path().display()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .current_dir(here.path())
            .env("PATH", format!("{}:/usr/bin:/bin", far.at("").display()))
            .output()
            .expect("a shell");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let told = run("-Sn 64");
    assert!(told.ends_with("vm1 can start on 40 of 40 hosts\n"), "{told}");
    for number in 0..40 {
        let limit = fs::read_to_string(far.at(&format!("limit-h{number}")));
        assert_eq!(limit.expect("it was asked"), "64\n");
    }

    let told = run("-n 64");
    let not_asked =
        "      it was not asked, as ssh cannot be started here: Too many open files (os\n      error 24)\n";
    let lacking = told.matches(not_asked).count();
    assert!((10..40).contains(&lacking), "{told}");
    let can = 40 - lacking;
    assert!(
        told.ends_with(&format!("vm1 can start on {can} of 40 hosts\n")),
        "{told}"
    );
}

/// ssh may still have to close the connection when the time has passed.
#[test]
fn an_answer_that_is_there_in_time_holds() {
    let far = Far::new();
    far.script("a", &format!("{}exec sleep 1000\n", says_yes()));
    let told = far.run(&here(), &words("--host a --timeout 5 vm1.xml"));
    assert_eq!(
        told.stdout,
        "HOST  DOMAIN  STARTS  WHERE\na     vm1     yes     t on p\nvm1 can start on 1 of 1 host\n"
    );
    assert_eq!(
        far.asked(),
        ["-o BatchMode=yes -o RemoteCommand=none -o ConnectTimeout=4 -T -- a automdev plan --format json -"]
    );
    let _ = far.run(&here(), &words("--host a --timeout 0.5 vm1.xml"));
    assert!(
        far.asked()
            .iter()
            .any(|line| line.starts_with("-o BatchMode=yes -o RemoteCommand=none -T --"))
    );
}

/// Whatever a host says, a terminal obeys none of it.
#[test]
fn hostile_words_do_nothing() {
    let far = Far::new();
    let evil = r"\u001b[2J\u202e\n";
    let refused = YES
        .replace("\"create\"", "\"refuse\"")
        .replace("\"yes\"", "\"no\"")
        .replace("\"reason\":null", &format!("\"reason\":\"{evil}\""))
        .replace("\"u\"", &format!("\"{evil}\""));
    let created = YES
        .replace("\"p\"", &format!("\"{evil}\""))
        .replace("\"vm1\"", "\"other\"");
    far.script("no", &format!("cat > /dev/null\ncat <<'END'\n{refused}\nEND"))
        .script("yes", &format!("cat > /dev/null\ncat <<'END'\n{created}\nEND"))
        .script("off", "printf '\\033[2J\\r\\n\\n' >&2\nexit 255")
        .script(
            "note",
            &format!("printf 'automdev: note: \\033[2J\\n' >&2\n{}", says_yes()),
        )
        .script("rubbish", "printf '\\033[2J\\n'");
    let here = here();
    let line = "--host no --host yes --host off --host note --host rubbish";
    let told = far.run(&here, &words(&format!("{line} vm1.xml")));
    let shown = r#""\u{1b}[2J\u{202e}\n""#;
    assert_eq!(
        told.stdout,
        format!(
            "HOST     DOMAIN  STARTS  WHERE\n\
             no       vm1     no      -\n      {shown}: {shown}\n\
             yes      vm1     yes     t on {shown}\n\
             note     vm1     yes     t on p\n\
             off      -       ?       -\n      \"\\u{{1b}}[2J\"\n\
             rubbish  -       ?       -\n      what it prints is no answer of automdev's: \"\\u{{1b}}[2J\"\n\
             vm1 can start on 2 of 5 hosts\n"
        )
    );
    assert_eq!(told.stderr, "automdev: note: \"note: \\u{1b}[2J\"\n");
    let json = far
        .run(&here, &words(&format!("{line} --format json vm1.xml")))
        .stdout;
    assert!(!json.contains('\u{1b}') && objects(&json).len() == 5, "{json}");
}

#[test]
fn a_host_that_ssh_would_take_for_something_else_is_refused() {
    let far = Far::new();
    let here = here();
    for (host, why) in [
        ("-oProxyCommand=touch x", "ssh would take it for an option"),
        ("root@-oProxyCommand", "ssh would take it for an option"),
        ("ssh://-oProxyCommand", "ssh would take it for an option"),
        ("", "it is empty"),
        ("a b", "what means something to a shell may not be in it"),
        ("$(touch x)", "what means something to a shell may not be in it"),
        ("a,b", "commas"),
        ("a\u{1b}[2J", "a control character may not be in it"),
    ] {
        let told = far.run(&here, &["plan", &format!("--host={host}"), "vm1.xml"]);
        assert_eq!((told.status, told.stdout.as_str()), (Some(2), ""), "{host}");
        assert!(
            told.stderr.contains(why) && !told.stderr.contains('\u{1b}'),
            "{told:?}"
        );
    }
    for line in [
        "--all vm1.xml",
        "--timeout 5 vm1.xml",
        "--host a --timeout 0 vm1.xml",
        "--host a --timeout never vm1.xml",
        "--host -oProxyCommand=x vm1.xml",
    ] {
        assert_eq!(far.run(&here, &words(line)).status, Some(2), "{line}");
    }
    assert!(far.asked().is_empty(), "{:?}", far.asked());
}

#[test]
fn without_ssh_nobody_is_asked() {
    let here = here();
    let child = crate::far::start(&here, "/nowhere", &words("--host a --host b vm1.xml"));
    let told = crate::far::end(child, "");
    assert_eq!(
        told.failed(),
        "automdev: there is no ssh on PATH; install an SSH client (openssh-client, openssh-clients)\n"
    );
}

/// Some never answer. Each of the others waits until all of them, those too, are there before it reads its document or answers,
/// and says more on standard error than fits into a pipe: who asked one after the other, or waited for any of the pipes, would
/// never come to an end.
#[test]
fn fifty_hosts_are_asked_at_once() {
    const COUNT: usize = 50;
    const LIMIT: Duration = Duration::from_secs(30);
    let never_answers = |number: usize| number % 6 == 3;
    let far = Far::new();
    let here = "printf '%s\\n' $$ > \"$far/here-$host\"\n";
    let answer = says_yes().replace("/dev/null", "\"$far/got-$host\"");
    let meeting = format!(
        "printf '%100000s' '' >&2\n{here}while set -- \"$far\"/here-*; [ $# -lt {COUNT} ]; do\n  \
         left=$((${{left:-300}} - 1)); [ $left -gt 0 ] || exit 9\n  sleep 0.2\ndone\n{answer}"
    );
    let silence = format!("{here}sleep 1000 &\nprintf '%s\\n' $! > \"$far/child-$host\"\nwait");
    let seconds = LIMIT.as_secs().to_string();
    let mut line = vec!["plan".to_owned(), "--timeout".to_owned(), seconds];
    for number in 0..COUNT {
        let script = if never_answers(number) { &silence } else { &meeting };
        far.script(&format!("h{number}"), script);
        line.push(format!("--host=h{number}"));
    }
    // More than a pipe takes.
    let xml = vm().with(A).xml() + &format!("<!--{}-->", "x".repeat(200_000));
    let begun = Instant::now();
    let told = far.run_with(&self::here(), &line, &xml);
    let took = begun.elapsed();
    assert!(took >= LIMIT && took < LIMIT + LONG, "{took:?}");
    let (silent, able): (Vec<usize>, Vec<usize>) = (0..COUNT).partition(|number| never_answers(*number));
    assert_eq!((able.len(), silent.len()), (42, 8));
    let rows: Vec<String> = able
        .iter()
        .map(|number| format!("{:4}  vm1     yes     t on p\n", format!("h{number}")))
        .chain(silent.iter().map(|number| {
            format!(
                "{:4}  -       ?       -\n      no answer within 30 s\n",
                format!("h{number}")
            )
        }))
        .collect();
    let expected = format!(
        "HOST  DOMAIN  STARTS  WHERE\n{}vm1 can start on 42 of 50 hosts\n",
        rows.concat()
    );
    assert_eq!(told.stdout, expected);
    assert_eq!((told.stderr.as_str(), told.status), ("", Some(0)));
    for number in able {
        let got = fs::read_to_string(far.at(&format!("got-h{number}"))).expect("it was asked");
        assert!(got == xml, "h{number} got {} bytes of {}", got.len(), xml.len());
    }
    // Nothing is left of those that were ended, nor of the others.
    let written = silent.iter().map(|number| format!("child-h{number}"));
    for name in (0..COUNT).map(|number| format!("here-h{number}")).chain(written) {
        let pid = fs::read_to_string(far.at(&name)).expect("it was started");
        let is_gone = Deadline::after(LONG).poll(|| (!is_alive(&pid)).then_some(()));
        assert!(is_gone.is_some(), "{name}: {pid} is still there");
    }
}

#[test]
fn who_is_interrupted_leaves_nothing_running() {
    let here = here();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let far = Far::new();
        far.script("slow", "sleep 1000 &\necho $! > \"$far/pid\"\nwait")
            .script("quick", &format!("{}echo $$ > \"$far/quick\"\n", says_yes()));
        let child = far.start(&here, &words("--host quick --host slow --timeout 600 vm1.xml"));
        let pid = read_soon(&far.at("pid"));
        let quick = read_soon(&far.at("quick"));
        // Once its end was seen, its answer is read.
        let quick = Path::new("/proc").join(quick.trim());
        let is_seen = Deadline::after(LONG).poll(|| (!quick.exists()).then_some(()));
        assert!(is_seen.is_some() && is_alive(&pid));
        let number = i32::try_from(child.id()).expect("a process");
        kill(Pid::from_raw(number), signal).expect("it runs");
        let output = child.wait_with_output().expect("a child can be waited for");
        assert_eq!(output.status.signal(), Some(signal as i32), "{output:?}");
        assert_eq!(
            String::from_utf8(output.stdout).expect("UTF-8"),
            "HOST   DOMAIN  STARTS  WHERE\nquick  vm1     yes     t on p\n\
             slow   -       ?       -\n      interrupted before it answered\nvm1 can start on 1 of 2 hosts\n"
        );
        assert!(
            Deadline::after(LONG)
                .poll(|| (!is_alive(&pid)).then_some(()))
                .is_some(),
            "{pid} is still there"
        );
    }
}
