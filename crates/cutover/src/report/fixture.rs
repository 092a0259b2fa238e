//! Runs and plans for the tests, built like the engine builds them.

use std::time::Duration;

use cutover_analysis::effects::LockMode;

use crate::erd::{Erd, ErdColumn, ErdReference, ErdTable};
use crate::lint;
use crate::migration::{Claims, MigrationId, Version};
use crate::plan::{
    Dependency, FORMAT_VERSION as PLAN_FORMAT, Lines, LockSummary, Plan, StageSummary, Step, StepState,
    Target, UnitState, UnitSummary,
};
use crate::rehearse::{self, Rehearsal};
use crate::run::{
    Blocker, CheckResult, EventKind, FORMAT_VERSION, Outcome, PartsDone, Run, RunEvent, Verdict,
};

/// 2026-11-20T09:30:00Z.
const START: i64 = 1_795_167_000_000_000;

pub(super) fn id(version: &str) -> MigrationId {
    let number = version.trim_start_matches('0').parse().unwrap_or(0);
    MigrationId { root: "migrations".into(), version: Version::new(vec![number], version) }
}

pub(super) fn step(version: &str, name: &str, stage: Option<&str>, creates: &[&str]) -> Step {
    let creates: Vec<String> = creates.iter().map(ToString::to_string).collect();
    Step {
        migration: id(version),
        name: name.into(),
        path: format!("migrations/V{version}__{name}.sql"),
        stage: stage.map(Into::into),
        claims: Claims { creates: creates.clone(), ..Claims::default() },
        checksum: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        bytes: 612,
        statements: u32::try_from(creates.len()).expect("few"),
        units: vec![unit(2, None)],
        creates,
        parts: Vec::new(),
        alters: Vec::new(),
        references: Vec::new(),
        writes: Vec::new(),
        drops: Vec::new(),
        renames: Vec::new(),
        opaque: None,
        needs: Vec::new(),
        conflicts: Vec::new(),
        late: Vec::new(),
        unseen: Vec::new(),
        locks: Vec::new(),
        more_locks: Vec::new(),
        work: Vec::new(),
        notes: Vec::new(),
        sql: Vec::new(),
        sql_more: 0,
        findings: Vec::new(),
        kind: crate::migration::MigrationKind::Versioned,
        no_transaction: false,
        down: None,
        state: StepState::Pending,
    }
}

/// A unit of so many statements; `why` it is outside a transaction, where it is.
fn unit(statements: u32, why: Option<String>) -> UnitSummary {
    UnitSummary {
        finding: None,
        transactional: why.is_none(),
        statements,
        lines: None,
        why,
        state: UnitState::Pending,
        failure: None,
    }
}

fn stage(id: &str, title: &str) -> StageSummary {
    StageSummary {
        id: id.into(),
        title: title.into(),
        kind: "sprint".into(),
        notes: Vec::new(),
        uses: Vec::new(),
        within_target: true,
    }
}

fn stages() -> Vec<StageSummary> {
    let mut all: Vec<StageSummary> = [
        ("0.1", "Core Infra + Auth Skeleton"),
        ("1.1", "Symbols & Schemas"),
        ("1.2", "Market Data Read APIs"),
        ("1.3", "Data Ingestion & Jobs"),
        ("2.1", "Strategy Persistence & Versioning"),
        ("2.3", "Strategy CRUD & Validation"),
        ("3.2", "Backtest Persistence"),
        ("4.1", "Accounts & Positions"),
        ("7.1", "Polish & Caching"),
    ]
    .iter()
    .map(|(id, title)| stage(id, title))
    .collect();
    all[2].uses = ["symbols", "equity_daily_bars", "crypto_daily_bars"].map(Into::into).to_vec();
    all[3].notes = vec!["import checkpoints live in jobs.payload_json".into()];
    all[8].notes = vec!["may add cache metadata".into()];
    all[8].within_target = false;
    all
}

