//! `ALTER COLUMN … SET NOT NULL` that reads all rows.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::effects::ObjectRef;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};
use crate::sql::quote_ident;

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "set-not-null-scans",
        severity: Severity::Error,
        on: true,
        why: "SET NOT NULL reads the whole table under ACCESS EXCLUSIVE, unless a valid CHECK proves that there are no NULLs.",
        safe: "ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID, VALIDATE it in another transaction, SET NOT NULL, drop the check",
        seen: &[Seen::Static, Seen::Catalogue, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE users ALTER COLUMN mail SET NOT NULL;"),
            Example::of("ALTER TABLE users ALTER COLUMN mail SET NOT NULL;").over("CREATE TABLE users (mail text);"),
            // The check is there, and nobody knows whether it holds.
            Example::of("ALTER TABLE users ADD CONSTRAINT c CHECK (mail IS NOT NULL) NOT VALID; ALTER TABLE users ALTER mail SET NOT NULL;")
                .over("CREATE TABLE users (mail text);"),
            Example::of("ALTER TABLE users ADD CHECK (age > 0), ALTER mail SET NOT NULL;").over("CREATE TABLE users (mail text, age int);"),
            Example::of("ALTER TABLE users ALTER mail SET NOT NULL;")
                .over("CREATE TABLE users (mail text) PARTITION BY LIST (mail); CREATE TABLE users_a PARTITION OF users FOR VALUES IN ('a');"),
            Example::of("DO $$ BEGIN ALTER TABLE users ALTER mail SET NOT NULL; END $$;"),
            Example::of("ALTER TABLE users ADD CONSTRAINT mail_there NOT NULL mail;").over("CREATE TABLE users (mail text);"),
        ],
        good: &[
            Example::of("ALTER TABLE users ADD CONSTRAINT c CHECK (mail IS NOT NULL) NOT VALID;"),
            Example::of("ALTER TABLE users ADD CONSTRAINT c CHECK (mail IS NOT NULL) NOT VALID;\n-- cutover: new-transaction\nALTER TABLE users VALIDATE CONSTRAINT c;\n-- cutover: new-transaction\nALTER TABLE users ALTER mail SET NOT NULL;"),
            Example::of("DO $$ BEGIN ALTER TABLE users ADD CONSTRAINT c CHECK (mail IS NOT NULL); END $$; ALTER TABLE users ALTER mail SET NOT NULL;"),
            Example::of("ALTER TABLE ONLY users ALTER mail SET NOT NULL;")
                .over("CREATE TABLE users (mail text) PARTITION BY LIST (mail);"),
            Example::of("ALTER TABLE users ALTER mail SET NOT NULL; ALTER TABLE users DROP CONSTRAINT c;")
                .over("CREATE TABLE users (mail text, CONSTRAINT c CHECK (mail IS NOT NULL));"),
            Example::of("ALTER TABLE users ALTER COLUMN id SET NOT NULL;").over("CREATE TABLE users (id int PRIMARY KEY);"),
            Example::of("CREATE TABLE users (mail text); ALTER TABLE users ALTER COLUMN mail SET NOT NULL;"),
            Example::of("ALTER TABLE users ALTER COLUMN mail SET NOT NULL;")
                .over("CREATE TABLE users (mail text);")
                .with_empty(&["public.users"]),
            Example::of("ALTER TABLE users ADD CONSTRAINT mail_there NOT NULL mail NOT VALID;").over("CREATE TABLE users (mail text);"),
            Example::of("ALTER TABLE users ALTER COLUMN mail DROP NOT NULL;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands() {
        let column = match command.subtype() {
            Type::AtSetNotNull => Some(command.name.clone()),
            Type::AtAddConstraint => super::not_null_constraint(command),
            _ => None,
        };
        let Some(column) = column.filter(|_| !site.is_new(&table)) else { continue };
        // Each table that has rows proves it for itself, or not.
        let holders = site.known.holders(&table, site.has_heirs());
        let is_read =
            |one: &&ObjectRef| !site.is_harmless_itself(one) && !site.known.has_no_nulls(one, &column);
        let Some(read) = holders.iter().find(is_read) else { continue };
        let message =
            format!("all rows of {} are read for NULLs in {column} while nobody can use it", read.named());
        if site.known.major() >= 18 {
            let column = quote_ident(&column);
            let help = format!(
                "ADD CONSTRAINT … NOT NULL {column} NOT VALID, then VALIDATE CONSTRAINT in another transaction"
            );
            found.advise(-1, message, help);
        } else {
            found.say(message);
        }
    }
}
