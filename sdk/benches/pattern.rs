//! Reading simple patterns into values: at most 1 µs each.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "criterion's macros write the public items, a measurement prints"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sdk::stix::Flattened;

fn patterns(criterion: &mut Criterion) {
    let sha256 = "0123456789abcdef".repeat(4);
    let patterns = [
        ("ipv4", "[ipv4-addr:value = '198.51.100.7']".to_owned()),
        (
            "domain",
            "[domain-name:value = 'www.evil-downloads.example']".to_owned(),
        ),
        (
            "url",
            "[url:value = 'http://evil.example/a/b.php?c=1']".to_owned(),
        ),
        ("sha256", format!("[file:hashes.'SHA-256' = '{sha256}']")),
    ];
    let mut group = criterion.benchmark_group("pattern");
    for (name, pattern) in &patterns {
        let mut flattened = Flattened::default();
        group.bench_function(*name, |bencher| {
            bencher.iter(|| read(&mut flattened, pattern))
        });
    }
    group.finish();
    for (name, pattern) in &patterns {
        let mut flattened = Flattened::default();
        let start = cpu();
        for _ in 0..REPEATED {
            black_box(read(&mut flattened, pattern));
        }
        let each = (cpu() - start) / f64::from(REPEATED);
        println!("pattern/{name} CPU time: {each:.0} ns");
    }
}

const REPEATED: u32 = 2_000_000;

fn read(flattened: &mut Flattened, pattern: &str) -> bool {
    flattened.values.clear();
    flattened.left.clear();
    flattened.add(black_box(pattern)).is_ok() && !flattened.values.is_empty()
}

/// CPU time of this thread in nanoseconds: on a busy machine what an idle one would take.
fn cpu() -> f64 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = schedule.split_whitespace().next();
    nanoseconds
        .and_then(|text| text.parse().ok())
        .expect("a number")
}

criterion_group!(benches, patterns);
criterion_main!(benches);
