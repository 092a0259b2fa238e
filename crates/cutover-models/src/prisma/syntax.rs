//! What `schema.prisma` is made of: blocks, fields, attributes and their arguments. What does not fit is remarked and passed over, up
//! to the end of its line.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::model::{Place, Unsupported};
use crate::source::File;

/// Values in values are read no deeper than this.
const DEPTH: u32 = 32;

/// The blocks of a file.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) blocks: Vec<Block>,
    pub(super) unsupported: Vec<Unsupported>,
    /// Where something of a table or a type, or a whole block, is not read.
    pub(super) unread: Vec<Place>,
}

/// `model User { … }`.
#[derive(Debug)]
pub(super) struct Block {
    /// `model`, `enum`, `datasource` …
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) fields: Vec<Field>,
    /// Those with `@@`.
    pub(super) attributes: Vec<Attribute>,
    /// `key = value`.
    pub(super) keys: Vec<(String, Value, Place)>,
    /// The attributes with `@@` that could not be read.
    pub(super) unread: Vec<String>,
}

/// `name Type? @attribute(…)`; a value of an enum has no type.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) data_type: Type,
    pub(super) arity: Arity,
    pub(super) attributes: Vec<Attribute>,
    pub(super) place: Place,
    /// Its line could be read only up to somewhere.
    pub(super) is_cut: bool,
}

/// What stands behind the name of a field.
#[derive(Debug)]
pub(super) enum Type {
    None,
    Named(String),
    /// `Unsupported("…")`.
    Sql(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    Required,
    Optional,
    List,
}

/// `@db.VarChar(255)`, without the `@`.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) place: Place,
}

#[derive(Debug, Clone)]
pub(super) struct Argument {
    pub(super) name: Option<String>,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(String),
    Word(String),
    List(Vec<Value>),
    Call(String, Vec<Argument>),
    /// `{ key: value }`.
    Object(Vec<(String, Value)>),
}

impl Block {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn key(&self, name: &str) -> Option<&Value> {
        self.keys.iter().find(|(key, ..)| key == name).map(|(_, value, _)| value)
    }
}

impl Field {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl Attribute {
    /// The argument of that name.
    pub(super) fn named(&self, name: &str) -> Option<&Value> {
        self.arguments
            .iter()
            .find(|argument| argument.name.as_deref() == Some(name))
            .map(|argument| &argument.value)
    }

    /// The argument of that name, or else the first one without a name.
    pub(super) fn named_or_first(&self, name: &str) -> Option<&Value> {
        let first = || self.arguments.iter().find(|argument| argument.name.is_none());
        self.named(name).or_else(|| first().map(|argument| &argument.value))
    }

    /// The text that the argument of that name is.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.named(name).and_then(Value::text)
    }
}

