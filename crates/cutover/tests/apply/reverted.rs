//! Ways back, and what happens between the look and the run.

use cutover::revert::{self, Request, Which};
use cutover::run::Outcome;
use cutover::verify::SandboxProvider;
use testkit::database;

use crate::cuts::run_async;
use crate::support::{apply, project};

#[test]
fn a_way_back_of_a_history_that_has_moved_is_refused() {
    let database = database();
    let options = database.options();
    let first = ("V1__a.sql", "CREATE TABLE a (n int);");
    run_async(async {
        let small = project(&[first]);
        assert_eq!(apply(&small, &options).await.unwrap().outcome, Some(Outcome::Completed));
        let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
        let request =
            Request { which: Which::All, allow: &[], derive: &[], sandbox: &sandbox, only_look: false };
        let outlook = revert::look(&small, &options, &request).await.unwrap();
        // Somebody applies something that needs it.
        let large =
            project(&[first, ("V2__b.sql", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';")]);
        assert_eq!(apply(&large, &options).await.unwrap().outcome, Some(Outcome::Completed));
        let refused = apply(&outlook.project, &options).await.unwrap_err().to_string();
        assert!(refused.contains("has moved since it was looked at"), "{refused}");
        assert_eq!(database.value("SELECT to_regclass('a') IS NOT NULL"), "t");
        // Looked at anew, it is gone.
        let outlook = revert::look(&large, &options, &request).await.unwrap();
        assert_eq!(apply(&outlook.project, &options).await.unwrap().outcome, Some(Outcome::Completed));
        assert_eq!(database.value("SELECT to_regclass('a') IS NULL"), "t");
    });
}
