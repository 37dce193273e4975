//! How a text is laid out: its line ends and its indentation. What is inserted follows them.

use std::fmt::Write;
use std::ops::Range;

use roxmltree::Node;

use super::edit::Edits;

/// How the text of a domain is laid out.
#[derive(Debug)]
pub(super) struct Layout<'text> {
    text: &'text str,
    line_end: &'static str,
    /// What a level is indented by.
    unit: &'text str,
}

/// Lines to be inserted, each with its level below the first one's parent's children.
pub(super) type Block = [(usize, String)];

impl<'text> Layout<'text> {
    pub(super) fn of(domain: Node<'_, 'text>) -> Self {
        let text = domain.document().input_text();
        let line_end = match text.find(['\n', '\r']) {
            Some(at) if text[at..].starts_with("\r\n") => "\r\n",
            Some(at) if text[at..].starts_with('\r') => "\r",
            _ => "\n",
        };
        let mut layout = Layout {
            text,
            line_end,
            unit: "  ",
        };
        let outer = layout.indent(domain.range().start).unwrap_or_default();
        if let Some(unit) = layout
            .indent_of_children(domain)
            .and_then(|inner| inner.strip_prefix(outer))
        {
            layout.unit = unit;
        }
        layout
    }

    /// The white space before what starts at `offset`, where it is the first thing on its line.
    fn indent(&self, offset: usize) -> Option<&'text str> {
        let before = &self.text[..offset];
        let rest = before.trim_end_matches([' ', '\t']);
        (rest.is_empty() || rest.ends_with(['\n', '\r', '\u{feff}'])).then(|| &before[rest.len()..])
    }

    /// How the element's children are indented, where they have lines of their own.
    fn indent_of_children(&self, parent: Node<'_, '_>) -> Option<&'text str> {
        parent
            .children()
            .filter(|child| !child.is_text())
            .find_map(|child| self.indent(child.range().start))
    }

    /// Inserts children after those that the element has.
    pub(super) fn append(&self, parent: Node<'_, '_>, block: &Block, edits: &mut Edits) {
        let range = parent.range();
        let all = &self.text[range.clone()];
        let outer = self.indent(range.start);
        let inner = self.indent_of_children(parent).map(str::to_owned);
        if all.ends_with("/>") {
            let inner = outer.map(|outer| format!("{outer}{}", self.unit));
            let mut content = self.print(block, inner.as_deref());
            self.break_line(&mut content, outer);
            edits.replace(range.end - 2..range.end, format!(">{content}</{}>", qname(all)));
            return;
        }
        let close = range.start + all.rfind("</").unwrap_or(all.len());
        let before = &self.text[range.start..close];
        let blank = before.len() - before.trim_end_matches([' ', '\t', '\n', '\r']).len();
        let blank = close - blank..close;
        // After the last child's line, if the closing tag has one of its own.
        let line = self.text[blank.clone()].find(['\n', '\r']);
        let at = line.map_or(close, |line| blank.start + line);
        let is_empty = parent.children().all(|child| child.is_text()) && line.is_none();
        let inner = inner.or_else(|| {
            let is_bare = before.trim_end().ends_with('>');
            outer
                .filter(|_| is_bare && (line.is_some() || parent.first_child().is_none()))
                .map(|outer| format!("{outer}{}", self.unit))
        });
        let mut content = self.print(block, inner.as_deref());
        if is_empty && inner.is_some() {
            self.break_line(&mut content, outer);
        }
        edits.insert(at, content);
    }

    /// Inserts an element among the first children of the domain, behind those that `is_before` tells.
    pub(super) fn insert_early(
        &self,
        domain: Node<'_, '_>,
        is_before: impl Fn(&Node<'_, '_>) -> bool,
        block: &Block,
        edits: &mut Edits,
    ) {
        let inner = self.indent_of_children(domain);
        let elements = || domain.children().filter(Node::is_element);
        if let Some(before) = elements().take_while(is_before).last() {
            let at = match inner {
                Some(_) => self.end_of_line(before),
                None => before.range().end,
            };
            edits.insert(at, self.print(block, inner));
        } else if let Some(first) = elements().next() {
            let at = first.range().start;
            match self.indent(at) {
                None => edits.insert(at, self.print(block, None)),
                Some(indent) => {
                    // The first line has its indentation already, and what was there gets it anew.
                    let printed = self.print(block, Some(indent));
                    let printed = &printed[self.line_end.len() + indent.len()..];
                    edits.insert(at, format!("{printed}{}{indent}", self.line_end));
                }
            }
        }
    }

    /// The end of the node's line if only comments follow there, else the node's own end.
    fn end_of_line(&self, node: Node<'_, '_>) -> usize {
        for next in node.next_siblings().skip(1) {
            let range = next.range();
            let text = &self.text[range.clone()];
            let line = text.find(['\n', '\r']);
            match line {
                Some(line) if next.is_text() && text[..line].trim().is_empty() => return range.start + line,
                None if next.is_comment() || text.trim().is_empty() => {}
                _ => break,
            }
        }
        node.range().end
    }

    /// What goes when an element goes: its line too, if it has one of its own.
    pub(super) fn removal(&self, node: Node<'_, '_>) -> Range<usize> {
        let range = node.range();
        let after = self.text[range.end..].trim_start_matches([' ', '\t']);
        let ends_line = after.starts_with(['\n', '\r']) || after.starts_with("</");
        let Some(indent) = self.indent(range.start).filter(|_| ends_line) else {
            return range;
        };
        let line = range.start - indent.len();
        let before = &self.text[..line];
        let before = before.strip_suffix('\n').unwrap_or(before);
        let before = before.strip_suffix('\r').unwrap_or(before);
        before.len()..range.end
    }

    /// The block, each line after a line end and with its indentation; all in one where there is none.
    fn print(&self, block: &Block, indent: Option<&str>) -> String {
        let mut printed = String::new();
        for (level, line) in block {
            if let Some(indent) = indent {
                printed.push_str(self.line_end);
                printed.push_str(indent);
                for _ in 0..*level {
                    printed.push_str(self.unit);
                }
            }
            printed.push_str(line);
        }
        printed
    }

    fn break_line(&self, text: &mut String, indent: Option<&str>) {
        if let Some(indent) = indent {
            write!(text, "{}{indent}", self.line_end).expect("a string takes all");
        }
    }
}

/// The name, prefix and all, of the element that `text` starts with.
pub(super) fn qname(text: &str) -> &str {
    let name = &text[1..];
    let end = name.find(|c: char| c.is_ascii_whitespace() || "/>".contains(c));
    &name[..end.unwrap_or(name.len())]
}
