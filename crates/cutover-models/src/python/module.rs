//! Files: what they import, and their classes, functions and assignments.

use std::collections::BTreeMap;

use tree_sitter::{Node, Parser};

use super::expression::{Argument, Expression, arguments_of, line_of, written};

/// A file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Module {
    /// Its path, as it was given.
    pub(crate) path: String,
    /// What names mean here that were imported: the module and, behind a dot, the name there. `from a.b import *` is there as
    /// `*a.b`, which is no name.
    pub(crate) imports: BTreeMap<String, String>,
    /// Its statements, also those below conditions.
    pub(crate) statements: Vec<Statement>,
    /// Lines that are no Python.
    pub(crate) broken: Vec<u32>,
}

/// A statement that models are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Statement {
    /// `target: annotation = value`.
    Assign { target: String, annotation: Option<Expression>, value: Option<Expression>, line: u32 },
    /// A class.
    Class(Class),
    /// A function.
    Function(Function),
    /// An expression by itself.
    Bare(Expression, u32),
    /// `target = value` where the target is no name: `globals()["a"] = …`, `a, b = …`.
    Put { target: Expression, value: Expression, line: u32 },
}

/// A class.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Class {
    /// Its name.
    pub(crate) name: String,
    /// What it is made from, and keywords of that.
    pub(crate) bases: Vec<Argument>,
    /// Its statements.
    pub(crate) body: Vec<Statement>,
    /// Its line.
    pub(crate) line: u32,
    /// It stands below a condition, and there may be another one of its name.
    pub(crate) is_conditional: bool,
    /// What is written above it behind `@`.
    pub(crate) decorators: Vec<Expression>,
    /// First and last lines of what in its body stands below a condition, or in a loop.
    pub(crate) conditions: Vec<(u32, u32)>,
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// What is written above it behind `@`.
    pub(crate) decorators: Vec<Expression>,
    /// What it returns, where that is one expression at its end.
    pub(crate) returns: Option<Expression>,
    /// What is written behind `->`.
    pub(crate) annotation: Option<Expression>,
    /// Its statements.
    pub(crate) body: Vec<Statement>,
    /// Its line.
    pub(crate) line: u32,
}

impl Module {
    /// What a name means: as it was imported, or as it is.
    pub(crate) fn meaning(&self, name: &str) -> String {
        let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
        match (self.imports.get(first), rest) {
            (Some(known), Some(rest)) => format!("{known}.{rest}"),
            (Some(known), None) => known.clone(),
            (None, _) => name.to_owned(),
        }
    }

    /// Its classes, with those inside other statements but classes.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &Class> {
        self.statements.iter().filter_map(|statement| match statement {
            Statement::Class(class) => Some(class),
            _ => None,
        })
    }
}

impl Class {
    /// Whether what stands in a line of its body is there only under a condition, or as often as a loop runs.
    pub(crate) fn is_below_condition(&self, line: u32) -> bool {
        self.conditions.iter().any(|(from, to)| (*from..=*to).contains(&line))
    }

    /// The value that a name is given in its body.
    pub(crate) fn value(&self, name: &str) -> Option<&Expression> {
        self.body.iter().rev().find_map(|statement| match statement {
            Statement::Assign { target, value, .. } if target == name => value.as_ref(),
            _ => None,
        })
    }

    /// A keyword of its bases, as in `class User(SQLModel, table=True)`.
    pub(crate) fn keyword(&self, name: &str) -> Option<&Expression> {
        super::expression::keyword(&self.bases, name)
    }

    /// The class inside it of that name.
    pub(crate) fn inner(&self, name: &str) -> Option<&Class> {
        self.body.iter().find_map(|statement| match statement {
            Statement::Class(class) if class.name == name => Some(class),
            _ => None,
        })
    }
}

/// Reads a file.
pub(crate) fn parse(path: &str, text: &str) -> Module {
    let mut module = Module { path: path.to_owned(), ..Module::default() };
    let mut parser = Parser::new();
    if parser.set_language(&tree_sitter_python::LANGUAGE.into()).is_err() {
        module.broken.push(1);
        return module;
    }
    let Some(tree) = parser.parse(text, None) else {
        module.broken.push(1);
        return module;
    };
    let root = tree.root_node();
    broken(root, &mut module.broken);
    let mut statements = Vec::new();
    block(root, text, &mut statements, &mut module.imports);
    let aliases = aliases(&module.imports, &statements);
    // What it is called now is imported under that name as well.
    for (known_as, last) in &aliases {
        if let Some(meaning) = module.imports.get(known_as).cloned() {
            module.imports.entry(last.clone()).or_insert(meaning);
        }
    }
    if !aliases.is_empty() {
        for statement in &mut statements {
            rename(statement, &aliases);
        }
    }
    module.statements = statements;
    module
}

