//! Drives a fuzz target on stable Rust: seeds, a seeded mutator, words from dictionaries, and a shrinker for what fails.
//!
//! Without settings a campaign is short and always the same. `FUZZ_SECONDS` makes it as long as that and, without
//! `FUZZ_SEED`, different each time. `FUZZ_WRITE_SEEDS=folder` writes the seeds there for cargo-fuzz and does nothing else.
//! What fails is shrunk and kept in `rust/fuzz/artifacts`; once understood it belongs in `rust/fuzz/regressions/TARGET`,
//! which every campaign tries first.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longer inputs find little that shorter ones do not and cost more.
const INPUT_OCTETS_MAX: usize = 16 << 10;
/// Inputs of a short campaign.
const SHORT_INPUTS: u64 = 3_000;
/// The seed of a short campaign.
const SHORT_SEED: u64 = 0x69_726f_6e70_6f73;
/// One input of at most [`INPUT_OCTETS_MAX`] octets takes milliseconds; this much is a scan that grows with the square.
const ONE_INPUT_MAX: Duration = Duration::from_secs(10);
/// Attempts at shrinking an input that fails.
const SHRINK_ATTEMPTS: usize = 3_000;
/// Octets that mean something to a parser.
const TELLING: &[u8] = b"\r\n\0\t \"\\(){}[]<>*%.:;,=+-/@?&!~0129\x7f\x80\xc3\xff";
/// Numbers at the edges of what parsers count in.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "00",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "-1",
];

/// Splitmix64: small, seeded, the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            (self.number() % bound as u64) as usize
        }
    }

    /// True once in `count` times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// One target and what it is fed with.
pub struct Campaign {
    /// Name of the target, of its folders and of its artifacts.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub target: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: Vec<Vec<u8>>,
    /// Files in `rust/fuzz/dictionaries`, without their ending.
    pub dictionaries: &'static [&'static str],
}

impl Campaign {
    /// Tries regressions, then seeds, then mutations of them.
    pub fn run(self) {
        if let Some(folder) = std::env::var_os("FUZZ_WRITE_SEEDS") {
            self.write_seeds(&PathBuf::from(folder).join(self.name));
            return;
        }
        for (path, input) in read_folder(&fuzz_folder().join("regressions").join(self.name)) {
            println!("regression {}", path.display());
            self.attempt(&input);
        }
        for seed in &self.seeds {
            self.attempt(seed);
        }
        let seconds = variable("FUZZ_SECONDS");
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let fresh = if seconds.is_some() {
            since_epoch.subsec_nanos().into()
        } else {
            SHORT_SEED
        };
        let seed = variable("FUZZ_SEED").unwrap_or(fresh);
        println!("{}: seed {seed}", self.name);
        let mutator = Mutator {
            words: words(self.dictionaries),
            pool: &self.seeds,
        };
        let mut random = Random::new(seed);
        let begin = Instant::now();
        let mut count = 0;
        while seconds.map_or(count < SHORT_INPUTS, |seconds| {
            begin.elapsed() < Duration::from_secs(seconds)
        }) {
            self.attempt(&mutator.input(&mut random));
            count += 1;
        }
        println!(
            "{}: {count} inputs in {:.1} s",
            self.name,
            begin.elapsed().as_secs_f64()
        );
    }

    fn attempt(&self, input: &[u8]) {
        let begin = Instant::now();
        if fails(self.target, input, false) {
            let smallest = shrink(self.target, input);
            let folder = fuzz_folder().join("artifacts");
            let path = folder.join(format!("{}-{:016x}", self.name, fingerprint(&smallest)));
            let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &smallest));
            panic!(
                "{} fails on {:?}; kept in {}: {kept:?}",
                self.name,
                String::from_utf8_lossy(&smallest),
                path.display()
            );
        }
        assert!(
            begin.elapsed() < ONE_INPUT_MAX,
            "{} took {:?} for {:?}",
            self.name,
            begin.elapsed(),
            String::from_utf8_lossy(input)
        );
    }

    fn write_seeds(&self, folder: &Path) {
        let mut written = std::fs::create_dir_all(folder);
        for (number, seed) in self.seeds.iter().enumerate() {
            written = written.and_then(|()| std::fs::write(folder.join(format!("seed-{number:03}")), seed));
        }
        assert!(written.is_ok(), "{}: {written:?}", folder.display());
    }
}

/// Makes inputs out of seeds.
struct Mutator<'a> {
    words: Vec<Vec<u8>>,
    pool: &'a [Vec<u8>],
}

