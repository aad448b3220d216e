//! Makes new inputs of old ones.

/// Between the entries of a corpus.
const SEPARATOR: &str = "\n=====\n";
/// Longest input, in bytes.
const LONGEST: usize = 64 * 1024;
/// What readers stumble over.
const WORDS: [&str; 48] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    "\\u0000",
    "\\ud83d",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "null",
    "true",
    "-0",
    "1e400",
    "-1",
    "18446744073709551616",
    "0.1e-999",
    "NaN",
    "\r\n",
    "\t",
    "- ",
    "? ",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "---\n",
    "|\n",
    "#",
    "%2F",
    "%41",
    "%",
    "..",
    "//",
    "//@",
    "[::1]",
    "127.1",
    "0x7f.1",
    "v1,",
    "v1a,",
    "$ref",
    "#/",
    "~1",
    "=",
];

/// What a JSON value may be in place of another one.
const VALUES: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e400",
    "65536",
    "4294967296",
    "18446744073709551616",
    "\"\"",
    "\"a\"",
    "\"a b\"",
    "\"\\ud83d\"",
    "\"\\u0000\"",
    "\"2026-01-31T12:00:00Z\"",
    "\"https://example.com/\"",
    "[]",
    "{}",
    "[null]",
    "{\"\":{}}",
    "[[[[]]]]",
];
/// Most entries that are kept of those that were found on the way, and the longest of them.
const MOST_KEPT: usize = 500;
const LONGEST_KEPT: usize = 4 * 1024;

/// Mutates the entries of a corpus, always in the same way for the same seed.
pub(super) struct Mutator {
    state: u64,
    entries: Vec<String>,
}

impl Mutator {
    pub(super) fn new(seed: u64, corpus: &str) -> Self {
        let entries: Vec<String> =
            corpus.trim_end_matches('\n').split(SEPARATOR).map(str::to_owned).collect();
        assert!(entries.len() > 1, "a corpus of one entry: is its separator right?");
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, entries }
    }

    pub(super) fn corpus(&self) -> Vec<String> {
        self.entries.clone()
    }

    /// Takes an input up among those that are mutated.
    pub(super) fn keep(&mut self, input: String) {
        if input.len() <= LONGEST_KEPT && self.entries.len() < MOST_KEPT {
            self.entries.push(input);
        }
    }

    pub(super) fn next(&mut self) -> String {
        let mut text = self.pick().into_bytes();
        for _ in 0..=self.below(6) {
            self.change(&mut text);
        }
        text.truncate(LONGEST);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn change(&mut self, text: &mut Vec<u8>) {
        let (from, to) = self.range(text.len());
        match self.below(13) {
            0 => drop(text.drain(from..to)),
            1 => {
                let byte = u8::try_from(self.below(256)).unwrap_or_default();
                text.insert(from, byte);
            }
            2 if from < text.len() => text[from] ^= 1 << self.below(8),
            3 => {
                let word = WORDS[self.below(WORDS.len())];
                drop(text.splice(from..from, word.bytes()));
            }
            4 => {
                let word = WORDS[self.below(WORDS.len())];
                drop(text.splice(from..to, word.bytes()));
            }
            5 => {
                // The same again and again: what grows faster than it should shows.
                let piece = text[from..to].to_vec();
                let most = LONGEST.saturating_sub(text.len()) / piece.len().max(1);
                let times = 1 + self.below(most.clamp(1, 2_000));
                drop(text.splice(from..from, piece.repeat(times)));
            }
            6 => {
                let piece = text[from..to].to_vec();
                let (place, _) = self.range(text.len());
                drop(text.splice(place..place, piece));
            }
            7 => {
                let other = self.pick().into_bytes();
                let (start, end) = self.range(other.len());
                drop(text.splice(from..to, other[start..end].to_vec()));
            }
            8 => {
                let number = self.below(1 << 40).to_string();
                drop(text.splice(from..to, number.bytes()));
            }
            how => self.change_value(text, how),
        }
    }

    /// Puts another JSON value where one is, so that the whole stays JSON.
    fn change_value(&mut self, text: &mut Vec<u8>, how: usize) {
        let Some((from, to)) = self.value(text) else { return };
        let new = match how {
            9 => VALUES[self.below(VALUES.len())].as_bytes().to_vec(),
            // One of another input.
            10 => {
                let other = self.pick().into_bytes();
                let Some((start, end)) = self.value(&other) else { return };
                other[start..end].to_vec()
            }
            // The same twice: a name that is there already, an item of a list.
            11 => [&text[from..to], b",", &text[from..to]].concat(),
            _ => {
                let (open, close): (&[u8], &[u8]) = match self.below(3) {
                    0 => (b"[", b"]"),
                    1 => (b"{\"a\":", b"}"),
                    _ => (b"[{},", b",0]"),
                };
                let depth = 1 + self.below(70);
                [&open.repeat(depth), &text[from..to], &close.repeat(depth)].concat()
            }
        };
        if text.len() + new.len() <= LONGEST {
            drop(text.splice(from..to, new));
        }
    }

    /// Where some value is in what may be JSON.
    fn value(&mut self, text: &[u8]) -> Option<(usize, usize)> {
        let start = self.below(text.len() + 1);
        let is_start = |byte: &u8| b"{[\"-tfn".contains(byte) || byte.is_ascii_digit();
        let from = start + text[start..].iter().position(is_start)?;
        Some((from, from + value_length(&text[from..])))
    }

    fn pick(&mut self) -> String {
        let place = self.below(self.entries.len());
        self.entries[place].clone()
    }

    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length - from } else { (length - from).min(12) };
        (from, from + self.below(most + 1))
    }

    /// A number below this one, by xorshift.
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 11).unwrap_or_default() % end.max(1)
    }
}

/// How long the value is that begins a text: to the end of a string, to the bracket that closes the
/// first one, to the end of a word.
fn value_length(text: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (place, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return place,
            b'}' | b']' => depth -= 1,
            b',' | b':' | b' ' | b'\n' if depth == 0 => return place,
            _ => continue,
        }
        let is_whole = depth == 0 && !quoted && !escaped;
        if is_whole && b"\"}]".contains(byte) {
            return place + 1;
        }
    }
    text.len()
}
