//! The file: a row for each command and each result it has on some majors.

use std::fmt::Write as _;

use crate::Failure;

const HEADER: &str = "command\tsql\tmajors\tlocks\trewrites_table\trebuilds_indexes\tscans\terror";

/// What is measured.
pub(super) struct Command {
    pub(super) name: String,
    /// One statement, or several of which the last is measured together with those before.
    pub(super) sql: String,
}

/// What a server did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// `relation:mode`, sorted.
    pub(super) locks: Vec<String>,
    /// Names of tables, sorted.
    pub(super) rewritten: Vec<String>,
    /// Names of indexes, sorted.
    pub(super) rebuilt: Vec<String>,
    /// Names of tables, sorted.
    pub(super) scanned: Vec<String>,
    /// First line of the server's refusal.
    pub(super) error: Option<String>,
}

/// The same result on several majors.
pub(super) struct Row {
    pub(super) command: String,
    pub(super) majors: Vec<u32>,
    pub(super) measured: Measured,
}

/// The commands of the file, each once.
pub(super) fn read(text: &str) -> Result<Vec<Command>, Failure> {
    let mut commands: Vec<Command> = Vec::new();
    for (n, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let mut columns = line.split('\t');
        let (Some(name), Some(sql)) = (columns.next(), columns.next()) else {
            return Err(format!("line {}: a command and its SQL are missing", n + 1).into());
        };
        if !commands.iter().any(|command| command.name == name) {
            commands.push(Command { name: name.to_owned(), sql: sql.to_owned() });
        }
    }
    Ok(commands)
}

/// Adds what one major did, to the row with the same result where there is one.
pub(super) fn merge(rows: &mut Vec<Row>, commands: &[Command], major: u32, found: Vec<Measured>) {
    for (command, measured) in commands.iter().zip(found) {
        match rows.iter_mut().find(|row| row.command == command.name && row.measured == measured) {
            Some(row) => row.majors.push(major),
            None => rows.push(Row { command: command.name.clone(), majors: vec![major], measured }),
        }
    }
}

/// The file's text, rows in the order of the commands.
pub(super) fn write(commands: &[Command], rows: &[Row]) -> String {
    let mut text = format!("{HEADER}\n");
    for command in commands {
        for Row { majors, measured, .. } in rows.iter().filter(|row| row.command == command.name) {
            let majors: Vec<String> = majors.iter().map(u32::to_string).collect();
            let Measured { locks, rewritten, rebuilt, scanned, error } = measured;
            let _ = writeln!(
                text,
                "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                command.name,
                command.sql,
                majors.join(","),
                locks.join(", "),
                rewritten.join(", "),
                rebuilt.join(", "),
                scanned.join(", "),
                error.as_deref().unwrap_or_default()
            );
        }
    }
    text
}
