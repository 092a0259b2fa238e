//! An application that brings its migrations along and applies them when it starts.
//!
//! ```text
//! DATABASE_URL=postgresql://localhost/shop cargo run --example migrate_at_start
//! ```
//! Start it several times at once: one instance works, the others wait and find nothing to do.

#![allow(clippy::print_stdout)]

use cutover::{Project, migrate};
use include_dir::{Dir, include_dir};

/// The folder, compiled into the program.
static MIGRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/shop_migrations");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL")?;
    let files: Vec<(&str, &[u8])> =
        MIGRATIONS.files().filter_map(|file| Some((file.path().to_str()?, file.contents()))).collect();
    let project = Project::embedded("shop", &files)?;
    let run = migrate(&project, &url).await?;
    println!("{:?} after {} events", run.outcome, run.events.len());
    // … and here the application starts.
    Ok(())
}
