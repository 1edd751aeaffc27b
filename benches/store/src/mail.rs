//! Generated mail that looks like mail: sizes log-normal (median 10 KB, mean 19 KB), words by Zipf's law from 50,000, a share
//! of HTML, base64, attachments, signatures. The same seed makes the same messages.

use std::io::{BufWriter, Write};

use crate::Fault;
use crate::arguments::Arguments;

/// Words that there are.
pub(crate) const WORDS: usize = 50_000;
/// Stands in few messages: one of every 2,000.
pub(crate) const PLANTED: &str = "zwiebelfisch";

/// Writes messages to standard output, each behind a line with the number of its octets.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let messages = arguments.number("messages", 1000, 10_000)? as usize;
    let mut random = Random::new(arguments.number("seed", 1, 1)?);
    let lexicon = Lexicon::new(&mut random);
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for number in 0..messages {
        let body = message(&lexicon, &mut random, number);
        writeln!(out, "{}", body.len())?;
        out.write_all(&body)?;
    }
    Ok(out.flush()?)
}

/// Xorshift.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Words by rank, and what it takes to draw one.
pub(crate) struct Lexicon {
    pub(crate) words: Vec<String>,
    cumulated: Vec<f64>,
}

impl Lexicon {
    pub(crate) fn new(random: &mut Random) -> Self {
        let onsets = [
            "", "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "pr", "th",
            "ch", "sh", "br", "pl", "cr", "gr", "qu", "j", "k", "z",
        ];
        let vowels = ["e", "a", "i", "o", "u", "ea", "io", "ou", "ai", "y", "ee", "ü"];
        let codas = [
            "", "", "n", "r", "s", "t", "l", "nt", "st", "ng", "m", "d", "ck", "ss", "rd", "x", "ll", "p", "ble",
            "tion",
        ];
        // Common sounds are much more common than others.
        let mut pick = |list: &[&'static str]| {
            let place = random.unit() * random.unit();
            list[(place * list.len() as f64) as usize]
        };
        let mut known = std::collections::HashSet::new();
        let mut words = Vec::new();
        while words.len() < WORDS {
            let syllables =
                1 + words.len().max(1).ilog10().min(4) as usize / 2 + usize::from(pick(&["", "x", "y"]) == "x");
            let word: String = (0..syllables.max(1))
                .map(|_| [pick(&onsets), pick(&vowels), pick(&codas)].concat())
                .collect();
            if known.insert(word.clone()) {
                words.push(word);
            } else {
                // Short words are used up: a longer one.
                let longer = [word.as_str(), pick(&onsets), pick(&vowels), pick(&codas)].concat();
                if known.insert(longer.clone()) {
                    words.push(longer);
                }
            }
        }
        let mut sum = 0.0;
        let cumulated = (1..=WORDS)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Self { words, cumulated }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> &str {
        let place = random.unit() * self.cumulated[WORDS - 1];
        &self.words[self.cumulated.partition_point(|sum| *sum < place).min(WORDS - 1)]
    }

    fn text(&self, random: &mut Random, octets: usize) -> String {
        let mut out = String::with_capacity(octets + 40);
        let mut line = 0;
        while out.len() < octets {
            let start = out.len();
            match random.below(300) {
                0 => out.push_str(&format!(
                    "https://www.{}.example/{}/{:x}",
                    self.draw(random),
                    self.draw(random),
                    random.next() >> 40
                )),
                1 | 2 => out.push_str(&format!(
                    "{}.{}@{}.example",
                    self.draw(random),
                    self.draw(random),
                    self.draw(random)
                )),
                3..=12 => out.push_str(&(random.next() >> (40 + random.below(20))).to_string()),
                _ => {
                    let word = self.draw(random);
                    if random.below(12) == 0 {
                        let mut letters = word.chars();
                        out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
                        out.push_str(letters.as_str());
                    } else {
                        out.push_str(word);
                    }
                }
            }
            match random.below(60) {
                0..=3 => out.push_str(", "),
                4..=7 => out.push_str(". "),
                _ => out.push(' '),
            }
            line += out.len() - start;
            if line > 72 {
                out.push_str("\r\n");
                line = 0;
            }
        }
        out
    }
}

fn base64(random: &mut Random, octets: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..octets).map(|_| LETTERS[random.below(64)] as char).collect()
}

