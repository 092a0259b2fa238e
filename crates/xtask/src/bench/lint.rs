//! What `cutover lint` takes for a generated project of 10 MB, beside parsing the same files on two threads, and beside
//! squawk, which reads them too and says what it finds as JSON.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::measure::{self, Bound, Contender};
use super::{beside, folder, peers};
use crate::{Failure, corpus};

const ROUNDS: usize = 7;
const BYTES: usize = 10 << 20;

const OURS: &str = "cutover lint";

pub(crate) fn run() -> Result<(), Failure> {
    let files = folder()?.join("corpus");
    if files.exists() {
        std::fs::remove_dir_all(&files)?;
    }
    let (count, bytes) = corpus::write(&files, BYTES, 1)?;
    let contenders = contenders(&files)?;
    let mut rows: Vec<(String, Vec<Duration>)> =
        contenders.iter().map(|c| (c.label.clone(), Vec::new())).collect();
    for round in 0..=ROUNDS {
        for (contender, (_, times)) in contenders.iter().zip(&mut rows) {
            // Something is found: each of them then ends with 1.
            let took = measure::time_of((contender.command)(""), &[0, 1])?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    let statements = corpus::statements(&files)?;
    let bounds = [Bound { label: OURS, at_most: 1.3 }];
    measure::report(
        &format!("lint of {count} files, {bytes} bytes, {statements} statements"),
        &mut rows,
        &bounds,
    );
    if let [_, (_, ours), (label, theirs)] = rows.as_mut_slice() {
        let verdict = if measure::median(ours) < measure::median(theirs) { "holds" } else { "MISSED" };
        println!("  promised faster than {label}: {verdict}");
    }
    Ok(())
}

fn contenders(files: &Path) -> Result<Vec<Contender>, Failure> {
    let (this, ours) = (std::env::current_exe()?, beside("cutover")?);
    let (of_floor, of_ours) = (files.to_owned(), files.to_owned());
    let floor = Contender::new("parse on two threads", move |_| {
        let mut command = Command::new(&this);
        command.args(["floor", "parse"]).arg(&of_floor).arg("");
        command
    });
    let lint = Contender::new(OURS, move |_| {
        let mut command = Command::new(&ours);
        command.arg("-C").arg(&of_ours).args(["lint", "--format", "json"]);
        command
    });
    Ok([Some(floor), Some(lint), peers::squawk(files)?].into_iter().flatten().collect())
}
