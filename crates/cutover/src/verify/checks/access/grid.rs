//! The matrix of an `access` check: a line names those who act, each other line an object and what each of them may do.
//!
//! Operations are PostgreSQL's own letters, as `\dp` shows them. A number behind `r`, `w` and `d` is how many rows are reached.

use std::collections::BTreeMap;
use std::fmt;

/// Operations that are measured of every relation, and those that are where the matrix names them.
const ALWAYS: &str = "rawd";
const ASKED_FOR: &str = "Dxt";

/// A matrix.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    /// Who acts, by the names that the matrix gives them.
    pub(super) actors: Vec<String>,
    /// In the order of the text.
    pub(super) rows: Vec<Row>,
}

/// What is expected of one object, or of those that a pattern means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) object: Object,
    /// One for each of those who act.
    pub(super) cells: Vec<Cell>,
}

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// Tables, views and the like: a name or a pattern with `*`, and the columns that it is about, or none for all.
    Relation { name: String, columns: Vec<String> },
    /// `function f(integer)`
    Function(String),
    /// `schema s`
    Schema(String),
    /// `sequence s`
    Sequence(String),
}

/// What somebody may do with an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell(pub(super) BTreeMap<char, How>);

/// How far somebody may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Whatever rows it is about.
    Fully,
    /// With some columns alone.
    Partly,
    /// And so many rows are reached.
    Rows(Rows),
}

/// How many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// So many.
    Exactly(u64),
    /// At least one.
    Some,
    /// Each that there is.
    All,
}

impl Grid {
    /// Reads a matrix.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let header = lines.next().ok_or("the matrix is empty: its first line names those who act")?;
        let actors: Vec<String> = header.split_whitespace().map(str::to_owned).collect();
        let rows = lines.map(|line| Row::parse(line, actors.len())).collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            return Err("the matrix has no line with an object".to_owned());
        }
        Ok(Self { actors, rows })
    }

    /// The operations that are measured of an object.
    pub(super) fn operations(&self, row: &Row) -> Vec<char> {
        let named = |letter: &char| {
            let relations = self.rows.iter().filter(|row| matches!(row.object, Object::Relation { .. }));
            relations.flat_map(|row| &row.cells).any(|cell| cell.0.contains_key(letter))
        };
        match &row.object {
            Object::Relation { columns, .. } if columns.is_empty() => {
                ALWAYS.chars().chain(ASKED_FOR.chars().filter(named)).collect()
            }
            Object::Relation { .. } => vec!['r', 'a', 'w'],
            Object::Function(_) => vec!['X'],
            Object::Schema(_) => vec!['U', 'C'],
            Object::Sequence(_) => vec!['U', 'r', 'w'],
        }
    }

    /// Whether rows are to be changed to see how many are.
    pub(super) fn changes_rows(&self) -> bool {
        let cells = self.rows.iter().flat_map(|row| &row.cells).flat_map(|cell| &cell.0);
        cells.into_iter().any(|(letter, how)| *letter != 'r' && matches!(how, How::Rows(_)))
    }
}

impl Row {
    fn parse(line: &str, actors: usize) -> Result<Self, String> {
        let mut rest = line.trim_end();
        let mut cells: Vec<&str> = Vec::new();
        while cells.len() < actors
            && let Some(at) = rest.rfind(char::is_whitespace)
        {
            let (before, cell) = rest.split_at(at);
            cells.push(cell.trim_start());
            rest = before.trim_end();
        }
        if cells.len() < actors || rest.is_empty() {
            return Err(format!(
                "`{line}`: an object and {actors} cells are expected, one for each who acts"
            ));
        }
        let object = Object::parse(&with_single_blanks(rest))?;
        let cells = cells.into_iter().rev().map(|cell| Cell::parse(cell, &object));
        let cells = cells.collect::<Result<Vec<_>, _>>().map_err(|why| format!("`{line}`: {why}"))?;
        Ok(Self { object, cells })
    }
}

impl Object {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some((kind, name)) = text.split_once(' ') {
            let name = name.trim().to_owned();
            match kind {
                "function" | "procedure" => return Ok(Self::Function(name)),
                "schema" => return Ok(Self::Schema(name)),
                "sequence" => return Ok(Self::Sequence(name)),
                "table" | "view" => return Self::parse(&name),
                _ => {}
            }
        }
        let Some((name, columns)) = at_unquoted(text, '(').and_then(|at| text.split_at_checked(at)) else {
            return Ok(Self::Relation { name: text.to_owned(), columns: Vec::new() });
        };
        let columns =
            columns[1..].strip_suffix(')').ok_or_else(|| format!("`{text}`: a parenthesis is not closed"))?;
        let mut listed = Vec::new();
        let mut rest = columns;
        while let Some((column, behind)) = at_unquoted(rest, ',').and_then(|at| rest.split_at_checked(at)) {
            listed.push(column.trim().to_owned());
            rest = &behind[1..];
        }
        listed.push(rest.trim().to_owned());
        Ok(Self::Relation { name: name.trim().to_owned(), columns: listed })
    }

    /// The letters that say something of it.
    fn letters(&self) -> &'static str {
        match self {
            Self::Relation { columns, .. } if columns.is_empty() => "rawdDxt",
            Self::Relation { .. } => "raw",
            Self::Function(_) => "X",
            Self::Schema(_) => "UC",
            Self::Sequence(_) => "Urw",
        }
    }
}

