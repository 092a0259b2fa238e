//! Any URL, list of parameters or `.env` file is read or refused, and no password is shown.
#![no_main]

use std::collections::BTreeMap;

use cutover_postgres::Environment;
use cutover_postgres::connect::{ConnectOptions, Inputs, parse_dotenv};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let env = Environment { user: Some("me".to_owned()), ..Environment::default() };
    let dotenv = parse_dotenv(text).unwrap_or_default();
    let resolve =
        |url: Option<&str>, dotenv: BTreeMap<String, String>| match ConnectOptions::resolve(Inputs {
            url,
            dotenv,
            config: None,
            env: &env,
        }) {
            Ok(resolved) => {
                assert!(!resolved.options.hosts.is_empty());
                let _ = resolved.options.libpq_variables();
                format!("{resolved:?} {}", resolved.options)
            }
            Err(error) => format!("{error} {error:?} {}", error.advice()),
        };
    resolve(None, dotenv);
    resolve(Some(text), BTreeMap::new());
    // A password between the two: nothing else holds this word.
    if !text.contains("hunter2") {
        let shown = resolve(Some(&format!("postgresql://u:hunter2@{text}")), BTreeMap::new());
        assert!(!shown.contains("hunter2"), "{shown}");
        let shown = resolve(Some(&format!("password=hunter2 {text}")), BTreeMap::new());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
});
