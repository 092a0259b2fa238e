//! Which databases are simulated in.

use spark_simulator::database::prepare;

use crate::support::{applied_with, blocking, folder};

#[test]
fn what_is_missing_is_applied_and_where_people_are_nothing_is_done() {
    let database = testkit::database();
    let prepared = blocking(async { prepare(&folder(), &database.options()).await.unwrap() });
    assert_eq!(prepared.applied, 46);
    assert!(prepared.checks > 0);
    let again = blocking(async { prepare(&folder(), &database.options()).await.unwrap() });
    assert_eq!(again.applied, 0);

    // The base alone, as the live service has it: one thing to do.
    let database = testkit::database();
    for file in ["000_tables.sql", "010_old_backend.sql"] {
        database.run(&std::fs::read_to_string(folder().join("base").join(file)).unwrap());
    }
    let refused = blocking(async { prepare(&folder(), &database.options()).await.unwrap_err() });
    assert!(
        refused.contains("cutover -C systems/spark baseline base/010") && refused.lines().count() == 2,
        "{refused}"
    );
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");

    let database = applied_with("INSERT INTO profiles (name, age) VALUES ('somebody', 30)");
    let refused = blocking(async { prepare(&folder(), &database.options()).await.unwrap_err() });
    assert!(refused.contains("table profiles of that database is not empty"), "{refused}");
}
