//! What `cutover graph` takes for a generated project of 10 MB, beside parsing the same files on two threads.

use std::process::Command;
use std::time::Duration;

use super::measure::{self, Bound, Contender};
use super::{beside, folder};
use crate::{Failure, corpus};

const ROUNDS: usize = 5;
const BYTES: usize = 10 << 20;

pub(crate) fn run() -> Result<(), Failure> {
    let files = folder()?.join("corpus");
    if files.exists() {
        std::fs::remove_dir_all(&files)?;
    }
    let (count, bytes) = corpus::write(&files, BYTES, 1)?;
    let (this, ours) = (std::env::current_exe()?, beside("cutover")?);
    let (of_floor, of_ours) = (files.clone(), files);
    let contenders = [
        Contender::new("parse on two threads", move |_| {
            let mut command = Command::new(&this);
            command.args(["floor", "parse"]).arg(&of_floor).arg("");
            command
        }),
        Contender::new("cutover graph", move |_| {
            let mut command = Command::new(&ours);
            command.arg("-C").arg(&of_ours).args(["graph", "--quiet"]);
            command
        }),
    ];
    let mut rows: Vec<(String, Vec<Duration>)> =
        contenders.iter().map(|c| (c.label.clone(), Vec::new())).collect();
    for round in 0..=ROUNDS {
        for (contender, (_, times)) in contenders.iter().zip(&mut rows) {
            let took = measure::time((contender.command)(""))?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    let bounds = [Bound { label: "cutover graph", at_most: 1.5 }];
    measure::report(&format!("analysis of {count} files, {bytes} bytes"), &mut rows, &bounds);
    let (peak, _) = measure::memory(&(contenders[1].command)(""))?;
    let verdict = if peak <= 80 << 10 { "holds" } else { "MISSED" };
    println!("  peak memory {:.1} MB   promised <= 80: {verdict}", measure::mebibytes(peak));
    Ok(())
}
