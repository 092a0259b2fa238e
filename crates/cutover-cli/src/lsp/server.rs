//! What is answered to which message. Knows nothing of streams.

use std::collections::{BTreeMap, BTreeSet};

use cutover::lint::{self, Found, Located, Severity};
use cutover::project::Project;
use serde_json::{Value, json};

use super::places;

/// Documents at once.
const MOST_DOCUMENTS: usize = 1_000;

pub(super) struct Server<'a> {
    load: &'a dyn Fn() -> Result<Project, String>,
    /// Until something is saved.
    project: Option<Result<Project, String>>,
    documents: BTreeMap<String, Document>,
    /// Those to look at.
    changed: BTreeSet<String>,
    initialized: bool,
    shut_down: bool,
    ended: Option<bool>,
    /// What was said last of the project.
    told: Option<String>,
}

#[derive(Default)]
struct Document {
    text: String,
    version: Value,
    /// The project with this text, the file's place in it, and what was found.
    seen: Option<(Project, usize, Found)>,
}

impl<'a> Server<'a> {
    /// With the project that `load` reads.
    pub(super) fn new(load: &'a dyn Fn() -> Result<Project, String>) -> Self {
        Self {
            load,
            project: None,
            documents: BTreeMap::new(),
            changed: BTreeSet::new(),
            initialized: false,
            shut_down: false,
            ended: None,
            told: None,
        }
    }

    /// Whether the editor said that it is over, and whether it had announced that.
    pub(super) fn has_ended(&self) -> Option<bool> {
        self.ended
    }

    /// Takes a message; gives what is to be said to it.
    pub(super) fn message(&mut self, message: &Value) -> Vec<Value> {
        let id = message.get("id").filter(|id| id.is_string() || id.is_number());
        let Some(method) = message["method"].as_str() else {
            // An answer, to nothing that was asked; or no message at all.
            let is_answer = message.get("result").is_some() || message.get("error").is_some();
            return if is_answer { Vec::new() } else { vec![refused(id, -32600, "no request")] };
        };
        let parameters = &message["params"];
        match (method, id) {
            ("exit", _) => self.ended = Some(self.shut_down),
            ("initialize", Some(id)) => {
                self.initialized = true;
                return vec![answer(id, &capabilities())];
            }
            (_, Some(_)) if !self.initialized => return vec![refused(id, -32002, "not initialized yet")],
            (_, Some(_)) if self.shut_down => return vec![refused(id, -32600, "shut down already")],
            ("shutdown", Some(id)) => {
                self.shut_down = true;
                return vec![answer(id, &Value::Null)];
            }
            ("textDocument/codeAction", Some(id)) => {
                let (told, actions) = self.actions(parameters);
                return told.into_iter().chain([answer(id, &actions)]).collect();
            }
            (_, Some(_)) => return vec![refused(id, -32601, "not known")],
            (_, None) if !self.initialized || self.shut_down => {}
            ("textDocument/didOpen", None) => {
                let document = &parameters["textDocument"];
                // Other files may have come since.
                self.project = None;
                self.take(document, document["text"].as_str());
            }
            ("textDocument/didChange", None) => {
                let changes = parameters["contentChanges"].as_array();
                // Whole texts were asked for: one with a range is none.
                let whole =
                    changes.and_then(|changes| changes.last()).filter(|last| last.get("range").is_none());
                self.take(&parameters["textDocument"], whole.and_then(|last| last["text"].as_str()));
            }
            ("textDocument/didSave" | "workspace/didChangeWatchedFiles", None) => {
                self.project = None;
                self.changed.extend(self.documents.keys().cloned());
            }
            ("textDocument/didClose", None) => return self.close(&parameters["textDocument"]),
            _ => {}
        }
        Vec::new()
    }

    fn take(&mut self, document: &Value, text: Option<&str>) {
        let (Some(uri), Some(text)) = (document["uri"].as_str(), text) else { return };
        if self.documents.len() >= MOST_DOCUMENTS && !self.documents.contains_key(uri) {
            return;
        }
        let known = self.documents.entry(uri.to_owned()).or_default();
        *known = Document { text: text.to_owned(), version: document["version"].clone(), seen: None };
        self.changed.insert(uri.to_owned());
    }

