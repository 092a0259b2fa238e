//! Sqitch: table `changes` of its registry, which is a schema of its own (`sqitch` unless it is called otherwise).
//!
//! Source: `lib/App/Sqitch/Engine/pg.sql`, `Engine/pg.pm` and `Plan/Change.pm` of sqitchers/sqitch: `changes` has what is deployed
//! now, `events` what happened, and a revert takes a change out of the one and writes it into the other. `script_hash` is the
//! SHA-1 of the deploy script; registries from before it was kept have the id of the change in its place. A change that was
//! reworked has a row for each of its deployments, in the order of the plan. Several projects may share a registry.

use cutover_analysis::sql::quote_literal;
use sha1::{Digest as _, Sha1};

use super::{About, Family, File, Sum, Tool, micros, qualified, schema_and, text};
use crate::migration::{Migration, VersionSort};
use crate::project::Project;
use crate::project::conventions::sqitch;
use crate::project::text::hex;

/// The tool `sqitch`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sqitch;

impl Tool for Sqitch {
    fn name(&self) -> &'static str {
        "sqitch"
    }

    fn about(&self) -> About {
        About {
            called: "Sqitch",
            checksum: "SHA-1 of the deploy script",
            told: "the schema is Sqitch's registry; when; what was reverted; of a registry that several projects share, the project of `sqitch.plan`",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["changes"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[
            ("change_id", Family::Text),
            ("script_hash", Family::Text),
            ("change", Family::Text),
            ("project", Family::Text),
            ("committed_at", Family::Timestamp),
            ("planned_at", Family::Timestamp),
        ]
    }

    fn is_own(&self, _schema: &str, beside: &[String]) -> bool {
        ["events", "projects", "tags"].iter().all(|needed| beside.iter().any(|table| table == needed))
    }

    fn others(&self) -> &'static [&'static str] {
        &["dependencies", "events", "projects", "releases", "tags"]
    }

    fn owns_schema(&self) -> bool {
        true
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["sqitch"]
    }

    fn rows(&self, table: &str, project: &Project) -> Result<String, String> {
        let named = quote_literal(&plan_project(project)?);
        let schema = table.strip_suffix(".changes").unwrap_or(table);
        // What was reverted comes first: a change that was deployed again is deployed.
        Ok(format!(
            "SELECT {key}, {label}, hash, {at}, state FROM (
                 SELECT change, row_number() OVER (PARTITION BY change ORDER BY committed_at, planned_at) AS nth,
                        CASE WHEN script_hash <> change_id THEN {hash} END AS hash, committed_at, 'applied' AS state, 1 AS place
                   FROM {table} WHERE project = {named}
                 UNION ALL
                 SELECT change, 1, NULL, committed_at, 'undone', 0
                   FROM {schema}.events e WHERE project = {named} AND event = 'revert'
                    AND NOT EXISTS (SELECT FROM {table} c WHERE c.change = e.change AND c.project = e.project)
             ) AS r ORDER BY place, committed_at",
            key = text("nth || '=' || change"),
            label = text("change"),
            hash = text("script_hash"),
            at = micros("committed_at"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        key.split_once('=').filter(|(_, name)| !name.is_empty()).map(|_| key.to_owned())
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        let version = &migration.id.version;
        let nth = version.parts().first().copied().unwrap_or(1);
        (version.sort() == VersionSort::Named).then(|| format!("{nth}={}", version.name()))
    }

    fn compare(&self, file: &File<'_>, kept: &str) -> Sum {
        Sum::by_value(hex(&Sha1::digest(file.bytes)), kept)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        let of = |name: &str| qualified(schema, name);
        let who = "committed_at timestamptz NOT NULL DEFAULT clock_timestamp(), committer_name text NOT NULL, \
                   committer_email text NOT NULL, planned_at timestamptz NOT NULL, planner_name text NOT NULL, \
                   planner_email text NOT NULL";
        let mut made = schema_and(
            schema,
            format!(
                "CREATE TABLE {} (project text PRIMARY KEY, uri text UNIQUE, created_at timestamptz NOT NULL DEFAULT \
                 clock_timestamp(), creator_name text NOT NULL, creator_email text NOT NULL)",
                of("projects")
            ),
        );
        made.push(format!(
            "CREATE TABLE {} (change_id text PRIMARY KEY, script_hash text, change text NOT NULL, project text NOT NULL \
             REFERENCES {}, note text NOT NULL DEFAULT '', {who}, UNIQUE (project, script_hash))",
            of(table),
            of("projects"),
        ));
        made.push(format!(
            "CREATE TABLE {} (tag_id text PRIMARY KEY, tag text NOT NULL, project text NOT NULL, change_id text NOT NULL, \
             note text NOT NULL DEFAULT '', {who})",
            of("tags")
        ));
        made.push(format!(
            "CREATE TABLE {} (event text NOT NULL, change_id text NOT NULL, change text NOT NULL, project text NOT NULL, \
             note text NOT NULL DEFAULT '', requires text[] NOT NULL DEFAULT '{{}}', conflicts text[] NOT NULL DEFAULT \
             '{{}}', tags text[] NOT NULL DEFAULT '{{}}', {who}, PRIMARY KEY (change_id, committed_at))",
            of("events")
        ));
        made
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind"
    }
}

/// What the plan calls its project.
fn plan_project(project: &Project) -> Result<String, String> {
    let plan = project.companions.iter().find(|path| path.ends_with(sqitch::PLAN));
    let plan = plan.ok_or_else(|| {
        format!("Sqitch's registry is known by the project that {} names, and there is none", sqitch::PLAN)
    })?;
    let content = std::fs::read_to_string(plan).map_err(|error| format!("{}: {error}", plan.display()))?;
    let pragma = |line: &str| {
        let (key, value) = line.trim().strip_prefix('%')?.split_once('=')?;
        (key.trim() == "project").then(|| value.trim().to_owned())
    };
    content
        .lines()
        .find_map(pragma)
        .ok_or_else(|| format!("{} has no line %project=NAME, as Sqitch writes it", plan.display()))
}
