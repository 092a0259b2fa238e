//! Finding files below the project folder and reading each once: listing, links, digests.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::conventions::contents::LineReader;
use super::conventions::{Contents, Scan, Stray, Trouble};
use super::problem::{Place, Problem, Problems};
use super::{marks, section, text};
use crate::migration::{Checksums, Section};

/// Files up to this size are read as a whole, larger ones in chunks: 1 MiB.
const WHOLE: u64 = 1 << 20;
/// Folders within folders are read to this depth.
const DEEPEST: usize = 16;

/// The files of a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Paths relative to the folder, with `/`, sorted.
    pub(super) paths: Vec<String>,
    /// Those that are links or lie behind one.
    pub(super) links: BTreeSet<String>,
    /// Those that are neither files nor links: pipes, sockets, devices.
    pub(super) special: BTreeSet<String>,
    /// Files that cannot be named or followed, paths relative to the folder.
    pub(super) strays: Vec<Stray>,
    /// There are folders within, entered or not: who enters others sees other files.
    pub(super) has_folders: bool,
}

/// Lists a folder, and those within that `enters` says by their paths relative to it. Hidden folders are not entered; a
/// linked folder only if it lies within `project`.
pub(super) fn list(
    folder: &Path,
    project: &Path,
    enters: &dyn Fn(&str) -> bool,
) -> Result<Listing, (PathBuf, io::Error)> {
    let mut listing = Listing::default();
    let mut entered = BTreeSet::from([folder.to_owned()]);
    let walk = Walk { project, enters };
    walk.folder(folder, "", 0, false, &mut entered, &mut listing)?;
    listing.paths.sort_unstable();
    Ok(listing)
}

struct Walk<'a> {
    project: &'a Path,
    enters: &'a dyn Fn(&str) -> bool,
}

impl Walk<'_> {
    fn folder(
        &self,
        folder: &Path,
        prefix: &str,
        depth: usize,
        linked: bool,
        entered: &mut BTreeSet<PathBuf>,
        listing: &mut Listing,
    ) -> Result<(), (PathBuf, io::Error)> {
        let failed = |error| (folder.to_owned(), error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let kind = entry.file_type().map_err(|error| (entry.path(), error))?;
            let Some(name) = name.to_str() else {
                let path = format!("{prefix}{}", name.to_string_lossy());
                let near_miss = super::conventions::is_sql(&path);
                listing.strays.push(Stray { path, why: "its name is not UTF-8".into(), near_miss });
                continue;
            };
            let path = format!("{prefix}{name}");
            let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            let linked = linked || kind.is_symlink();
            if !is_folder {
                if linked {
                    listing.links.insert(path.clone());
                } else if !kind.is_file() {
                    listing.special.insert(path.clone());
                }
                listing.paths.push(path);
                continue;
            }
            listing.has_folders = true;
            if !name.starts_with('.') && (self.enters)(&path) {
                self.enter(&entry.path(), &path, depth, linked, entered, listing)?;
            }
        }
        Ok(())
    }

    fn enter(
        &self,
        folder: &Path,
        path: &str,
        depth: usize,
        linked: bool,
        entered: &mut BTreeSet<PathBuf>,
        listing: &mut Listing,
    ) -> Result<(), (PathBuf, io::Error)> {
        let stray = |why: &str| Stray { path: path.to_owned(), why: why.to_owned(), near_miss: true };
        if linked {
            let target = fs::canonicalize(folder).map_err(|error| (folder.to_owned(), error))?;
            if !target.starts_with(self.project) {
                listing.strays.push(stray("a link to a folder outside the project is not followed"));
                return Ok(());
            }
            if !entered.insert(target) {
                return Ok(());
            }
        }
        if depth >= DEEPEST {
            listing.strays.push(stray("folders are not read deeper than this"));
            return Ok(());
        }
        self.folder(folder, &format!("{path}/"), depth + 1, linked, entered, listing)
    }
}

/// A path relative to the project with `/`, or as it is if it lies elsewhere.
pub(super) fn relative(project: &Path, path: &Path) -> String {
    let Ok(inner) = path.strip_prefix(project) else { return path.display().to_string() };
    let parts: Vec<_> = inner.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// What is wrong with a path that `cutover.toml` names: it must stay within the project.
pub(super) fn leaves_project(path: &str) -> bool {
    use std::path::Component;
    Path::new(path)
        .components()
        .any(|part| matches!(part, Component::ParentDir | Component::RootDir | Component::Prefix(_)))
}

/// Reads the beginning of a file that says something of migrations: not a pipe, nor anything outside the project.
///
/// # Errors
/// As the file system says.
pub(super) fn begin(project: &Path, file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let target = fs::canonicalize(file)?;
    if !target.starts_with(project) || !fs::metadata(&target)?.is_file() {
        return Err(io::Error::other("it is no regular file of the project"));
    }
    let mut bytes = Vec::new();
    File::open(target)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// One file to read and digest.
#[derive(Debug)]
pub(super) struct ToRead {
    /// Where it is.
    pub(super) file: PathBuf,
    /// What problems call it.
    pub(super) shown: String,
    /// A link, or behind one: where it leads must be looked at.
    pub(super) link: bool,
    /// Neither a file nor a link: opening it might wait for ever.
    pub(super) special: bool,
    /// What it says of its parts is read by this.
    pub(super) scan: Option<Scan>,
}

/// What is known of a file once it was read.
#[derive(Debug)]
pub(super) struct Digested {
    /// Digests: of the part that is run, but for those of the file as it is.
    pub(super) checksums: Checksums,
    /// What it says of its parts.
    pub(super) contents: Contents,
    /// Digests of its way back, where that is a part of it.
    pub(super) down: Option<Checksums>,
}

/// Reads and digests files, on several threads where there are many. Results are in the order of `files`.
pub(super) fn digest_all(project: &Path, files: &[ToRead]) -> Vec<Result<Digested, Problems>> {
    /// Below this many files a further thread costs more than it saves.
    const WORTH_A_THREAD: usize = 256;
    const MOST_THREADS: usize = 8;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = (files.len() / WORTH_A_THREAD).clamp(1, cores.min(MOST_THREADS));
    if threads == 1 {
        return digest_each(project, files);
    }
    let share = files.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            files.chunks(share).map(|chunk| (chunk, scope.spawn(|| digest_each(project, chunk)))).collect();
        let mut digests = Vec::with_capacity(files.len());
        for (chunk, worker) in workers {
            digests.append(&mut worker.join().unwrap_or_else(|_| digest_each(project, chunk)));
        }
        digests
    })
}

