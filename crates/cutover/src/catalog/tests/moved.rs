//! A schema that is changed while it is read: read once more, and told in words where that is of no use.

use cutover_postgres::session::{Session, Startup};
use testkit::proxy::{Direction, Point, When};
use testkit::{Proxy, database};

use crate::catalog::{CatalogError, schema};

/// The question about everything: behind the one with which the snapshot begins.
fn question(number: usize) -> Point {
    Point { connection: Some(0), direction: Direction::Frontend, message: number, when: When::Before }
}

/// Reads while views are dropped, each after a snapshot was taken that still has it.
fn read(views: &[&str]) -> Result<String, CatalogError> {
    let database = database();
    for view in views {
        database.run(&format!("CREATE VIEW {view} AS SELECT 1 AS n"));
    }
    let proxy = Proxy::start(database.server());
    let options = proxy.server().options(database.name());
    // BEGIN, the question, ROLLBACK; and again.
    let holds: Vec<_> = (0..views.len()).map(|turn| proxy.hold(question(2 + 3 * turn))).collect();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let run = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            run.block_on(async {
                let mut session = Session::connect(&options, &Startup::default()).await.unwrap();
                let read = schema(&mut session, &[]).await;
                session.close().await;
                read.map(|schema| schema.canonical_text())
            })
        });
        for (view, hold) in views.iter().zip(holds) {
            hold.wait_reached();
            database.run(&format!("DROP VIEW {view}"));
            hold.release();
        }
        reading.join().unwrap()
    })
}

#[test]
fn what_goes_while_it_is_read_is_read_again() {
    let text = read(&["v"]).unwrap();
    assert!(!text.contains("view public.v"), "{text}");
    let error = read(&["v", "w"]).unwrap_err();
    assert!(matches!(error, CatalogError::Moved(_)), "{error:?}");
    let words = error.to_string();
    assert!(
        words.starts_with("the schema was changed while it was read (") && words.contains("run it again"),
        "{words}"
    );
}
