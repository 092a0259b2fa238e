//! What `cutover.toml` says about migrations and stages, tied to the files that are there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use toml::Spanned;

use super::config::{CheckConfig, MigrationConfig, StageConfig, Table};
use super::{CheckSpec, ClaimPlace, MigrationRoot, Stage, When};
use crate::migration::{Claims, Migration, MigrationId};
use crate::text::suggest;

/// What is known of the migration folders.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) roots: &'a [MigrationRoot],
    /// All their migrations could be read.
    pub(super) complete: bool,
    pub(super) names: &'a Names,
}

/// Migrations by what they may be called, so that nobody looks through all of them for each entry of a long plan.
pub(super) struct Names {
    versions: BTreeMap<MigrationId, Vec<usize>>,
    files: HashMap<String, Vec<usize>>,
}

impl Names {
    pub(super) fn of(migrations: &[Migration]) -> Self {
        let mut names = Self { versions: BTreeMap::new(), files: HashMap::new() };
        for (index, migration) in migrations.iter().enumerate() {
            names.versions.entry(migration.id.clone()).or_default().push(index);
            names.files.entry(migration.file_name().to_owned()).or_default().push(index);
            if !migration.id.version.is_ordered() {
                names.files.entry(migration.id.version.text().to_owned()).or_default().push(index);
            }
        }
        names
    }
}

/// Ties stages and claims to migrations. Problems are reported to `file`.
pub(super) fn stages(
    configs: Vec<StageConfig>,
    migrations: &mut [Migration],
    known: Known<'_>,
    file: &mut Table,
) -> Vec<Stage> {
    let mut lines_of_ids: BTreeMap<String, u32> = BTreeMap::new();
    let mut claimed: BTreeMap<usize, (u32, String)> = BTreeMap::new();
    let mut required: Vec<(usize, Vec<Spanned<String>>)> = Vec::new();
    let mut stages = Vec::with_capacity(configs.len());
    for (index, config) in configs.into_iter().enumerate() {
        let span = config.id.span();
        let id = config.id.into_inner();
        if let Some(line) = lines_of_ids.get(&id).filter(|_| !id.is_empty()) {
            file.report(&span, format!("stage {id:?} is already in line {line}"), None);
        }
        lines_of_ids.entry(id.clone()).or_insert(config.line);
        let mut members = BTreeSet::new();
        for entry in config.migrations {
            let Some(at) = resolve(&entry.version, migrations, known, file) else { continue };
            let line = file.line_of(&entry.version.span());
            if let Some((first, stage)) = claimed.get(&at) {
                let message =
                    format!("{} already belongs to stage {stage:?} (line {first})", migrations[at].path);
                file.report(&entry.version.span(), message, None);
                continue;
            }
            claimed.insert(at, (line, id.clone()));
            members.insert(at);
            migrations[at].stage = Some(index);
            required.push((at, entry.requires.clone()));
            // What the convention says is required stays so.
            let own = std::mem::take(&mut migrations[at].claims.requires);
            let claims = claims(entry);
            let all = own.into_iter().chain(claims.requires).collect();
            migrations[at].claims = Claims { requires: all, ..claims };
        }
        stages.push(Stage {
            title: config.title.unwrap_or_else(|| id.clone()),
            kind: config.kind.unwrap_or_else(|| "stage".to_owned()),
            id,
            notes: config.notes,
            uses: plain(config.uses),
            require_backup: config.require_backup,
            migrations: members.into_iter().collect(),
            line: config.line,
        });
    }
    requirements(&required, migrations, known, file);
    stages
}

fn plain(strings: Vec<Spanned<String>>) -> Vec<String> {
    strings.into_iter().map(Spanned::into_inner).collect()
}