impl Mutator<'_> {
    fn input(&self, random: &mut Random) -> Vec<u8> {
        let mut input = self
            .pool
            .get(random.below(self.pool.len()))
            .cloned()
            .unwrap_or_default();
        for _ in 0..=random.below(6) {
            self.mutate(&mut input, random);
        }
        input.truncate(INPUT_OCTETS_MAX);
        input
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let widest = 1 << random.below(10);
        let end = input.len().min(at + 1 + random.below(widest));
        let telling = TELLING[random.below(TELLING.len())];
        match random.below(12) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.number() as u8,
            2 if at < input.len() => input[at] = telling,
            3 => input.insert(at, telling),
            4 => drop(input.drain(at..end)),
            5 => insert(input, random, |input| input[at..end].to_vec()),
            6 => {
                let word = self.word(random).to_vec();
                insert(input, random, |_| word);
            }
            7 => {
                let word = self.word(random).to_vec();
                input.splice(at..end, word);
            }
            8 => {
                let other = self
                    .pool
                    .get(random.below(self.pool.len()))
                    .map_or(&[][..], Vec::as_slice);
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            9 => replace_number(input, at, NUMBERS[random.below(NUMBERS.len())]),
            10 => {
                let repeated = input[at..end].repeat(random.below(200));
                input.splice(at..at, repeated);
            }
            _ => {
                let word = self.word(random).to_vec();
                input.splice(at..at, word);
            }
        }
        input.truncate(INPUT_OCTETS_MAX);
    }

    fn word(&self, random: &mut Random) -> &[u8] {
        self.words
            .get(random.below(self.words.len()))
            .map_or(b"\r\n", Vec::as_slice)
    }
}

fn insert(input: &mut Vec<u8>, random: &mut Random, make: impl FnOnce(&[u8]) -> Vec<u8>) {
    let piece = make(input);
    let at = random.below(input.len() + 1);
    input.splice(at..at, piece);
}

/// Puts another number in the place of the first one at or behind `at`.
fn replace_number(input: &mut Vec<u8>, at: usize, number: &str) {
    let Some(begin) = input[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else {
        return;
    };
    let length = input[begin..].iter().take_while(|octet| octet.is_ascii_digit()).count();
    input.splice(begin..begin + length, number.bytes());
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether the target panics; `quiet` keeps the panic's message to itself.
fn fails(target: fn(&[u8]), input: &[u8], quiet: bool) -> bool {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    QUIET.set(quiet);
    let failed = std::panic::catch_unwind(|| target(input)).is_err();
    QUIET.set(false);
    failed
}

/// Takes pieces away for as long as the input still fails.
fn shrink(target: fn(&[u8]), input: &[u8]) -> Vec<u8> {
    let mut smallest = input.to_vec();
    let mut attempts = 0;
    let mut piece = smallest.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        while at < smallest.len() && attempts < SHRINK_ATTEMPTS {
            let mut smaller = smallest.clone();
            smaller.drain(at..smallest.len().min(at + piece));
            attempts += 1;
            if fails(target, &smaller, true) {
                smallest = smaller;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    smallest
}

/// FNV-1a, for names of files only.
fn fingerprint(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    assert!(number.is_ok(), "{name}={text:?}: a whole number is wanted");
    number.ok()
}

/// `rust/fuzz`, from whichever crate this file is built into.
fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn read_folder(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?)))
        .collect()
}

/// Our dictionaries, which must be there, and those of the shared suites, which may be.
fn words(dictionaries: &[&str]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    for name in dictionaries {
        let path = fuzz_folder().join("dictionaries").join(format!("{name}.dict"));
        let text = std::fs::read_to_string(&path);
        assert!(text.is_ok(), "{}: {text:?}", path.display());
        words.extend(text.unwrap_or_default().lines().filter_map(word));
    }
    if dictionaries.contains(&"imap") {
        let beside = fuzz_folder().join("../../../shared/suites");
        let suites = std::env::var_os("IRONPOST_SUITES").map_or(beside, PathBuf::from);
        for (_, text) in read_folder(&suites.join("imap-fuzz-dict/imap-codec/fuzz")) {
            words.extend(String::from_utf8_lossy(&text).lines().filter_map(word));
        }
    }
    words
}

/// A line of a dictionary in libFuzzer's form: `name="value"`, where the name may be missing.
fn word(line: &str) -> Option<Vec<u8>> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let inside = line.get(line.find('"')? + 1..)?.strip_suffix('"')?.as_bytes();
    let mut word = Vec::with_capacity(inside.len());
    let mut at = 0;
    while let Some(&octet) = inside.get(at) {
        let escaped = (octet == b'\\').then(|| inside.get(at + 1)).flatten();
        match escaped {
            Some(b'x') => {
                let digits = std::str::from_utf8(inside.get(at + 2..at + 4)?).ok()?;
                word.push(u8::from_str_radix(digits, 16).ok()?);
                at += 4;
            }
            Some(&other) => {
                word.push(other);
                at += 2;
            }
            None => {
                word.push(octet);
                at += 1;
            }
        }
    }
    Some(word)
}