/// Version, name, stage and what it creates.
const STEPS: [(&str, &str, &str, &[&str]); 14] = [
    ("0001", "create_users", "0.1", &["table users", "index users_email_key"]),
    ("0002", "create_webauthn_credentials", "0.1", &["table webauthn_credentials"]),
    ("0100", "create_symbols", "1.1", &["table symbols", "index symbols_symbol_key"]),
    ("0101", "create_equity_daily_bars", "1.1", &["table equity_daily_bars"]),
    ("0102", "create_crypto_daily_bars", "1.1", &["table crypto_daily_bars"]),
    ("0130", "create_jobs", "1.3", &["table jobs", "index jobs_user", "index jobs_type"]),
    ("0200", "create_strategies", "2.1", &["table strategies"]),
    ("0201", "create_strategy_versions", "2.1", &["table strategy_versions"]),
    ("0230", "add_indexes_strategies", "2.3", &["index idx_strategies_user"]),
    ("0300", "create_backtest_runs", "3.2", &["table backtest_runs"]),
    ("0301", "create_backtest_results", "3.2", &["table backtest_results"]),
    ("0330", "add_fk_backtest_runs_job", "3.2", &[]),
    ("0400", "create_paper_accounts", "4.1", &["table paper_accounts"]),
    ("0401", "create_positions", "4.1", &["table positions", "index positions_symbol"]),
];

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = STEPS
        .iter()
        .map(|(version, name, stage, creates)| step(version, name, Some(stage), creates))
        .collect();
    let sources = ["00_core", "00_core", "01_market_data", "01_market_data", "01_market_data", "06_infra"];
    for (step, source) in steps.iter_mut().zip(sources) {
        step.claims.source = Some(format!("ddl/{source}.sql"));
    }
    steps[0].claims.task = Some("users exist before anything refers to them".into());
    steps[0].notes = vec!["its outer BEGIN … COMMIT is replaced by cutover's own transaction".into()];
    steps[8].state = StepState::Optional;
    steps[8].claims.optional = true;
    let why = Some("CREATE INDEX CONCURRENTLY".into());
    steps[8].units = vec![unit(1, why)];
    steps[11].state = StepState::Deferred;
    steps[11].claims.deferred = true;
    steps[11].claims.requires = vec!["0130".into()];
    steps[11].alters = vec!["table backtest_runs".into()];
    steps[11].references = vec!["table jobs".into()];
    let need = |version: &str, why: &str| Dependency { migration: id(version), why: vec![why.into()] };
    steps[1].needs = vec![need("0001", "foreign key webauthn_credentials.user_id → users")];
    steps[11].needs = vec![need("0130", "foreign key backtest_runs.job_id → jobs")];
    steps[11].locks = vec![LockSummary {
        relation: "jobs".into(),
        mode: "SHARE ROW EXCLUSIVE".into(),
        line: 7,
        new: false,
    }];
    steps[9].writes = vec!["strategies".into()];
    steps[11].statements = 2;
    steps
}

/// A plan like that of a trading platform, sprint by sprint: empty stages, a deferred and an optional migration.
pub(super) fn plan() -> Plan {
    Plan {
        format_version: PLAN_FORMAT,
        project: "bitstockerz".into(),
        target: Some(Target {
            system_identifier: "7301234567890123456".into(),
            database: "bitstockerz".into(),
            server_version_num: 150_018,
        }),
        stages: stages(),
        steps: steps(),
        notes: vec!["2 files are left out".into()],
    }
}

/// Records events at times given in milliseconds.
pub(super) struct Recorder {
    now: u64,
    pub(super) events: Vec<RunEvent>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { now: 0, events: Vec::new() }
    }

    /// Lets `millis` pass, then records.
    pub(super) fn after(&mut self, millis: u64, kind: EventKind) {
        self.now += millis;
        let at_micros = START + i64::try_from(self.now * 1_000).expect("small");
        self.events.push(RunEvent { at_micros, elapsed: Duration::from_millis(self.now), kind });
    }

    pub(super) fn begin(&mut self, steps: usize) {
        self.after(0, EventKind::RunStarted { run: "01JD4Q7R".into(), steps });
        self.after(2, EventKind::RunnerLocked { token: 7 });
    }

    pub(super) fn start(&mut self, step: &Step) {
        self.after(1, EventKind::StepStarted { migration: step.migration.clone(), path: step.path.clone() });
    }

    pub(super) fn finish(&mut self, step: &Step, millis: u64, took: u64, attempts: u32) {
        let took = Duration::from_millis(took);
        let (migration, statements) = (step.migration.clone(), step.statements);
        self.after(millis, EventKind::StepFinished { migration, statements, took, attempts });
    }

    fn skip(&mut self, step: &Step, why: &str) {
        self.after(0, EventKind::StepSkipped { migration: step.migration.clone(), why: why.into() });
    }

    pub(super) fn apply(&mut self, step: &Step, millis: u64) {
        self.start(step);
        self.finish(step, millis, millis, 1);
    }
}

