//! Code that runs by itself while migrations run, of the database and of the migrations: triggers, rules and event triggers
//! whose functions may make or drop things that no statement names. Behind it nothing is certain.

use cutover_analysis::effects::ObjectKind;
use cutover_postgres::session::{Failure, Session};

use crate::script::Script;

/// What there is of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Code {
    /// A function makes things when it runs, or may do so.
    bodies: bool,
    /// A trigger or rule calls functions when rows are written.
    triggers: bool,
    /// An event trigger calls functions when things are made.
    event_triggers: bool,
    /// Event triggers of the database, by name.
    named: Vec<String>,
}

/// What the database has. A function counts that has one of the words in it without which nothing is made, dropped or renamed
/// (`EXECUTE` for texts), and an event trigger's that is written in C.
const OF_DATABASE: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
                WHERE p.oid >= 16384
                  AND (p.prosrc ~* '\\m(create|drop|alter|execute|import)\\M'
                       OR l.lanname = 'c' AND p.prorettype = 'pg_catalog.event_trigger'::pg_catalog.regtype)),
       EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D')
         OR EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE oid >= 16384 AND rulename <> '_RETURN'),
       coalesce((SELECT pg_catalog.array_agg(evtname::text ORDER BY evtname) FROM pg_catalog.pg_event_trigger
                  WHERE evtenabled <> 'D' AND evtevent <> 'login'), '{}')";

impl Code {
    /// That of the database.
    ///
    /// # Errors
    /// As the server says.
    pub(super) async fn of_database(session: &mut Session) -> Result<Self, Failure> {
        let rows = session.query(OF_DATABASE, &[]).await?;
        let Some(row) = rows.first() else { return Ok(Self::default()) };
        let named: Vec<String> = row.get(2);
        Ok(Self { bodies: row.get(0), triggers: row.get(1), event_triggers: !named.is_empty(), named })
    }

    /// What a script brings, which matters already to itself.
    pub(super) fn learn(&mut self, script: &Script) {
        let makes = |kind| script.creates.iter().any(move |object| object.kind == kind);
        self.bodies |= !script.vertex.late_creates.is_empty() || !script.vertex.unseen.is_empty();
        self.triggers |= makes(ObjectKind::Trigger) || makes(ObjectKind::Rule);
        self.event_triggers |= makes(ObjectKind::EventTrigger);
    }

    /// It may act while the script runs.
    pub(super) fn may_act(&self, script: &Script) -> bool {
        self.bodies && (self.event_triggers || self.triggers && !script.writes.is_empty())
    }

    /// What it is, in words.
    pub(super) fn words(&self) -> String {
        match self.named.as_slice() {
            [] => "triggers or rules of this database, whose functions may make and drop things".to_owned(),
            named => {
                let list = named.join(", ");
                let word = if named.len() == 1 { "trigger" } else { "triggers" };
                format!("event {word} of this database ({list}), whose functions may make and drop things")
            }
        }
    }
}
