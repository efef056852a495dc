//! The start of the process.

use std::process::Command;
use std::time::Instant;

use crate::Failure;

/// `cordon connectors` from start to end: what every call from a playbook pays.
pub(crate) fn start() -> Result<(), Failure> {
    const STARTS: usize = 21;
    const TIME: &str = "/usr/bin/time";
    let cordon = env!("CARGO_BIN_EXE_cordon");
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let output = Command::new(cordon).arg("connectors").output()?;
        times.push(start.elapsed());
        assert!(output.status.success() && !output.stdout.is_empty());
    }
    times.sort();
    println!(
        "cordon connectors: {:.1} ms from start to end (median of {STARTS})",
        times[STARTS / 2].as_secs_f64() * 1e3
    );
    // GNU time reads the peak from wait4; it is not everywhere.
    if std::path::Path::new(TIME).exists() {
        let output = Command::new(TIME)
            .args(["-f", "%M", cordon, "connectors"])
            .output()?;
        let told = String::from_utf8(output.stderr)?;
        let peak: f64 = told.trim().parse()?;
        println!("cordon connectors: {:.1} MiB peak", peak / 1024.0);
    } else {
        println!("cordon connectors: peak not measured, there is no {TIME}");
    }
    Ok(())
}
