//! What tables have besides columns.

use cutover_analysis::sql::quote_literal;

use super::{Class, Column, Maker, Table, Variant, with};

impl Maker<'_> {
    /// Defaults, constraints, indexes, triggers, policies and statistics.
    pub(super) fn parts_of(&mut self, table: &Table) {
        let name = &table.name;
        for column in table.columns.iter().filter(|column| !column.generated) {
            self.default(table, column);
            self.column_settings(table, column);
        }
        self.checks(table);
        // Of several, partitions have theirs under names that depend on which came first.
        for _ in 0..if table.partitioned { 1 } else { 3 } {
            self.index(table);
        }
        self.trigger(table);
        if table.plain {
            let both = format!(
                "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY; ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
            );
            self.part_of(&[table.part], vec![format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"), both]);
            self.policy(table);
            self.part_of(
                &[table.part],
                vec![
                    format!("ALTER TABLE {name} REPLICA IDENTITY FULL"),
                    format!("ALTER TABLE {name} REPLICA IDENTITY NOTHING"),
                ],
            );
            self.rule(table);
        }
        let [one, two] = [0, 1].map(|at| table.columns.get(at).cloned());
        if let (Some(one), Some(two)) = (one, two)
            && two.class != Class::Other
            && !(two.generated && self.server >= 180_000)
        {
            let (statistics, schema_needs, _) = self.placed("related");
            let needs: Vec<usize> =
                schema_needs.into_iter().chain([table.part, one.part, two.part]).collect();
            let sql = ["", " (ndistinct)"].map(|kinds| {
                format!("CREATE STATISTICS {statistics}{kinds} ON {}, {} FROM {name}", one.name, two.name)
            });
            let part = self.part_of(&needs, sql.to_vec());
            self.things.push((part, format!("STATISTICS {statistics}"), ""));
        }
    }

    fn default(&mut self, table: &Table, column: &Column) {
        let set = format!("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT", table.name, column.name);
        let needs = vec![table.part, column.part];
        let plain = |values: &[&str]| -> Vec<Variant> {
            values
                .iter()
                .map(|value| Variant { sql: format!("{set} {value}"), needs: needs.clone() })
                .collect()
        };
        // An identity column has no default.
        let is_key = table.plain && column.part == table.columns[0].part;
        let variants = match column.class {
            _ if is_key => return,
            Class::Number => {
                let mut variants = plain(&["7", "1 + 1"]);
                let (part, function) = self.dice.pick(&self.functions).clone();
                variants.push(Variant { sql: format!("{set} {function}(3)"), needs: with(&needs, part) });
                let (part, sequence) = self.dice.pick(&self.sequences).clone();
                let next = format!("{set} nextval({}::regclass)", quote_literal(&sequence));
                variants.push(Variant { sql: next, needs: with(&needs, part) });
                variants
            }
            Class::Text => plain(&["'x'", "'it''s'", "'a' || 'b'", "'\\n'", "CURRENT_USER"]),
            Class::Time => plain(&["now()", "'2026-01-01'"]),
            Class::Enum => plain(&["'a'", "'c'"]),
            Class::Other => return,
        };
        self.part(variants);
    }

    fn column_settings(&mut self, table: &Table, column: &Column) {
        let alter = format!("ALTER TABLE {} ALTER COLUMN {}", table.name, column.name);
        let only = format!("ALTER TABLE ONLY {} ALTER COLUMN {}", table.name, column.name);
        let needs = [table.part, column.part];
        if self.dice.in_hundred(30) {
            self.part_of(
                &needs,
                vec![format!("{only} SET STATISTICS 300"), format!("{only} SET STATISTICS 0")],
            );
        }
        if column.class == Class::Text && self.dice.in_hundred(40) {
            self.part_of(
                &needs,
                vec![format!("{alter} SET STORAGE EXTERNAL"), format!("{alter} SET STORAGE MAIN")],
            );
        }
        if self.dice.in_hundred(30) && !table.partitioned {
            self.part_of(
                &needs,
                vec![
                    format!("{only} SET (n_distinct = 5)"),
                    format!("{only} SET (n_distinct = -0.5, n_distinct_inherited = 3)"),
                ],
            );
        }
        if self.dice.in_hundred(30) {
            let comment = format!("COMMENT ON COLUMN {}.{} IS", table.name, column.name);
            self.part_of(
                &needs,
                vec![format!("{comment} 'it''s'"), format!("{comment} E'two\\nlines \\\\'")],
            );
        }
        if self.dice.in_hundred(30) {
            let (reader, writer) = (self.roles.reader, self.roles.writer);
            let on = format!("({}) ON {} TO", column.name, table.name);
            self.part_of(
                &needs,
                vec![
                    format!("GRANT SELECT {on} {reader}"),
                    format!("GRANT SELECT {on} {reader}; GRANT UPDATE {on} {writer} WITH GRANT OPTION"),
                ],
            );
        }
    }

    fn checks(&mut self, table: &Table) {
        for column in &table.columns {
            if !self.dice.in_hundred(40) {
                continue;
            }
            let constraint = self.name("check");
            let add = format!("ALTER TABLE {} ADD CONSTRAINT {constraint} CHECK", table.name);
            let needs = vec![table.part, column.part];
            let of = &column.name;
            let mut variants: Vec<Variant> = match column.class {
                Class::Number => [
                    format!("({of} > 0)"),
                    format!("({of} > 0 AND {of} < 1000)"),
                    format!("({of} > 0) NOT VALID"),
                ]
                .to_vec(),
                Class::Text => [
                    format!("({of} <> 'never')"),
                    format!("(length({of}) < 2000)"),
                    format!("({of} ~ '.') NO INHERIT"),
                ]
                .to_vec(),
                Class::Time => [format!("({of} > '1999-01-01')")].to_vec(),
                Class::Enum => [format!("({of} <> 'c')"), format!("({of} IN ('a', 'c'))")].to_vec(),
                Class::Other => [format!("({of} IS NOT NULL)")].to_vec(),
            }
            .into_iter()
            .filter(|check| !(check.contains("NO INHERIT") && table.partitioned))
            .filter(|check| !(check.contains("NOT VALID") && table.parent))
            .map(|check| Variant { sql: format!("{add} {check}"), needs: needs.clone() })
            .collect();
            if self.server >= 180_000 {
                let sql = format!("{add} ({of} IS NOT NULL) NOT ENFORCED");
                variants.push(Variant { sql, needs: needs.clone() });
            }
            if column.class == Class::Number {
                let (part, function) = self.dice.pick(&self.functions).clone();
                let sql = format!("{add} ({function}({of}::bigint) > 0)");
                variants.push(Variant { sql, needs: with(&needs, part) });
            }
            let part = self.part(variants);
            let comment = format!("COMMENT ON CONSTRAINT {constraint} ON {} IS 'why'", table.name);
            self.part_of(&[part], vec![comment]);
        }
        let range = table.columns.iter().find(|column| column.class == Class::Other && !table.partitioned);
        let ranges = range.filter(|column| {
            self.universe.parts[column.part].variants.iter().all(|variant| variant.sql.contains("int4range"))
        });
        if let Some(column) = ranges {
            let constraint = self.name("apart");
            let sql = ["", " WHERE (true)", " DEFERRABLE"].map(|rest| {
                format!(
                    "ALTER TABLE {} ADD CONSTRAINT {constraint} EXCLUDE USING gist ({} WITH &&){rest}",
                    table.name, column.name
                )
            });
            self.part_of(&[table.part, column.part], sql.to_vec());
        }
        let unique =
            table.columns.iter().find(|column| column.class == Class::Text && !table.partitioned).cloned();
        if let Some(column) = unique {
            let constraint = self.name("once");
            let sql = ["", " DEFERRABLE INITIALLY DEFERRED", " WITH (fillfactor = 60)"].map(|rest| {
                format!(
                    "ALTER TABLE {} ADD CONSTRAINT {constraint} UNIQUE ({}){rest}",
                    table.name, column.name
                )
            });
            self.part_of(&[table.part, column.part], sql.to_vec());
        }
    }

    fn index(&mut self, table: &Table) {
        let index = self.name("by");
        let column = self.dice.pick(&table.columns).clone();
        let other = self.dice.pick(&table.columns).clone();
        // Virtual columns have no indexes.
        if self.server >= 180_000 && (column.generated || other.generated) {
            return;
        }
        let of = &column.name;
        let on = |rest: &str| format!("CREATE INDEX {index} ON {} {rest}", table.name);
        let needs = vec![table.part, column.part];
        let mut variants: Vec<Variant> = match column.class {
            Class::Other => return,
            _ => [
                on(&format!("({of})")),
                on(&format!("({of} DESC NULLS LAST) WITH (fillfactor = 80)")),
                on(&format!("({of}) WHERE {of} IS NOT NULL")),
                on(&format!("USING hash ({of})")),
            ]
            .to_vec(),
        }
        .into_iter()
        .map(|sql| Variant { sql, needs: needs.clone() })
        .collect();
        variants.push(Variant {
            sql: on(&format!("({of}) INCLUDE ({})", other.name)),
            needs: with(&needs, other.part),
        });
        if column.class == Class::Number {
            let (part, function) = self.dice.pick(&self.functions).clone();
            variants
                .push(Variant { sql: on(&format!("({function}({of}::bigint))")), needs: with(&needs, part) });
        }
        let part = self.part(variants);
        let schema = self.schemas[table.schema].1.clone();
        self.things.push((part, format!("INDEX {schema}.{index}"), ""));
        if table.plain && self.dice.in_hundred(30) {
            self.part_of(&[part], vec![format!("COMMENT ON INDEX {schema}.{index} IS 'it''s'")]);
            self.things.pop();
        }
    }

    fn trigger(&mut self, table: &Table) {
        let (function, call) = self.dice.pick(&self.triggers).clone();
        let trigger = self.name("on_change");
        let create = |when: &str, rest: &str| {
            format!(
                "CREATE TRIGGER {trigger} {when} ON {} {rest}EXECUTE FUNCTION {call}('x', 'it''s')",
                table.name
            )
        };
        // Whole rows of a partitioned table are more than 12 can do.
        let when = if table.partitioned && self.server < 130_000 {
            "FOR EACH ROW WHEN (pg_trigger_depth() = 0) "
        } else {
            "FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) "
        };
        let mut all = vec![
            create("AFTER INSERT", "FOR EACH ROW "),
            create("AFTER INSERT OR UPDATE", "FOR EACH STATEMENT "),
            create("AFTER UPDATE", when),
        ];
        if !table.partitioned {
            all.push(format!("CREATE CONSTRAINT TRIGGER {trigger} AFTER INSERT ON {} DEFERRABLE FOR EACH ROW EXECUTE FUNCTION {call}()", table.name));
            all.push(create("AFTER UPDATE", "REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT "));
        }
        let part = self.part_of(&[table.part, function], all);
        self.part_of(&[part], vec![format!("COMMENT ON TRIGGER {trigger} ON {} IS 'why'", table.name)]);
        if table.plain {
            let alter = format!("ALTER TABLE {}", table.name);
            self.part_of(
                &[part],
                vec![
                    format!("{alter} DISABLE TRIGGER {trigger}"),
                    format!("{alter} ENABLE ALWAYS TRIGGER {trigger}"),
                ],
            );
        }
    }

    fn policy(&mut self, table: &Table) {
        let policy = self.name("own");
        let id = &table.columns[0];
        let (part, function) = self.dice.pick(&self.functions).clone();
        let create = format!("CREATE POLICY {policy} ON {}", table.name);
        let needs = vec![table.part, id.part];
        let (reader, id) = (self.roles.reader, &id.name);
        let variants = [
            format!("{create} USING ({id} > 0)"),
            format!("{create} AS RESTRICTIVE FOR SELECT TO {reader} USING ({id} > 1)"),
            format!("{create} FOR INSERT WITH CHECK ({id} > 0)"),
            format!("{create} TO {reader} USING ({id} > 0) WITH CHECK ({id} > 5)"),
        ];
        let mut variants: Vec<Variant> =
            variants.into_iter().map(|sql| Variant { sql, needs: needs.clone() }).collect();
        let sql = format!("{create} USING ({function}({id}::bigint) > 0)");
        variants.push(Variant { sql, needs: with(&needs, part) });
        self.part(variants);
    }

    fn rule(&mut self, table: &Table) {
        let rule = self.name("quiet");
        let create = format!("CREATE RULE {rule} AS ON DELETE TO {}", table.name);
        let id = &table.columns[0];
        let all = vec![
            format!("{create} WHERE old.{} = 77 DO INSTEAD NOTHING", id.name),
            format!("{create} DO ALSO NOTHING"),
        ];
        let part = self.part_of(&[table.part, id.part], all);
        self.part_of(&[part], vec![format!("COMMENT ON RULE {rule} ON {} IS 'why'", table.name)]);
    }

    pub(super) fn foreign_keys(&mut self, table: &Table) {
        for column in table.columns.clone() {
            if column.class != Class::Number || column.generated || !self.dice.in_hundred(60) {
                continue;
            }
            let parents: Vec<Table> =
                self.tables.iter().filter(|other| other.key.is_some()).cloned().collect();
            let parent = self.dice.pick(&parents).clone();
            let numbers = self.universe.parts[column.part]
                .variants
                .iter()
                .all(|variant| !variant.sql.contains("numeric"));
            if !numbers {
                continue;
            }
            let constraint = self.name("fk");
            let rests = [
                "",
                " ON DELETE CASCADE",
                " ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED",
                " NOT VALID",
            ];
            let sql: Vec<String> = rests
                .iter()
                .filter(|rest| !(rest.contains("NOT VALID") && (table.partitioned || parent.partitioned)))
                .map(|rest| {
                    format!("ALTER TABLE {} ADD CONSTRAINT {constraint} FOREIGN KEY ({}) REFERENCES {} ({}){rest}", table.name, column.name, parent.name, parent.columns[0].name)
                })
                .collect();
            self.part_of(&[table.part, column.part, parent.key.unwrap()], sql);
        }
    }
}
