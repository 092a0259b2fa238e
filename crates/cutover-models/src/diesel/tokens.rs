//! The macros of Diesel in a file, and the types that are declared for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Result};
use syn::{Error, Lit, Token, parenthesized, token};

use super::{parsed, place};
use crate::model::{Models, Place};

/// Nothing that is nested deeper is read: what reads it would not come back.
const DEPTH: u32 = 24;

/// What files have.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tables: Vec<RawTable>,
    pub(super) joins: Vec<Join>,
    pub(super) customs: Vec<Custom>,
    /// Macros of the files that make tables.
    pub(super) makers: BTreeSet<String>,
    /// What other macros are called, and with what.
    pub(super) calls: Vec<(String, Place, String)>,
}

/// `table! { … }`.
#[derive(Debug)]
pub(super) struct RawTable {
    /// Its file and the modules that it is in.
    pub(super) module: Vec<String>,
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) sql_name: String,
    pub(super) primary_key: Vec<String>,
    pub(super) columns: Vec<RawColumn>,
    /// `use … as …`: the other name, and the own one.
    pub(super) renamed: Vec<(String, String)>,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) struct RawColumn {
    pub(super) name: String,
    pub(super) sql_name: String,
    /// As it is written where it is not understood.
    pub(super) data_type: std::result::Result<RawType, String>,
    pub(super) max_length: Option<u32>,
    pub(super) place: Place,
}

/// `Nullable<Text>`, without the path in front.
#[derive(Debug)]
pub(super) struct RawType {
    pub(super) name: String,
    pub(super) arguments: Vec<RawType>,
}

/// `joinable!(child -> parent (column))`.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) module: Vec<String>,
    pub(super) child: String,
    pub(super) parent: String,
    pub(super) column: String,
    pub(super) place: Place,
}

/// `#[diesel(postgres_type(name = "…"))] pub struct Name;`.
#[derive(Debug)]
pub(super) struct Custom {
    pub(super) module: Vec<String>,
    pub(super) name: String,
    pub(super) schema: Option<String>,
    pub(super) sql_name: String,
    pub(super) place: Place,
}

impl RawType {
    pub(super) fn shown(&self) -> String {
        if self.arguments.is_empty() {
            return self.name.clone();
        }
        let arguments: Vec<String> = self.arguments.iter().map(Self::shown).collect();
        format!("{}<{}>", self.name, arguments.join(", "))
    }
}

/// Adds what a file has.
pub(super) fn walk(path: &str, stream: TokenStream, found: &mut Found, models: &mut Models) {
    let mut walker = Walker { path, found, models };
    walker.module(stream, &[path.to_owned()], DEPTH);
}

struct Walker<'a> {
    path: &'a str,
    found: &'a mut Found,
    models: &'a mut Models,
}

