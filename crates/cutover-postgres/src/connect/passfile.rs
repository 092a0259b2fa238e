//! The password file (`~/.pgpass`): first line whose four fields match wins.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A password file that may be used.
#[derive(Default)]
pub(super) struct Passfile {
    text: String,
}

impl Passfile {
    /// Reads it. A missing file is an empty one; one that others can read, or that is no file, is left alone with a
    /// warning.
    pub(super) fn read(path: &Path, warnings: &mut Vec<String>) -> Self {
        let shown = path.display();
        let Ok(metadata) = std::fs::metadata(path) else {
            return Self::default();
        };
        if !metadata.is_file() {
            warnings.push(format!("password file {shown} is not a plain file and is not used"));
            return Self::default();
        }
        if metadata.mode() & 0o077 != 0 {
            warnings.push(format!(
                "password file {shown} can be read by group or others and is not used: chmod 0600 {shown}"
            ));
            return Self::default();
        }
        match std::fs::read(path) {
            Ok(bytes) => Self { text: String::from_utf8_lossy(&bytes).into_owned() },
            Err(error) => {
                warnings.push(format!("password file {shown} cannot be read: {error}"));
                Self::default()
            }
        }
    }

    /// The password for a server, and the number of its line.
    pub(super) fn look_up(
        &self,
        host: &str,
        port: u16,
        database: &str,
        user: &str,
    ) -> Option<(String, usize)> {
        let port = port.to_string();
        let wanted = [host, port.as_str(), database, user];
        self.text.lines().enumerate().find_map(|(index, line)| {
            if line.starts_with('#') {
                return None;
            }
            let fields = fields(line);
            let (keys, password) = (fields.get(..4)?, fields.get(4)?);
            let matches = keys.iter().zip(wanted).all(|(key, wanted)| key.matches(wanted));
            (matches && !password.text.is_empty()).then(|| (password.text.clone(), index + 1))
        })
    }
}

#[derive(Default)]
struct Field {
    text: String,
    /// Written as a bare `*`.
    any: bool,
}

impl Field {
    fn matches(&self, wanted: &str) -> bool {
        self.any || self.text == wanted
    }
}

/// Cuts a line at colons; a backslash takes the next character as it is.
fn fields(line: &str) -> Vec<Field> {
    let mut fields = vec![Field::default()];
    let mut escaped = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            ':' => {
                fields.push(Field::default());
                escaped = false;
                continue;
            }
            '\\' if chars.peek().is_some() => {
                field.text.extend(chars.next());
                escaped = true;
            }
            c => field.text.push(c),
        }
        field.any = field.text == "*" && !escaped;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Passfile {
        Passfile { text: text.to_owned() }
    }

    #[test]
    fn the_first_matching_line_wins() {
        let file = file("# comment\n\nother:*:*:*:no\nh:5432:db:u:exact\n*:*:*:*:any\n");
        assert_eq!(file.look_up("h", 5432, "db", "u"), Some(("exact".to_owned(), 4)));
        assert_eq!(file.look_up("h", 5433, "db", "u"), Some(("any".to_owned(), 5)));
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let file = file("::1:5432:*:*:wrong\n\\:\\:1:5432:d\\\\b:\\*:p\\:w\\\\d:rest\r\n");
        assert_eq!(file.look_up("::1", 5432, r"d\b", "*"), Some((r"p:w\d".to_owned(), 2)));
        assert_eq!(file.look_up("::1", 5432, r"d\b", "anyone"), None);
    }

    #[test]
    fn short_lines_and_empty_passwords_do_not_count() {
        assert_eq!(file("h:5432:db:u\nh:5432:db:u:\n").look_up("h", 5432, "db", "u"), None);
    }
}
