//! Finds PostgreSQL's server programs on this machine. Runs `postgres -V`, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{Looked, Need, NoBinaries, SandboxError};

/// Folders in which distributions and installers put the programs of each major version; `*` is one path element.
const KNOWN: [&str; 10] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
];

/// One installation's programs, all of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder they are in.
    pub folder: PathBuf,
    /// Major version, e.g. 15.
    pub major: u32,
    /// Version as the server prints it, e.g. `15.20 (Debian 15.20-0+deb12u1)`.
    pub version: String,
    /// Creates data folders.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
    /// Where installed.
    pub pg_dump: Option<PathBuf>,
    /// Where installed.
    pub pg_restore: Option<PathBuf>,
    /// Where installed.
    pub psql: Option<PathBuf>,
}

impl Binaries {
    /// Finds an installation: `bin_dir` alone where it is given, else the folders of `search_path` (as in `PATH`) and
    /// the usual places of distributions. Takes the newest major unless one is asked for.
    ///
    /// # Errors
    /// [`SandboxError::NoBinaries`], which lists everything looked at.
    pub fn find(bin_dir: Option<&Path>, search_path: &str, major: Option<u32>) -> Result<Self, SandboxError> {
        let (mut found, mut looked) = Self::installed(bin_dir, search_path);
        looked.extend(take_out(&mut found, |binaries| {
            major
                .is_some_and(|wanted| wanted != binaries.major)
                .then(|| format!("has PostgreSQL {}", binaries.version))
        }));
        // The first of the newest: what comes first in the path is what the user wants.
        let best = found.into_iter().rev().max_by_key(|binaries| binaries.major);
        best.ok_or_else(|| {
            SandboxError::NoBinaries(Box::new(NoBinaries { need: Need::Server(major), looked }))
        })
    }

    /// Finds an installation that dumps a database of a server of `major` and restores the dump: one with `pg_dump`
    /// and `pg_restore`, of that major or else of the next newer one there is. `pg_dump` refuses newer servers, and an
    /// older server may not understand what a newer `pg_dump` writes.
    ///
    /// # Errors
    /// [`SandboxError::NoBinaries`], which lists everything looked at.
    pub fn find_for_dump(
        bin_dir: Option<&Path>,
        search_path: &str,
        major: u32,
    ) -> Result<Self, SandboxError> {
        let (mut found, mut looked) = Self::installed(bin_dir, search_path);
        looked.extend(take_out(&mut found, |binaries| {
            let missing = [("pg_dump", &binaries.pg_dump), ("pg_restore", &binaries.pg_restore)]
                .into_iter()
                .find_map(|(name, path)| path.is_none().then_some(name));
            if let Some(name) = missing {
                return Some(format!("has PostgreSQL {}, without {name}", binaries.version));
            }
            (binaries.major < major).then(|| format!("has PostgreSQL {}, which is older", binaries.version))
        }));
        let best = found.into_iter().min_by_key(|binaries| binaries.major);
        best.ok_or_else(|| SandboxError::NoBinaries(Box::new(NoBinaries { need: Need::Dump(major), looked })))
    }

    /// Every installation found in the folders of `search_path` and in the usual places of distributions.
    pub fn all(search_path: &str) -> Vec<Self> {
        Self::installed(None, search_path).0
    }

    /// Every installation, with the places looked at in vain.
    fn installed(bin_dir: Option<&Path>, search_path: &str) -> (Vec<Self>, Vec<Looked>) {
        let mut looked = Vec::new();
        let folders = match bin_dir {
            Some(folder) => vec![folder.to_owned()],
            None => candidates(search_path, &mut looked),
        };
        let mut found = Vec::new();
        for folder in folders {
            match Self::of_folder(&folder) {
                Ok(binaries) => found.push(binaries),
                Err(why) => looked.push(Looked { place: folder.display().to_string(), why }),
            }
        }
        (found, looked)
    }

    /// The path of `pg_dump`.
    ///
    /// # Errors
    /// When it is not installed beside the server.
    pub fn require_pg_dump(&self) -> Result<&Path, SandboxError> {
        self.pg_dump.as_deref().ok_or_else(|| self.missing("pg_dump"))
    }