pub(super) fn check(name: &str, kind: &str, expected: &str, found: &str, verdict: Verdict) -> CheckResult {
    CheckResult {
        name: name.into(),
        kind: kind.into(),
        migration: None,
        stage: None,
        measured: format!("select count(*)\n  from pg_catalog.pg_class\n where relname = '{kind}'"),
        expected: expected.into(),
        found: found.into(),
        verdict,
        elapsed: Duration::from_micros(3_400),
    }
}

pub(super) fn blocker() -> Blocker {
    Blocker {
        pid: 4_711,
        user: "app".into(),
        application: "nightly-report".into(),
        state: "idle in transaction".into(),
        transaction_seconds: 312.5,
        query: "select * from jobs\n where status = 'running' for update".into(),
    }
}

pub(super) fn document(plan: Plan, outcome: Option<Outcome>, events: Vec<RunEvent>) -> Run {
    Run {
        jobs: 1,
        format_version: FORMAT_VERSION,
        id: "01JD4Q7R".into(),
        project: plan.project.clone(),
        tool: "cutover 0.1.0".into(),
        role: "bitstockerz_owner".into(),
        operator: "maria@build-7".into(),
        started_micros: START,
        server_version: "15.18 (Debian 15.18-0+deb12u1)".into(),
        database: "bitstockerz".into(),
        outcome,
        plan,
        events,
    }
}

/// A run that went well, with waits, a notice, a backup, migrations left out, and checks of all verdicts.
pub(super) fn eventful() -> Run {
    let plan = plan();
    let mut record = Recorder::new();
    record.after(0, EventKind::RunStarted { run: "01JD4Q7R".into(), steps: 12 });
    record.after(3, EventKind::RunnerWaiting { holder: "run 01JD4Q6X of deploy@build-3".into() });
    record.after(140, EventKind::RunnerLocked { token: 7 });
    for (i, step) in plan.steps.iter().enumerate() {
        match i {
            0 => with_notice(&mut record, step),
            5 => with_waits(&mut record, step),
            8 => record.skip(step, "optional; apply it with --optional or by naming 0230"),
            9 => with_backup(&mut record, step),
            11 => record.skip(step, "deferred; waits until it is named"),
            12 => in_units(&mut record, step),
            _ => record.apply(step, 9 + 7 * u64::try_from(i).expect("small")),
        }
    }
    for (name, kind, expected, found, verdict) in [
        ("objects as claimed", "claims", "12 tables, 5 indexes", "12 tables, 5 indexes", Verdict::Holds),
        ("no dangling jobs", "no_rows", "no rows", "2 rows, first: (run 41, job 7)", Verdict::False),
        ("every foreign key holds", "foreign_keys", "0 orphans", "0 orphans in 26 keys", Verdict::Holds),
        ("backtests use their index", "explain", "idx_backtests", "permission denied", Verdict::NotMeasured),
        ("ledger unchanged", "unchanged", "digest 81f0…", "digest 81f0…", Verdict::Holds),
    ] {
        let mut result = check(name, kind, expected, found, verdict);
        result.stage = Some("3.2".into());
        record.after(12, EventKind::CheckDone(result));
    }
    record.after(1, EventKind::SchemaLeft { erd: Some(diagram("users", "app.orders", "user_id")) });
    record.after(1, EventKind::RunFinished { outcome: Outcome::Completed });
    verified_later(&mut record);
    document(plan, Some(Outcome::Completed), record.events)
}

