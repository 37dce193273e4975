//! The blocks of a document that show code, and the commands in them with what they print.

/// A fenced or indented block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The line of its first line, counted from one.
    pub line: usize,
    /// What stands behind the fence; empty for an indented block.
    pub language: String,
    /// The comment right above it, which no reader sees: why nobody runs it here.
    pub mark: Option<String>,
    /// Its lines, without their common indentation.
    pub lines: Vec<String>,
}

/// A command, and what stands below it.
#[derive(Debug)]
pub(crate) struct Example {
    /// Its line in the document.
    pub line: usize,
    /// `$` for anybody, in a checkout; `#` for root, on a host.
    pub prompt: char,
    /// What is typed, with the lines of a here-document.
    pub command: String,
    /// What is printed.
    pub output: String,
}

/// The blocks of a document.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut fence, mut is_indented, mut depth) = (None, false, 0);
    let mut above = "";
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        let block = |language: &str| Block {
            line: number + 2,
            language: language.to_owned(),
            mark: comment(above),
            lines: Vec::new(),
        };
        if let Some(fence_depth) = fence {
            if bare.starts_with("```") {
                fence = None;
                above = "";
            } else {
                let inside = line.get(fence_depth..).unwrap_or_default().to_owned();
                blocks.last_mut().expect("it was opened").lines.push(inside);
            }
            continue;
        }
        if let Some(language) = bare.strip_prefix("```") {
            fence = Some(indent);
            blocks.push(block(language));
        } else if indent >= 4 && !bare.is_empty() {
            if !is_indented {
                blocks.push(block(""));
                blocks.last_mut().expect("just now").line -= 1;
                depth = indent;
            }
            let inside = line.get(depth.min(indent)..).unwrap_or_default().to_owned();
            blocks.last_mut().expect("just now").lines.push(inside);
        }
        is_indented = fence.is_none() && (indent >= 4 || (is_indented && bare.is_empty()));
        if !bare.is_empty() && !is_indented {
            above = line;
        }
    }
    assert!(fence.is_none(), "a block is never closed");
    blocks
}

/// What is in a line that is a comment of HTML's.
fn comment(line: &str) -> Option<String> {
    let inside = line.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    Some(inside.to_owned())
}

impl Block {
    /// The commands of a block that shows a console, in their order.
    pub(crate) fn examples(&self) -> Vec<Example> {
        let mut examples: Vec<Example> = Vec::new();
        let mut until: Option<String> = None;
        for (number, line) in self.lines.iter().enumerate() {
            let last = examples.last_mut();
            if let (Some(end), Some(example)) = (&until, last) {
                example.command.push('\n');
                example.command.push_str(line);
                if line == end {
                    until = None;
                }
                continue;
            }
            let mut characters = line.chars();
            let prompt = characters
                .next()
                .filter(|first| matches!(first, '$' | '#') && characters.next() == Some(' '));
            if let Some(prompt) = prompt {
                let command = line[2..].to_owned();
                until = command
                    .split_once("<<'")
                    .and_then(|(_, rest)| rest.split_once('\''))
                    .map(|(end, _)| end.to_owned());
                examples.push(Example {
                    line: self.line + number,
                    prompt,
                    command,
                    output: String::new(),
                });
            } else if let Some(example) = examples.last_mut() {
                example.output.push_str(line);
                example.output.push('\n');
            }
        }
        examples
    }
}

impl Example {
    /// Whether this is what the document shows, where `…` stands for anything. Empty lines around it do not count.
    pub(crate) fn prints(&self, printed: &str) -> bool {
        let (shown, printed) = (self.output.trim(), printed.trim());
        let mut parts = shown.split('…');
        let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else {
            return rest.is_empty();
        };
        for part in middle {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}