impl Walker<'_> {
    fn module(&mut self, stream: TokenStream, module: &[String], depth: u32) {
        let mut tokens = stream.into_iter().peekable();
        let mut attributes: Vec<TokenStream> = Vec::new();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    tokens.next_if(|next| is_mark(next, '!'));
                    if let Some(TokenTree::Group(group)) = tokens.next_if(is_group) {
                        attributes.push(group.stream());
                    }
                }
                TokenTree::Ident(name) if name == "mod" => {
                    let named = tokens.next_if(|next| matches!(next, TokenTree::Ident(_)));
                    let body = tokens.next_if(is_group);
                    let is_test = attributes.drain(..).any(|attribute| is_test(&attribute));
                    if let (Some(TokenTree::Ident(named)), Some(TokenTree::Group(body)), false) =
                        (named, body, is_test)
                    {
                        if depth == 0 {
                            self.refuse(name.span(), format!("mod {named}: too deep"));
                            continue;
                        }
                        let module = [module, &[named.to_string()]].concat();
                        self.module(body.stream(), &module, depth - 1);
                    }
                }
                TokenTree::Ident(name) if name == "struct" => {
                    if let Some(TokenTree::Ident(named)) = tokens.next() {
                        self.custom(module, &named, &attributes);
                    }
                    attributes.clear();
                }
                TokenTree::Ident(name) if tokens.next_if(|next| is_mark(next, '!')).is_some() => {
                    // `macro_rules! name { … }`
                    let made = tokens.next_if(|next| matches!(next, TokenTree::Ident(_)));
                    let condition = attributes.drain(..).find(is_condition);
                    let Some(TokenTree::Group(body)) = tokens.next_if(is_group) else { continue };
                    match (made, condition) {
                        (Some(made), _) if name == "macro_rules" => self.rules(&made, &body),
                        (_, Some(condition)) if is_test(&condition) => {}
                        (_, Some(condition)) => self.perhaps(&name, &body, (module, &condition)),
                        _ => self.call(&name, &body, module),
                    }
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    // The body of a function, and the like.
                    let is_tested = attributes.drain(..).any(|attribute| is_test(&attribute));
                    if !is_tested && makes_table(&group.stream(), DEPTH) {
                        self.refuse(
                            group.span_open(),
                            "table! inside something else than a module".to_owned(),
                        );
                    }
                }
                TokenTree::Punct(mark) if mark.as_char() == ';' => attributes.clear(),
                _ => {}
            }
        }
    }

    fn refuse(&mut self, span: Span, what: String) {
        self.models.unread(place(self.path, span), what);
    }

    /// What a macro is called with is not understood. An error at its end has no line of its own.
    fn refuse_error(&mut self, name: &Ident, error: &Error) {
        let place = place(self.path, error.span()).max(place(self.path, name.span()));
        self.models.unread(place, format!("{name}!: {error}"));
    }

    /// A macro that is called.
    fn call(&mut self, name: &Ident, body: &Group, module: &[String]) {
        let kind = name.to_string();
        match kind.as_str() {
            "table" | "joinable" if !is_flat(&body.stream(), DEPTH) => {
                self.refuse(name.span(), format!("{kind}!: too deep"));
            }
            "table" => {
                let path = self.path;
                let read = |input: ParseStream<'_>| table(input, path, module, self.models);
                match parsed(read, body.stream()) {
                    Ok(mut table) => {
                        table.place = place(path, name.span());
                        self.found.tables.push(table);
                    }
                    Err(error) => self.refuse_error(name, &error),
                }
            }
            "joinable" => {
                let made = place(self.path, name.span());
                match parsed(|input| join(input, module, made), body.stream()) {
                    Ok(join) => self.found.joins.push(join),
                    Err(error) => self.refuse_error(name, &error),
                }
            }
            "view" => {
                let what = format!("view!: {}", short(&body.stream()));
                self.models.unsupported(place(self.path, name.span()), what);
            }
            // What is in another file, or in a database.
            "include" | "infer_schema" | "infer_table_from_schema" => {
                self.refuse(name.span(), format!("{kind}!: {}", short(&body.stream())));
            }
            _ => {
                let place = place(self.path, name.span());
                self.found.calls.push((kind, place, short(&body.stream())));
            }
        }
    }

    /// `macro_rules! name { … }`
    fn rules(&mut self, name: &TokenTree, body: &Group) {
        if makes_table(&body.stream(), DEPTH) {
            self.found.makers.insert(name.to_string());
        }
    }

    /// A table below `#[cfg(…)]`: there may be it.
    fn perhaps(&mut self, name: &Ident, body: &Group, (module, condition): (&[String], &TokenStream)) {
        let before = self.found.tables.len();
        self.call(name, body, module);
        for table in self.found.tables.drain(before..) {
            let what = format!("the table {}: #[{}]", table.name, short(condition));
            self.models.unsupported(table.place, what);
            self.models.perhaps.push((table.schema, table.sql_name));
        }
    }

    fn custom(&mut self, module: &[String], named: &Ident, attributes: &[TokenStream]) {
        for attribute in attributes {
            let Some((kind, inner)) = called(attribute) else { continue };
            let said = match kind.as_str() {
                "diesel" => called_within(&inner, "postgres_type").map(|inner| (inner, "name", "schema")),
                // Diesel 1.
                "postgres" => Some((inner, "type_name", "type_schema")),
                _ => None,
            };
            let Some((inner, name, schema)) = said else { continue };
            if let Some(sql_name) = said_text(&inner, name) {
                self.found.customs.push(Custom {
                    module: module.to_vec(),
                    name: unraw(named),
                    schema: said_text(&inner, schema),
                    sql_name,
                    place: place(self.path, named.span()),
                });
            }
        }
    }
}

fn is_mark(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(mark) if mark.as_char() == wanted)
}

fn is_group(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(_))
}

/// `cfg(…)`, and not `cfg_attr(…)`.
fn is_condition(attribute: &TokenStream) -> bool {
    called(attribute).is_some_and(|(kind, _)| kind == "cfg")
}

/// Whether a table is made somewhere inside.
fn makes_table(stream: &TokenStream, depth: u32) -> bool {
    let mut tokens = stream.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(name)
                if name == "table" && tokens.peek().is_some_and(|next| is_mark(next, '!')) =>
            {
                return true;
            }
            TokenTree::Group(group) if depth == 0 || makes_table(&group.stream(), depth - 1) => return true,
            _ => {}
        }
    }
    false
}

/// `cfg(test)`.
fn is_test(attribute: &TokenStream) -> bool {
    called(attribute).is_some_and(|(kind, inner)| kind == "cfg" && inner.to_string() == "test")
}

