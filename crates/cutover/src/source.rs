//! The text of a migration, opened for reading: normalised, with placeholders filled in, and hashed and packed on the
//! way, so that what the history records is what was really read.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::history::compress::Keeper;
use crate::migration::Migration;
pub use crate::project::{Replaced, Vars};
use crate::project::{Substituted, section, text};

/// What went by, shared between the reader and whoever asks later.
#[derive(Clone, Default)]
pub struct Passed(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    hasher: Sha256,
    keeper: Keeper,
    ended: bool,
}

impl Passed {
    /// The compressed text, once all of it was read; an error where it was not what `checksum` says.
    ///
    /// # Errors
    /// When the file changed since it was planned.
    pub fn text(&self, checksum: &str) -> Result<Option<Vec<u8>>, String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            return Err("it was not read to its end".into());
        }
        let State { hasher, keeper, .. } = std::mem::take(&mut *state);
        if text::hex(&hasher.finalize()) != checksum {
            return Err("the file changed while it was being applied; run again".into());
        }
        Ok(keeper.finish())
    }
}

/// Passes text on and remembers its digest and compressed form.
struct Tee<R> {
    inner: R,
    passed: Passed,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let mut state = self.passed.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 && !buffer.is_empty() {
            state.ended = true;
        }
        state.hasher.update(&buffer[..count]);
        state.keeper.push(&buffer[..count]);
        Ok(count)
    }
}

/// A migration's text as it is sent, and what is remembered of it.
pub struct Opened {
    /// Normalised text with placeholders filled in.
    pub reader: Box<dyn Read + Send>,
    /// The text before placeholders were filled in.
    pub passed: Passed,
    /// Where placeholders were filled in. Noted only by [`open_noting`].
    pub replaced: Replaced,
}

/// Opens a migration.
///
/// # Errors
/// As the file system says; what is wrong with the text comes while it is read.
pub fn open(migration: &Migration, vars: &Vars) -> io::Result<Opened> {
    let (substituted, passed) = substituted(migration, vars)?;
    Ok(Opened { reader: Box::new(substituted), passed, replaced: Replaced::default() })
}

/// As [`open`] for whoever will not apply it: nothing is remembered of what was read.
///
/// # Errors
/// As [`open`].
pub fn open_for_looking(migration: &Migration, vars: &Vars) -> io::Result<Box<dyn Read + Send>> {
    Ok(Box::new(text::substitute(normalised(migration)?, vars.clone())))
}

/// The text of a migration where it is sent exactly as the file has it; none where something is left out, normalised or filled in.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn as_it_is(migration: &Migration) -> io::Result<Option<String>> {
    if migration.section.lines().is_some() { Ok(None) } else { text::plain(&migration.source) }
}

/// As [`open`], noting where placeholders were filled in.
///
/// # Errors
/// As [`open`].
pub fn open_noting(migration: &Migration, vars: &Vars) -> io::Result<Opened> {
    let (substituted, passed) = substituted(migration, vars)?;
    let replaced = Replaced::default();
    Ok(Opened { reader: Box::new(substituted.noting(replaced.clone())), passed, replaced })
}

type Only = section::Lines<text::NormalisedReader<Box<dyn Read + Send>>>;
type Text = Substituted<section::Padded<Tee<Only>>>;

fn substituted(migration: &Migration, vars: &Vars) -> io::Result<(Text, Passed)> {
    let passed = Passed::default();
    let tee = Tee { inner: only(migration)?, passed: passed.clone() };
    Ok((text::substitute(section::padded(tee, &migration.section), vars.clone()), passed))
}

fn only(migration: &Migration) -> io::Result<Only> {
    Ok(section::only(text::open(&migration.source)?, &migration.section))
}

/// The normalised text that is run, each line with the number it has in the file, without placeholders filled in.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn normalised(migration: &Migration) -> io::Result<impl Read + Send + use<>> {
    Ok(section::padded(only(migration)?, &migration.section))
}

/// The normalised text that is run, without placeholders filled in: what the history compares and keeps.
///
/// # Errors
/// As reading does.
pub fn read_to_string(migration: &Migration) -> io::Result<String> {
    let mut content = String::new();
    only(migration)?.read_to_string(&mut content)?;
    Ok(content)
}