/// Two tables, of which the second refers to the first and to itself.
fn diagram(first: &str, second: &str, column: &str) -> Erd {
    let table = |name: &str, touched, references| ErdTable {
        name: name.to_owned(),
        touched,
        columns: [("id", "bigint", true, true), (column, "character varying(255)", false, false)]
            .map(|(name, type_name, not_null, primary)| ErdColumn {
                name: name.to_owned(),
                type_name: type_name.to_owned(),
                not_null,
                primary,
            })
            .into_iter()
            .filter(|_| touched)
            .collect(),
        references,
    };
    let key = |to: &str| ErdReference {
        name: format!("{second}_{to}_fkey"),
        columns: vec![column.to_owned()],
        to: to.to_owned(),
        optional: to == second,
        unique: to == second,
    };
    Erd {
        tables: vec![table(first, false, Vec::new()), table(second, true, vec![key(first), key(second)])],
        more: 2,
    }
}

/// A day later one check is measured again, and others for the first time.
fn verified_later(record: &mut Recorder) {
    record.after(86_400_000, EventKind::VerificationStarted { operator: "jo@desk-2".into() });
    let refused = "ERROR: duplicate key value violates unique constraint \"users_email_key\" (23505): \
                   Key (email)=(a@example.com) already exists.";
    for (name, kind, expected, found, verdict) in [
        ("no dangling jobs", "no_rows", "no rows", "1 row, first: (run 41, job 7)", Verdict::False),
        ("the design: public.users", "design", "no difference", "5 columns: no difference", Verdict::Holds),
        ("the design: public.jobs", "design", "no difference", "9 columns: no difference", Verdict::Holds),
        (
            "the design: public.orders",
            "design",
            "no difference",
            "V0402__create_orders.sql is pending: there is no such table",
            Verdict::Skipped,
        ),
        ("one user for an e-mail address", "fails", "refused with 23505", refused, Verdict::Holds),
    ] {
        record.after(12, EventKind::CheckDone(check(name, kind, expected, found, verdict)));
    }
}

fn with_notice(record: &mut Recorder, step: &Step) {
    record.start(step);
    for note in &step.notes {
        record.after(0, EventKind::StepNote { migration: step.migration.clone(), note: note.clone() });
    }
    let notice = EventKind::Notice {
        migration: step.migration.clone(),
        severity: "NOTICE".into(),
        code: "42P07".into(),
        message: "relation \"users\" already exists, skipping".into(),
        line: 3,
    };
    record.after(6, notice);
    record.finish(step, 16, 22, 1);
}

fn with_waits(record: &mut Recorder, step: &Step) {
    record.start(step);
    for attempt in 1..=3 {
        let blockers = if attempt == 1 { Vec::new() } else { vec![blocker()] };
        let migration = step.migration.clone();
        record.after(120, EventKind::LockWaiting { migration, attempt, blockers });
    }
    record.finish(step, 45, 405, 4);
}

fn with_backup(record: &mut Recorder, step: &Step) {
    let (stage, path) = ("3.2".to_owned(), "backups/bitstockerz-3.2.dump".to_owned());
    record.after(5, EventKind::BackupStarted { stage: stage.clone(), path: path.clone() });
    let backup = EventKind::BackupTaken {
        stage: stage.clone(),
        path: path.clone(),
        bytes: 1_834_112,
        sha256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".into(),
    };
    record.after(120, backup);
    let took = Duration::from_millis(205);
    record.after(85, EventKind::BackupRestored { stage, path, tables: 9, rows: 12_345, took });
    let why = "FATAL: terminating connection due to administrator command (57P01)".to_owned();
    record.after(0, EventKind::RunnerLockLost { why });
    record.after(0, EventKind::RunnerLockRegained { token: 7 });
    record.apply(step, 31);
}

fn in_units(record: &mut Recorder, step: &Step) {
    record.start(step);
    for unit in 1..=2 {
        let (took, migration) = (Duration::from_millis(20), step.migration.clone());
        record.after(20, EventKind::UnitFinished { migration, unit, units: 2, took });
    }
    record.finish(step, 1, 41, 1);
}

