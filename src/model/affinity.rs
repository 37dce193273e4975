//! Where a domain's memory is, or its processors are: libvirt's formatdomain, "NUMA Node Tuning" and "CPU Tuning".

use std::collections::BTreeSet;

use roxmltree::Node;

use super::domain::xml::{attribute, child, children};

/// What a domain says about where it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Nothing.
    #[default]
    Anywhere,
    /// Its memory comes from these nodes.
    Nodes(BTreeSet<u32>),
    /// Its processors run on these of the host.
    Cpus(BTreeSet<u32>),
}

/// Larger than the number of any processor or node (libvirt's `VIR_DOMAIN_CPUMASK_LEN`).
const MOST: u32 = 16384;

impl Affinity {
    /// Reads what a domain says. What libvirt would not take for a list says nothing.
    pub(crate) fn read(domain: Node<'_, '_>) -> Self {
        let mut nodes = BTreeSet::new();
        if let Some(tune) = child(domain, "numatune") {
            for name in ["memory", "memnode"] {
                for element in children(tune, name) {
                    nodes.extend(list_of(element, "nodeset"));
                }
            }
        }
        if !nodes.is_empty() {
            return Affinity::Nodes(nodes);
        }
        let mut cpus: BTreeSet<u32> = child(domain, "cputune")
            .into_iter()
            .flat_map(|tune| children(tune, "vcpupin"))
            .flat_map(|pin| list_of(pin, "cpuset"))
            .collect();
        if cpus.is_empty() {
            cpus = child(domain, "vcpu")
                .map(|vcpu| list_of(vcpu, "cpuset"))
                .unwrap_or_default();
        }
        if cpus.is_empty() {
            Affinity::Anywhere
        } else {
            Affinity::Cpus(cpus)
        }
    }
}

fn list_of(element: Node<'_, '_>, name: &str) -> BTreeSet<u32> {
    attribute(element, name)
        .and_then(|list| parse_list(list.value()))
        .unwrap_or_default()
}

/// Reads a list of numbers: `0-3,^2,8`, as libvirt (`virBitmapParse`) and the kernel (`bitmap_parselist`) write it.
#[must_use]
pub fn parse_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (is_out, part) = part.strip_prefix('^').map_or((false, part), |part| (true, part));
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > MOST {
            return None;
        }
        for number in first..=last {
            if is_out {
                numbers.remove(&number);
            } else {
                numbers.insert(number);
            }
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::super::domain::Domain;
    use super::*;

    fn numbers(numbers: &[u32]) -> BTreeSet<u32> {
        numbers.iter().copied().collect()
    }

    #[test]
    fn lists_are_read() {
        for (text, expected) in [
            ("", &[][..]),
            ("0", &[0]),
            ("0-3,8", &[0, 1, 2, 3, 8]),
            ("0-3,^2", &[0, 1, 3]),
            (" 1 , 3 - 4 \n", &[1, 3, 4]),
        ] {
            assert_eq!(parse_list(text), Some(numbers(expected)), "{text:?}");
        }
        for text in ["x", "1-", "3-1", "-1", "0-4000000000", "1;2"] {
            assert_eq!(parse_list(text), None, "{text:?}");
        }
    }

    #[test]
    fn memory_counts_before_processors() {
        let vcpu = "<vcpu placement='static' cpuset='8-9'>2</vcpu>";
        let pins = "<cputune><vcpupin vcpu='0' cpuset='4'/><vcpupin vcpu='1' cpuset='5-6'/></cputune>";
        let memory = "<numatune><memory mode='strict' nodeset='1'/></numatune>";
        let cells = "<numatune><memory mode='strict' placement='auto'/><memnode cellid='0' mode='strict' nodeset='2'/>\
                     <memnode cellid='1' mode='preferred' nodeset='3'/></numatune>";
        let auto = "<numatune><memory mode='strict' placement='auto'/></numatune>";
        for (xml, affinity) in [
            (String::new(), Affinity::Anywhere),
            ("<vcpu>2</vcpu>".to_owned(), Affinity::Anywhere),
            (vcpu.to_owned(), Affinity::Cpus(numbers(&[8, 9]))),
            (format!("{vcpu}{pins}"), Affinity::Cpus(numbers(&[4, 5, 6]))),
            (format!("{vcpu}{pins}{memory}"), Affinity::Nodes(numbers(&[1]))),
            (cells.to_owned(), Affinity::Nodes(numbers(&[2, 3]))),
            (format!("{auto}{pins}"), Affinity::Cpus(numbers(&[4, 5, 6]))),
            ("<vcpu cpuset='nonsense'>1</vcpu>".to_owned(), Affinity::Anywhere),
        ] {
            let domain = Domain::parse(&format!("<domain>{xml}</domain>")).expect("a domain");
            assert_eq!(domain.affinity, affinity, "{xml}");
        }
    }
}