fn digest_each(project: &Path, files: &[ToRead]) -> Vec<Result<Digested, Problems>> {
    let mut buffer = Vec::with_capacity(64 << 10);
    files.iter().map(|file| digest(project, file, &mut buffer)).collect()
}

fn digest(project: &Path, to_read: &ToRead, buffer: &mut Vec<u8>) -> Result<Digested, Problems> {
    let problem = |message: String| Problem::of_file(&to_read.shown, message);
    let unreadable = |error: io::Error| problem(format!("cannot read the file: {error}"));
    if to_read.link {
        let target = fs::canonicalize(&to_read.file).map_err(unreadable)?;
        if !target.starts_with(project) {
            return Err(problem("a link to a file outside the project is refused".into()).into());
        }
    }
    if to_read.special || (to_read.link && !fs::metadata(&to_read.file).map_err(unreadable)?.is_file()) {
        return Err(problem("not a regular file".into()).into());
    }
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(File::open(&to_read.file)?)) };
    examine(&to_read.shown, &open, to_read.scan, buffer)
}

/// Reads and digests what `open` gives, as often as it takes.
pub(super) fn examine(
    shown: &str,
    open: &dyn Fn() -> io::Result<Box<dyn Read>>,
    scan: Option<Scan>,
    buffer: &mut Vec<u8>,
) -> Result<Digested, Problems> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => Problem::of_file(shown, error.to_string()),
        _ => Problem::of_file(shown, format!("cannot read the file: {error}")),
    };
    let contents = match scan {
        Some(scan) => {
            let mut reader = BufReader::new(text::normalise(open().map_err(unreadable)?));
            scan(&mut LineReader::new(&mut reader)).map_err(unreadable)?
        }
        None => Contents::default(),
    };
    let mut wrong = contents.wrong.iter().map(|trouble| at_line(shown, trouble)).peekable();
    if wrong.peek().is_some() {
        return Err(Problems(wrong.collect()));
    }
    drop(wrong);
    if contents.up.lines().is_some() {
        let checksums = digest_section(open, &contents.up).map_err(unreadable)?;
        let down = contents.down.as_ref().map(|down| digest_section(open, down));
        let down = down.transpose().map_err(unreadable)?;
        return Ok(Digested { checksums, contents, down });
    }
    let mut file = open().map_err(unreadable)?;
    buffer.clear();
    file.by_ref().take(WHOLE).read_to_end(buffer).map_err(unreadable)?;
    let is_whole = (buffer.len() as u64) < WHOLE;
    let tool = if is_whole {
        marks::of_text(buffer)
    } else {
        let mut reader = BufReader::new(open().map_err(unreadable)?);
        marks::of_lines(&mut LineReader::new(&mut reader)).map_err(unreadable)?
    };
    if let Some(tool) = tool {
        return Err(of_another_tool(shown, tool).into());
    }
    let checksums = if is_whole {
        text::checksums(buffer).map_err(|error| Problem::of_file(shown, error.to_string()))?
    } else {
        let mut reader = text::normalise(buffer.as_slice().chain(file));
        io::copy(&mut reader, &mut io::sink()).map_err(unreadable)?;
        reader.checksums()
    };
    Ok(Digested { checksums, contents, down: None })
}

/// Digests of a section; those of the bytes as they are, and their number, are the whole file's.
fn digest_section(open: &dyn Fn() -> io::Result<Box<dyn Read>>, part: &Section) -> io::Result<Checksums> {
    let mut reader = section::only(text::normalise(open()?), part);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 16 << 10];
    loop {
        match reader.read(&mut chunk)? {
            0 => break,
            count => hasher.update(&chunk[..count]),
        }
    }
    Ok(Checksums { normalised: text::hex(&hasher.finalize()), ..reader.inner().checksums() })
}

/// What a line of a file is wrong about.
fn at_line(shown: &str, Trouble { line, text, message, hint }: &Trouble) -> Problem {
    Problem {
        place: Some(Place { line: *line, column: 1 }),
        source_line: text.clone(),
        ..Problem::of_file(shown, message.clone()).with_hint(*hint)
    }
}

fn of_another_tool(shown: &str, marks::Tool { called, convention }: marks::Tool) -> Problem {
    let message =
        format!("the file has sections of {called}, which cutover would run as one, the way back too");
    let problem = Problem::of_file(shown, message);
    match convention {
        "" => problem.with_hint("keep the way forward in this file, and the way back elsewhere"),
        known => problem.with_hint(format!("convention = \"{known}\" in cutover.toml reads such files")),
    }
}
