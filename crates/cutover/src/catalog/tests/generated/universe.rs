//! What generated databases may have: every kind of object that people use, under names that quoting can get wrong.

mod parts;

use cutover_analysis::sql::quote_ident;

use super::design::{COLUMNS, Dice, MORE_COLUMNS, Part, Universe, Variant};

/// Values that go together: a column's type may change within its class, and expressions fit all of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Number,
    Text,
    Time,
    Enum,
    Other,
}

#[derive(Debug, Clone)]
struct Column {
    part: usize,
    name: String,
    class: Class,
    /// It has no value of its own.
    generated: bool,
}

#[derive(Debug, Clone)]
struct Table {
    part: usize,
    name: String,
    schema: usize,
    columns: Vec<Column>,
    /// The key that others can refer to.
    key: Option<usize>,
    partitioned: bool,
    plain: bool,
    /// Others are its partitions or inherit from it: some settings would depend on which came first.
    parent: bool,
}

/// Two roles, as SQL spells them.
pub(super) struct Roles<'a> {
    pub(super) reader: &'a str,
    pub(super) writer: &'a str,
}

struct Maker<'a> {
    dice: Dice,
    universe: Universe,
    names: usize,
    server: u32,
    roles: &'a Roles<'a>,
    schemas: Vec<(Option<usize>, String)>,
    tables: Vec<Table>,
    /// Functions of one number that give one.
    functions: Vec<(usize, String)>,
    enums: Vec<(usize, String)>,
    domains: Vec<(usize, String)>,
    composites: Vec<(usize, String)>,
    sequences: Vec<(usize, String)>,
    triggers: Vec<(usize, String)>,
    /// What can be granted, commented on and owned: the part, the words for it, what can be granted.
    things: Vec<(usize, String, &'static str)>,
}

/// Everything that databases of this seed may have.
pub(super) fn universe(seed: u64, server: u32, roles: &Roles<'_>) -> Universe {
    let mut maker = Maker {
        dice: Dice::new(seed),
        universe: Universe::default(),
        names: 0,
        server,
        roles,
        schemas: vec![(None, "public".to_owned())],
        tables: Vec::new(),
        functions: Vec::new(),
        enums: Vec::new(),
        domains: Vec::new(),
        composites: Vec::new(),
        sequences: Vec::new(),
        triggers: Vec::new(),
        things: Vec::new(),
    };
    maker.all();
    maker.universe
}

/// A variant without needs.
fn free(sql: impl Into<String>) -> Variant {
    Variant { sql: sql.into(), needs: Vec::new() }
}

