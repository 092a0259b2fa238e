//! Reading a TOML table key by key. Every key that is asked for is known; whatever is left when reading is finished
//! was not, and is a problem with a suggestion. Wrong types and missing keys are collected on the way, so that one
//! pass reports everything.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use crate::project::problem::{Place, Problem, Problems};
use crate::text::{suggest, visible};

/// The text of a configuration file, for places and carets.
#[derive(Debug)]
pub struct SourceText {
    name: String,
    text: String,
    /// Where lines begin, in bytes: a place is looked up for every entry of a file.
    lines: Vec<usize>,
}

impl SourceText {
    /// A text with the name it is reported under.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: name.into(), text, lines }
    }

    /// The name it is reported under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset, and the text of that line.
    pub fn place(&self, offset: usize) -> (Place, &str) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        // The first line begins at 0, at or before any offset.
        let line = self.lines.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or_default();
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        let column = count(self.text[start..offset].chars().count());
        let line = count(line);
        (Place { line, column }, self.text[start..end].trim_end_matches('\r'))
    }

    /// A problem at a byte range of this text.
    pub fn problem(&self, span: &Range<usize>, message: impl Into<String>) -> Problem {
        let (place, line) = self.place(span.start);
        Problem {
            path: self.name.clone(),
            place: Some(place),
            source_line: line.to_owned(),
            message: message.into(),
            hint: None,
            twin: false,
        }
    }
}

/// A table that is being read. Each `take_` method removes a key and remembers that it is known; at the end
/// [`Table::finish`] reports everything that was wrong.
///
/// ```
/// # use cutover::project::config::Table;
/// let mut table = Table::parse("x.toml", "sql = 'select 1'\nequal = 2").unwrap();
/// let sql = table.require_string("sql");
/// let _expected = table.take_integer("equals");
/// let problems = table.finish().unwrap_err().to_string();
/// assert_eq!(sql, "select 1");
/// assert!(problems.contains("did you mean \"equals\"?"), "{problems}");
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    what: String,
    source: Arc<SourceText>,
    span: Range<usize>,
    entries: Vec<Entry>,
    known: Vec<String>,
    problems: Problems,
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    key_span: Range<usize>,
    value: Value,
    span: Range<usize>,
}

/// A TOML value that borrows nothing. Numbers keep their spelling.
#[derive(Debug, Clone)]
enum Value {
    String(String),
    Integer(Result<i64, String>),
    Float(String),
    Boolean(bool),
    Datetime(String),
    Array(Vec<(Range<usize>, Value)>),
    Table(Vec<Entry>),
}

impl From<DeValue<'_>> for Value {
    fn from(value: DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.into_owned()),
            DeValue::Integer(number) => Self::Integer(
                i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| number.as_str().to_owned()),
            ),
            DeValue::Float(number) => Self::Float(number.as_str().to_owned()),
            DeValue::Boolean(value) => Self::Boolean(value),
            DeValue::Datetime(value) => Self::Datetime(value.to_string()),
            DeValue::Array(array) => Self::Array(
                array.into_iter().map(|element| (element.span(), element.into_inner().into())).collect(),
            ),
            DeValue::Table(table) => Self::Table(entries(table)),
        }
    }
}

impl Value {
    fn canonical(&self) -> String {
        match self {
            Self::String(text) => format!("{text:?}"),
            Self::Integer(Ok(number)) => number.to_string(),
            Self::Integer(Err(text)) | Self::Float(text) | Self::Datetime(text) => text.clone(),
            Self::Boolean(value) => value.to_string(),
            Self::Array(values) => {
                let values: Vec<String> = values.iter().map(|(_, value)| value.canonical()).collect();
                format!("[{}]", values.join(","))
            }
            Self::Table(entries) => canonical(entries),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Keys and values in the order of the keys, without their places: the same however they are written.
fn canonical(entries: &[Entry]) -> String {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let words: Vec<String> =
        sorted.into_iter().map(|entry| format!("{:?}={}", entry.key, entry.value.canonical())).collect();
    format!("{{{}}}", words.join(","))
}

impl Table {
    /// All that is left in it as one text that does not depend on where it stands; only for comparing.
    pub(crate) fn canonical(&self) -> String {
        canonical(&self.entries)
    }

    /// The text at a key, which stays to be taken.
    pub(crate) fn peek_string(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if let Value::String(text) = &entry.value { Some(text) } else { None }
    }

    /// Parses a whole file. `name` is what problems call it.
    ///
    /// # Errors
    /// All syntax errors.
    pub fn parse(name: impl Into<String>, text: impl Into<String>) -> Result<Self, Problems> {
        let source = Arc::new(SourceText::new(name, text));
        let (parsed, errors) = DeTable::parse_recoverable(source.text());
        let mut problems = Problems::default();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            problems.push(source.problem(&span, visible(error.message())));
        }
        problems.into_result()?;
        let entries = entries(parsed.into_inner());
        Ok(Self::new(String::new(), source, 0..0, entries))
    }

    fn new(what: String, source: Arc<SourceText>, span: Range<usize>, entries: Vec<Entry>) -> Self {
        Self { what, source, span, entries, known: Vec::new(), problems: Problems::default() }
    }

    /// What the table is called in messages, e.g. `[[stage]]`; empty for a whole file.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Gives it a name of its own in messages, e.g. `check "no dangling jobs"`.
    pub(crate) fn call(&mut self, what: impl Into<String>) {
        self.what = what.into();
    }

    /// The file it stands in, as problems call it.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The line it begins in, counted from 1.
    pub fn line(&self) -> u32 {
        self.source.place(self.span.start).0.line
    }

    /// The line of a byte offset of the file, counted from 1.
    pub fn line_of(&self, span: &Range<usize>) -> u32 {
        self.source.place(span.start).0.line
    }

    /// Whether the key is there and not taken yet.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Where a key that is not taken yet stands; the table's head if it is absent.
    pub fn span_of(&self, key: &str) -> Range<usize> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.span.clone(), |entry| entry.span.clone())
    }