/// A run whose third migration fails.
pub(super) fn failed() -> Run {
    let plan = plan();
    let mut record = Recorder::new();
    record.begin(12);
    record.apply(&plan.steps[0], 22);
    record.apply(&plan.steps[1], 12);
    let step = &plan.steps[2];
    record.start(step);
    let message = "error: relation \"symbols\" already exists\n  --> migrations/V0100__create_symbols.sql:4:1\n  \
                   |\n4 | create table symbols (\n  | ^^^^^^^^^^^^^^^^^^^^ SQLSTATE 42P07\n";
    record.after(
        8,
        EventKind::StepFailed {
            migration: step.migration.clone(),
            message: message.into(),
            code: Some("42P07".into()),
            state: "V0100 was rolled back. V0001 and V0002 are applied; nothing else changed.".into(),
            parts: PartsDone { done: 0, of: 1 },
        },
    );
    record.after(0, EventKind::RunFinished { outcome: Outcome::FailedClean });
    document(plan, Some(Outcome::FailedClean), record.events)
}

/// A run that goes on with the second of three parts of its first migration, outside a transaction, and fails in the
/// third.
pub(super) fn partly() -> Run {
    let mut plan = plan();
    let step = &mut plan.steps[0];
    let lines = |first, last| Some(Lines { first, last });
    let why = Some("CREATE INDEX CONCURRENTLY".into());
    step.units = vec![
        UnitSummary { lines: lines(1, 4), state: UnitState::Done, ..unit(2, None) },
        UnitSummary { lines: lines(6, 6), ..unit(1, why) },
        UnitSummary { lines: lines(8, 11), ..unit(2, None) },
    ];
    (step.statements, step.state) = (5, StepState::Resume { done: 1 });
    let mut record = Recorder::new();
    record.begin(12);
    record.start(&plan.steps[0]);
    let (took, migration) = (Duration::from_millis(20), plan.steps[0].migration.clone());
    record.after(20, EventKind::UnitFinished { migration: migration.clone(), unit: 2, units: 3, took });
    let message = "migrations/V0001__create_users.sql:9:1: ERROR: division by zero (22012)";
    let state = "of migrations/V0001__create_users.sql, 2 of 3 parts are applied and recorded, the rest is not; the next run \
                 goes on with part 3";
    record.after(
        8,
        EventKind::StepFailed {
            migration,
            message: message.into(),
            code: Some("22012".into()),
            state: state.into(),
            parts: PartsDone { done: 2, of: 3 },
        },
    );
    record.after(0, EventKind::RunFinished { outcome: Outcome::FailedClean });
    document(plan, Some(Outcome::FailedClean), record.events)
}

/// A run that was killed within its third migration.
pub(super) fn killed() -> Run {
    let plan = plan();
    let mut record = Recorder::new();
    record.begin(12);
    record.apply(&plan.steps[0], 22);
    record.apply(&plan.steps[1], 12);
    record.start(&plan.steps[2]);
    let migration = plan.steps[2].migration.clone();
    record.after(250, EventKind::LockWaiting { migration, attempt: 1, blockers: vec![blocker()] });
    document(plan, None, record.events)
}

/// A run of a project without stages or migrations.
pub(super) fn empty() -> Run {
    let plan = Plan {
        format_version: PLAN_FORMAT,
        project: "empty".into(),
        target: None,
        stages: Vec::new(),
        steps: Vec::new(),
        notes: Vec::new(),
    };
    document(plan, Some(Outcome::NothingToDo), Vec::new())
}

/// What a name may do to a report that trusts it.
pub(super) const HOSTILE: &str = "a|b`c``d\\|e\n# f <script>alert(1)</script>\"'&amp;\r\t\u{202e}gpj\u{1b}[31m\u{0}[x](javascript:y) *z* _w_ --> ]]> </style></pre>";

fn bad() -> String {
    HOSTILE.to_owned()
}