impl Maker<'_> {
    fn all(&mut self) {
        for _ in 0..2 {
            let name = self.name("app");
            let part = self.part(vec![free(format!("CREATE SCHEMA {name}"))]);
            self.schemas.push((Some(part), name.clone()));
            self.universe.parts[part].first = true;
            self.things.push((part, format!("SCHEMA {name}"), "USAGE"));
        }
        for _ in 0..2 {
            self.default_privileges();
        }
        self.types();
        for _ in 0..3 {
            self.sequence();
        }
        for _ in 0..3 {
            self.function();
        }
        for _ in 0..2 {
            self.trigger_function();
        }
        for _ in 0..3 {
            self.table();
        }
        self.partitioned();
        self.inheriting();
        let tables = self.tables.clone();
        for table in &tables {
            self.parts_of(table);
        }
        for table in &tables {
            self.foreign_keys(table);
        }
        for _ in 0..4 {
            self.view();
        }
        self.row_function();
        self.publications();
        for (part, thing, privileges) in self.things.clone() {
            self.said_of(part, &thing, privileges);
        }
    }

    fn part(&mut self, variants: Vec<Variant>) -> usize {
        self.universe.parts.push(Part { variants, within: None, superuser: false, first: false });
        self.universe.parts.len() - 1
    }

    /// A part for which other parts must be there.
    fn part_of(&mut self, needs: &[usize], variants: Vec<String>) -> usize {
        let variants = variants.into_iter().map(|sql| Variant { sql, needs: needs.to_vec() }).collect();
        self.part(variants)
    }

    /// A name as SQL spells it, one in three with something in it that must be quoted.
    fn name(&mut self, base: &str) -> String {
        self.names += 1;
        let plain = format!("{base}_{}", self.names);
        let number = self.names;
        let name = match self.dice.below(22) {
            0 => format!("{base} {number}"),
            1 => format!("{base}\"{number}"),
            2 => format!("{base}';--{number}"),
            3 => format!("{base}\n{number}"),
            4 => format!("{plain}_{}", "x".repeat(62 - plain.len())),
            5 => plain.to_uppercase(),
            6 => format!("{base}.ä{number}"),
            7 if number.is_multiple_of(2) => {
                let keywords =
                    ["select", "user", "table", "order", "default", "group", "end", "column", "to", "with"];
                keywords.get(number / 2 % keywords.len()).map_or(plain, |word| {
                    format!("{word}{}", if number > 20 { " " } else { "" }).repeat(1 + number / 40)
                })
            }
            _ => plain,
        };
        quote_ident(&name)
    }

    /// A name in a schema, and the parts that it needs.
    fn placed(&mut self, base: &str) -> (String, Vec<usize>, usize) {
        let schema = self.dice.below(self.schemas.len());
        let (part, schema_name) = self.schemas[schema].clone();
        (format!("{schema_name}.{}", self.name(base)), part.into_iter().collect(), schema)
    }

    fn default_privileges(&mut self) {
        let place = match self.dice.pick(&self.schemas).clone() {
            (Some(part), name) if self.dice.in_hundred(60) => (vec![part], format!(" IN SCHEMA {name}")),
            _ => (vec![], String::new()),
        };
        let (reader, writer) = (self.roles.reader, self.roles.writer);
        let alter = format!("ALTER DEFAULT PRIVILEGES{}", place.1);
        let all = if place.0.is_empty() {
            vec![
                format!("{alter} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"),
                format!("{alter} GRANT SELECT ON TABLES TO {reader}"),
            ]
        } else {
            vec![
                format!("{alter} GRANT SELECT ON TABLES TO {reader}"),
                format!("{alter} GRANT SELECT, INSERT ON TABLES TO {writer}"),
                format!("{alter} GRANT USAGE ON SEQUENCES TO {writer} WITH GRANT OPTION"),
            ]
        };
        let part = self.part_of(&place.0, all);
        self.universe.parts[part].first = true;
    }

    fn types(&mut self) {
        for _ in 0..2 {
            let (name, needs, _) = self.placed("mood");
            let lists =
                ["'a', 'b', 'c'", "'a', 'x''y', 'b', 'c'", "'new', 'a', 'b', 'c', 'last'", "'c', 'a'"];
            let count = 2 + self.dice.below(3);
            let sql = lists[..count].iter().map(|list| format!("CREATE TYPE {name} AS ENUM ({list})"));
            let part = self.part_of(&needs, sql.collect());
            self.things.push((part, format!("TYPE {name}"), "USAGE"));
            self.enums.push((part, name));
        }
        for _ in 0..2 {
            let (name, needs, _) = self.placed("domain");
            let constraint = self.name("short");
            let create = format!("CREATE DOMAIN {name} AS text");
            let all = [
                create.clone(),
                format!("{create} DEFAULT 'x' NOT NULL"),
                format!("{create} CONSTRAINT {constraint} CHECK (VALUE <> 'no')"),
                format!("{create} COLLATE \"C\" CONSTRAINT {constraint} CHECK (length(VALUE) < 1000)"),
            ];
            let count = 1 + self.dice.below(4);
            let part = self.part_of(&needs, all[..count].to_vec());
            self.things.push((part, format!("DOMAIN {name}"), ""));
            self.domains.push((part, name));
        }
        let (name, needs, _) = self.placed("point");
        let (one, two) = (self.name("x"), self.name("y"));
        let all = vec![
            format!("CREATE TYPE {name} AS ({one} integer, {two} text)"),
            format!("CREATE TYPE {name} AS ({one} integer, {two} text, z numeric(10,2))"),
            format!("CREATE TYPE {name} AS ({one} bigint, {two} text COLLATE \"C\")"),
        ];
        let part = self.part_of(&needs, all);
        self.things.push((part, format!("TYPE {name}"), "USAGE"));
        self.composites.push((part, name));
        let (name, needs, _) = self.placed("span");
        let part = self.part_of(&needs, vec![format!("CREATE TYPE {name} AS RANGE (SUBTYPE = float8)")]);
        self.things.push((part, format!("TYPE {name}"), "USAGE"));
    }

    fn sequence(&mut self) {
        let (name, needs, _) = self.placed("numbers");
        // Where a sequence stands must be within its bounds, whatever it becomes.
        let options = [
            "",
            " AS integer INCREMENT BY 5",
            " START WITH 100 CYCLE",
            " INCREMENT BY -1 MAXVALUE 500 MINVALUE -500 CACHE 3",
            " AS smallint MAXVALUE 1000",
        ];
        let sql = options.iter().map(|options| format!("CREATE SEQUENCE {name}{options}")).collect();
        let part = self.part_of(&needs, sql);
        self.things.push((part, format!("SEQUENCE {name}"), "USAGE"));
        self.sequences.push((part, name));
    }

    fn function(&mut self) {
        let (name, needs, _) = self.placed("twice");
        let create = format!("CREATE FUNCTION {name}");
        let mut all = vec![
            format!("{create}(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n * 2'"),
            format!(
                "{create}(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 7 AS 'SELECT n + n'"
            ),
            format!(
                "{create}(n bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE SET search_path = 'a b', public AS $x$ BEGIN RETURN n + n; END $x$"
            ),
            format!("{create}(m bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT m'"),
        ];
        if self.server >= 140_000 {
            all.push(format!(
                "{create}(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT n + 1; END"
            ));
        }
        let count = 2 + self.dice.below(all.len() - 1);
        let other = self.functions.last().cloned();
        let mut variants: Vec<Variant> =
            all[..count].iter().map(|sql| Variant { sql: sql.clone(), needs: needs.clone() }).collect();
        if let Some((part, other)) = other.filter(|_| self.server >= 140_000) {
            let sql =
                format!("{create}(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN {other}(n) + 1");
            variants.push(Variant { sql, needs: needs.iter().copied().chain([part]).collect() });
        }
        let part = self.part(variants);
        self.things.push((part, format!("FUNCTION {name}(bigint)"), "EXECUTE"));
        self.functions.push((part, name));
    }

    fn trigger_function(&mut self) {
        let (name, needs, _) = self.placed("fire");
        let body = |text: &str| {
            format!("CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $x$ BEGIN {text} END $x$")
        };
        let part = self.part_of(&needs, vec![body("RETURN NEW;"), body("\n  -- nothing\n  RETURN NEW;\n")]);
        self.things.push((part, format!("FUNCTION {name}()"), "EXECUTE"));
        self.triggers.push((part, name));
    }

    /// Types of one class, with the parts they need.
    fn types_of(&mut self, class: Class) -> Vec<(String, Vec<usize>)> {
        let plain = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        match class {
            Class::Number => plain(&["integer", "bigint", "smallint", "numeric(12,2)"]),
            Class::Text => {
                let mut all: Vec<(String, Vec<usize>)> =
                    plain(&["text", "character varying(20)", "character varying(40)", "text COLLATE \"C\""]);
                let (part, name) = self.dice.pick(&self.domains).clone();
                all.push((name, vec![part]));
                all
            }
            Class::Time => plain(&["timestamp with time zone", "date", "timestamp(3) with time zone"]),
            Class::Enum => {
                let (part, name) = self.dice.pick(&self.enums).clone();
                vec![(name, vec![part])]
            }
            Class::Other => {
                let (part, name) = self.dice.pick(&self.composites).clone();
                let (member, enumeration) = self.dice.pick(&self.enums).clone();
                let all = [
                    ("int4range".to_owned(), vec![]),
                    ("jsonb".to_owned(), vec![]),
                    ("text[]".to_owned(), vec![]),
                    (name, vec![part]),
                    (format!("{enumeration}[]"), vec![member]),
                ];
                vec![self.dice.pick(&all).clone()]
            }
        }
    }

    fn column(&mut self, table: usize, others: &[Column]) -> Column {
        let name = self.name("c");
        let class = *self.dice.pick(&[
            Class::Number,
            Class::Text,
            Class::Text,
            Class::Time,
            Class::Enum,
            Class::Other,
        ]);
        let mut variants = Vec::new();
        let number = others.iter().find(|other| other.class == Class::Number).cloned();
        let mut generated = false;
        if let Some(number) = number.filter(|_| class == Class::Number && self.dice.in_hundred(40)) {
            generated = true;
            let (part, function) = self.dice.pick(&self.functions).clone();
            let sql =
                format!("{name} bigint GENERATED ALWAYS AS ({function}({}::bigint)) STORED", number.name);
            variants.push(Variant { sql, needs: vec![part, number.part] });
            let sql = format!("{name} bigint GENERATED ALWAYS AS (({}::bigint) + 1) STORED", number.name);
            variants.push(Variant { sql, needs: vec![number.part] });
            if self.server >= 180_000 {
                let sql =
                    format!("{name} bigint GENERATED ALWAYS AS (({}::bigint) + 2) VIRTUAL", number.name);
                variants.push(Variant { sql, needs: vec![number.part] });
            }
        } else {
            for (type_name, needs) in self.types_of(class) {
                for not_null in ["", " NOT NULL"] {
                    if self.dice.in_hundred(50) || variants.is_empty() {
                        let sql = format!("{name} {type_name}{not_null}");
                        variants.push(Variant { sql, needs: needs.clone() });
                    }
                }
            }
        }
        let part = self.part(variants);
        self.universe.parts[part].within = Some(table);
        Column { part, name, class, generated }
    }

    fn table(&mut self) {
        let (name, needs, schema) = self.placed("things");
        let create = format!("CREATE TABLE {name} ({COLUMNS})");
        let all = vec![
            create.clone(),
            format!("{create} WITH (fillfactor = 70)"),
            format!("{create} WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false)"),
        ];
        let part = self.part_of(&needs, all);
        let mut columns = vec![self.id_column(part)];
        for _ in 0..2 + self.dice.below(4) {
            columns.push(self.column(part, &columns));
        }
        let constraint = self.name("things_key");
        let id = columns[0].name.clone();
        let with = ["", " WITH (fillfactor = 50)", " INCLUDE (others)"];
        let other = columns.iter().find(|column| column.class == Class::Text).cloned();
        let mut keys = Vec::new();
        for with in with {
            let mut needs = vec![columns[0].part];
            let with = match (&other, with.contains("others")) {
                (Some(other), true) => {
                    needs.push(other.part);
                    with.replace("others", &other.name)
                }
                (None, true) => continue,
                _ => with.to_owned(),
            };
            let sql = format!("ALTER TABLE {name} ADD CONSTRAINT {constraint} PRIMARY KEY ({id}){with}");
            keys.push(Variant { sql, needs });
        }
        let key = Some(self.part(keys));
        self.things.push((part, format!("TABLE {name}"), "SELECT"));
        self.tables.push(Table {
            part,
            name,
            schema,
            columns,
            key,
            partitioned: false,
            plain: true,
            parent: false,
        });
    }

    fn id_column(&mut self, table: usize) -> Column {
        let name = self.name("id");
        let forms = [
            "integer",
            "bigint",
            "bigint GENERATED ALWAYS AS IDENTITY",
            "bigint GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY 3 START WITH 10)",
            "integer GENERATED ALWAYS AS IDENTITY (MINVALUE -5 START WITH 5 CYCLE CACHE 2)",
        ];
        let part = self.part(forms.iter().map(|form| free(format!("{name} {form}"))).collect());
        self.universe.parts[part].within = Some(table);
        Column { part, name, class: Class::Number, generated: false }
    }

    fn partitioned(&mut self) {
        let (name, needs, schema) = self.placed("events");
        let sql = format!("CREATE TABLE {name} (at integer NOT NULL{MORE_COLUMNS}) PARTITION BY RANGE (at)");
        let part = self.part_of(&needs, vec![sql]);
        let mut columns =
            vec![Column { part, name: "at".to_owned(), class: Class::Number, generated: false }];
        for _ in 0..3 {
            columns.push(self.column(part, &columns));
        }
        let constraint = self.name("events_key");
        let key = self.part_of(
            &[part],
            vec![format!("ALTER TABLE {name} ADD CONSTRAINT {constraint} PRIMARY KEY (at)")],
        );
        self.things.push((part, format!("TABLE {name}"), "SELECT"));
        let bounds = [("FROM (0) TO (10)", "FROM (0) TO (20)"), ("FROM (20) TO (30)", "FROM (25) TO (30)")];
        for (one, two) in bounds {
            let (child, mut needs, _) = self.placed("part");
            needs.push(part);
            let below = self.dice.in_hundred(50);
            let by = if below { " PARTITION BY HASH (at)" } else { "" };
            let sql = [one, two]
                .map(|bound| format!("CREATE TABLE {child} PARTITION OF {name} FOR VALUES {bound}{by}"));
            let child_part = self.part_of(&needs, sql.to_vec());
            self.things.push((child_part, format!("TABLE {child}"), "SELECT"));
            if below {
                for remainder in 0..2 {
                    let (leaf, mut needs, _) = self.placed("leaf");
                    needs.extend([child_part]);
                    let sql = format!(
                        "CREATE TABLE {leaf} PARTITION OF {child} FOR VALUES WITH (MODULUS 2, REMAINDER {remainder})"
                    );
                    let leaf_part = self.part_of(&needs, vec![sql]);
                    self.things.push((leaf_part, format!("TABLE {leaf}"), "INSERT"));
                }
            } else {
                let index = self.name("of_part");
                self.part_of(&[child_part], vec![format!("CREATE INDEX {index} ON {child} ((at + 1))")]);
            }
        }
        self.tables.push(Table {
            part,
            name,
            schema,
            columns,
            key: Some(key),
            partitioned: true,
            plain: false,
            parent: true,
        });
    }

    fn inheriting(&mut self) {
        let (name, mut needs, schema) = self.placed("heir");
        let parents: Vec<Table> = self.tables.iter().filter(|table| table.plain).cloned().collect();
        let parent = self.dice.pick(&parents).clone();
        for table in self.tables.iter_mut().filter(|table| table.part == parent.part) {
            table.parent = true;
        }
        needs.push(parent.part);
        let part =
            self.part_of(&needs, vec![format!("CREATE TABLE {name} ({COLUMNS}) INHERITS ({})", parent.name)]);
        let first = self.name("n");
        let number =
            self.part(vec![free(format!("{first} integer")), free(format!("{first} bigint NOT NULL"))]);
        self.universe.parts[number].within = Some(part);
        let first = Column { part: number, name: first, class: Class::Number, generated: false };
        let columns = vec![first.clone(), self.column(part, &[first])];
        self.things.push((part, format!("TABLE {name}"), "SELECT"));
        self.tables.push(Table {
            part,
            name,
            schema,
            columns,
            key: None,
            partitioned: false,
            plain: false,
            parent: false,
        });
    }

    fn view(&mut self) {
        let (name, needs, schema) = self.placed("view");
        let of = self.dice.pick(&self.tables).clone();
        let needs = with(&needs, of.part);
        let id = of.columns[0].clone();
        let materialized = self.dice.in_hundred(30);
        let kind = if materialized { "MATERIALIZED VIEW" } else { "VIEW" };
        let (part, function) = self.dice.pick(&self.functions).clone();
        let mut variants = vec![
            Variant {
                sql: format!("CREATE {kind} {name} AS SELECT {} AS id FROM {}", id.name, of.name),
                needs: with(&needs, id.part),
            },
            Variant {
                sql: format!(
                    "CREATE {kind} {name} AS SELECT {} AS id, 1 AS one FROM {} WHERE {} > 1",
                    id.name, of.name, id.name
                ),
                needs: with(&needs, id.part),
            },
            Variant {
                sql: format!(
                    "CREATE {kind} {name} AS SELECT {} AS id, {function}({}::bigint) AS more FROM {}",
                    id.name, id.name, of.name
                ),
                needs: with(&with(&needs, id.part), part),
            },
        ];
        if !materialized {
            variants.push(Variant {
                sql: format!(
                    "CREATE VIEW {name} WITH (security_barrier) AS SELECT {} AS id FROM {}",
                    id.name, of.name
                ),
                needs: with(&needs, id.part),
            });
        }
        for column in &of.columns[1..] {
            let sql = format!(
                "CREATE {kind} {name} AS SELECT {} AS id, {} AS other FROM {}",
                id.name, column.name, of.name
            );
            variants.push(Variant { sql, needs: with(&with(&needs, id.part), column.part) });
        }
        let part = self.part(variants);
        self.things.push((part, format!("{kind} {name}"), "SELECT"));
        // One view on another: it can be looked at as a table with one column.
        let column = Column { part, name: "id".to_owned(), class: Class::Number, generated: true };
        if materialized {
            let index = self.name("of_view");
            let sql = [
                format!("CREATE INDEX {index} ON {name} (id)"),
                format!("CREATE UNIQUE INDEX {index} ON {name} (id)"),
            ];
            self.part_of(&[part], sql.to_vec());
        } else {
            let (function, call) = self.dice.pick(&self.triggers).clone();
            let trigger = self.name("instead");
            self.part_of(&[part, function], vec![format!("CREATE TRIGGER {trigger} INSTEAD OF INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION {call}()")]);
            self.part_of(&[part], vec![format!("ALTER VIEW {name} ALTER COLUMN id SET DEFAULT 5")]);
        }
        self.part_of(&[part], vec![format!("COMMENT ON COLUMN {name}.id IS 'of a view'")]);
        self.tables.push(Table {
            part,
            name,
            schema,
            columns: vec![column],
            key: None,
            partitioned: false,
            plain: false,
            parent: false,
        });
    }

    /// A function of a table's rows, and one that gives them.
    fn row_function(&mut self) {
        let of = self.tables[0].clone();
        let (name, needs, _) = self.placed("rows");
        let needs = with(&needs, of.part);
        let all = vec![
            format!(
                "CREATE FUNCTION {name}(r {}) RETURNS text LANGUAGE sql STABLE AS $x$ SELECT 'x' $x$",
                of.name
            ),
            format!(
                "CREATE FUNCTION {name}(r {}) RETURNS text LANGUAGE sql STABLE AS $x$ SELECT 'y' $x$",
                of.name
            ),
        ];
        let part = self.part_of(&needs, all);
        self.things.push((part, format!("FUNCTION {name}({})", of.name), "EXECUTE"));
        let (name, needs, _) = self.placed("all_rows");
        let needs = with(&needs, of.part);
        let all = vec![format!(
            "CREATE FUNCTION {name}() RETURNS SETOF {} LANGUAGE plpgsql AS $x$ BEGIN END $x$",
            of.name
        )];
        let part = self.part_of(&needs, all);
        self.things.push((part, format!("FUNCTION {name}()"), "EXECUTE"));
        let (name, needs, _) = self.placed("tidy");
        let all = vec![
            format!(
                "CREATE PROCEDURE {name}(a integer, b text DEFAULT 'x') LANGUAGE sql AS $x$ SELECT 1 $x$"
            ),
            format!(
                "CREATE PROCEDURE {name}(a integer, b text) LANGUAGE plpgsql SECURITY DEFINER AS $x$ BEGIN END $x$"
            ),
        ];
        let part = self.part_of(&needs, all);
        self.things.push((part, format!("PROCEDURE {name}(integer, text)"), "EXECUTE"));
        let (name, needs, _) = self.placed("total");
        let all = ["0", "1"].map(|start| {
            format!(
                "CREATE AGGREGATE {name} (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '{start}')"
            )
        });
        let part = self.part_of(&needs, all.to_vec());
        self.things.push((part, format!("AGGREGATE {name} (integer)"), ""));
    }

    fn publications(&mut self) {
        let tables: Vec<Table> = self.tables.iter().filter(|table| table.key.is_some()).cloned().collect();
        let name = self.name("changes");
        let [one, two] = [0, 1].map(|at| tables[at].clone());
        let needs = [one.part, two.part];
        let create = format!("CREATE PUBLICATION {name}");
        let mut all = vec![
            format!("{create} FOR TABLE ONLY {}", one.name),
            format!(
                "{create} FOR TABLE ONLY {}, ONLY {} WITH (publish = 'insert, update')",
                two.name, one.name
            ),
            create.clone(),
        ];
        if self.server >= 150_000 {
            all.push(format!("{create} FOR TABLE ONLY {} WHERE (1 > 0)", one.name));
        }
        self.part_of(&needs, all);
        let name = self.name("all changes");
        let part = self.part(vec![free(format!("CREATE PUBLICATION {name} FOR ALL TABLES"))]);
        self.universe.parts[part].superuser = true;
        let name = self.name("noted");
        let (function, mut needs, _) = self.placed("note");
        let part = self.part_of(
            &needs,
            vec![format!(
                "CREATE FUNCTION {function}() RETURNS event_trigger LANGUAGE plpgsql AS $x$ BEGIN END $x$"
            )],
        );
        needs.push(part);
        let create = format!("CREATE EVENT TRIGGER {name} ON ddl_command_end");
        let part = self.part_of(
            &needs,
            vec![
                format!("{create} EXECUTE FUNCTION {function}()"),
                format!("{create} WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION {function}()"),
            ],
        );
        self.universe.parts[part].superuser = true;
    }

    /// Comments, privileges and owners.
    fn said_of(&mut self, part: usize, thing: &str, privilege: &str) {
        if self.dice.in_hundred(40) {
            let sql = ["'said'", "E'it''s\\n\\\\ more'"].map(|text| format!("COMMENT ON {thing} IS {text}"));
            self.part_of(&[part], sql.to_vec());
        }
        let (reader, writer) = (self.roles.reader, self.roles.writer);
        let granted = thing.replacen("MATERIALIZED VIEW ", "TABLE ", 1);
        let granted =
            if granted.starts_with("VIEW ") { granted.replacen("VIEW ", "TABLE ", 1) } else { granted };
        if !privilege.is_empty() && self.dice.in_hundred(40) {
            let on = format!("{privilege} ON {granted}");
            self.part_of(
                &[part],
                vec![
                    format!("GRANT {on} TO {reader}"),
                    format!("GRANT {on} TO {writer} WITH GRANT OPTION"),
                    format!("GRANT {on} TO {reader}; GRANT {on} TO PUBLIC"),
                    format!("REVOKE {on} FROM PUBLIC; GRANT ALL ON {granted} TO {writer}"),
                ],
            );
        }
        let owned = !thing.starts_with("INDEX ");
        if owned && self.dice.in_hundred(20) {
            let change = self.part_of(&[part], vec![format!("ALTER {thing} OWNER TO {writer}")]);
            self.universe.parts[change].superuser = true;
        }
    }
}

fn with(needs: &[usize], more: usize) -> Vec<usize> {
    needs.iter().copied().chain([more]).collect()
}
