//! Whether a database is what the adopted files make: built on a throwaway server and compared. It changes nothing of
//! anybody's.

use cutover_analysis::diff::Change;
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::Schema;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::AdoptError;
use super::tables::TablePlace;
use crate::compare::{self, Departures, drift};
use crate::migration::Migration;
use crate::project::Project;
use crate::verify::SandboxProvider;
use crate::verify::replay::{self, Likeness};

/// What files make, as PostgreSQL prints it.
#[derive(Debug)]
pub(super) struct Basis {
    made: compare::Basis,
    /// The schemas that the files touch; all, where that is not known.
    scope: Vec<String>,
}

/// What a comparison came to, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What is not as the files make it.
    pub(super) differing: Vec<String>,
    /// Who may do what, or owns what, otherwise than the files say.
    pub(super) privileges: Vec<String>,
    /// What is there and made by none of them.
    pub(super) besides: Vec<String>,
    /// How many objects were compared.
    pub(super) compared: usize,
}

impl Basis {
    /// Builds what these migrations make. Why that cannot be done is no error, but a word for people.
    ///
    /// # Errors
    /// As the server says.
    pub(super) async fn build(
        project: &Project,
        place: &TablePlace,
        migrations: &[&Migration],
        options: &ConnectOptions,
        sandbox: &SandboxProvider,
    ) -> Result<Result<Self, String>, AdoptError> {
        let scope = drift::touched(project, migrations, options).await?;
        let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
        let mut session = Session::connect(options, &startup).await?;
        let likeness = Likeness::of(&mut session).await;
        session.close().await;
        let made = replay::made_by(migrations.iter().copied(), &project.vars);
        let likeness = likeness?
            .with_table(place.clone())
            .without_roles(|role| made.contains(&(ObjectKind::Role, role.to_owned())));
        let made = compare::Basis::build(project, migrations.iter().copied(), &likeness, sandbox).await;
        Ok(made.map(|made| Self { made, scope }))
    }

    /// What is to be known of how it was built.
    pub(super) fn remark(&self) -> Option<String> {
        self.made.remark()
    }

    /// Compares a database with it. What is the other tool's is on neither side.
    pub(super) fn compare(&self, live: Schema, place: &TablePlace) -> Found {
        let side = |schema: Schema| {
            let mut schema = drift::within(schema, &self.scope);
            place.take_from(&mut schema);
            schema
        };
        let Departures { changes, besides } = self.made.departures(live, side);
        let (privileges, differing): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(Change::is_of_privileges);
        let compared = side(self.made.built().clone());
        Found {
            differing: compare::told(&differing),
            privileges: compare::told(&privileges),
            besides: compare::told(&besides),
            compared: compared.objects.keys().filter(|id| id.table.is_none()).count(),
        }
    }
}
