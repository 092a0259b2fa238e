//! What ways back would take away that a rehearsal without rows, and without what somebody made by hand, does not show.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, on_one_server, says};

/// Roles are of the whole server, where the migrations are built several times.
#[test]
fn migrations_that_make_roles_are_taken_back() {
    let place = Place::new();
    let role = format!("role_{}", place.database().value("SELECT current_database()"));
    place.write("migrations/1_t.up.sql", "CREATE TABLE t (a int);");
    place.write("migrations/1_t.down.sql", "DROP TABLE t;");
    place.write("migrations/2_r.up.sql", &format!("CREATE ROLE {role}; GRANT SELECT ON t TO {role};"));
    place.write("migrations/2_r.down.sql", &format!("REVOKE ALL ON t FROM {role}; DROP ROLE {role};"));
    place.write("migrations/3_u.up.sql", "CREATE TABLE u (a int);");
    place.write("migrations/3_u.down.sql", "DROP TABLE u;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let there = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'");
    // On a server of its own, and on one where the role is.
    place.run(&["revert", "--dry-run"]).ends_with(0);
    place.run(&["revert", "2", "3", "--dry-run"]).ends_with(0);
    place.run(&["revert", "--all", "--dry-run", "--derive", "3"]).ends_with(0);
    on_one_server(&place, &["revert", "--all", "--dry-run"]).ends_with(0);
    assert_eq!(place.database().value(&there), "1");
    on_one_server(&place, &["revert", "2", "3", "--yes"]).ends_with(0);
    assert_eq!(place.database().value(&there), "0");
    // What is made for the rehearsal is dropped with it, wherever that was.
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    on_one_server(&place, &["revert", "--dry-run"]).ends_with(0);
    assert_eq!(place.database().value(&there), "0");
}