    /// The path of `pg_restore`.
    ///
    /// # Errors
    /// When it is not installed beside the server.
    pub fn require_pg_restore(&self) -> Result<&Path, SandboxError> {
        self.pg_restore.as_deref().ok_or_else(|| self.missing("pg_restore"))
    }

    fn missing(&self, program: &'static str) -> SandboxError {
        SandboxError::NoProgram { program, folder: self.folder.clone() }
    }

    fn of_folder(folder: &Path) -> Result<Self, String> {
        // Package managers link programs into a common folder; the rest of the installation is behind the link.
        let initdb = fs::canonicalize(folder.join("initdb")).map_err(|_| "no initdb".to_owned())?;
        let folder = initdb.parent().unwrap_or(folder).to_owned();
        let postgres = folder.join("postgres");
        if !postgres.is_file() {
            return Err("initdb, but no postgres".to_owned());
        }
        let version = version_of(&postgres)?;
        let major = major_of(&version).ok_or_else(|| format!("cannot read the version {version:?}"))?;
        let optional = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        Ok(Self {
            major,
            version,
            initdb,
            postgres,
            pg_dump: optional("pg_dump"),
            pg_restore: optional("pg_restore"),
            psql: optional("psql"),
            folder,
        })
    }
}

/// Removes the installations that do not serve and says why not.
fn take_out(found: &mut Vec<Binaries>, why: impl Fn(&Binaries) -> Option<String>) -> Vec<Looked> {
    let mut looked = Vec::new();
    found.retain(|binaries| {
        let why = why(binaries);
        let serves = why.is_none();
        looked.extend(why.map(|why| Looked { place: binaries.folder.display().to_string(), why }));
        serves
    });
    looked
}

fn candidates(search_path: &str, looked: &mut Vec<Looked>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for folder in search_path.split(':').filter(|folder| folder.starts_with('/')) {
        if Path::new(folder).join("initdb").exists() {
            folders.push(PathBuf::from(folder));
        } else {
            looked.push(Looked { place: folder.to_owned(), why: "no initdb (from PATH)".to_owned() });
        }
    }
    for pattern in KNOWN {
        let matched = expand(pattern);
        if matched.is_empty() {
            looked.push(Looked { place: pattern.to_owned(), why: "does not exist".to_owned() });
        }
        folders.extend(matched);
    }
    folders
}