/// Names under which things are known here that are called otherwise where they come from, with what they are called there.
fn aliases(imports: &BTreeMap<String, String>, statements: &[Statement]) -> BTreeMap<String, String> {
    // `from lib.models import Entry as LibEntry` beside `class Entry(LibEntry)`: there are two, and each keeps its name.
    let is_own = |name: &str| {
        statements.iter().any(|statement| match statement {
            Statement::Class(Class { name: own, .. }) | Statement::Function(Function { name: own, .. }) => {
                own == name
            }
            Statement::Assign { target, .. } => target == name,
            Statement::Bare(..) | Statement::Put { .. } => false,
        })
    };
    let of = |(name, meaning): (&String, &String)| {
        let (_, last) = meaning.rsplit_once('.')?;
        // `import polls.models as pm` beside Django's own `models`: a module keeps its name where another has that.
        let is_module = last.starts_with(|first: char| first.is_lowercase());
        let is_other = |(known_as, other): (&String, &String)| {
            let is_so_called = known_as == last || other.rsplit('.').next() == Some(last);
            other != meaning && is_so_called
        };
        let is_imported = imports.get(last).is_some_and(|other| other != meaning);
        let is_taken = is_own(last) || is_imported || is_module && imports.iter().any(is_other);
        (last != name && !is_taken).then(|| (name.clone(), last.to_owned()))
    };
    imports.iter().filter_map(of).collect()
}

/// Calls everything as it is called where it comes from.
fn rename(statement: &mut Statement, aliases: &BTreeMap<String, String>) {
    match statement {
        Statement::Assign { annotation, value, .. } => {
            annotation.iter_mut().chain(value).for_each(|one| one.rename(aliases));
        }
        Statement::Class(class) => {
            class.bases.iter_mut().for_each(|base| base.value.rename(aliases));
            class.decorators.iter_mut().for_each(|one| one.rename(aliases));
            class.body.iter_mut().for_each(|inner| rename(inner, aliases));
        }
        Statement::Function(function) => {
            let own = function.decorators.iter_mut().chain(&mut function.returns);
            own.chain(&mut function.annotation).for_each(|one| one.rename(aliases));
            function.body.iter_mut().for_each(|inner| rename(inner, aliases));
        }
        Statement::Bare(value, _) => value.rename(aliases),
        Statement::Put { target, value, .. } => {
            target.rename(aliases);
            value.rename(aliases);
        }
    }
}

/// Lines with something that the grammar does not know.
fn broken(root: Node<'_>, lines: &mut Vec<u32>) {
    if !root.has_error() {
        return;
    }
    let mut waiting = vec![root];
    while let Some(node) = waiting.pop() {
        if node.is_error() || node.is_missing() {
            lines.push(line_of(node));
            continue;
        }
        let mut cursor = node.walk();
        waiting.extend(node.children(&mut cursor).filter(Node::has_error));
    }
    lines.sort_unstable();
    lines.dedup();
}

/// `if TYPE_CHECKING:`.
fn is_for_checkers(node: Node<'_>, text: &str) -> bool {
    let condition = node.child_by_field_name("condition");
    condition.is_some_and(|condition| written(condition, text).rsplit('.').next() == Some("TYPE_CHECKING"))
}

/// The statements of a block. What stands below `if`, `try` and `with` is as if it stood beside them: which branch is taken is not
/// known here; of classes it is kept that they stand there.
fn block(node: Node<'_>, text: &str, found: &mut Vec<Statement>, imports: &mut BTreeMap<String, String>) {
    let mut waiting: Vec<Node<'_>> = named(node);
    waiting.reverse();
    while let Some(node) = waiting.pop() {
        match node.kind() {
            "expression_statement" => {
                found.extend(named(node).into_iter().filter_map(|inner| simple(inner, text)));
            }
            "class_definition" => found.push(Statement::Class(class(node, text, &[]))),
            "function_definition" => found.push(Statement::Function(function(node, text, &[]))),
            "decorated_definition" => found.extend(decorated(node, text)),
            "import_statement" | "import_from_statement" => import(node, text, imports),
            // What is said only to those who check types is not there when it runs; what names mean is the same.
            "if_statement" if is_for_checkers(node, text) => {
                let inner = node.child_by_field_name("consequence").map(named).unwrap_or_default();
                let is_import = |node: &Node<'_>| node.kind().starts_with("import_");
                inner.into_iter().filter(is_import).for_each(|node| import(node, text, imports));
                waiting.extend(node.child_by_field_name("alternative"));
            }
            "if_statement" | "elif_clause" | "else_clause" | "try_statement" | "except_clause"
            | "finally_clause" | "with_statement" | "block" | "for_statement" | "while_statement"
            | "match_statement" | "case_clause" => {
                // `if (name := value):`
                let condition = node.child_by_field_name("condition");
                if let Some(condition) =
                    condition.filter(|condition| written(*condition, text).contains(":="))
                {
                    let value = Expression::Other(written(condition, text).to_owned());
                    found.push(Statement::Bare(value, line_of(condition)));
                }
                let mut inner = named(node);
                inner.reverse();
                waiting.extend(inner);
            }
            _ => {}
        }
    }
}

