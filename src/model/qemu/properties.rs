//! What holds for every command line, tried on many made from a seed.

use super::*;

const A: &str = "c2177883-f1bb-47f0-914d-32a22e3a8804";
const RUNS: u64 = 20_000;

/// Steele, Lea and Flood's `SplitMix64`: few lines, and the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, most: usize) -> usize {
        let most = u64::try_from(most).expect("usize is no wider");
        usize::try_from(self.next() % most).expect("it is below a usize")
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn is_one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1))
            .map(|_| u8::try_from(self.below(255) + 1).expect("it is a byte, and not NUL"))
            .collect()
    }
}

fn device(text: Vec<u8>) -> Vec<OsString> {
    vec!["-device".into(), OsString::from_vec(text)]
}

/// Parses and renders, with device A for the one pool.
fn through(text: Vec<u8>) -> Vec<OsString> {
    let shown = String::from_utf8_lossy(&text).into_owned();
    let line = CommandLine::parse(device(text)).unwrap_or_else(|error| panic!("{shown}: {error}"));
    let uuid: MdevUuid = A.parse().expect("it is a UUID");
    line.render(&BTreeMap::from([(0, uuid)]))
}

/// Puts one of ours among what is not, at a random place after the first, and says what QEMU gets.
struct Case {
    written: Vec<Vec<u8>>,
    expected: Vec<Vec<u8>>,
}

fn with_ours(random: &mut Random, foreign: Vec<Vec<u8>>, ours: &[&str], chosen: &str) -> Case {
    let mut case = Case {
        written: foreign.clone(),
        expected: foreign,
    };
    let place = 1 + random.below(case.written.len());
    let is_pool = random.is_one_in(2);
    let new = if is_pool { ours[0] } else { random.pick(&ours[1..]) };
    case.written.insert(place, new.as_bytes().to_vec());
    let path = if is_pool { chosen } else { ours[0] };
    if is_pool {
        case.expected.insert(place, path.as_bytes().to_vec());
    } else {
        // A source that is QEMU's own, before or after.
        let at = random.below(2) * case.expected.len();
        let at = at.max(1);
        case.expected.insert(at, chosen.as_bytes().to_vec());
        let at = if at > place { at + 1 } else { at };
        case.written.insert(at, chosen.as_bytes().to_vec());
    }
    case
}

/// A `name=value` or a bare name that is not ours, with any bytes in it.
fn foreign_key_value(random: &mut Random) -> Vec<u8> {
    let mut name = random
        .pick(&["id", "x", "autocreated", "poo", "Pool", "bus", ""])
        .as_bytes()
        .to_vec();
    name.extend(random.bytes(3));
    name.retain(|byte| !b"=,".contains(byte));
    if matches!(name.as_slice(), b"help" | b"?" | b"pool" | b"fd") {
        name.push(b'x');
    }
    // A bare one that is empty would double a comma.
    if random.is_one_in(5) && !name.is_empty() {
        return name;
    }
    name.push(b'=');
    for byte in random.bytes(12) {
        name.push(byte);
        if byte == b',' {
            name.push(byte);
        }
    }
    name
}

#[test]
fn foreign_keys_and_values_come_out_byte_for_byte() {
    let mut random = Random(1);
    let chosen = format!("sysfsdev={}", sysfsdev(A.parse().expect("it is a UUID")));
    let ours = [
        "pool=p",
        "autocreate=on",
        "autocreate=off",
        "autocreate",
        "noautocreate",
    ];
    for _ in 0..RUNS {
        let mut foreign = vec![b"vfio-pci".to_vec()];
        foreign.extend((0..random.below(5)).map(|_| foreign_key_value(&mut random)));
        let case = with_ours(&mut random, foreign, &ours, &chosen);
        let expected = case.expected.join(&b","[..]);
        assert_eq!(through(case.written.join(&b","[..])), device(expected));
    }
}

fn foreign_member(random: &mut Random) -> Vec<u8> {
    let name = random.pick(&["id", "x", "autocreated", "\\u0070oo", "Pool", "b\\\"us", ""]);
    let space = random.pick(&["", " ", "\t", "\n "]);
    let value = random.pick(&[
        "true",
        "null",
        "-1.5e3",
        "\"\"",
        "\"a,}]\\\"\"",
        "'\"'",
        "{\"pool\":\"p\"}",
        "[{\"autocreate\":1},[]]",
        "\"\\ud83d\\ude00ä\"",
        "\"*\"",
    ]);
    let mut member = format!("\"{name}\"{space}:{space}").into_bytes();
    for byte in value.bytes() {
        if byte == b'*' {
            let bytes = random.bytes(8);
            member.extend(bytes.iter().filter(|byte| !b"\"\\".contains(byte)));
        } else {
            member.push(byte);
        }
    }
    member
}

