//! What editors use: a file's text from standard input, the pages of rules, and the language server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Stdio};

use common::{Outcome, Place, outcome, says};
use serde_json::{Value, json};

const CONFIG: &str = "[project]\nname = \"shop\"\n\n[[migrations]]\npath = \"migrations\"\n";

fn place() -> Place {
    let place = Place::without_database();
    place.write("cutover.toml", CONFIG);
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);\n");
    place.write("migrations/0003_c.sql", "SELECT 1;\n");
    place
}

fn with_input(place: &Place, arguments: &[&str], text: &str) -> Outcome {
    let mut child = place.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    outcome(&child.wait_with_output().unwrap())
}

#[test]
fn a_text_is_looked_at_as_if_it_stood_in_its_file() {
    let place = place();
    let at = |path: &'static str, form: &'static str, text: &str| {
        with_input(&place, &["lint", "--stdin-filename", path, "--as", form], text)
    };
    let index = "CREATE INDEX i ON a (n);\nALTER TABLE a ADD CHECK (n > 0);\n";
    for path in ["migrations/0002_b.sql", "migrations/0003_c.sql"] {
        let said = at(path, "text", index).ends_with(1).stdout;
        assert!(said.contains(&format!("{path}:1:19: error[create-index-blocks-writes]")), "{said}");
        assert!(said.contains(&format!("{path}:2:")) && said.contains("1 file: 2 errors"), "{said}");
    }
    // What it makes is not in what comes before it.
    let made =
        at("migrations/0002_b.sql", "text", "CREATE TABLE b (n int);\nCREATE INDEX ON b (n);\n").ends_with(0);
    assert_eq!(made.stdout, "1 file: nothing found\n");
    // The folder is a repository of its own.
    std::fs::create_dir(place.folder.join(".git")).unwrap();
    let github = at("migrations/0002_b.sql", "github", index).ends_with(1).stdout;
    assert!(github.starts_with("::error file=migrations/0002_b.sql,line=1,col=19"), "{github}");
    let sarif: Value = serde_json::from_str(&at("migrations/0002_b.sql", "sarif", index).stdout).unwrap();
    let rule = &sarif["runs"][0]["tool"]["driver"]["rules"][0];
    assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# `create-index-blocks-writes`"));
    let arguments = ["lint", "--stdin-filename", "migrations/0002_b.sql", "--format", "json"];
    let document: Value = serde_json::from_str(&with_input(&place, &arguments, index).stdout).unwrap();
    assert_eq!(
        document["findings"][0]["fix"],
        json!({"done": "builds the index CONCURRENTLY", "why_not": null})
    );
    let broken = at("migrations/0002_b.sql", "text", "CREATE TABEL b ();").ends_with(1).stdout;
    assert!(broken.contains("migrations/0002_b.sql:1:8: syntax error"), "{broken}");
    says(&at("other/0002_b.sql", "text", "").ends_with(2), &["is in no folder of migrations"]);
    says(&at("migrations/b.sql", "text", "").ends_with(2), &["its name does not begin with a number"]);
    // Another file has its version: that is found, and what else there is to be found.
    let twin = at("migrations/001_b.sql", "text", "DROP TABLE a;").ends_with(1).stdout;
    assert!(twin.contains("error[duplicate-version]: the same version as migrations/0001_a.sql"), "{twin}");
    assert!(twin.contains("001_b.sql:1:1: error[drop-table]"), "{twin}");
}

#[test]
fn each_rule_has_its_page_at_the_terminal() {
    let place = place();
    let page = place.run(&["lint", "--explain", "drop-column"]).ends_with(0).stdout;
    assert!(page.starts_with("# `drop-column`\n") && !page.contains("README.md"), "{page}");
    let wrong = place.run(&["lint", "--explain", "drop-colum"]).ends_with(2);
    says(&wrong, &["there is no rule \"drop-colum\"", "did you mean drop-column?"]);
    let document = place.run(&["lint", "--explain", "drop-index-locks", "--format", "json"]).ends_with(0);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!((&document["code"], &document["mechanical"]), (&json!("drop-index-locks"), &json!(true)));
    let rules = place.run(&["lint", "--rules"]).ends_with(0).stdout;
    assert_eq!(rules.lines().count(), 81);
}

/// A language server that is spoken to.
struct Server {
    child: Child,
    from: BufReader<ChildStdout>,
    uri: String,
}

