//! `access`: roles, operations and objects, measured as each role.

use super::{World, expect};
use crate::run::Verdict::{False, Holds, NotMeasured};

/// Tasks of users, seen by the current user alone.
const SHOP: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text);
    CREATE TABLE tasks (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int NOT NULL REFERENCES users, title text NOT NULL);
    CREATE VIEW mine WITH (security_barrier) AS SELECT id, title FROM tasks;
    INSERT INTO users VALUES (1, 'a', 'a@x'), (2, 'b', 'b@x');
    INSERT INTO tasks (user_id, title) VALUES (1, 'one'), (1, 'two'), (2, 'three');
    CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it ran'; END $$;
    CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
    REVOKE ALL ON FUNCTION secret() FROM PUBLIC;
    -- Before 15 everybody may.
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON tasks TO {p}_member USING (user_id = nullif(current_setting('app.user_id', true), '')::int);
    CREATE POLICY staff ON tasks FOR SELECT TO {p}_staff USING (true);
    GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO {p}_member;
    GRANT SELECT, INSERT ON tasks TO {p}_staff;
    GRANT SELECT (id, name) ON users TO {p}_member;
    GRANT SELECT ON mine TO PUBLIC;
    GRANT EXECUTE ON FUNCTION secret() TO {p}_staff;
";

/// Roles belong to the server: each test has its own.
struct Shop {
    world: World,
    prefix: String,
}

impl Shop {
    fn new(check: &str) -> Self {
        let world = World::with_checks("");
        let prefix = world.database.value("SELECT 'r' || md5(current_database())")[..12].to_owned();
        let shop = Self { world, prefix };
        shop.check(check);
        for role in ["anon", "member", "staff", "boss"] {
            shop.run(&format!("CREATE ROLE {{p}}_{role}"));
        }
        shop.run("GRANT {p}_staff TO {p}_boss");
        shop.run(SHOP);
        shop
    }

    fn check(&self, check: &str) {
        let check = check.replace("{p}", &self.prefix);
        let text = format!(
            "[[migrations]]\npath = \"migrations\"\n[[check]]\nname = \"it\"\nkind = \"access\"\n{check}\n"
        );
        self.world.write("cutover.toml", &text);
    }

    fn run(&self, sql: &str) {
        self.world.database.run(&sql.replace("{p}", &self.prefix));
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for role in ["anon", "member", "staff", "boss"] {
            self.run(&format!("DROP OWNED BY {{p}}_{role}; DROP ROLE {{p}}_{role}"));
        }
    }
}

const ACTORS: &str = r#"
[check.actors]
anon = "{p}_anon"
one = { role = "{p}_member", settings = { "app.user_id" = "1" } }
two = { role = "{p}_member", settings = { "app.user_id" = "2" } }
nobody = "{p}_member"
staff = "{p}_staff"
boss = "{p}_boss"
"#;

fn matrix(lines: &str) -> String {
    format!("matrix = '''\n{lines}'''\n{ACTORS}")
}

const ALL: &str = "
                    anon  one     two     nobody  staff  boss
tasks               -     r2awd   r1awd   r0awd   r*     r3
users               -     (r)     (r)     (r)     -      -
users (name)        -     r2      r       r       -      -
users (name, email) -     (r)     (r)     (r)     -      -
users (id, email)   -     (r)     (r)     (r)     -      -
users (email)       -     -       -       -       -      -
mine                r3    r       r       r       r      r
function secret()   -     -       -       -       X      X
schema public       U     U       U       U       U      U
sequence tasks_id_seq  -  -       -       -       -      -
";