fn named(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

fn simple(node: Node<'_>, text: &str) -> Option<Statement> {
    let line = line_of(node);
    if node.kind() != "assignment" {
        return Some(Statement::Bare(Expression::of(node, text), line));
    }
    let field = |name: &str| node.child_by_field_name(name).map(|node| Expression::of(node, text));
    match field("left")? {
        Expression::Name(target) => {
            Some(Statement::Assign { target, annotation: field("type"), value: field("right"), line })
        }
        target => Some(Statement::Put { target, value: field("right")?, line }),
    }
}

fn class(node: Node<'_>, text: &str, decorators: &[Expression]) -> Class {
    let field = |name: &str| node.child_by_field_name(name);
    let mut body = Vec::new();
    if let Some(inner) = field("body") {
        block(inner, text, &mut body, &mut BTreeMap::new());
    }
    Class {
        name: field("name").map(|name| written(name, text).to_owned()).unwrap_or_default(),
        bases: field("superclasses").map(|bases| arguments_of(bases, text, 0)).unwrap_or_default(),
        body,
        line: line_of(node),
        is_conditional: is_conditional(node, text),
        decorators: decorators.to_vec(),
        conditions: field("body").map(|body| conditions(body, text)).unwrap_or_default(),
    }
}

/// Where in a block it depends on something what is run.
fn conditions(block: Node<'_>, text: &str) -> Vec<(u32, u32)> {
    let depends = |node: &Node<'_>| match node.kind() {
        "if_statement" => !is_for_checkers(*node, text),
        "try_statement" | "for_statement" | "while_statement" | "match_statement" => true,
        _ => false,
    };
    let last = |node: &Node<'_>| u32::try_from(node.end_position().row).unwrap_or(u32::MAX - 1) + 1;
    named(block).iter().filter(|node| depends(node)).map(|node| (line_of(*node), last(node))).collect()
}

/// Whether something stands below `if` or `except`, in what it stands in. What type checkers alone see is no condition of what runs.
fn is_conditional(node: Node<'_>, text: &str) -> bool {
    let mut above = node.parent();
    while let Some(node) = above {
        match node.kind() {
            "if_statement" if is_for_checkers(node, text) => {}
            "if_statement" | "except_clause" => return true,
            "class_definition" | "function_definition" => return false,
            _ => {}
        }
        above = node.parent();
    }
    false
}

fn function(node: Node<'_>, text: &str, decorators: &[Expression]) -> Function {
    let field = |name: &str| node.child_by_field_name(name);
    let last = field("body").and_then(|body| named(body).into_iter().last());
    let mut body = Vec::new();
    if let Some(inner) = field("body") {
        block(inner, text, &mut body, &mut BTreeMap::new());
    }
    let returned = last.filter(|last| last.kind() == "return_statement").and_then(|last| last.named_child(0));
    Function {
        name: field("name").map(|name| written(name, text).to_owned()).unwrap_or_default(),
        decorators: decorators.to_vec(),
        returns: returned.map(|node| Expression::of(node, text)),
        annotation: field("return_type").map(|node| Expression::of(node, text)),
        body,
        line: line_of(node),
    }
}

fn decorated(node: Node<'_>, text: &str) -> Option<Statement> {
    let decorators = named(node).into_iter().filter(|child| child.kind() == "decorator");
    let decorators: Vec<Expression> = decorators
        .filter_map(|decorator| decorator.named_child(0))
        .map(|node| Expression::of(node, text))
        .collect();
    let definition = node.child_by_field_name("definition")?;
    Some(match definition.kind() {
        "class_definition" => Statement::Class(class(definition, text, &decorators)),
        _ => Statement::Function(function(definition, text, &decorators)),
    })
}

fn import(node: Node<'_>, text: &str, imports: &mut BTreeMap<String, String>) {
    let module = node.child_by_field_name("module_name").map(|module| written(module, text).to_owned());
    if let Some(module) = &module
        && named(node).iter().any(|child| child.kind() == "wildcard_import")
    {
        imports.insert(format!("*{module}"), module.clone());
    }
    let mut cursor = node.walk();
    for name in node.children_by_field_name("name", &mut cursor) {
        let (what, known_as) = match name.kind() {
            "aliased_import" => {
                let field =
                    |field: &str| name.child_by_field_name(field).map(|node| written(node, text).to_owned());
                (field("name").unwrap_or_default(), field("alias"))
            }
            _ => (written(name, text).to_owned(), None),
        };
        match (&module, known_as) {
            (Some(module), known_as) => {
                imports.insert(known_as.unwrap_or_else(|| what.clone()), format!("{module}.{what}"));
            }
            (None, Some(known_as)) => {
                imports.insert(known_as, what);
            }
            // `import a.b` makes `a` known, as what it is.
            (None, None) => {}
        }
    }
}

/// Reads an expression that stands in a text, as annotations do.
pub(crate) fn expression(text: &str) -> Expression {
    let found = parse("", text).statements.into_iter().next();
    match found {
        Some(Statement::Bare(expression, _)) => expression,
        _ => Expression::Other(text.to_owned()),
    }
}