fn encode_base64(text: &[u8], out: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for line in text.chunks(57) {
        for three in line.chunks(3) {
            let word = three.iter().fold(0_u32, |word, octet| word << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
            for place in 0..4 {
                let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize] as char;
                out.push(if place <= three.len() { letter } else { '=' });
            }
        }
        out.push_str("\r\n");
    }
}

fn html(text: &str) -> String {
    let mut out = String::from("<html><head><style>p { margin: 0 }</style></head><body>\r\n");
    for line in text.lines() {
        out.push_str("<p class=\"MsoNormal\"><span style=\"font-size:11.0pt\">");
        out.push_str(line);
        out.push_str("</span></p>\r\n");
    }
    out.push_str("</body></html>\r\n");
    out
}

/// The message of that number.
pub(crate) fn message(lexicon: &Lexicon, random: &mut Random, number: usize) -> Vec<u8> {
    // The mean of a log-normal distribution is its median times exp(sigma² / 2).
    let sigma = (2.0 * (1.9_f64).ln()).sqrt();
    let octets = (10_000.0 * (sigma * random.normal()).exp()).clamp(1_200.0, 2_000_000.0) as usize;
    let person = |random: &mut Random| {
        let name = |rank: usize| lexicon.words[500 + rank].clone();
        let (first, last) = (name(random.below(300)), name(random.below(2000)));
        format!(
            "{first} {last} <{first}.{last}@{}.example>",
            lexicon.words[3000 + random.below(200)]
        )
    };
    let mut out = format!(
        "Received: from mx{}.example by mail.example with ESMTPS id {:016x};\r\n\tMon, {} Nov 2026 19:{:02}:{:02} +0000\r\n",
        random.below(9),
        random.next(),
        1 + number % 28,
        number % 60,
        random.below(60)
    );
    if random.below(10) < 6 {
        let signature = base64(random, 344);
        out.push_str("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.test; s=s1;\r\n\th=from:to:subject:date; b=");
        for line in signature.as_bytes().chunks(72) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push_str("\r\n\t");
        }
        out.push_str(" x=1\r\n");
    }
    let subject = lexicon.text(random, 30).replace("\r\n", " ");
    let (from, to) = (person(random), person(random));
    out.push_str(&format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {}{subject}\r\nDate: Mon, {} Nov 2026 19:{:02}:00 +0000\r\n\
         Message-ID: <{:016x}.{number}@example.test>\r\nMIME-Version: 1.0\r\n",
        if number.is_multiple_of(3) { "Re: " } else { "" },
        1 + number % 28,
        number % 60,
        random.next(),
    ));
    if number.is_multiple_of(3) {
        out.push_str(&format!(
            "In-Reply-To: <{:016x}@example.test>\r\nReferences:",
            random.next()
        ));
        for _ in 0..1 + random.below(6) {
            out.push_str(&format!(" <{:016x}@example.test>\r\n", random.next()));
        }
    }
    let planted = if number % 2000 == 1234 {
        format!(" {PLANTED} ")
    } else {
        String::new()
    };
    let left = octets.saturating_sub(out.len());
    match random.below(20) {
        0..=9 => {
            out.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
            out.push_str(&lexicon.text(random, left));
            out.push_str(&planted);
        }
        10..=14 => {
            let text = lexicon.text(random, left * 2 / 5) + &planted;
            out.push_str("Content-Type: multipart/alternative; boundary=\"==b1\"\r\n\r\n--==b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
            out.push_str(&text);
            out.push_str("\r\n--==b1\r\nContent-Type: text/html; charset=utf-8\r\n\r\n");
            out.push_str(&html(&text));
            out.push_str("\r\n--==b1--\r\n");
        }
        15 | 16 => {
            out.push_str("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let text = html(&(lexicon.text(random, left / 2) + &planted));
            encode_base64(text.as_bytes(), &mut out);
        }
        17 => {
            out.push_str("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let text = lexicon.text(random, left * 3 / 4) + &planted;
            encode_base64(text.as_bytes(), &mut out);
        }
        _ => {
            out.push_str("Content-Type: multipart/mixed; boundary=\"==b1\"\r\n\r\n--==b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
            out.push_str(&lexicon.text(random, left / 5));
            out.push_str(&planted);
            out.push_str("\r\n--==b1\r\nContent-Type: application/pdf; name=\"report.pdf\"\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let attachment = base64(random, left * 4 / 5);
            for line in attachment.as_bytes().chunks(76) {
                out.push_str(&String::from_utf8_lossy(line));
                out.push_str("\r\n");
            }
            out.push_str("--==b1--\r\n");
        }
    }
    out.into_bytes()
}