fn hostile_plan() -> Plan {
    let mut plan = plan();
    plan.project = bad();
    plan.notes = vec![bad()];
    for stage in &mut plan.stages {
        (stage.title, stage.kind) = (bad(), bad());
        (stage.notes, stage.uses) = (vec![bad()], vec![bad(), bad()]);
        stage.id.push_str(HOSTILE);
    }
    for step in &mut plan.steps {
        (step.name, step.path) = (bad(), format!("{HOSTILE}/{}", step.path));
        step.stage = step.stage.as_ref().map(|stage| format!("{stage}{HOSTILE}"));
        (step.creates, step.alters, step.drops) = (vec![bad(), bad()], vec![bad()], vec![bad()]);
        step.renames = vec![bad()];
        (step.claims.source, step.claims.task, step.opaque) = (Some(bad()), Some(bad()), Some(bad()));
        step.claims.requires = vec![bad()];
        step.notes = vec![bad()];
        step.units = vec![unit(1, Some(bad()))];
    }
    plan
}

fn hostile_step(record: &mut Recorder, id: &MigrationId) {
    let blocker = Blocker { user: bad(), application: bad(), state: bad(), query: bad(), ..blocker() };
    let migration = || id.clone();
    for kind in [
        EventKind::StepStarted { migration: migration(), path: bad() },
        EventKind::LockWaiting { migration: migration(), attempt: 1, blockers: vec![blocker] },
        EventKind::Notice { migration: migration(), severity: bad(), code: bad(), message: bad(), line: 1 },
        EventKind::StepFailed {
            migration: migration(),
            message: bad(),
            code: Some(bad()),
            state: bad(),
            parts: PartsDone { done: 1, of: 2 },
        },
    ] {
        record.after(1, kind);
    }
}

/// [`HOSTILE`] in every place of a run where a text from outside can be.
pub(super) fn hostile() -> Run {
    let plan = hostile_plan();
    let unknown = MigrationId { root: bad(), version: Version::new(vec![5], HOSTILE) };
    let mut record = Recorder::new();
    record.after(0, EventKind::RunStarted { run: bad(), steps: 1 });
    record.after(1, EventKind::RunnerWaiting { holder: bad() });
    record.after(1, EventKind::RunnerLocked { token: 1 });
    record.after(1, EventKind::BackupStarted { stage: bad(), path: bad() });
    record.after(1, EventKind::BackupTaken { stage: bad(), path: bad(), bytes: 1, sha256: bad() });
    record.after(1, EventKind::RunnerLockLost { why: bad() });
    hostile_step(&mut record, &plan.steps[0].migration);
    hostile_step(&mut record, &unknown);
    record.skip(&plan.steps[3], HOSTILE);
    record.after(1, EventKind::SchemaLeft { erd: Some(diagram(&bad(), &format!("{HOSTILE}2"), HOSTILE)) });
    for verdict in [Verdict::Holds, Verdict::False, Verdict::NotMeasured] {
        let mut result = check(HOSTILE, HOSTILE, HOSTILE, HOSTILE, verdict);
        (result.migration, result.stage, result.measured) = (Some(unknown.clone()), Some(bad()), bad());
        record.after(1, EventKind::CheckDone(result));
    }
    let mut run = document(plan, Some(Outcome::NeedsDecision), record.events);
    (run.id, run.tool, run.role, run.operator) = (bad(), bad(), bad(), bad());
    (run.database, run.server_version) = (bad(), bad());
    run
}

/// A thousand migrations with a table and an index each, in ten stages or in none.
pub(super) fn thousand(staged: bool) -> Run {
    let mut plan = plan();
    plan.stages = if staged {
        (0..10).map(|n| stage(&format!("{n}"), &format!("Domain {n}"))).collect()
    } else {
        Vec::new()
    };
    plan.steps = (1..=1000)
        .map(|n| {
            let stage = staged.then(|| ((n - 1) / 100).to_string());
            let (table, index) = (format!("table orders_{n:04}"), format!("index orders_{n:04}_customer"));
            step(&format!("{n:04}"), &format!("create_orders_{n:04}"), stage.as_deref(), &[&table, &index])
        })
        .collect();
    let mut record = Recorder::new();
    record.begin(1000);
    for (i, step) in plan.steps.iter().enumerate() {
        record.apply(step, 2 + u64::try_from(i * i % 23).expect("small"));
    }
    record.after(1, EventKind::RunFinished { outcome: Outcome::Completed });
    document(plan, Some(Outcome::Completed), record.events)
}