impl Server {
    fn start(place: &Place, path: &str) -> Self {
        let mut child = place.command(&["lint", "--lsp"]).stdin(Stdio::piped()).spawn().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, from, uri: format!("file://{}/{path}", place.folder.display()) };
        server.send(&json!({"id": 0, "method": "initialize", "params": {}}));
        let capabilities = &server.receive()["result"]["capabilities"];
        assert_eq!(capabilities["textDocumentSync"]["change"], 1);
        server
    }

    fn raw(&mut self, bytes: &[u8]) {
        let mut to = self.child.stdin.as_ref().unwrap();
        to.write_all(bytes).unwrap();
        to.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let length: usize = line.trim().strip_prefix("Content-Length: ").unwrap().parse().unwrap();
        self.from.read_line(&mut line).unwrap();
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn open(&mut self, text: &str) -> Vec<Value> {
        let document = json!({"uri": self.uri, "languageId": "sql", "version": 1, "text": text});
        self.send(&json!({"method": "textDocument/didOpen", "params": {"textDocument": document}}));
        self.diagnostics()
    }

    fn change(&mut self, text: &str) -> Vec<Value> {
        let document = json!({"uri": self.uri, "version": 2});
        let changes = json!([{"text": text}]);
        self.send(&json!({"method": "textDocument/didChange", "params": {"textDocument": document, "contentChanges": changes}}));
        self.diagnostics()
    }

    fn diagnostics(&mut self) -> Vec<Value> {
        let message = self.receive();
        assert_eq!(message["method"], "textDocument/publishDiagnostics", "{message}");
        assert_eq!(message["params"]["uri"], self.uri.as_str());
        message["params"]["diagnostics"].as_array().unwrap().clone()
    }

    fn actions(&mut self, range: &Value) -> Vec<Value> {
        let parameters =
            json!({"textDocument": {"uri": self.uri}, "range": range, "context": {"diagnostics": []}});
        self.send(&json!({"id": "a", "method": "textDocument/codeAction", "params": parameters}));
        let message = self.receive();
        assert_eq!(message["id"], "a", "{message}");
        message["result"].as_array().unwrap().clone()
    }

    fn end(mut self) -> i32 {
        self.send(&json!({"id": 9, "method": "shutdown"}));
        assert_eq!(self.receive()["result"], Value::Null);
        self.send(&json!({"method": "exit"}));
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_editor_is_told_what_is_found_and_how_to_mend_it() {
    let place = place();
    let mut server = Server::start(&place, "migrations/0002_b.sql");
    let found = server.open("/* 𝄞 */ CREATE INDEX i ON a (n);\r\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["code"], &found[0]["severity"]), (&json!("create-index-blocks-writes"), &json!(1)));
    // The sign takes two places in UTF-16.
    assert_eq!(
        found[0]["range"],
        json!({"start": {"line": 0, "character": 27}, "end": {"line": 0, "character": 33}})
    );
    let actions = server.actions(&found[0]["range"]);
    let edit = &actions[0]["edit"]["changes"][&server.uri][0];
    assert_eq!(edit["newText"], "CONCURRENTLY ", "{actions:?}");
    assert_eq!(edit["range"]["start"], json!({"line": 0, "character": 22}));
    assert_eq!(
        server.actions(&json!({"start": {"line": 9, "character": 0}, "end": {"line": 9, "character": 0}})),
        [""; 0]
    );
    assert_eq!(server.change("CREATE TABLE b (n int);\n"), [""; 0]);
    let broken = server.change("CREATE TABEL b ();\n");
    assert!(broken[0]["message"].as_str().unwrap().contains("syntax error"), "{broken:?}");
    server.send(&json!({"method": "textDocument/didClose", "params": {"textDocument": {"uri": server.uri}}}));
    assert_eq!(server.diagnostics(), [""; 0]);
    assert_eq!(server.end(), 0);
}

#[test]
fn whatever_an_editor_sends_is_answered_or_ends_in_order() {
    let place = place();
    let mut server = Server::start(&place, "migrations/0002_b.sql");
    for (sent, code) in [
        (&b"Content-Length: 3\r\n\r\n{]}"[..], -32700),
        (b"Content-Length: 2\r\n\r\n[]", -32600),
        (b"Content-Length: 38\r\n\r\n{\"id\":7,\"method\":\"workspace/nonsense\"}\n", -32601),
    ] {
        server.raw(sent.strip_suffix(b"\n").unwrap_or(sent));
        assert_eq!(server.receive()["error"]["code"], code);
    }
    for message in [
        json!({"method": 5}),
        json!({"method": "textDocument/didOpen"}),
        json!({"method": "textDocument/didOpen", "params": {"textDocument": {"uri": "file:///%zz", "text": "x"}}}),
        json!({"method": "textDocument/didOpen", "params": {"textDocument": {"uri": "untitled:1", "text": "x"}}}),
        json!({"method": "textDocument/didChange", "params": {"textDocument": {"uri": server.uri}, "contentChanges": [{"range": {}, "text": "x"}]}}),
        json!({"method": "textDocument/didClose", "params": {"textDocument": {"uri": 7}}}),
        json!({"id": 1, "result": null}),
    ] {
        server.send(&message);
        if message["method"] == 5 {
            assert_eq!(server.receive()["error"]["code"], -32600);
        }
    }
    assert_eq!(server.actions(&json!("nonsense")), [""; 0]);
    assert_eq!(server.open("DROP TABLE a;").len(), 1);
    server.raw(b"Content-Length: what\r\n\r\n");
    assert_eq!(server.child.wait().unwrap().code(), Some(2));
    let mut server = Server::start(&place, "migrations/0002_b.sql");
    server.send(&json!({"method": "exit"}));
    assert_eq!(server.child.wait().unwrap().code(), Some(1));
}