#[test]
fn foreign_members_come_out_byte_for_byte() {
    let mut random = Random(2);
    let chosen = format!("\"sysfsdev\":\"{}\"", sysfsdev(A.parse().expect("it is a UUID")));
    let ours = [
        "\"pool\":\"p\"",
        "\"autocreate\":true",
        "\"autocreate\" : \"off\"",
        "'autocreate':'on'",
        "\"auto\\u0063reate\":false",
    ];
    for _ in 0..RUNS {
        let mut foreign = vec![b"\"driver\":\"vfio-pci\"".to_vec()];
        foreign.extend((0..random.below(5)).map(|_| foreign_member(&mut random)));
        let case = with_ours(&mut random, foreign, &ours, &chosen);
        let object = |members: Vec<Vec<u8>>| [&b"{"[..], &members.join(&b","[..]), b"}"].concat();
        assert_eq!(through(object(case.written)), device(object(case.expected)));
    }
}

/// A `-device` in either form, of properties that clash and nest as they like, some of its bytes spoilt.
fn soup(random: &mut Random) -> OsString {
    const PAIRS: [(&str, &str); 16] = [
        ("driver", "vfio-pci"),
        ("driver", "virtio-net"),
        ("sysfsdev", "/x"),
        (
            "sysfsdev",
            "/sys/bus/mdev/devices/c2177883-f1bb-47f0-914d-32a22e3a8804",
        ),
        ("autocreate", "on"),
        ("autocreate", "off"),
        ("autocreate", "off"),
        ("autocreate", "yes"),
        ("pool", "p"),
        ("pool", ""),
        ("id", "a"),
        ("host", "0"),
        ("help", "on"),
        ("", ""),
        ("x", "{'a':[1,\"]"),
        ("y", "\\u0061,,\\"),
    ];
    let is_json = random.is_one_in(2);
    let mut items = vec![
        if is_json {
            "\"driver\":\"vfio-pci\""
        } else {
            "vfio-pci"
        }
        .to_owned(),
    ];
    for _ in 0..random.below(5) {
        let (name, value) = PAIRS[random.below(PAIRS.len())];
        items.push(match (is_json, random.below(6)) {
            (true, 0) => format!(" \"{name}\" : true "),
            (true, 1) => format!("'{name}':'{value}'"),
            (true, _) => format!("\"{name}\":\"{value}\""),
            (false, 0) => name.to_owned(),
            (false, _) => format!("{name}={value}"),
        });
    }
    let place = random.below(items.len());
    items.swap(0, place);
    let mut text = items.join(",").into_bytes();
    if is_json {
        text = [&b"{"[..], &text, b"}"].concat();
    }
    if random.is_one_in(4) {
        let place = random.below(text.len());
        text.splice(place..=place, random.bytes(2));
    }
    OsString::from_vec(text)
}

#[test]
fn any_arguments_are_read_without_a_panic_and_what_is_ours_is_gone_once() {
    const WORDS: [&str; 9] = [
        "-device",
        "--device",
        "-device",
        "-name",
        "-S",
        "-",
        "-set",
        "device.a.sysfsdev=/y",
        "x",
    ];
    let mut random = Random(3);
    let (mut refused, mut cut) = (0, 0);
    for _ in 0..RUNS {
        let mut arguments = Vec::new();
        for _ in 0..random.below(5) {
            match random.below(4) {
                0 => arguments.push(OsString::from_vec(random.bytes(30))),
                1 => arguments.push(random.pick(&WORDS).into()),
                _ => arguments.extend(["-device".into(), soup(&mut random)]),
            }
        }
        let Ok(line) = CommandLine::parse(arguments.clone()) else {
            refused += 1;
            continue;
        };
        let rendered = line.render(&BTreeMap::new());
        assert_eq!(rendered.len(), arguments.len());
        let again = CommandLine::parse(rendered.clone()).expect("what is right is right without ours");
        assert_eq!(again.render(&BTreeMap::new()), rendered, "{arguments:?}");
        for device in &again.devices {
            assert_eq!(device.mark, Mark::Absent, "{arguments:?}");
        }
        for (after, before) in rendered
            .iter()
            .zip(&arguments)
            .filter(|(after, before)| after != before)
        {
            cut += 1;
            assert!(after.len() < before.len(), "{before:?}: {after:?}");
        }
    }
    assert!(
        refused > 500 && cut > 500,
        "{refused} refused, {cut} cut: a poor choice of arguments"
    );
}