    fn close(&mut self, document: &Value) -> Vec<Value> {
        let Some(uri) = document["uri"].as_str() else { return Vec::new() };
        self.changed.remove(uri);
        match self.documents.remove(uri) {
            Some(_) => vec![published(uri, &Value::Null, &[])],
            None => Vec::new(),
        }
    }

    /// Looks at what has changed.
    pub(super) fn look(&mut self) -> Vec<Value> {
        let mut said = Vec::new();
        for uri in std::mem::take(&mut self.changed) {
            let Some(path) = places::path(&uri) else { continue };
            let project = self.project.get_or_insert_with(self.load);
            let Some(document) = self.documents.get_mut(&uri) else { continue };
            let project = match project {
                Ok(project) => project,
                Err(why) => {
                    if self.told.as_ref() != Some(why) {
                        said.push(shown(why));
                        self.told = Some(why.clone());
                    }
                    continue;
                }
            };
            self.told = None;
            let diagnostics = match project.with_text(&path, &document.text) {
                Ok((project, place)) => {
                    let found = lint::look_at(&project, place);
                    let diagnostics = diagnostics(&document.text, &found);
                    document.seen = Some((project, place, found));
                    diagnostics
                }
                // A file of something else.
                Err(_) => Vec::new(),
            };
            said.push(published(&uri, &document.version, &diagnostics));
        }
        said
    }

    /// What can be done about what is found in a range; with what is to be said before.
    fn actions(&mut self, parameters: &Value) -> (Vec<Value>, Value) {
        let said = self.look();
        let uri = parameters["textDocument"]["uri"].as_str().unwrap_or_default();
        let Some(Document { text, seen: Some((project, place, found)), .. }) = self.documents.get(uri) else {
            return (said, json!([]));
        };
        let mut actions = Vec::new();
        for finding in found.findings.iter().filter(|finding| finding.mending.is_some()) {
            let diagnostic = diagnostic(text, finding);
            if !places::touch(&parameters["range"], &diagnostic["range"]) {
                continue;
            }
            let Ok(after) = lint::fix::one(project, *place, finding) else { continue };
            let done = finding.mending.as_ref().and_then(|mending| mending.fix.as_ref().ok());
            actions.push(json!({
                "title": format!("{}: {}", finding.code, done.map_or("", |fix| fix.title)),
                "kind": "quickfix",
                "diagnostics": [diagnostic],
                "edit": { "changes": { uri: [places::edit(text, &after)] } },
            }));
        }
        (said, Value::Array(actions))
    }
}

fn capabilities() -> Value {
    json!({
        "capabilities": {
            "positionEncoding": "utf-16",
            "textDocumentSync": { "openClose": true, "change": 1, "save": true },
            "codeActionProvider": { "codeActionKinds": ["quickfix"] },
        },
        "serverInfo": { "name": "cutover", "version": env!("CARGO_PKG_VERSION") },
    })
}

fn diagnostics(text: &str, found: &Found) -> Vec<Value> {
    let broken = found.broken.iter().map(|problem| {
        let (line, column) = problem.place.map_or((1, 1), |place| (place.line, place.column));
        json!({
            "range": places::range(text, line, column),
            "severity": 1,
            "source": "cutover",
            "message": problem.message,
        })
    });
    broken.chain(found.findings.iter().map(|finding| diagnostic(text, finding))).collect()
}

fn diagnostic(text: &str, finding: &Located) -> Value {
    json!({
        "range": places::range(text, finding.line, finding.column),
        "severity": match finding.severity { Severity::Error => 1, Severity::Warning => 2 },
        "code": finding.code,
        "source": "cutover",
        "message": format!("{}\n{}", finding.message, finding.help),
    })
}

fn published(uri: &str, version: &Value, diagnostics: &[Value]) -> Value {
    let mut parameters = json!({ "uri": uri, "diagnostics": diagnostics });
    if version.is_number() {
        parameters["version"] = version.clone();
    }
    json!({ "jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": parameters })
}

fn shown(why: &str) -> Value {
    let parameters = json!({ "type": 1, "message": format!("cutover: {why}") });
    json!({ "jsonrpc": "2.0", "method": "window/showMessage", "params": parameters })
}

fn answer(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn refused(id: Option<&Value>, code: i32, why: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": why } })
}
