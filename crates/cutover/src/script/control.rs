//! Statements that begin or end transactions, and psql commands at the end of a statement: what is refused of them, and
//! what is said to whoever wrote them. cutover opens and ends transactions itself.

use cutover_analysis::effects::Control;

use super::reading::first_words;

/// A statement of transaction control.
pub(super) struct Statement {
    /// Its number in the file.
    pub(super) number: u32,
    /// What it is.
    pub(super) control: Control,
    /// It asks for nothing special (an isolation level, read only, AND CHAIN): ours can stand in for it.
    pub(super) plain: bool,
    /// Its line in the text as it is sent.
    pub(super) line: u32,
    /// Its column there.
    pub(super) column: u32,
    /// The line, to be shown.
    pub(super) source_line: String,
}

/// Whether a BEGIN or COMMIT asks for nothing special.
pub(super) fn is_plain(control: Control, text: &str) -> bool {
    const BEGINS: [&str; 4] = ["BEGIN", "BEGIN TRANSACTION", "BEGIN WORK", "START TRANSACTION"];
    let words = first_words(text);
    match control {
        Control::Begin => BEGINS.contains(&words.as_str()),
        Control::Commit => {
            let words = words.strip_suffix(" AND NO CHAIN").unwrap_or(&words);
            let mut words = words.split(' ');
            let (first, second, third) = (words.next(), words.next(), words.next());
            matches!(first, Some("COMMIT" | "END"))
                && matches!(second, None | Some("WORK" | "TRANSACTION"))
                && third.is_none()
        }
        Control::Rollback | Control::Other => false,
    }
}

/// Why it is refused, and what to do.
pub(super) fn refusal(statement: &Statement) -> (String, String) {
    let (what, hint) = match (statement.control, statement.plain) {
        (Control::Begin, false) => (
            "BEGIN with options",
            "write BEGIN alone, or leave it out: the transaction is cutover's own, and has read the fencing row before the \
             first statement of the file, so that its isolation level is settled; one statement sees one snapshot anyway",
        ),
        (Control::Commit, false) => (
            "COMMIT with AND CHAIN, or of a prepared transaction,",
            "leave it out; `-- cutover: new-transaction` above the next statement ends this transaction and begins another \
             one, which is what AND CHAIN would do",
        ),
        (control, _) => (
            words(control),
            "remove it; one outer BEGIN … COMMIT around the whole file is fine, and `-- cutover: new-transaction` above a \
             statement begins another transaction",
        ),
    };
    (format!("{what} inside a migration: cutover opens and ends the transaction itself"), hint.to_owned())
}

/// The same of a BEGIN or COMMIT around a whole file with a statement that cannot run in a transaction.
pub(super) fn refusal_around(statement: &Statement, what: &str) -> (String, String) {
    let hint = format!(
        "remove BEGIN and COMMIT: cutover runs what comes before and behind {what} in a transaction each, and it outside of them; or give \
         it a file of its own"
    );
    (format!("{} around {what}, which cannot run in a transaction", words(statement.control)), hint)
}

pub(super) fn words(control: Control) -> &'static str {
    match control {
        Control::Begin => "BEGIN",
        Control::Commit => "COMMIT",
        Control::Rollback => "ROLLBACK",
        Control::Other => "transaction control",
    }
}

/// The psql command that begins at a place in a statement, as in `SELECT … \gexec`: SQL has no backslash outside of
/// strings.
pub(super) fn psql_command(statement: &str, offset: usize) -> Option<&str> {
    let rest = statement.get(offset..)?.strip_prefix('\\')?;
    let name = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '?' | '!' | ';'))
        .unwrap_or(rest.len());
    statement.get(offset..=offset + name).filter(|command| command.len() > 1)
}

/// What to do in place of a psql command.
pub(super) fn psql_hint(command: &str) -> &'static str {
    match command.trim_start_matches('\\').split_whitespace().next().unwrap_or_default() {
        "gexec" => "a DO block that loops over the query and says EXECUTE does what \\gexec does",
        "g" | "gx" | ";" => "end the statement with `;`",
        "gset" => "a DO block with SELECT … INTO keeps a value, and ${placeholders} take one from outside",
        "i" | "ir" | "include" | "include_relative" => "make a migration of that file, or put its text here",
        "copy" => "write COPY … FROM STDIN with the data below it, up to a line `\\.`",
        _ => "remove it, or run that part of the file with psql",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ones() {
        for (control, text, plain) in [
            (Control::Begin, "begin", true),
            (Control::Begin, "START\n TRANSACTION", true),
            (Control::Begin, "BEGIN\nISOLATION LEVEL SERIALIZABLE", false),
            (Control::Begin, "begin read only", false),
            (Control::Commit, "commit", true),
            (Control::Commit, "END TRANSACTION", true),
            (Control::Commit, "commit work and no chain", true),
            (Control::Commit, "commit and chain", false),
            (Control::Commit, "COMMIT PREPARED 'x'", false),
            (Control::Rollback, "ROLLBACK", false),
        ] {
            assert_eq!(is_plain(control, text), plain, "{text}");
        }
    }

    #[test]
    fn commands_at_the_end_of_a_statement() {
        let text = "SELECT 'a' \\gexec\n\nSELECT 1";
        assert_eq!(psql_command(text, 11), Some("\\gexec"));
        assert_eq!(psql_command("a \\g; b", 2), Some("\\g;"));
        assert_eq!(psql_command("a \\ b", 2), None);
        assert_eq!(psql_command(text, 0), None);
    }
}
