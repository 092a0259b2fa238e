//! Effective values and where each came from: a flag goes before the environment, that before the file, that before
//! the default.

use std::fmt;
use std::time::Duration;

use toml::Spanned;

use super::duration;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A command-line flag, e.g. `--lock-timeout`.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// A line of the configuration.
    File {
        /// The file's name.
        name: String,
        /// Line, counted from 1.
        line: u32,
    },
    /// Found by looking at the files, with the reason.
    Detected(String),
    /// Nothing was said.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Detected(why) => write!(f, "detected: {why}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One effective value, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key as in the file, e.g. `apply.lock_timeout`.
    pub key: String,
    /// The value as the file would write it.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// All effective values, in the order of the file's description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(pub Vec<Setting>);

impl Settings {
    pub(crate) fn add(&mut self, key: impl Into<String>, value: impl Into<String>, origin: Origin) {
        self.0.push(Setting { key: key.into(), value: value.into(), origin });
    }

    /// The setting of a key.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.key == key)
    }
}

/// A value from outside the file, with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override<T> {
    /// The value.
    pub value: T,
    /// [`Origin::Flag`] or [`Origin::Environment`].
    pub origin: Origin,
}

/// What flags and the environment say in place of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `project.name`.
    pub name: Option<Override<String>>,
    /// In place of `apply.lock_timeout`.
    pub lock_timeout: Option<Override<Duration>>,
    /// In place of `apply.lock_wait`.
    pub lock_wait: Option<Override<Duration>>,
    /// In place of `apply.statement_timeout`.
    pub statement_timeout: Option<Override<Duration>>,
    /// In place of `apply.durable_each`.
    pub durable_each: Option<Override<bool>>,
    /// Placeholders, each in place of the one of that name in `[vars]`.
    pub vars: Vec<(String, Override<String>)>,
}

/// How to reach the database, as far as the file says so. Flags and environment are the connection's own business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// A connection URL without a password.
    pub url: Option<String>,
    /// Where `url` stands.
    pub url_origin: Option<Origin>,
}

/// How migrations are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyConfig {
    /// How long one attempt waits for a lock; below `deadlock_timeout` (1 s).
    pub lock_timeout: Duration,
    /// How long attempts go on in all.
    pub lock_wait: Duration,
    /// Limit of each statement; zero means none.
    pub statement_timeout: Duration,
    /// Every migration is on disk before the next begins.
    pub durable_each: bool,
}

impl Default for ApplyConfig {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_millis(250),
            lock_wait: Duration::from_secs(60),
            statement_timeout: Duration::ZERO,
            durable_each: false,
        }
    }
}

/// PostgreSQL keeps timeouts as a signed 32-bit number of milliseconds.
const LONGEST_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
/// The default of `deadlock_timeout`.
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Puts together the `[apply]` settings. What is unacceptable is given to `wrong` with its place in the file (none
/// for a flag or the environment) and its hint.
pub(in crate::project) fn apply_config(
    config: &super::Config,
    overrides: &Overrides,
    origin_of: &dyn Fn(&std::ops::Range<usize>) -> Origin,
    settings: &mut Settings,
    wrong: &mut dyn FnMut(Option<std::ops::Range<usize>>, String, Option<String>),
) -> ApplyConfig {
    let default = ApplyConfig::default();
    let mut resolve = |key: &str,
                       file: Option<&Spanned<(Duration, String)>>,
                       over: Option<&Override<Duration>>,
                       default: Duration,
                       check: &dyn Fn(Duration) -> Option<(String, &'static str)>| {
        let (value, text, origin, span) = match (over, file) {
            (Some(over), _) => (over.value, duration::format(over.value), over.origin.clone(), None),
            (None, Some(file)) => {
                let (value, text) = file.get_ref();
                (*value, text.clone(), origin_of(&file.span()), Some(file.span()))
            }
            (None, None) => (default, duration::format(default), Origin::Default, None),
        };
        if let Some((message, hint)) = check(value) {
            let message = match &span {
                Some(_) => format!("{key} = {text:?} {message}"),
                None => format!("{key} = {text:?} ({origin}) {message}"),
            };
            wrong(span, message, Some(hint.to_owned()));
        }
        settings.add(format!("apply.{key}"), text, origin);
        value
    };
    let lock_timeout = resolve(
        "lock_timeout",
        config.lock_timeout.as_ref(),
        overrides.lock_timeout.as_ref(),
        default.lock_timeout,
        &check_lock_timeout,
    );
    let lock_wait = resolve(
        "lock_wait",
        config.lock_wait.as_ref(),
        overrides.lock_wait.as_ref(),
        default.lock_wait,
        &|_| None,
    );
    let statement_timeout = resolve(
        "statement_timeout",
        config.statement_timeout.as_ref(),
        overrides.statement_timeout.as_ref(),
        default.statement_timeout,
        &check_statement_timeout,
    );
    let (durable_each, origin) = match (&overrides.durable_each, &config.durable_each) {
        (Some(over), _) => (over.value, over.origin.clone()),
        (None, Some(file)) => (*file.get_ref(), origin_of(&file.span())),
        (None, None) => (default.durable_each, Origin::Default),
    };
    settings.add("apply.durable_each", durable_each.to_string(), origin);
    ApplyConfig { lock_timeout, lock_wait, statement_timeout, durable_each }
}

fn check_lock_timeout(value: Duration) -> Option<(String, &'static str)> {
    if value.is_zero() {
        return Some((
            "would wait for locks without a limit, and everything else behind it".into(),
            "the default is 250ms; lock_wait limits the attempts in all",
        ));
    }
    (value >= DEADLOCK_TIMEOUT).then(|| {
        (
            "is not below deadlock_timeout (1 s): a deadlock could then end another client's transaction instead of \
             this one's attempt"
                .into(),
            "attempts are repeated: raise lock_wait instead",
        )
    })
}

fn check_statement_timeout(value: Duration) -> Option<(String, &'static str)> {
    (value > LONGEST_TIMEOUT)
        .then(|| ("is more than PostgreSQL can count (about 24 days)".into(), "\"0\" means no limit"))
}
