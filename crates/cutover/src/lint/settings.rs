//! Which rules look at which files, and how bad what they find is there: `[lint]` of `cutover.toml`.

use cutover_analysis::lint::{self, Naming, Pattern, Selected, Severity};
use toml::Spanned;

use crate::project::config::{LintConfig, Table};
use crate::text::suggest;

/// What `[lint]` says.
#[derive(Debug, Clone, Default)]
pub struct LintSettings {
    /// For every file.
    everywhere: Vec<Choice>,
    /// For the files of a pattern, the later before the earlier.
    of_paths: Vec<(glob::Pattern, Vec<Choice>)>,
    /// How things are to be called.
    pub(crate) naming: Naming,
    /// What `plan` and `apply` do about what is found in what they would run.
    pub apply: AtApply,
}

/// What `plan` and `apply` do about what is found in what they would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtApply {
    /// It is said, and an error stops the run unless its code is allowed.
    #[default]
    Error,
    /// It is said.
    Warn,
    /// They do not look.
    Off,
}

/// What is said of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    code: &'static str,
    /// None where it does not look.
    severity: Option<Severity>,
}

impl LintSettings {
    /// Reads what the configuration says; what is wrong is reported to `file`.
    pub(crate) fn of(config: &LintConfig, file: &mut Table) -> Self {
        let mut everywhere = choices(&config.rules, file);
        if !config.naming.is_empty() && everywhere.iter().all(|choice| choice.code != NAMING) {
            // Who says how things are to be called wants to hear where they are not.
            let about = lint::by_code(NAMING);
            everywhere.extend(about.map(|about| Choice { code: about.code, severity: Some(about.severity) }));
        }
        let of_paths = config
            .paths
            .iter()
            .filter_map(|one| {
                let chosen = choices(&one.rules, file);
                match glob::Pattern::new(one.path.get_ref()) {
                    Ok(pattern) => Some((pattern, chosen)),
                    Err(error) => {
                        let message = format!("{:?} is not a pattern: {}", one.path.get_ref(), error.msg);
                        file.report(&one.path.span(), message, None);
                        None
                    }
                }
            })
            .collect();
        Self { everywhere, of_paths, naming: naming(&config.naming, file), apply: at_apply(config, file) }
    }

    /// Rules that do not look at anything, whatever else is said of them.
    pub(crate) fn turn_off(&mut self, codes: &[&str]) {
        let known = codes.iter().filter_map(|code| lint::by_code(code));
        let off: Vec<Choice> = known.map(|about| Choice { code: about.code, severity: None }).collect();
        self.of_paths.clear();
        self.everywhere.extend(off);
    }

    /// The rules for a file, by its path relative to the project.
    pub fn selected(&self, path: &str) -> Selected {
        let mut selected = Selected::default();
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        let of_path = self.of_paths.iter().filter(|(pattern, _)| pattern.matches_with(path, options));
        for choice in self.everywhere.iter().chain(of_path.flat_map(|(_, chosen)| chosen)) {
            selected.set(choice.code, choice.severity);
        }
        selected
    }
}

/// The rule about names.
const NAMING: &str = "naming-convention";

fn at_apply(config: &LintConfig, file: &mut Table) -> AtApply {
    let Some(said) = &config.apply else { return AtApply::default() };
    match said.get_ref().as_str() {
        "error" => AtApply::Error,
        "warn" => AtApply::Warn,
        "off" => AtApply::Off,
        other => {
            let hint = "error (an error stops the run unless it is allowed), warn (it is only said) or off";
            let message = format!("{other:?} is not what `apply` can do about what lint finds");
            file.report(&said.span(), message, Some(hint.to_owned()));
            AtApply::default()
        }
    }
}

fn naming(names: &[(Spanned<String>, Spanned<String>)], file: &mut Table) -> Naming {
    const KINDS: [&str; 5] = ["tables", "columns", "indexes", "constraints", "others"];
    let mut naming = Naming::default();
    for (kind, pattern) in names {
        let place = match kind.get_ref().as_str() {
            "tables" => &mut naming.tables,
            "columns" => &mut naming.columns,
            "indexes" => &mut naming.indexes,
            "constraints" => &mut naming.constraints,
            "others" => &mut naming.others,
            other => {
                let hint = match suggest(other, KINDS) {
                    Some(alike) => format!("did you mean {alike:?}?"),
                    None => format!("there are {}", KINDS.join(", ")),
                };
                file.report(&kind.span(), format!("{other:?} is nothing that is named"), Some(hint));
                continue;
            }
        };
        *place = match pattern.get_ref().as_str() {
            "snake_case" => Pattern::SnakeCase,
            "any" => Pattern::Any,
            like => Pattern::Like(like.to_owned()),
        };
    }
    naming
}

fn choices(rules: &[(Spanned<String>, Spanned<String>)], file: &mut Table) -> Vec<Choice> {
    let mut chosen = Vec::with_capacity(rules.len());
    for (code, level) in rules {
        let Some(about) = lint::by_code(code.get_ref()) else {
            let known = lint::all().map(|about| about.code);
            let hint = match suggest(code.get_ref(), known) {
                Some(alike) => format!("did you mean {alike:?}?"),
                None => "`cutover lint --rules` lists them".to_owned(),
            };
            file.report(&code.span(), format!("there is no rule {:?}", code.get_ref()), Some(hint));
            continue;
        };
        let severity = match level.get_ref().as_str() {
            "off" => None,
            "warning" => Some(Severity::Warning),
            "error" => Some(Severity::Error),
            "on" => Some(about.severity),
            other => {
                let hint = Some("off, on (as bad as the rule says itself), warning or error".to_owned());
                file.report(&level.span(), format!("{other:?} is not how bad a finding is"), hint);
                continue;
            }
        };
        chosen.push(Choice { code: about.code, severity });
    }
    chosen
}
