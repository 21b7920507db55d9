//! Runs every target on its seeds and on deterministic changes of them; stable compiler, no libFuzzer.
//!
//! ```text
//! smoke [--count N] [--seconds N] [--seed S] [--target NAME]
//! ```
//!
//! `--count` inputs per target (20000; a hundredth for those that are dear), or until the `--seconds` of a target are over. The seed (1) is printed; the same
//! seed and count give the same inputs. It ends with 1 when a target fails, and prints the input.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use steward_fuzz::{DEAR, TARGETS, Target};

/// The longest input that changes may grow to, in bytes.
const MAX_INPUT_BYTES: usize = 1 << 14;

/// Pieces that parsers stumble over.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0061",
    b"\\ud800",
    b"{\"a\":1}",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"-0",
    b"1e21",
    b"9007199254740992",
    b"1e-400",
    b"18446744073709551616",
    b"null",
    b"\n",
    b"\n\n",
    b"\r",
    b" ",
    b"\0",
    b"\t",
    b"=",
    b"==",
    b"+",
    b"-",
    b"_",
    b"/",
    b"//",
    b"/../",
    b".",
    b"..",
    b"x",
    b"xn--",
    b".p/",
    b"000",
    b"x000/",
    b"index ",
    b"extra ",
    "\u{2014} ".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{130}".as_bytes(),
    "\u{df}".as_bytes(),
    "\u{3c2}".as_bytes(),
    "\u{43e}".as_bytes(),
    "\u{ff21}".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{fdfa}".as_bytes(),
    "\u{b7}".as_bytes(),
    "\u{660}".as_bytes(),
    "\u{2126}".as_bytes(),
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"-----BEGIN ",
    b"-----",
    b"$serde_json::private::RawValue",
];

/// SplitMix64: small, seeded, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn change(input: &mut Vec<u8>, others: &[Vec<u8>], chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let at = chance.below(input.len() + 1);
        let to = (at + chance.below(9)).min(input.len());
        match chance.below(9) {
            0 if at < input.len() => input[at] ^= 1 << chance.below(8),
            1 if at < input.len() => input[at] = chance.next() as u8,
            2 if at < input.len() => input[at] = input[at].wrapping_add(if chance.below(2) == 0 { 1 } else { 255 }),
            3 => drop(input.drain(at..to)),
            4 => input.truncate(at),
            5 => {
                let piece = input[at..to].to_vec();
                drop(input.splice(at..at, piece.repeat(1 + chance.below(40))));
            }
            6 => {
                let other = &others[chance.below(others.len())];
                let (a, b) = (chance.below(other.len() + 1), chance.below(other.len() + 1));
                drop(input.splice(at..to, other[a.min(b)..a.max(b)].iter().copied()));
            }
            7 => drop(input.splice(at..to, PIECES[chance.below(PIECES.len())].iter().copied())),
            _ => drop(input.splice(at..at, PIECES[chance.below(PIECES.len())].iter().copied())),
        }
        input.truncate(MAX_INPUT_BYTES);
    }
}

struct Asked {
    count: u64,
    seconds: Option<u64>,
    seed: u64,
    target: Option<String>,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { count: 20_000, seconds: None, seed: 1, target: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("`{word}` needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("`{value}` is not a number"));
        match word.as_str() {
            "--count" => asked.count = number()?,
            "--seconds" => asked.seconds = Some(number()?),
            "--seed" => asked.seed = number()?,
            "--target" => asked.target = Some(value),
            _ => return Err(format!("`{word}` is not known; there are --count, --seconds, --seed and --target")),
        }
    }
    Ok(asked)
}

fn seeds_of(name: &str) -> Result<Vec<Vec<u8>>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let listed = std::fs::read_dir(&folder).map_err(|e| format!("seeds/{name}: {e}"))?;
    let mut paths =
        listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>().map_err(|e| e.to_string())?;
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).map_err(|e| e.to_string())).collect()
}

/// Whether the target accepted the input; what it stumbled over otherwise.
fn held(target: Target, input: &[u8]) -> Result<bool, String> {
    panic::catch_unwind(AssertUnwindSafe(|| target(input))).map_err(|_| input.escape_ascii().to_string())
}

fn run(name: &str, target: Target, asked: &Asked) -> Result<String, String> {
    let seeds = seeds_of(name)?;
    let mut accepted = 0_u64;
    for seed in &seeds {
        accepted += u64::from(held(target, seed)?);
    }
    if accepted == 0 {
        return Err(format!("none of its {} seeds is accepted, so that nothing of worth is tried", seeds.len()));
    }
    let seeds_accepted = accepted;
    let mut chance =
        Chance(asked.seed ^ name.bytes().fold(0_u64, |n, b| n.wrapping_mul(31).wrapping_add(u64::from(b))));
    let until = asked.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut tried = 0_u64;
    let count = if DEAR.contains(&name) { asked.count.div_ceil(100) } else { asked.count };
    while until.map_or(tried < count, |until| Instant::now() < until) {
        let mut input = seeds[chance.below(seeds.len())].clone();
        change(&mut input, &seeds, &mut chance);
        accepted += u64::from(held(target, &input)?);
        tried += 1;
    }
    Ok(format!(
        "{tried} inputs, {} of them accepted; {seeds_accepted} of {} seeds",
        accepted - seeds_accepted,
        seeds.len()
    ))
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(wrong) => {
            eprintln!("smoke: {wrong}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", asked.seed);
    let mut failed = 0;
    let mut ran = 0;
    for (name, target) in TARGETS.iter().filter(|(name, _)| asked.target.as_deref().is_none_or(|t| t == *name)) {
        ran += 1;
        match run(name, *target, &asked) {
            Ok(said) => println!("{name}: {said}"),
            Err(wrong) => {
                println!("{name}: FAILED: {wrong}");
                failed += 1;
            }
        }
    }
    if ran == 0 {
        eprintln!("smoke: there is no such target");
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(failed > 0))
}