#[tokio::test]
async fn access_is_measured_as_each_role() {
    let shop = Shop::new(&matrix(ALL));
    let result = shop.world.one().await;
    expect(&result, Holds, "60 cells as expected");
    assert!(result.measured.starts_with("what anon, one, two"), "{}", result.measured);
    assert!(!result.measured.contains("app.user_id"), "{}", result.measured);
    // As its readers see it the view shows what its tables show them.
    if shop.world.database.value("SELECT current_setting('server_version_num')::int >= 150000") == "t" {
        shop.run("ALTER VIEW mine SET (security_invoker)");
        shop.check(
            &matrix("anon one two boss\nmine - r2 r1 r3\n")
                .replace("nobody = \"{p}_member\"\nstaff = \"{p}_staff\"\n", ""),
        );
        expect(&shop.world.one().await, Holds, "4 cells as expected");
    }
}

/// Each planted fault is found, by its cell.
#[tokio::test]
async fn access_that_is_otherwise_is_named() {
    let shop = Shop::new(&matrix(ALL));
    for (fault, mend, found) in [
        (
            "CREATE POLICY all_of_it ON tasks FOR SELECT TO {p}_member USING (true)",
            "DROP POLICY all_of_it ON tasks",
            "3 of 60 cells otherwise: tasks for one: r3awd in place of r2awd; tasks for two: r3awd in place of r1awd; tasks for nobody: r3awd in place of r0awd",
        ),
        (
            "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY",
            "tasks for staff: r3a in place of r*",
        ),
        (
            "GRANT SELECT (email) ON users TO PUBLIC",
            "REVOKE SELECT (email) ON users FROM PUBLIC",
            "users for anon: (r) in place of -",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO {p}_anon",
            "REVOKE CREATE ON SCHEMA public FROM {p}_anon",
            "schema public for anon: UC in place of U",
        ),
        (
            "GRANT UPDATE ON SEQUENCE tasks_id_seq TO {p}_anon",
            "REVOKE UPDATE ON SEQUENCE tasks_id_seq FROM {p}_anon",
            "sequence tasks_id_seq for anon: w in place of -",
        ),
        (
            "GRANT UPDATE (email) ON users TO {p}_anon",
            "REVOKE UPDATE (email) ON users FROM {p}_anon",
            "users (id, email) for anon: (w) in place of -",
        ),
        (
            "GRANT EXECUTE ON FUNCTION secret() TO {p}_anon",
            "REVOKE EXECUTE ON FUNCTION secret() FROM {p}_anon",
            "1 of 60 cells otherwise: function secret() for anon: X in place of -",
        ),
        (
            "REVOKE {p}_staff FROM {p}_boss",
            "GRANT {p}_staff TO {p}_boss",
            "tasks for boss: - in place of r3 (ERROR: permission denied for table tasks (42501))",
        ),
        (
            "REVOKE DELETE ON tasks FROM {p}_member",
            "GRANT DELETE ON tasks TO {p}_member",
            "tasks for one: r2aw in place of r2awd",
        ),
    ] {
        shop.run(fault);
        expect(&shop.world.one().await, False, found);
        shop.run(mend);
    }
    expect(&shop.world.one().await, Holds, "60 cells");
}

#[tokio::test]
async fn nothing_runs_but_what_the_check_says() {
    // Neither triggers of statements nor rules run for what is only asked.
    let asked = matrix("one\ntasks r2awd\n");
    let shop = Shop::new(&only(&asked, &["one"]));
    shop.run("CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION fires()");
    expect(&shop.world.one().await, Holds, "1 cell as expected");
    shop.run("DROP TRIGGER t ON tasks");
    // Rows are changed only where the check says that they may be, and are as they were afterwards.
    let changed = only(&matrix("one two\ntasks r2aw2d2 r1aw1d1\n"), &["one", "two"]);
    shop.check(&format!("writes = true\n{changed}"));
    expect(&shop.world.one().await, Holds, "2 cells as expected");
    assert_eq!(shop.world.database.value("SELECT count(*) FROM tasks"), "3");
    // A statement of one's own is really tried: constraints come behind privileges and policies.
    let inserts = |user: u32| {
        format!(
            "{}[check.insert]\ntasks = \"INSERT INTO tasks (user_id, title) VALUES ({user}, NULL)\"\n",
            only(&matrix("one two\ntasks ra r\n"), &["one", "two"]).replace("ra r\n", "rawd rwd\n")
        )
    };
    shop.check(&inserts(1));
    expect(&shop.world.one().await, Holds, "2 cells as expected");
    shop.check(&inserts(2));
    expect(
        &shop.world.one().await,
        False,
        "tasks for one: rwd in place of rawd (ERROR: new row violates row-level security policy",
    );
}

