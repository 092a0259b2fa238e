//! A file of 100 MB must be applied within 256 MB.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use super::{beside, measure, server};
use crate::Failure;

const BYTES: usize = 100 << 20;
const LIMIT_KIB: u64 = 256 << 10;

/// Writes a file.
type Writer = fn(&Path) -> Result<(), Failure>;

pub(crate) fn run() -> Result<(), Failure> {
    println!("\na file of 100 MB, peak memory of the whole process (promised < 256 MB)");
    let server = server(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kinds: [(&str, Writer); 3] = [("inserts", inserts), ("copy", copy), ("one statement", one)];
    for (n, (label, write)) in kinds.into_iter().enumerate() {
        let folder = super::folder()?.join(format!("large-{n}"));
        fs::create_dir_all(&folder)?;
        write(&folder.join("V1__large.sql"))?;
        let name = format!("large_{n}");
        runtime.block_on(server.create_database(&name, None))?;
        let mut command = Command::new(beside("cutover")?);
        command.arg("-C").arg(&folder).args(["apply", "--quiet"]).env("DATABASE_URL", server.url(&name));
        let (peak, took) = measure::memory(&command)?;
        let verdict = if peak < LIMIT_KIB { "holds" } else { "MISSED" };
        println!(
            "  {label:<16} {:>6.1} MB   {:>6.2} s   {verdict}",
            measure::mebibytes(peak),
            took.as_secs_f64()
        );
        fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn inserts(path: &Path) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "CREATE TABLE big (id int, filler text);")?;
    let filler = "x".repeat(950);
    let mut written = 0;
    for n in 0.. {
        let line = format!("INSERT INTO big VALUES ({n}, '{filler}');\n");
        file.write_all(line.as_bytes())?;
        written += line.len();
        if written > BYTES {
            break;
        }
    }
    file.flush()?;
    Ok(())
}

fn copy(path: &Path) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "CREATE TABLE big (id int, filler text);\nCOPY big FROM stdin;")?;
    let filler = "y".repeat(950);
    let mut written = 0;
    for n in 0.. {
        let line = format!("{n}\t{filler}\n");
        file.write_all(line.as_bytes())?;
        written += line.len();
        if written > BYTES {
            break;
        }
    }
    writeln!(file, "\\.")?;
    file.flush()?;
    Ok(())
}

/// The whole file is one INSERT of 48 MB: a statement has to be in memory at once, and once more to be sent.
fn one(path: &Path) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "CREATE TABLE big (id int, filler text);\nINSERT INTO big VALUES (0, 'first')")?;
    let filler = "z".repeat(950);
    let mut written = 0;
    for n in 1.. {
        let line = format!(", ({n}, '{filler}')\n");
        file.write_all(line.as_bytes())?;
        written += line.len();
        if written > BYTES * 48 / 100 {
            break;
        }
    }
    writeln!(file, ";")?;
    file.flush()?;
    Ok(())
}
