//! What the tests share: databases with everything in them, people, and questions at a moment that the test names.

use std::path::Path;
use std::time::Duration;

use cutover::apply::{self, Context, CrashPoints, Request};
use cutover::plan::select::Selection;
use cutover::project::Overrides;
use cutover::run::{EventSink, Outcome, Run};
use cutover::stop::Stop;
use cutover::{Project, SystemClock, migrate};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use testkit::Database;

/// Longest wait for something a test expects to happen. Reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn system() -> Project {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Project::load(folder, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Applies up to a version, or everything.
pub(crate) async fn applied(
    project: &Project,
    options: &ConnectOptions,
    to: Option<&str>,
    sink: &mut dyn EventSink,
) -> Run {
    let request = Request {
        selection: Selection { to: to.map(str::to_owned), ..Selection::default() },
        ..Request::default()
    };
    let clock = SystemClock::new();
    let context = Context {
        clock: &clock,
        sink,
        stop: Stop::new(),
        operator: "test".into(),
        tool: "test".into(),
        crash: CrashPoints::default(),
    };
    let run = Box::pin(apply::apply(project, options, &request, context)).await;
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::Completed), "{:?}", run.events);
    run
}

/// Schema of a database as `pg_dump` writes it, without cutover's own.
pub(crate) fn dump(database: &Database) -> String {
    testkit::catalogue_dump(&database.options(), &["cutover"])
}

/// People are called by numbers: odd ones are men, even ones women. All are online, 25 and of no place, and have no preferences.
const PEOPLE: &str = "
    CREATE SCHEMA test;
    CREATE FUNCTION test.u(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
        SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
    CREATE FUNCTION test.n(u uuid) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ltrim(right(u::text, 12), '0') $$;
    CREATE FUNCTION test.people(n int) RETURNS void LANGUAGE sql AS $$
        INSERT INTO public.profiles (id, name, age, gender, is_online)
        SELECT test.u(i), 'person ' || i, 25, CASE i % 2 WHEN 1 THEN 'male' ELSE 'female' END, true FROM generate_series(1, n) i $$;
    -- '1 paired, 2 paired'
    CREATE FUNCTION test.states() RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(string_agg(test.n(user_id) || ' ' || status, ', ' ORDER BY user_id), '') FROM public.matching_queue $$;
    -- '1 10.00, 2 0.00'
    CREATE FUNCTION test.scores() RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(string_agg(test.n(user_id) || ' ' || fairness_score, ', ' ORDER BY user_id), '') FROM public.matching_queue $$;
    CREATE FUNCTION test.boosts() RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(string_agg(test.n(user_id) || ' ' || (event_data ->> 'boost_amount') || ' ' || (event_data ->> 'reason'),
                                   ', ' ORDER BY \"timestamp\", user_id), '')
          FROM public.spark_event_log WHERE event_type = 'fairness_boost_applied' $$;
    CREATE FUNCTION test.m() RETURNS uuid LANGUAGE sql AS $$ SELECT id FROM public.matches WHERE status = 'pending' $$;
    -- Everything that a state and a refusal could change.
    CREATE FUNCTION test.everything() RETURNS text LANGUAGE sql AS $$
        SELECT md5(concat((SELECT string_agg(t::text, '' ORDER BY t::text) FROM public.matching_queue t),
                          (SELECT string_agg(t::text, '' ORDER BY t::text) FROM public.matches t),
                          (SELECT string_agg(t::text, '' ORDER BY t::text) FROM public.votes t),
                          (SELECT string_agg(t::text, '' ORDER BY t::text) FROM public.match_history t),
                          (SELECT string_agg(t::text, '' ORDER BY t::text) FROM public.user_preferences t),
                          (SELECT string_agg(t::text, '' ORDER BY t::text) FROM public.profiles t),
                          (SELECT string_agg(t::text, '' ORDER BY t::text) FROM public.spark_event_log t))) $$;";

/// Applies everything to an empty database, and brings what the tests call people by.
pub(crate) fn migrated(url: &str, options: &ConnectOptions) {
    testkit::block_on(async {
        let run = migrate(&system(), url).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::Completed));
        let mut session = Session::connect(options, &Startup::default()).await.unwrap();
        session.execute(PEOPLE).await.unwrap();
        session.close().await;
    });
}

/// A database with everything applied, and a clock that the test sets: each question names its moment, in milliseconds from a noon.
pub(crate) struct Spark(pub(crate) Database);

impl Spark {
    /// With so many people.
    pub(crate) fn with(people: u32) -> Self {
        let project = system();
        let texts: Vec<String> = project
            .migrations
            .iter()
            .map(|file| {
                std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file.path)).unwrap()
            })
            .chain([PEOPLE.to_owned()])
            .collect();
        let database = testkit::database_from_template(&texts.join("\n"), |template| {
            migrated(&template.url(), &template.options());
        });
        database.run(&format!("SELECT test.people({people})"));
        Self(database)
    }

    /// Two people, a man and a woman, who are matched at noon.
    pub(crate) fn with_a_pair() -> Self {
        let spark = Self::with(2);
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 2) n");
        spark.value(0, "SELECT unified_matching_engine(test.u(1))");
        assert_eq!(spark.states(), "1 paired, 2 paired");
        spark
    }

    /// The same, when both have revealed at noon.
    pub(crate) fn with_voters() -> Self {
        let spark = Self::with_a_pair();
        spark.value(0, "SELECT count(complete_reveal(test.u(n), test.m())) FROM generate_series(1, 2) n");
        assert_eq!(spark.states(), "1 vote_active, 2 vote_active");
        spark
    }

    pub(crate) fn value(&self, at: u32, sql: &str) -> String {
        self.0.value(&format!("{}{sql}", noon(at)))
    }

    /// Nothing, or the SQLSTATE and the message.
    pub(crate) fn try_at(&self, at: u32, sql: &str) -> Result<(), (String, String)> {
        match self.0.try_rows(&format!("{}{sql}", noon(at))) {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = error.as_db_error().expect("the server's").clone();
                Err((error.code().code().to_owned(), error.message().to_owned()))
            }
        }
    }

    /// Refused with this SQLSTATE, and nothing is otherwise than before. Returns the message.
    pub(crate) fn refused(&self, sql: &str, code: &str) -> String {
        let before = self.0.value("SELECT test.everything()");
        let (found, message) = self.try_at(0, sql).expect_err(sql);
        assert_eq!(found, code, "{sql}: {message}");
        assert_eq!(self.0.value("SELECT test.everything()"), before, "{sql}");
        message
    }

    pub(crate) fn states(&self) -> String {
        self.0.value("SELECT test.states()")
    }

    pub(crate) fn scores(&self) -> String {
        self.0.value("SELECT test.scores()")
    }

    pub(crate) fn boosts(&self) -> String {
        self.0.value("SELECT test.boosts()")
    }

    pub(crate) fn count(&self, table: &str) -> String {
        self.0.value(&format!("SELECT count(*) FROM {table}"))
    }
}

/// Sets the moment.
pub(crate) fn noon(millis: u32) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("SET spark.now = '2026-01-01 12:{:02}:{:02}.{millis:03}+00'; ", seconds / 60, seconds % 60)
}