#[tokio::test]
async fn rows_of_its_own_are_rolled_back_and_what_is_missing_is_named() {
    let shop = Shop::new(&format!(
        "setup = \"INSERT INTO tasks (user_id, title) VALUES (2, 'more')\"\n{}",
        only(&matrix("two\ntasks r2awd\npubl*.mi* r\n"), &["two"])
    ));
    expect(&shop.world.one().await, Holds, "2 cells as expected");
    assert_eq!(shop.world.database.value("SELECT count(*) FROM tasks"), "3");
    shop.check(&only(&matrix("two\nstasks r\nother.* r\nfunction f() X\nmine r\n"), &["two"]));
    let missing = "not measured: there is no relation stasks; no relation is called like other.*; there is no function f()";
    expect(&shop.world.one().await, NotMeasured, missing);
    shop.check("matrix = '''\n{p}_anon {p}_none\nmine r r\n'''");
    expect(&shop.world.one().await, NotMeasured, &format!("there is no role {}_none", shop.prefix));
    // A pattern is about what no other line names.
    shop.check(&only(&matrix("anon\npublic.* -\nmine r\n"), &["anon"]));
    expect(&shop.world.one().await, Holds, "3 cells as expected");
    shop.run("GRANT SELECT ON users TO {p}_anon");
    expect(&shop.world.one().await, False, "1 of 3 cells otherwise: public.users for anon: r in place of -");
}

/// What the connection's own role has set of row security refuses others nothing.
#[tokio::test]
async fn row_security_of_the_connection_is_not_that_of_others() {
    let shop = Shop::new(&only(&matrix("one staff\ntasks - -\n"), &["one", "staff"]));
    let name = shop.world.database.value("SELECT current_database()");
    shop.run(&format!("ALTER DATABASE {name} SET row_security = off"));
    expect(
        &shop.world.one().await,
        False,
        "tasks for one: rawd in place of -; tasks for staff: r in place of -",
    );
    shop.check(&only(&matrix("one\ntasks r2awd\n"), &["one"]));
    expect(&shop.world.one().await, Holds, "1 cell as expected");
    // One who has it off sees an error, which is no missing privilege.
    let off = only(&matrix("one\ntasks -\n"), &["one"])
        .replace("settings = { ", "settings = { row_security = \"off\", ");
    shop.check(&off);
    expect(
        &shop.world.one().await,
        NotMeasured,
        "tasks for one: ERROR: query would be affected by row-level security",
    );
}

/// What a statement of the check returns is no answer of the server's about privileges.
#[tokio::test]
async fn what_an_insert_returns_says_nothing_of_privileges() {
    let insert =
        "[check.insert]\ntasks = \"INSERT INTO tasks (user_id, title) VALUES (1, 'x') RETURNING false\"\n";
    let shop = Shop::new(&format!("{}{insert}", only(&matrix("one\ntasks rwd\n"), &["one"])));
    expect(&shop.world.one().await, False, "tasks for one: rawd in place of rwd");
}

/// A check with the actors that its matrix has.
fn only(check: &str, actors: &[&str]) -> String {
    let is_other = |line: &&str| {
        let name = line.split(" = ").next().unwrap_or_default();
        ["anon", "one", "two", "nobody", "staff", "boss"].contains(&name) && !actors.contains(&name)
    };
    let kept: Vec<&str> = check.lines().filter(|line| !is_other(line)).collect();
    kept.join("\n") + "\n"
}
