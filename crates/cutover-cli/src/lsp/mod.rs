//! `cutover lint --lsp`: findings for editors, by the language server protocol on standard input and output.
//!
//! Source: "Language Server Protocol Specification 3.17". Documents are taken whole; a document that changes faster than it can be
//! looked at is looked at once it has stopped.

mod frames;
mod places;
mod server;

use std::io::{self, BufReader, Write as _};
use std::sync::mpsc;

use cutover::project::{Overrides, Project};
use serde_json::{Value, json};

use self::frames::Frame;
use self::server::Server;
use crate::app::App;
use crate::error::{CliError, Exit};

/// Speaks until the editor says `exit`, or is gone.
pub(crate) fn serve(app: &App, overrides: &Overrides) -> Result<Exit, CliError> {
    let folder = app.folder()?;
    let load = || Project::load(&folder, overrides).map_err(|error| error.to_string());
    let mut server = Server::new(&load);
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || read_all(&send));
    let mut out = io::stdout().lock();
    let mut say = |messages: Vec<Value>| -> Result<(), CliError> {
        for message in messages {
            frames::write(&mut out, &message)
                .map_err(|error| CliError::usage(format!("the editor cannot be reached: {error}")))?;
        }
        Ok(())
    };
    while let Ok(came) = receive.recv() {
        let mut next = Some(came);
        // What has come meanwhile may change what is looked at.
        while let Some(came) = next {
            match came {
                Ok(Frame::Message(message)) => say(server.message(&message))?,
                Ok(Frame::Broken(why)) => say(vec![broken(&why)])?,
                Err(why) => {
                    return Err(CliError::usage(format!("what the editor sends cannot be read: {why}")));
                }
            }
            if let Some(clean) = server.has_ended() {
                return Ok(if clean { Exit::Done } else { Exit::No });
            }
            next = receive.try_recv().ok();
        }
        say(server.look())?;
    }
    let _ = io::stdout().flush();
    Ok(Exit::No)
}

fn read_all(send: &mpsc::Sender<Result<Frame, String>>) {
    let mut from = BufReader::new(io::stdin());
    loop {
        let came = match frames::read(&mut from) {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => return,
            Err(error) => Err(error.to_string()),
        };
        let is_last = came.is_err();
        if send.send(came).is_err() || is_last {
            return;
        }
    }
}

fn broken(why: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": why } })
}