/// Every object that stages name, as it is written, with its place.
pub(super) fn claim_places(configs: &[StageConfig], file: &Table) -> Vec<ClaimPlace> {
    let of_stage = |stage: &'_ StageConfig| {
        let of_migrations =
            stage.migrations.iter().flat_map(|entry| [&entry.creates, &entry.alters, &entry.uses]);
        let all = of_migrations.chain([&stage.uses]).flatten();
        all.map(|text| ClaimPlace { text: text.get_ref().clone(), place: file.problem_at(&text.span(), "") })
            .collect::<Vec<_>>()
    };
    configs.iter().flat_map(of_stage).collect()
}

fn claims(entry: MigrationConfig) -> Claims {
    let source = plain(entry.source);
    Claims {
        creates: plain(entry.creates),
        alters: plain(entry.alters),
        uses: plain(entry.uses),
        source: (!source.is_empty()).then(|| source.join(", ")),
        task: entry.task,
        deferred: entry.deferred,
        optional: entry.optional,
        requires: plain(entry.requires),
    }
}

/// The migration a text names: a version, a file name, or either after its folder and `/`.
fn resolve(
    wanted: &Spanned<String>,
    migrations: &[Migration],
    known: Known<'_>,
    file: &mut Table,
) -> Option<usize> {
    let text = wanted.get_ref().as_str();
    if text.is_empty() {
        return None;
    }
    let within = |root: &MigrationRoot| text.strip_prefix(root.path.as_str())?.strip_prefix('/');
    let of_root = known.roots.iter().find_map(|root| Some((root.path.as_str(), within(root)?)));
    let (root, version) = of_root.map_or((None, text), |(root, version)| (Some(root), version));
    let mut matching: BTreeSet<usize> =
        known.names.files.get(version).into_iter().flatten().copied().collect();
    matching.retain(|index| root.is_none_or(|root| migrations[*index].id.root == root));
    for place in known.roots.iter().filter(|place| root.is_none_or(|root| place.path == root)) {
        let id = place.convention.version(version);
        let id = id.map(|version| MigrationId { root: place.path.clone(), version });
        matching.extend(id.and_then(|id| known.names.versions.get(&id)).into_iter().flatten());
    }
    let matching: Vec<usize> = matching.into_iter().collect();
    match matching.as_slice() {
        [one] => Some(*one),
        // It may be in what could not be read, and that is said already.
        _ if !known.complete => None,
        [] => {
            let known =
                migrations.iter().flat_map(|migration| [migration.id.version.text(), migration.file_name()]);
            let hint = match suggest(version, known) {
                Some(alike) => format!("did you mean {alike:?}?"),
                None => "a version is written as in the file's name, e.g. \"0001\"".to_owned(),
            };
            file.report(&wanted.span(), format!("no migration has the version {text:?}"), Some(hint));
            None
        }
        several => {
            let paths: Vec<&str> = several.iter().map(|index| migrations[*index].path.as_str()).collect();
            let root = &migrations[several[0]].id.root;
            let hint = format!("write the folder too, e.g. \"{root}/{version}\"");
            file.report(
                &wanted.span(),
                format!("{text:?} is in several folders: {}", paths.join(", ")),
                Some(hint),
            );
            None
        }
    }
}

/// Every required version exists, comes earlier unless its dependent waits to be named, and no chain bites its tail.
fn requirements(
    required: &[(usize, Vec<Spanned<String>>)],
    migrations: &[Migration],
    known: Known<'_>,
    file: &mut Table,
) {
    let mut edges: BTreeMap<usize, Vec<(usize, std::ops::Range<usize>)>> = BTreeMap::new();
    for (from, texts) in required {
        for text in texts {
            if let Some(to) = resolve(text, migrations, known, file) {
                edges.entry(*from).or_default().push((to, text.span()));
            }
        }
    }
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        if let Some((cycle, span)) = find_cycle(*start, &edges, &mut done) {
            let versions: Vec<&str> =
                cycle.iter().map(|index| migrations[*index].id.version.text()).collect();
            file.report(&span, format!("requires goes in a circle: {}", versions.join(" requires ")), None);
            return;
        }
    }
    for (from, targets) in &edges {
        let claims = &migrations[*from].claims;
        for (to, span) in targets.iter().filter(|(to, _)| to > from && !claims.deferred && !claims.optional) {
            let message = format!(
                "{} comes before {}, which it requires",
                migrations[*from].path, migrations[*to].path
            );
            let hint = "mark it deferred or optional if it is to be applied later, out of order".to_owned();
            file.report(span, message, Some(hint));
        }
    }
}