/// A rehearsal in which everything occurs once.
#[allow(clippy::too_many_lines, reason = "a list of values")]
pub(super) fn rehearsal() -> Rehearsal {
    let ms = Duration::from_millis;
    let object = rehearse::Object { kind: "table".to_owned(), name: "app.notes".to_owned() };
    let statement = rehearse::TracedStatement {
        line: 3,
        text: "ALTER TABLE app.users ALTER COLUMN mail TYPE text".to_owned(),
        from: ms(1),
        to: ms(40),
        created: vec![object],
        locks: vec![rehearse::Taken {
            relation: "app.users".to_owned(),
            mode: LockMode::AccessExclusive,
            waited: false,
        }],
        rewritten: vec!["app.users".to_owned()],
        wrote: vec![rehearse::Wrote { table: "app.users".to_owned(), inserted: 1, updated: 0, deleted: 0 }],
        ..rehearse::TracedStatement::default()
    };
    let held = rehearse::Held {
        relation: "app.users".to_owned(),
        is_table: true,
        is_new: false,
        mode: LockMode::AccessExclusive,
        from: ms(1),
        to: ms(45),
        waiting: Some(rehearse::Waiting { from: ms(1), to: ms(2) }),
        line: 3,
    };
    let failed = rehearse::Failed {
        line: 9,
        message: "ERROR: no".to_owned(),
        hint: None,
        partly: false,
        is_of_rows: false,
    };
    let traced = rehearse::Traced {
        path: "migrations/0001_<b>change</b>.sql".to_owned(),
        version: "0001".to_owned(),
        from: ms(0),
        to: ms(45),
        statements: vec![statement],
        locks: vec![held],
        failure: Some(failed),
    };
    let found = lint::Located {
        code: "type-change-rewrites".to_owned(),
        severity: lint::Severity::Error,
        path: traced.path.clone(),
        line: 3,
        column: 1,
        source_line: String::new(),
        message: "nobody can use app.users".to_owned(),
        help: "swap".to_owned(),
        seen_by: lint::Seen::Static,
        mending: None,
    };
    let during = traced.path.clone();
    let felt = rehearse::Felt {
        table: "app.users".to_owned(),
        writes: true,
        statements: 3,
        longest: ms(44),
        blocked: vec![rehearse::Blocked { from: ms(1), took: ms(44), during: during.clone(), since: ms(1) }],
        errors: vec![rehearse::Hurt { message: "ERROR: cached plan".to_owned(), during, times: 1 }],
    };
    let unresolved = rehearse::Unresolved {
        routine: "app.f()".to_owned(),
        line: Some(2),
        message: "there is no table app.gone".to_owned(),
        hint: None,
        is_new: true,
    };
    let proven = rehearse::Proven {
        path: traced.path.clone(),
        rolled_back: rehearse::Answer::Yes,
        reverted: rehearse::Answer::No("- index".to_owned()),
        again: rehearse::Answer::NotMeasured("why".to_owned()),
    };
    let left_out = rehearse::LeftOut { what: "CREATE EXTENSION x".to_owned(), why: "not here".to_owned() };
    Rehearsal {
        format_version: rehearse::FORMAT_VERSION,
        project: "shop".to_owned(),
        database: Some("shop".to_owned()),
        server_version: "15.18".to_owned(),
        ground: rehearse::Ground { tables: 2, left_out: vec![left_out], ..rehearse::Ground::default() },
        disagreements: vec![rehearse::Disagreement {
            path: traced.path.clone(),
            line: 3,
            text: "ALTER TABLE".to_owned(),
            what: "a lock".to_owned(),
        }],
        migrations: vec![traced],
        findings: vec![rehearse::Finding { found, measured: Some("held".to_owned()) }],
        workload: Some(rehearse::Workload {
            limit: ms(10),
            felt: vec![felt],
            failed: vec!["ERROR: deadlock".to_owned()],
        }),
        proof: Some(rehearse::Proof {
            migrations: vec![proven],
            unresolved: vec![unresolved],
            ..rehearse::Proof::default()
        }),
        took: ms(45),
        took_in_all: ms(900),
    }
}
