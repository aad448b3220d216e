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
        match self.below(9) {
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
            _ => {
                let number = self.below(1 << 40).to_string();
                drop(text.splice(from..to, number.bytes()));
            }
        }
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
