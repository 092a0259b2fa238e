//! Each tool's table as its own statements make it is known for what it is, and an empty one can be read.

use cutover_postgres::session::{Session, Startup};

use super::super::tables;
use super::*;
use crate::project::Project;

#[test]
fn names_and_families_are_told_apart() {
    for (at, tool) in all().iter().enumerate() {
        assert!(all().iter().skip(at + 1).all(|other| other.name() != tool.name()));
        assert_eq!(by_name(tool.name()).map(Tool::name), Some(tool.name()));
        assert!(!tool.conventions().is_empty());
        for convention in tool.conventions() {
            assert!(crate::project::conventions::by_name(convention).is_some(), "{convention}");
        }
    }
    for (family, yes, no) in [
        (Family::Text, "character varying(50)", "name"),
        (Family::Text, "text", "text[]"),
        (Family::Integer, "bigint", "bigserial"),
        (Family::Timestamp, "timestamp(6) without time zone", "date"),
        (Family::Bytes, "bytea", "bytea[]"),
        (Family::Boolean, "boolean", "bool_"),
    ] {
        assert!(family.has(yes) && !family.has(no), "{yes} {no}");
    }
}

#[tokio::test]
async fn a_table_as_it_is_made_is_found_and_can_be_read() {
    for tool in all() {
        let database = testkit::database();
        let schema = match tool.name() {
            "supabase" => "supabase_migrations",
            "graphile-migrate" => "graphile_migrate",
            "sqitch" => "sqitch",
            _ => "public",
        };
        for text in tool.make(schema, tool.tables()[0]) {
            database.run(&text);
        }
        let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
        let mut project = Project::embedded("x", &[("0001_a.sql", b"SELECT 1")]).unwrap();
        let plan = tempfile::tempdir().unwrap();
        std::fs::write(plan.path().join("sqitch.plan"), "%project=x\n").unwrap();
        project.companions.push(plan.path().join("sqitch.plan"));
        let (place, remarks) = tables::find(&mut session, &project, None).await.unwrap();
        assert_eq!((place.tool.0.name(), remarks.len()), (tool.name(), 0));
        assert_eq!(tables::rows(&mut session, &project, &place).await.unwrap(), []);
        let mut read = crate::catalog::schema(&mut session, &[]).await.unwrap();
        place.take_from(&mut read);
        let left: Vec<String> = read.objects.keys().map(ToString::to_string).collect();
        assert!(left.iter().all(|id| id == "schema public" || id.starts_with("extension")), "{left:?}");
        session.close().await;
    }
}

#[test]
fn values_that_refinery_and_prisma_keep() {
    let project = Project::embedded("x", &[("V1__users.sql", b"SELECT 1;\n")]).unwrap();
    let migration = &project.migrations[0];
    let file = |bytes| File { migration, bytes, before: None };
    let prisma = by_name("prisma").unwrap();
    let sum = |text: &[u8]| crate::project::text::hex(&<sha2::Sha256 as sha2::Digest>::digest(text));
    assert_eq!(prisma.compare(&file(b"SELECT 1;\n"), &sum(b"SELECT 1;\r\n")), Sum::Same);
    assert_eq!(prisma.compare(&file(b"SELECT 1;\r\n"), &sum(b"SELECT 1;\n")), Sum::Same);
    assert!(matches!(prisma.compare(&file(b"SELECT 2;\n"), &sum(b"SELECT 1;\n")), Sum::Changed(_)));
    assert!(matches!(prisma.compare(&file(b"\xff"), ""), Sum::Unknown(_)));
    let sqlx = by_name("sqlx").unwrap();
    assert!(matches!(
        sqlx.compare(
            &file(b""),
            "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"
        ),
        Sum::Same
    ));
}

/// `docs/adopt.md` has the tools as they say it themselves.
#[test]
fn the_page_has_each_tool() {
    let rows: Vec<String> = all()
        .iter()
        .map(|tool| {
            let About { called, checksum, told } = tool.about();
            let tables: Vec<String> = tool.tables().iter().map(|name| format!("`{name}`")).collect();
            format!("| {called} | {} | {checksum} | {told} |", tables.join(", "))
        })
        .collect();
    let page = include_str!("../../../../../docs/adopt.md");
    let (before, after) = page.split_once("|---|---|---|---|\n").unwrap();
    let rest = after.split_once("\n\n").unwrap().1;
    let wanted = format!("{before}|---|---|---|---|\n{}\n\n{rest}", rows.join("\n"));
    expect_test::expect_file!["../../../../../docs/adopt.md"].assert_eq(&wanted);
}