impl Value {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    /// What stands in a list.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// As it is written in the model, about.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Number(text) | Self::Word(text) => text.clone(),
            Self::List(values) => {
                format!("[{}]", values.iter().map(Self::shown).collect::<Vec<_>>().join(", "))
            }
            Self::Call(name, arguments) => format!("{name}({})", shown_arguments(arguments)),
            Self::Object(members) => {
                let shown = |(key, value): &(String, Self)| format!("{key}: {}", value.shown());
                format!("{{ {} }}", members.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn shown_arguments(arguments: &[Argument]) -> String {
    let shown = |argument: &Argument| match &argument.name {
        Some(name) => format!("{name}: {}", argument.value.shown()),
        None => argument.value.shown(),
    };
    arguments.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// Letters, digits, `_` and `-`.
    Word(String),
    Text(String),
    Mark(char),
    NewLine,
}

/// Reads a file.
pub(super) fn parse(file: &File) -> Document {
    let mut parser = Parser {
        path: &file.path,
        lines: file.text.lines().collect(),
        tokens: tokens(&file.text),
        at: 0,
        document: Document::default(),
    };
    parser.document();
    parser.document
}

fn tokens(text: &str) -> Vec<(Token, u32)> {
    let mut found = Vec::new();
    let mut line = 1_u32;
    let mut chars = text.char_indices().peekable();
    while let Some((start, one)) = chars.next() {
        match one {
            '\n' => {
                found.push((Token::NewLine, line));
                line = line.saturating_add(1);
            }
            '/' if next_is(&mut chars, '/') => skip_while(&mut chars, |next| next != '\n'),
            '/' if next_is(&mut chars, '*') => line = line.saturating_add(skip_comment(&mut chars)),
            '"' => {
                let (token, more) = string(&mut chars);
                found.push((token, line));
                line = line.saturating_add(more);
            }
            _ if is_word(one) || (one == '-' && chars.peek().is_some_and(|(_, next)| is_word(*next))) => {
                skip_while(&mut chars, |next| is_word(next) || next == '-');
                let end = chars.peek().map_or(text.len(), |(end, _)| *end);
                found.push((Token::Word(text.get(start..end).unwrap_or_default().to_owned()), line));
            }
            _ if one.is_whitespace() || one == '\u{feff}' => {}
            _ => found.push((Token::Mark(one), line)),
        }
    }
    found.push((Token::NewLine, line));
    found
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

fn next_is(chars: &mut Peekable<CharIndices<'_>>, wanted: char) -> bool {
    chars.peek().is_some_and(|(_, next)| *next == wanted)
}

fn skip_while(chars: &mut Peekable<CharIndices<'_>>, goes_on: impl Fn(char) -> bool) {
    while chars.next_if(|(_, next)| goes_on(*next)).is_some() {}
}

/// Up to the end of `/* … */`: how many lines that are.
fn skip_comment(chars: &mut Peekable<CharIndices<'_>>) -> u32 {
    let mut lines = 0;
    let mut before = ' ';
    chars.next();
    for (_, one) in chars.by_ref() {
        lines += u32::from(one == '\n');
        if before == '*' && one == '/' {
            break;
        }
        before = one;
    }
    lines
}

/// What is left of a string whose `"` is read. It ends with its line at the latest.
fn string(chars: &mut Peekable<CharIndices<'_>>) -> (Token, u32) {
    let mut text = String::new();
    while let Some((_, one)) = chars.next_if(|(_, next)| *next != '\n') {
        match one {
            '"' => return (Token::Text(text), 0),
            '\\' => match chars.next_if(|(_, next)| *next != '\n').map(|(_, next)| next) {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some('u') => text.push(code_point(chars)),
                Some(other) => text.push(other),
                None => {}
            },
            _ => text.push(one),
        }
    }
    // Not closed: no string at all, so that its line is remarked.
    (Token::Mark('"'), 0)
}

/// What `\u` stands for, with the second half where it needs one.
fn code_point(chars: &mut Peekable<CharIndices<'_>>) -> char {
    let first = four_digits(chars);
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    if chars.next_if(|(_, next)| *next == '\\').is_none() || chars.next_if(|(_, next)| *next == 'u').is_none()
    {
        return char::REPLACEMENT_CHARACTER;
    }
    let second = four_digits(chars).wrapping_sub(0xDC00);
    let whole = 0x1_0000 + ((first - 0xD800) << 10) + second.min(0x3FF);
    char::from_u32(whole).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn four_digits(chars: &mut Peekable<CharIndices<'_>>) -> u32 {
    (0..4).fold(0, |value, _| {
        let digit = chars.next_if(|(_, next)| next.is_ascii_hexdigit()).and_then(|(_, one)| one.to_digit(16));
        digit.map_or(value, |digit| value * 16 + digit)
    })
}

struct Parser<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    tokens: Vec<(Token, u32)>,
    at: usize,
    document: Document,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> u32 {
        let last = || self.tokens.last().map_or(1, |(_, line)| *line);
        self.tokens.get(self.at).map_or_else(last, |(_, line)| *line)
    }

    fn place(&self) -> Place {
        Place::new(self.path, self.line())
    }

    fn takes(&mut self, mark: char) -> bool {
        let is_so = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(is_so);
        is_so
    }

    fn word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.peek() else { return None };
        let word = word.clone();
        self.at += 1;
        Some(word)
    }

    fn skip_new_lines(&mut self) {
        while self.peek() == Some(&Token::NewLine) {
            self.at += 1;
        }
    }

    /// Remarks the line, and goes to its end.
    fn skip_line(&mut self, start: usize, where_from: &str) {
        self.at = start;
        let place = self.place();
        let number = usize::try_from(place.line).unwrap_or(usize::MAX).saturating_sub(1);
        let text = self.lines.get(number).map_or("", |line| line.trim());
        let text: String = text.chars().take(80).collect();
        let what =
            if where_from.is_empty() { format!("`{text}`") } else { format!("`{text}` in {where_from}") };
        // What connects, and what is made of it, says no tables.
        if !["datasource ", "generator "].iter().any(|kind| where_from.starts_with(kind)) {
            self.document.unread.push(place.clone());
        }
        self.document.unsupported.push(Unsupported { place, what });
        while self.peek().is_some_and(|token| *token != Token::NewLine) {
            self.at += 1;
        }
    }

    fn document(&mut self) {
        loop {
            self.skip_new_lines();
            if self.peek().is_none() {
                return;
            }
            let start = self.at;
            let place = self.place();
            let head = self.word().zip(self.word());
            match head {
                Some((kind, name)) if self.takes('{') => {
                    let block = self.block(kind, name, place);
                    self.document.blocks.push(block);
                }
                _ => self.skip_line(start, ""),
            }
        }
    }

    fn block(&mut self, kind: String, name: String, place: Place) -> Block {
        let title = format!("{kind} {name}");
        let (fields, attributes, keys, unread) = (vec![], vec![], vec![], vec![]);
        let mut block = Block { kind, name, place, fields, attributes, keys, unread };
        loop {
            self.skip_new_lines();
            if self.takes('}') {
                return block;
            }
            let start = self.at;
            let is_read = match self.peek() {
                None => {
                    let what = format!("{title} has no end");
                    self.document.unread.push(block.place.clone());
                    self.document.unsupported.push(Unsupported { place: block.place.clone(), what });
                    return block;
                }
                Some(Token::Word(_)) => self.entry(&mut block),
                Some(Token::Mark('@')) => self.block_attribute(&mut block),
                Some(_) => false,
            };
            if !is_read {
                self.skip_line(start, &title);
            }
        }
    }

    fn is_at_end(&self) -> bool {
        matches!(self.peek(), None | Some(Token::NewLine | Token::Mark('}')))
    }

    fn block_attribute(&mut self, block: &mut Block) -> bool {
        let is_double = self.takes('@') && self.takes('@');
        let start = self.at;
        let Some(attribute) = self.attribute().filter(|_| is_double && self.is_at_end()) else {
            self.at = start;
            block.unread.extend(self.path());
            return false;
        };
        block.attributes.push(attribute);
        true
    }

    /// `key = value`, a field or a value of an enum.
    fn entry(&mut self, block: &mut Block) -> bool {
        let place = self.place();
        let Some(name) = self.word() else { return false };
        if self.takes('=') {
            let value = self.value(0);
            return value.map(|value| block.keys.push((name, value, place))).is_some() && self.is_at_end();
        }
        if block.kind == "datasource" || block.kind == "generator" {
            return false;
        }
        let found = self.field_type();
        let mut is_cut = found.is_none();
        let (data_type, arity) = found.unwrap_or((Type::None, Arity::Required));
        let mut attributes = Vec::new();
        while !is_cut && self.takes('@') {
            match self.attribute() {
                Some(attribute) => attributes.push(attribute),
                None => is_cut = true,
            }
        }
        is_cut |= !self.is_at_end();
        block.fields.push(Field { name, data_type, arity, attributes, place, is_cut });
        !is_cut
    }

    fn field_type(&mut self) -> Option<(Type, Arity)> {
        let Some(name) = self.word() else { return Some((Type::None, Arity::Required)) };
        let data_type = if name == "Unsupported" && self.takes('(') {
            let Some(Token::Text(text)) = self.peek() else { return None };
            let text = text.clone();
            self.at += 1;
            if !self.takes(')') {
                return None;
            }
            Type::Sql(text)
        } else {
            Type::Named(name)
        };
        let arity = if self.takes('[') {
            if !self.takes(']') {
                return None;
            }
            Arity::List
        } else if self.takes('?') {
            Arity::Optional
        } else {
            Arity::Required
        };
        Some((data_type, arity))
    }

    /// What stands behind `@` or `@@`.
    fn attribute(&mut self) -> Option<Attribute> {
        let place = self.place();
        let name = self.path()?;
        let arguments = if self.takes('(') { self.arguments(0)? } else { Vec::new() };
        Some(Attribute { name, arguments, place })
    }

    fn path(&mut self) -> Option<String> {
        let mut name = self.word()?;
        while self.takes('.') {
            name.push('.');
            name += &self.word()?;
        }
        Some(name)
    }

    /// What stands behind `(`.
    fn arguments(&mut self, depth: u32) -> Option<Vec<Argument>> {
        let mut arguments = Vec::new();
        loop {
            self.skip_new_lines();
            if self.takes(')') {
                return Some(arguments);
            }
            let start = self.at;
            let name = self.word().filter(|_| self.takes(':'));
            if name.is_none() {
                self.at = start;
            }
            let value = self.value(depth + 1)?;
            arguments.push(Argument { name, value });
            self.skip_new_lines();
            if !self.takes(',') && self.peek() != Some(&Token::Mark(')')) {
                return None;
            }
        }
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        if self.takes('[') {
            return self.list(depth);
        }
        if self.takes('{') {
            return self.object(depth);
        }
        if let Some(Token::Text(text)) = self.peek() {
            let text = text.clone();
            self.at += 1;
            return Some(Value::Text(text));
        }
        let word = self.path()?;
        if self.takes('(') {
            return Some(Value::Call(word, self.arguments(depth)?));
        }
        Some(if is_number(&word) { Value::Number(word) } else { Value::Word(word) })
    }

    /// What stands behind `{`.
    fn object(&mut self, depth: u32) -> Option<Value> {
        let mut members = Vec::new();
        loop {
            self.skip_new_lines();
            if self.takes('}') {
                return Some(Value::Object(members));
            }
            let key = self.word().filter(|_| self.takes(':'))?;
            members.push((key, self.value(depth + 1)?));
            self.skip_new_lines();
            if !self.takes(',') && self.peek() != Some(&Token::Mark('}')) {
                return None;
            }
        }
    }

    /// What stands behind `[`.
    fn list(&mut self, depth: u32) -> Option<Value> {
        let mut values = Vec::new();
        loop {
            self.skip_new_lines();
            if self.takes(']') {
                return Some(Value::List(values));
            }
            values.push(self.value(depth + 1)?);
            self.skip_new_lines();
            if !self.takes(',') && self.peek() != Some(&Token::Mark(']')) {
                return None;
            }
        }
    }
}

/// Digits, with a point in them and a sign before them at most.
pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(part)
}
