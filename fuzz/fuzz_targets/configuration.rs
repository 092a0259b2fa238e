//! Any `cutover.toml` is read or refused with places that exist.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use cutover::project::{Overrides, Project, ProjectError};
use libfuzzer_sys::fuzz_target;

/// A project folder of this process, where no other tool looks.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target"));
        let folder = target.join(format!("project-{}", std::process::id()));
        for (path, text) in [
            ("migrations/1_users.sql", "CREATE TABLE users ();"),
            ("migrations/2_jobs.sql", "CREATE TABLE jobs ();"),
            ("other/V1__a.sql", "SELECT 1;"),
            ("ddl/core.sql", "CREATE TABLE users ();"),
        ] {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
            fs::write(path, text).expect("the file");
        }
        folder
    })
}

fuzz_target!(|bytes: &[u8]| {
    let folder = folder();
    fs::write(folder.join("cutover.toml"), bytes).expect("the configuration");
    let load = || Project::load(folder, &Overrides::default());
    let shown = |result: &Result<Project, ProjectError>| match result {
        Ok(project) => format!("{:?}", project.migrations),
        // Places and carets are worked out when it is shown.
        Err(error) => format!("{error} {error:?}"),
    };
    assert_eq!(shown(&load()), shown(&load()));
});
