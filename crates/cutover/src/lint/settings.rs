//! Which rules look at which files, and how bad what they find is there: `[lint]` of `cutover.toml`.

use cutover_analysis::lint::{self, Selected, Severity};
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
        let everywhere = choices(&config.rules, file);
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
        Self { everywhere, of_paths }
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
