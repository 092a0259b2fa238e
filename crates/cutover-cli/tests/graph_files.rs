//! The graph as a picture and as a flowchart, in files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Place, says};

fn place() -> Place {
    let place = Place::without_database();
    place.write("migrations/0001_users \"new\".sql", "CREATE TABLE users (id int PRIMARY KEY);");
    place.write("migrations/0002_orders.sql", "CREATE TABLE orders (u int REFERENCES users);");
    place
}

#[test]
fn a_graph_is_written_as_its_file_is_called() {
    let place = place();
    let read = |file: &str| std::fs::read_to_string(place.folder.join(file)).unwrap();
    let said = place.run(&["graph", "--out", "graph.svg"]).ends_with(0);
    assert_eq!(said.stdout, "written to graph.svg\n");
    let picture = read("graph.svg");
    assert!(picture.starts_with("<svg class=\"graph\" xmlns=\"http://www.w3.org/2000/svg\" "), "{picture}");
    for part in
        [">0001 users &quot;new&quot;<", ">0002 orders<", "0002 needs 0001: foreign key orders.u → users<"]
    {
        assert!(picture.contains(part), "{part} is not in\n{picture}");
    }
    assert_eq!(place.run(&["graph", "--as", "svg"]).ends_with(0).stdout, picture);
    place.run(&["graph", "--out", "graph.mmd"]).ends_with(0);
    let chart = read("graph.mmd");
    for part in ["flowchart LR\n", "m0[\"0001 users #quot;new#quot;\"]\n", "m1[\"0002 orders\"]\n"] {
        assert!(chart.contains(part), "{part} is not in\n{chart}");
    }
    assert_eq!(place.run(&["graph", "--as", "mermaid"]).ends_with(0).stdout, chart);
    place.run(&["graph", "--out", "graph.txt"]).ends_with(0);
    assert!(read("graph.txt").starts_with("0002 needs 0001: "));
    // Again, over what it wrote itself.
    place.run(&["graph", "--out", "graph.svg"]).ends_with(0);
    place.run(&["graph", "--as", "svg", "--out", "graph.mmd"]).ends_with(0);
    assert_eq!(read("graph.mmd"), picture);
}

#[test]
fn a_graph_is_written_over_nothing_else() {
    let place = place();
    place.write("notes.svg", "<svg>mine</svg>");
    let migration = "migrations/0002_orders.sql";
    for (arguments, words) in [
        (&["--out", "notes.svg"][..], "notes.svg is there already"),
        (&["--out", migration, "--force"], "0002_orders.sql is a file of the project"),
        (&["--out", "migrations/0003_graph.sql"], "is in a folder of migrations"),
        (&["--out", "graph.png"], "its name ends in none of .svg, .mmd and .txt"),
        (&["--out", "graph.svg", "--format", "json"], "--format json writes to standard output"),
    ] {
        says(&place.run(&[&["graph"], arguments].concat()).ends_with(2), &[words]);
    }
    assert_eq!(std::fs::read_to_string(place.folder.join("notes.svg")).unwrap(), "<svg>mine</svg>");
    assert!(!place.folder.join("graph.svg").exists());
    place.run(&["graph", "--out", "notes.svg", "--force"]).ends_with(0);
}