/// Where a character stands first that is in no quoted name.
fn at_unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut is_quoted = false;
    let found = text.char_indices().find(|(_, c)| {
        is_quoted ^= *c == '"';
        !is_quoted && *c == wanted
    });
    found.map(|(at, _)| at)
}

/// The same with one blank for any number of them, but for those in quoted names.
fn with_single_blanks(text: &str) -> String {
    let mut is_quoted = false;
    let mut single = String::with_capacity(text.len());
    for c in text.chars() {
        is_quoted ^= c == '"';
        if is_quoted || !c.is_whitespace() {
            single.push(c);
        } else if !single.ends_with(' ') {
            single.push(' ');
        }
    }
    single
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relation { name, columns } if columns.is_empty() => f.write_str(name),
            Self::Relation { name, columns } => write!(f, "{name} ({})", columns.join(", ")),
            Self::Function(name) => write!(f, "function {name}"),
            Self::Schema(name) => write!(f, "schema {name}"),
            Self::Sequence(name) => write!(f, "sequence {name}"),
        }
    }
}

impl Cell {
    fn parse(text: &str, object: &Object) -> Result<Self, String> {
        let mut cell = Self::default();
        let (mut rest, mut partly) = (text, false);
        if text == "-" {
            return Ok(cell);
        }
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                '(' if !partly => partly = true,
                ')' if partly => partly = false,
                _ if object.letters().contains(letter) => {
                    let how = if partly { How::Partly } else { how(letter, &mut rest, object)? };
                    if cell.0.insert(letter, how).is_some() {
                        return Err(format!("{letter} stands twice in {text}"));
                    }
                }
                _ => {
                    let known: Vec<String> = object.letters().chars().map(String::from).collect();
                    return Err(format!("{letter:?} in {text} is none of {} nor -", known.join(", ")));
                }
            }
        }
        if partly { Err(format!("a parenthesis in {text} is not closed")) } else { Ok(cell) }
    }
}

/// How many rows a letter is followed by.
fn how(letter: char, rest: &mut &str, object: &Object) -> Result<How, String> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, behind) = rest.split_at(digits);
    let rows = match behind.chars().next() {
        _ if digits > 0 => Rows::Exactly(number.parse().map_err(|_| format!("{number} is too many rows"))?),
        Some('+') => Rows::Some,
        Some('*') => Rows::All,
        _ => return Ok(How::Fully),
    };
    *rest = if digits > 0 { behind } else { &behind[1..] };
    let counted = matches!(object, Object::Relation { columns, .. } if columns.is_empty() || letter == 'r');
    if !counted || !matches!(letter, 'r' | 'w' | 'd') {
        return Err(format!("rows are counted behind r, w and d of relations, not behind {letter}"));
    }
    Ok(How::Rows(rows))
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        // As PostgreSQL puts them.
        for letter in "rawdDxtXUC".chars() {
            match self.0.get(&letter) {
                None => {}
                Some(How::Fully) => write!(f, "{letter}")?,
                Some(How::Partly) => write!(f, "({letter})")?,
                Some(How::Rows(Rows::Exactly(count))) => write!(f, "{letter}{count}")?,
                Some(How::Rows(Rows::Some)) => write!(f, "{letter}+")?,
                Some(How::Rows(Rows::All)) => write!(f, "{letter}*")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_read_as_it_is_shown() {
        let grid = Grid::parse(
            "\n  # who\n  anon alice\n tasks  -  r2aw+d0\n users (email, \"the name\") - r\n public.* r* (rw)d\n function f(int, text) X -\n",
        )
        .unwrap();
        assert_eq!(grid.actors, ["anon", "alice"]);
        let shown: Vec<String> =
            grid.rows.iter().map(|row| format!("{} {} {}", row.object, row.cells[0], row.cells[1])).collect();
        assert_eq!(
            shown,
            [
                "tasks - r2aw+d0",
                "users (email, \"the name\") - r",
                "public.* r* (r)(w)d",
                "function f(int, text) X -"
            ]
        );
        assert!(grid.changes_rows());
        assert_eq!(grid.operations(&grid.rows[0]), ['r', 'a', 'w', 'd']);
    }

    #[test]
    fn quoted_names_are_read_as_they_stand() {
        let grid = Grid::parse(
            "a b\n\"my  table\"   r -\n  t  (\"a,b\",  \"c(\")  r\t-\nfunction  f(int,   text) X X\n",
        )
        .unwrap();
        let names: Vec<Object> = grid.rows.iter().map(|row| row.object.clone()).collect();
        let relation = |name: &str, columns: &[&str]| Object::Relation {
            name: name.to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        assert_eq!(
            names,
            [
                relation("\"my  table\"", &[]),
                relation("t", &["\"a,b\"", "\"c(\""]),
                Object::Function("f(int, text)".to_owned())
            ]
        );
        assert_eq!(grid.rows[1].cells.iter().map(Cell::to_string).collect::<Vec<_>>(), ["r", "-"]);
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (text, why) in [
            ("", "the matrix is empty"),
            ("a b", "no line with an object"),
            ("a b\nt r", "an object and 2 cells"),
            ("a\nt q", "'q' in q is none of r, a, w"),
            ("a\nt rr", "r stands twice"),
            ("a\nt a3", "not behind a"),
            ("a\nt (r", "not closed"),
            ("a\nt (x r", "not closed"),
            ("a\nfunction f() r", "'r' in r is none of X"),
            ("a\nt r99999999999999999999999", "too many rows"),
        ] {
            let error = Grid::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