type Edges = BTreeMap<usize, Vec<(usize, std::ops::Range<usize>)>>;

/// A circle that can be reached from `start`, with the place of the edge that closes it. Works without recursion:
/// a chain may be as long as the project.
fn find_cycle(
    start: usize,
    edges: &Edges,
    done: &mut BTreeSet<usize>,
) -> Option<(Vec<usize>, std::ops::Range<usize>)> {
    let mut path = vec![(start, 0)];
    while let Some((node, next)) = path.last_mut() {
        let targets = edges.get(node).map(Vec::as_slice).unwrap_or_default();
        let Some((target, span)) = targets.get(*next).filter(|_| !done.contains(node)) else {
            done.insert(*node);
            path.pop();
            continue;
        };
        *next += 1;
        if let Some(at) = path.iter().position(|(on_path, _)| on_path == target) {
            let mut cycle: Vec<usize> = path[at..].iter().map(|(node, _)| *node).collect();
            cycle.push(*target);
            return Some((cycle, span.clone()));
        }
        if !done.contains(target) {
            path.push((*target, 0));
        }
    }
    None
}

/// Ties checks to stages and migrations. Problems are reported to `file`.
pub(super) fn checks(
    configs: Vec<CheckConfig>,
    stages: &[Stage],
    migrations: &[Migration],
    known: Known<'_>,
    file: &mut Table,
) -> Vec<CheckSpec> {
    let mut lines_of_names: BTreeMap<String, u32> = BTreeMap::new();
    let mut checks = Vec::with_capacity(configs.len());
    for config in configs {
        let stage = config.stage.as_ref().and_then(|id| find_stage(id, stages, file));
        let when = when(&config, migrations, known, file);
        if let Some(line) = lines_of_names.get(&config.name).filter(|_| !config.name.is_empty()) {
            let span = config.kind.span();
            file.report(&span, format!("a check named {:?} is already in line {line}", config.name), None);
        }
        lines_of_names.entry(config.name.clone()).or_insert(config.line);
        checks.push(CheckSpec {
            name: config.name,
            kind_span: config.kind.span(),
            kind: config.kind.into_inner(),
            stage,
            when,
            file: config.params.file().to_owned(),
            params: config.params,
            line: config.line,
        });
    }
    checks
}

fn find_stage(id: &Spanned<String>, stages: &[Stage], file: &mut Table) -> Option<usize> {
    let wanted = id.get_ref();
    let found = stages.iter().position(|stage| &stage.id == wanted);
    if found.is_none() {
        let hint = suggest(wanted, stages.iter().map(|stage| stage.id.as_str()));
        let hint = hint.map(|alike| format!("did you mean {alike:?}?"));
        file.report(&id.span(), format!("no stage has the id {wanted:?}"), hint);
    }
    found
}

fn when(config: &CheckConfig, migrations: &[Migration], known: Known<'_>, file: &mut Table) -> When {
    let word = config.when.as_ref().map(|when| (when.get_ref().as_str(), when.span()));
    match (word, &config.before) {
        (None | Some(("before", _)), Some(version)) => {
            if let Some(index) = resolve(version, migrations, known, file) {
                return When::Before(migrations[index].id.clone());
            }
        }
        (None | Some(("after", _)), None) => {}
        (Some(("before", span)), None) => {
            let hint = "before = \"0330\", a version".to_owned();
            file.report(&span, "when = \"before\" needs the migration it comes before", Some(hint));
        }
        (Some(("after", span)), Some(_)) => {
            file.report(&span, "when = \"after\" contradicts before", None);
        }
        (Some((other, span)), _) => {
            let hint = "\"after\" or \"before\"".to_owned();
            file.report(&span, format!("when cannot be {other:?}"), Some(hint));
        }
    }
    When::After
}