    /// A problem at a byte range of the file.
    pub fn problem_at(&self, span: &Range<usize>, message: impl Into<String>) -> Problem {
        self.source.problem(span, message)
    }

    /// Records a problem at a byte range, reported by [`Table::finish`].
    pub fn report(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let mut problem = self.source.problem(span, message);
        problem.hint = hint;
        self.problems.push(problem);
    }

    /// Records what a nested reader found, reported by [`Table::finish`].
    pub fn absorb(&mut self, problems: Problems) {
        self.problems.absorb(problems);
    }

    /// Takes what was recorded so far.
    pub(crate) fn problems(&mut self) -> Problems {
        std::mem::take(&mut self.problems)
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        if !self.known.iter().any(|known| known == key) {
            self.known.push(key.to_owned());
        }
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    fn wrong_type(&mut self, entry: &Entry, wanted: &str) {
        let message = format!("{} must be {wanted}, not {}", visible(&entry.key), entry.value.type_name());
        self.report(&entry.span, message, None);
    }

    /// Takes a string with its place.
    pub fn take_spanned_string(&mut self, key: &str) -> Option<Spanned<String>> {
        let entry = self.take(key)?;
        let text = self.string_of(&entry)?;
        Some(Spanned::new(entry.span, text))
    }

    fn string_of(&mut self, entry: &Entry) -> Option<String> {
        let Value::String(text) = &entry.value else {
            self.wrong_type(entry, "a string");
            return None;
        };
        if text.contains('\0') {
            self.report(&entry.span, format!("{} contains a NUL character", visible(&entry.key)), None);
            return None;
        }
        Some(text.clone())
    }

    /// Takes a string; absent and wrong (which is recorded) are both `None`.
    pub fn take_string(&mut self, key: &str) -> Option<String> {
        self.take_spanned_string(key).map(Spanned::into_inner)
    }

    /// Takes a string that must be there. If it is not, that is recorded and the result is empty.
    pub fn require_string(&mut self, key: &str) -> String {
        self.require_spanned_string(key).into_inner()
    }

    /// [`Table::require_string`] with its place. An empty string counts as missing.
    pub fn require_spanned_string(&mut self, key: &str) -> Spanned<String> {
        let present = self.has(key);
        match self.take_spanned_string(key) {
            Some(text) if text.get_ref().trim().is_empty() => {
                self.report(&text.span(), format!("{key} is empty"), None);
                text
            }
            Some(text) => text,
            None => {
                if !present {
                    self.missing(key);
                }
                Spanned::new(self.span.clone(), String::new())
            }
        }
    }

    /// Records that a key is missing.
    pub fn missing(&mut self, key: &str) {
        let message = match self.what.as_str() {
            "" => format!("{key} is missing"),
            what => format!("{what} needs {key}"),
        };
        let span = self.span.clone();
        self.report(&span, message, None);
    }

    /// Takes true or false.
    pub fn take_bool(&mut self, key: &str) -> Option<bool> {
        let entry = self.take(key)?;
        if let Value::Boolean(value) = entry.value {
            return Some(value);
        }
        self.wrong_type(&entry, "true or false");
        None
    }

    /// Takes a whole number.
    pub fn take_integer(&mut self, key: &str) -> Option<i64> {
        let entry = self.take(key)?;
        match &entry.value {
            Value::Integer(Ok(number)) => return Some(*number),
            Value::Integer(Err(_)) => {
                self.report(&entry.span, format!("{} is out of range", visible(&entry.key)), None);
            }
            _ => self.wrong_type(&entry, "a whole number"),
        }
        None
    }

    /// Takes any scalar as the text SQL would show for it: a string as it is, numbers as written, `t` or `f` for
    /// booleans. For values that a query's result is compared with.
    pub fn take_scalar(&mut self, key: &str) -> Option<String> {
        let entry = self.take(key)?;
        match &entry.value {
            Value::String(_) => self.string_of(&entry),
            Value::Integer(Ok(number)) => Some(number.to_string()),
            Value::Integer(Err(text)) | Value::Float(text) | Value::Datetime(text) => Some(text.clone()),
            Value::Boolean(value) => Some(if *value { "t" } else { "f" }.to_owned()),
            Value::Array(_) | Value::Table(_) => {
                self.wrong_type(&entry, "a single value");
                None
            }
        }
    }

    /// Takes a length of time such as `"250ms"`, with its place and its spelling.
    pub fn take_duration(&mut self, key: &str) -> Option<Spanned<(Duration, String)>> {
        let entry = self.take(key)?;
        let text = match &entry.value {
            Value::Integer(Ok(0)) => "0".to_owned(),
            Value::Integer(Ok(number)) => {
                let hint = format!("for example \"{number}ms\" or \"{number}s\"");
                self.report(&entry.span, format!("{} needs a unit", visible(&entry.key)), Some(hint));
                return None;
            }
            _ => self.string_of(&entry)?,
        };
        match duration::parse(&text) {
            Ok(value) => Some(Spanned::new(entry.span, (value, text))),
            Err(error) => {
                self.report(
                    &entry.span,
                    format!("{}: {error}", visible(&entry.key)),
                    Some(duration::HINT.to_owned()),
                );
                None
            }
        }
    }

    /// Takes a list of strings; a single string counts as a list of one.
    pub fn take_strings(&mut self, key: &str) -> Vec<Spanned<String>> {
        let Some(entry) = self.take(key) else { return Vec::new() };
        let Value::Array(array) = entry.value else {
            let span = entry.span.clone();
            if !matches!(entry.value, Value::String(_)) {
                self.wrong_type(&entry, "a list of strings");
                return Vec::new();
            }
            return self.string_of(&entry).map(|text| Spanned::new(span, text)).into_iter().collect();
        };
        let mut strings = Vec::with_capacity(array.len());
        for (span, value) in array {
            let key = format!("each element of {}", entry.key);
            let entry = Entry { key, key_span: entry.key_span.clone(), value, span: span.clone() };
            strings.extend(self.string_of(&entry).map(|text| Spanned::new(span, text)));
        }
        strings
    }

    /// Takes a table, e.g. `[project]`. The caller finishes it and absorbs its problems.
    pub fn take_table(&mut self, key: &str) -> Option<Self> {
        let entry = self.take(key)?;
        if let Value::Table(table) = entry.value {
            let what = format!("[{}{key}]", self.prefix());
            return Some(Self::new(what, Arc::clone(&self.source), entry.span, table));
        }
        self.wrong_type(&entry, &format!("a table ([{}{key}])", self.prefix()));
        None
    }

    /// Takes a list of tables, e.g. `[[stage]]`.
    pub fn take_tables(&mut self, key: &str) -> Vec<Self> {
        let Some(entry) = self.take(key) else { return Vec::new() };
        let what = format!("[[{}{key}]]", self.prefix());
        let Value::Array(array) = entry.value else {
            self.wrong_type(&entry, &format!("a list of tables ({what})"));
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(array.len());
        for (span, value) in array {
            match value {
                Value::Table(entries) => {
                    tables.push(Self::new(what.clone(), Arc::clone(&self.source), span, entries));
                }
                other => {
                    let message =
                        format!("each element of {key} must be a table ({what}), not {}", other.type_name());
                    self.report(&span, message, None);
                }
            }
        }
        tables
    }

    fn prefix(&self) -> String {
        let inner = self.what.trim_matches(['[', ']']);
        if inner.is_empty() { String::new() } else { format!("{inner}.") }
    }

    /// Takes every key that is left, each with a string; for tables whose keys the user chooses. Each with the
    /// place of its key and its value.
    pub fn take_all_strings(&mut self) -> Vec<(Spanned<String>, Spanned<String>)> {
        let mut all = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            if let Some(text) = self.string_of(&entry) {
                all.push((Spanned::new(entry.key_span, entry.key), Spanned::new(entry.span, text)));
            }
        }
        all
    }

    /// Ends the reading: keys that nobody asked for are problems too, each with the known key that is most alike.
    ///
    /// # Errors
    /// Everything that was wrong, in the order of the file.
    pub fn finish(mut self) -> Result<(), Problems> {
        self.report_unknown();
        self.problems.into_result()
    }

    /// Records every key that nobody asked for.
    pub(crate) fn report_unknown(&mut self) {
        for entry in std::mem::take(&mut self.entries) {
            let place = if self.what.is_empty() { String::new() } else { format!(" in {}", self.what) };
            let message = format!("unknown key {:?}{place}", entry.key);
            let hint = match suggest(&entry.key, self.known.iter().map(String::as_str)) {
                Some(alike) => Some(format!("did you mean {alike:?}?")),
                None if self.known.is_empty() => None,
                None => Some(format!("known keys: {}", self.known.join(", "))),
            };
            self.report(&entry.key_span, message, hint);
        }
    }
}

/// The entries of a table in the order of the file.
fn entries(table: DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            key_span: key.span(),
            span: value.span(),
            key: key.into_inner().into_owned(),
            value: value.into_inner().into(),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}
