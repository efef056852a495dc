//! Bundles for tests and measurements: any number of indicators, the same ones for the same seed.

use std::io::{self, BufWriter, Write};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Writes a bundle of `count` indicators, about 460 bytes each: 45 % IPv4, 25 % domains, 15 % URLs and 14 %
/// hashes, the rest IPv6; 2 % of them revoked; values with a port, an `OR` of two hashes or an `AND` are
/// left out, because what they come to differs from reader to reader.
///
/// # Errors
/// What `output` returns.
pub fn bundle(output: impl Write, count: usize, seed: u64) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(1 << 20, output);
    let mut random = StdRng::seed_from_u64(seed);
    let bundle = uuid(&mut random);
    write!(
        output,
        r#"{{"type":"bundle","id":"bundle--{bundle}","objects":["#
    )?;
    for index in 0..count {
        if index > 0 {
            output.write_all(b",")?;
        }
        output.write_all(b"\n")?;
        indicator(&mut output, &mut random)?;
    }
    output.write_all(b"\n]}\n")?;
    output.flush()
}

fn indicator(output: &mut impl Write, random: &mut StdRng) -> io::Result<()> {
    let id = uuid(random);
    let day = random.random_range(0..300_u32);
    let (month, day) = (1 + day / 28 % 12, 1 + day % 28);
    let (hour, minute) = (random.random_range(0..24), random.random_range(0..60));
    let micro: u32 = random.random_range(0..1_000_000);
    let confidence: u32 = random.random_range(30..=100);
    let revoked = random.random_range(0..50) == 0;
    let pattern = pattern(random);
    let end = 2026 + random.random_range(1..3);
    write!(
        output,
        concat!(
            r#"{{"type":"indicator","spec_version":"2.1","id":"indicator--{}","#,
            r#""created_by_ref":"identity--357447d7-9229-4ce1-b7fa-f1b83587048e","#,
            r#""created":"2026-{:02}-{:02}T{:02}:{:02}:07.{:06}Z","#,
            r#""modified":"2026-{:02}-{:02}T{:02}:{:02}:41.{:06}Z","#,
            r#""revoked":{},"confidence":{},"indicator_types":["malicious-activity"],"#,
            r#""pattern":"{}","pattern_type":"stix","#,
            r#""valid_from":"2026-{:02}-{:02}T00:00:00Z","valid_until":"{}-{:02}-{:02}T00:00:00Z"}}"#
        ),
        id,
        month,
        day,
        hour,
        minute,
        micro,
        month,
        day,
        hour,
        minute,
        micro,
        revoked,
        confidence,
        pattern,
        month,
        day,
        end,
        month,
        day,
    )
}

fn pattern(random: &mut StdRng) -> String {
    match random.random_range(0..100) {
        0..45 => {
            let [a, b, c, d]: [u8; 4] = random.random();
            format!("[ipv4-addr:value = '{}.{b}.{c}.{d}']", 1 + a % 223)
        }
        45..70 => format!("[domain-name:value = '{}']", name(random)),
        70..85 => {
            let [a, b]: [u32; 2] = random.random();
            format!("[url:value = 'http://{}/{a:x}/{b:x}.php']", name(random))
        }
        85..96 => format!("[file:hashes.'SHA-256' = '{}']", hex(random, 64)),
        96..98 => format!("[file:hashes.MD5 = '{}']", hex(random, 32)),
        98 => format!("[file:hashes.'SHA-1' = '{}']", hex(random, 40)),
        _ => {
            let groups: [u16; 4] = random.random();
            format!(
                "[ipv6-addr:value = '2a02:{:x}:{:x}::{:x}:{:x}']",
                groups[0], groups[1], groups[2], groups[3]
            )
        }
    }
}

fn name(random: &mut StdRng) -> String {
    const ENDINGS: [&str; 6] = ["com", "net", "top", "xyz", "online", "ru"];
    let length = random.random_range(6..14);
    let label: String = (0..length)
        .map(|_| char::from(random.random_range(b'a'..=b'z')))
        .collect();
    let ending = ENDINGS[random.random_range(0..ENDINGS.len())];
    match random.random_range(0..3) {
        0 => format!("www.{label}.{ending}"),
        _ => format!("{label}.{ending}"),
    }
}

fn hex(random: &mut StdRng, length: usize) -> String {
    (0..length)
        .map(|_| char::from(b"0123456789abcdef"[random.random_range(0..16)]))
        .collect()
}

fn uuid(random: &mut StdRng) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(random.random()).into_uuid()
}
