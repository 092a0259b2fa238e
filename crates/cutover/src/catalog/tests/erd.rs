//! The diagram of what was touched.

use super::session;
use crate::catalog::schema;
use crate::erd::{Erd, Touched};

#[tokio::test]
async fn touched_tables_have_their_columns_and_keys_and_their_neighbours_only_names() {
    let database = testkit::database();
    database.run(
        "CREATE SCHEMA app; CREATE TABLE app.users (id bigint PRIMARY KEY, mail text);
         CREATE TABLE app.orders (a int, b int, who bigint NOT NULL REFERENCES app.users, PRIMARY KEY (b, a));
         CREATE TABLE lines (a int, b int, before int, FOREIGN KEY (b, a) REFERENCES app.orders, id int UNIQUE REFERENCES lines (id));
         CREATE TABLE apart (n int);",
    );
    let read = schema(&mut session(&database).await, &[]).await.unwrap();
    let touched: Touched = [(Some("app".into()), "orders".into()), (None, "nowhere".into())].into();
    let erd = Erd::of(&read, &touched).unwrap();
    let told: Vec<String> = erd
        .tables
        .iter()
        .map(|table| {
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|column| {
                    format!("{} {} {} {}", column.name, column.type_name, column.not_null, column.primary)
                })
                .collect();
            let keys: Vec<String> = table
                .references
                .iter()
                .map(|key| {
                    format!(
                        "{} ({}) {}{}{}",
                        key.name,
                        key.columns.join(","),
                        key.to,
                        if key.optional { " optional" } else { "" },
                        if key.unique { " unique" } else { "" }
                    )
                })
                .collect();
            format!("{} {} [{}] [{}]", table.name, table.touched, columns.join("; "), keys.join("; "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "app.orders true [a integer true true; b integer true true; who bigint true false] [orders_who_fkey (who) app.users]",
            "app.users false [] []",
            "lines false [] [lines_b_a_fkey (b,a) app.orders optional]",
        ]
    );
    let by_name: Touched = [(None, "lines".into())].into();
    let keys =
        Erd::of(&read, &by_name).unwrap().tables.into_iter().find(|table| table.touched).unwrap().references;
    assert_eq!(keys.iter().map(|key| key.to.as_str()).collect::<Vec<_>>(), ["app.orders", "lines"]);
    assert_eq!(keys.iter().map(|key| key.unique).collect::<Vec<_>>(), [false, true]);
    assert_eq!(Erd::of(&read, &Touched::new()), None);
}
