//! What classes mean.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use super::SOURCE;
use crate::ddl::ddl;
use crate::model::Models;
use crate::source::{File, Settings};

fn models(text: &str) -> Models {
    let file = File { path: "models.py".to_owned(), text: text.to_owned() };
    SOURCE.read(&[file], &Settings::default())
}

/// What a file comes to: its statements, and what is not understood.
fn told(text: &str) -> String {
    let models = models(text);
    let left: Vec<String> =
        models.unsupported.iter().map(|one| format!("-- line {}: {}\n", one.place.line, one.what)).collect();
    ddl(&models).text() + &left.concat()
}