/// Whether groups in groups are no deeper than that.
fn is_flat(stream: &TokenStream, depth: u32) -> bool {
    stream.clone().into_iter().all(|token| match token {
        TokenTree::Group(group) => depth > 0 && is_flat(&group.stream(), depth - 1),
        _ => true,
    })
}

/// `name(…)`.
fn called(stream: &TokenStream) -> Option<(String, TokenStream)> {
    let mut tokens = stream.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(group)))
            if group.delimiter() == Delimiter::Parenthesis =>
        {
            Some((name.to_string(), group.stream()))
        }
        _ => None,
    }
}

/// The inner of `…, name(…), …`.
fn called_within(stream: &TokenStream, wanted: &str) -> Option<TokenStream> {
    let mut is_next = false;
    for token in stream.clone() {
        match token {
            TokenTree::Group(group) if is_next => return Some(group.stream()),
            TokenTree::Ident(name) => is_next = name == wanted,
            _ => is_next = false,
        }
    }
    None
}

/// The literal of `…, name = literal, …`.
fn said(stream: &TokenStream, wanted: &str) -> Option<Lit> {
    let mut step = 0;
    for token in stream.clone() {
        step = match (step, token) {
            (0 | 1, TokenTree::Ident(name)) => u8::from(name == wanted),
            (1, TokenTree::Punct(mark)) if mark.as_char() == '=' => 2,
            (2, TokenTree::Literal(literal)) => return Some(Lit::new(literal)),
            _ => 0,
        };
    }
    None
}