/// Folders that match a pattern with at most one `*`, which ends a path element and stays within it.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((head, tail)) = pattern.split_once('*') else {
        return Some(PathBuf::from(pattern)).filter(|path| path.is_dir()).into_iter().collect();
    };
    let (parent, prefix) = head.rsplit_once('/').unwrap_or(("", head));
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| PathBuf::from(format!("{}{tail}", entry.path().display())))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn version_of(postgres: &Path) -> Result<String, String> {
    let output = Command::new(postgres)
        .arg("-V")
        .env_clear()
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| format!("postgres cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .strip_prefix("postgres (PostgreSQL) ")
        .map(str::to_owned)
        .ok_or_else(|| format!("postgres -V printed {:?}", text.trim()))
}

fn major_of(version: &str) -> Option<u32> {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majors_of_releases_betas_and_development_versions() {
        assert_eq!(major_of("15.20 (Debian 15.20-0+deb12u1)"), Some(15));
        assert_eq!(major_of("19beta1"), Some(19));
        assert_eq!(major_of("19devel"), Some(19));
        assert_eq!(major_of("nonsense"), None);
    }

    #[test]
    fn a_star_stays_within_one_path_element() {
        let base = std::env::temp_dir().join(format!("cutover-expand-{}", std::process::id()));
        for folder in ["pg-15/bin", "pg-16/bin", "pg-17", "other/bin", "pg/deep/er/bin"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        fs::write(base.join("pg-17/bin"), "a file is no folder of programs").unwrap();
        let found = |pattern: &str| {
            let found = expand(&format!("{}/{pattern}", base.display()));
            found
                .iter()
                .map(|path| path.strip_prefix(&base).unwrap().display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("pg-*/bin"), ["pg-15/bin", "pg-16/bin"]);
        assert_eq!(found("pg*"), ["pg", "pg-15", "pg-16", "pg-17"]);
        assert_eq!(found("pg/deep/er/bin"), ["pg/deep/er/bin"]);
        assert!(found("none/*/bin").is_empty());
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn what_is_missing_is_named_with_every_place_and_a_cure() {
        let error = Binaries::find(Some(Path::new("/no/such")), "", None).unwrap_err().to_string();
        assert!(error.contains("/no/such: no initdb"), "{error}");
        assert!(error.contains("apt-get install postgresql\n"), "{error}");
        let error = Binaries::find(None, "/no/path:relative", Some(7)).unwrap_err().to_string();
        assert!(error.contains("no PostgreSQL 7 server programs"), "{error}");
        assert!(error.contains("/no/path: no initdb (from PATH)"), "{error}");
        assert!(error.contains("/Applications/Postgres.app"), "{error}");
        assert!(!error.contains("relative"), "{error}");
    }

    /// Folders of programs that only say their version, on a path of their own.
    struct Installed(PathBuf);

    impl Installed {
        fn new(name: &str, installations: &[(&str, &str, &[&str])]) -> Self {
            use std::os::unix::fs::PermissionsExt;
            let base = std::env::temp_dir().join(format!("cutover-installed-{name}-{}", std::process::id()));
            for (folder, version, others) in installations {
                fs::create_dir_all(base.join(folder)).unwrap();
                let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
                for program in ["initdb", "postgres"].iter().chain(*others) {
                    let path = base.join(folder).join(program);
                    fs::write(&path, &script).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
            Self(fs::canonicalize(base).unwrap())
        }

        /// What `choose` takes of them, by the name of its folder.
        fn chosen(
            &self,
            folders: &[&str],
            choose: impl Fn(&str) -> Result<Binaries, SandboxError>,
        ) -> Result<String, String> {
            let path: Vec<String> =
                folders.iter().map(|folder| self.0.join(folder).display().to_string()).collect();
            let found = choose(&path.join(":")).map_err(|error| error.to_string())?;
            // Installations of the machine itself are found too; only ours are in majors nobody has.
            Ok(found.folder.strip_prefix(&self.0).map_err(|error| error.to_string())?.display().to_string())
        }
    }

    impl Drop for Installed {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_first_of_the_newest_major_is_taken() {
        let installed =
            Installed::new("newest", &[("a", "1000.1", &[]), ("b", "1001.1", &[]), ("c", "1001.9", &[])]);
        let newest = |path: &str| Binaries::find(None, path, None);
        assert_eq!(installed.chosen(&["a", "b", "c"], newest).unwrap(), "b");
        assert_eq!(installed.chosen(&["c", "a", "b"], newest).unwrap(), "c");
        let exactly = |path: &str| Binaries::find(None, path, Some(1000));
        assert_eq!(installed.chosen(&["c", "a", "b"], exactly).unwrap(), "a");
        let error = installed.chosen(&["a"], |path| Binaries::find(None, path, Some(1002))).unwrap_err();
        assert!(error.contains("/a: has PostgreSQL 1000.1\n"), "{error}");
    }

    #[test]
    fn a_dump_takes_the_same_major_or_the_next_newer_one_that_has_the_programs() {
        const BOTH: &[&str] = &["pg_dump", "pg_restore"];
        let installed = Installed::new(
            "dump",
            &[
                ("server only", "1000.1", &[]),
                ("old", "1000.2", BOTH),
                ("next", "1002.1", BOTH),
                ("newest", "1003.1", BOTH),
            ],
        );
        let all = ["newest", "server only", "next", "old"];
        let chosen = |folders: &[&str], major| {
            installed.chosen(folders, |path| Binaries::find_for_dump(None, path, major))
        };
        assert_eq!(chosen(&all, 1000).unwrap(), "old");
        assert_eq!(chosen(&all, 1001).unwrap(), "next");
        assert_eq!(chosen(&all, 1003).unwrap(), "newest");
        let error = chosen(&["server only", "old"], 1001).unwrap_err();
        let expected = "no programs for a dump of PostgreSQL 1001 (pg_dump and pg_restore beside a server, of 1001 or newer)";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains("/server only: has PostgreSQL 1000.1, without pg_dump\n"), "{error}");
        assert!(error.contains("/old: has PostgreSQL 1000.2, which is older\n"), "{error}");
    }
}