fn said_text(stream: &TokenStream, wanted: &str) -> Option<String> {
    match said(stream, wanted)? {
        Lit::Str(text) => Some(text.value()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

fn unraw(ident: &Ident) -> String {
    ident.unraw().to_string()
}

fn name(input: ParseStream<'_>) -> Result<Ident> {
    Ident::parse_any(input)
}

/// What `#[…]` say: the name in the database and the longest length. Others are remarked.
#[derive(Default)]
struct Said {
    sql_name: Option<String>,
    max_length: Option<u32>,
}

fn attributes(input: ParseStream<'_>, path: &str, models: &mut Models) -> Result<Said> {
    let mut all = Said::default();
    while input.peek(Token![#]) {
        let mark: Token![#] = input.parse()?;
        let group: Group = input.parse()?;
        let stream = group.stream();
        let kind = match stream.clone().into_iter().next() {
            Some(TokenTree::Ident(kind)) => kind.to_string(),
            _ => String::new(),
        };
        let is_read = match kind.as_str() {
            "sql_name" => {
                all.sql_name = said_text(&stream, "sql_name");
                all.sql_name.is_some()
            }
            "max_length" => {
                all.max_length = match said(&stream, "max_length") {
                    Some(Lit::Int(number)) => number.base10_parse().ok(),
                    _ => None,
                };
                all.max_length.is_some()
            }
            "doc" | "allow" | "expect" | "warn" | "deprecated" | "rustfmt" => true,
            _ => false,
        };
        if !is_read {
            models.unsupported(place(path, mark.span), format!("#[{}]", short(&stream)));
        }
    }
    Ok(all)
}

fn table(input: ParseStream<'_>, path: &str, module: &[String], models: &mut Models) -> Result<RawTable> {
    let mut renamed = Vec::new();
    let mut said = attributes(input, path, models)?;
    while input.peek(Token![use]) {
        imports(input, &mut renamed)?;
        let more = attributes(input, path, models)?;
        said.sql_name = said.sql_name.or(more.sql_name);
    }
    let mut own = name(input)?;
    let mut schema = None;
    if input.peek(Token![.]) {
        input.parse::<Token![.]>()?;
        schema = Some(unraw(&own));
        own = name(input)?;
    }
    let mut primary_key = Vec::new();
    if input.peek(token::Paren) {
        let keys;
        parenthesized!(keys in input);
        while !keys.is_empty() {
            primary_key.push(unraw(&name(&keys)?));
            if !keys.is_empty() {
                keys.parse::<Token![,]>()?;
            }
        }
    }
    if primary_key.is_empty() {
        primary_key.push("id".to_owned());
    }
    let body: Group = input.parse()?;
    if !input.is_empty() {
        return Err(input.error("more than one table"));
    }
    let own_name = unraw(&own);
    let place = place(path, own.span());
    let columns = parsed(|input| Ok(columns(input, &place, &own_name, models)), body.stream())?;
    let sql_name = said.sql_name.unwrap_or_else(|| own_name.clone());
    // Diesel 1 has the schema in the name as well.
    let without =
        schema.as_ref().and_then(|schema| sql_name.strip_prefix(schema.as_str())?.strip_prefix('.'));
    let sql_name = without.map(str::to_owned).unwrap_or(sql_name);
    Ok(RawTable {
        module: module.to_vec(),
        schema,
        name: own_name,
        sql_name,
        primary_key,
        columns,
        renamed,
        place,
    })
}

/// `use …;`
fn imports(input: ParseStream<'_>, renamed: &mut Vec<(String, String)>) -> Result<()> {
    let mut before = Vec::new();
    while !input.peek(Token![;]) {
        token_names(input.parse()?, &mut before, DEPTH);
    }
    input.parse::<Token![;]>()?;
    for window in before.windows(3) {
        if let [own, between, other] = window
            && between == "as"
        {
            renamed.push((other.clone(), own.clone()));
        }
    }
    Ok(())
}

/// All names in what is imported, in their order.
fn token_names(token: TokenTree, names: &mut Vec<String>, depth: u32) {
    match token {
        TokenTree::Ident(ident) => names.push(ident.to_string()),
        TokenTree::Group(group) if depth > 0 => {
            group.stream().into_iter().for_each(|token| token_names(token, names, depth - 1));
        }
        _ => {}
    }
}

/// Columns up to the end. One that is not understood is remarked and passed over, up to its comma.
fn columns(input: ParseStream<'_>, start: &Place, table: &str, models: &mut Models) -> Vec<RawColumn> {
    let mut columns = Vec::new();
    let path = start.path.as_str();
    let mut before = start.clone();
    while !input.is_empty() {
        before = before.max(place(path, input.span()));
        match column(input, path, models) {
            Ok(column) => columns.push(column),
            Err(error) => {
                let place = place(path, error.span()).max(before.clone());
                models.unread(place, format!("a column of {table}: {error}"));
                while !input.is_empty() && !input.peek(Token![,]) {
                    if input.parse::<TokenTree>().is_err() {
                        return columns;
                    }
                }
            }
        }
        if input.parse::<Token![,]>().is_err() && !input.is_empty() {
            // Not even a token: nothing more can be read.
            if input.parse::<TokenTree>().is_err() {
                return columns;
            }
        }
    }
    columns
}

fn column(input: ParseStream<'_>, path: &str, models: &mut Models) -> Result<RawColumn> {
    let said = attributes(input, path, models)?;
    let own = name(input)?;
    let mut column = RawColumn {
        name: unraw(&own),
        sql_name: said.sql_name.unwrap_or_else(|| unraw(&own)),
        data_type: Err(String::new()),
        max_length: said.max_length,
        place: place(path, own.span()),
    };
    input.parse::<Token![->]>()?;
    let written = input.fork();
    let is_end = |input: ParseStream<'_>| input.is_empty() || input.peek(Token![,]);
    column.data_type = data_type(input, DEPTH).ok().filter(|_| is_end(input)).ok_or_else(|| shown(&written));
    // A type that is not understood is remarked with its column, which is there in any case.
    while !is_end(input) {
        input.parse::<TokenTree>()?;
    }
    Ok(column)
}

/// What is written up to the next comma.
fn shown(input: ParseStream<'_>) -> String {
    let mut tokens = TokenStream::new();
    while !input.peek(Token![,]) {
        let Ok(token) = input.parse::<TokenTree>() else { break };
        tokens.extend([token]);
    }
    short(&tokens)
}

fn short(tokens: &TokenStream) -> String {
    tokens.to_string().chars().take(60).collect()
}

fn data_type(input: ParseStream<'_>, depth: u32) -> Result<RawType> {
    if depth == 0 {
        return Err(input.error("too deep"));
    }
    if input.peek(Token![::]) {
        input.parse::<Token![::]>()?;
    }
    let mut last = name(input)?;
    while input.peek(Token![::]) {
        input.parse::<Token![::]>()?;
        last = name(input)?;
    }
    let mut arguments = Vec::new();
    if input.peek(Token![<]) {
        input.parse::<Token![<]>()?;
        while !input.peek(Token![>]) {
            arguments.push(data_type(input, depth - 1)?);
            if !input.peek(Token![>]) {
                input.parse::<Token![,]>()?;
            }
        }
        input.parse::<Token![>]>()?;
    }
    Ok(RawType { name: unraw(&last), arguments })
}

fn join(input: ParseStream<'_>, module: &[String], place: Place) -> Result<Join> {
    let child = path_end(input)?;
    input.parse::<Token![->]>()?;
    let parent = path_end(input)?;
    let columns;
    parenthesized!(columns in input);
    let mut column = unraw(&name(&columns)?);
    while !columns.is_empty() {
        // More than one column is none that Diesel takes.
        let _ = write!(column, "{}", columns.parse::<TokenTree>()?);
    }
    Ok(Join { module: module.to_vec(), child, parent, column, place })
}

fn path_end(input: ParseStream<'_>) -> Result<String> {
    let mut last = name(input)?;
    while input.peek(Token![::]) {
        input.parse::<Token![::]>()?;
        last = name(input)?;
    }
    Ok(unraw(&last))
}
