//! What of ways back is shown, and what is stored of them: values of placeholders from outside and passwords are in neither, as far
//! as a way back can do without.

use std::io::Read as _;

use cutover_postgres::session::Session;

use super::choose::Chosen;
use super::{Failures, RevertError};
use crate::migration::Source;
use crate::project::{Project, Vars, text, vars};
use crate::script::Script;
use crate::secrets::Secrets;

/// What must not be shown of these ways back.
pub(super) async fn secrets_of(
    project: &Project,
    chosen: &Chosen<'_>,
    session: &mut Session,
) -> Result<Secrets, RevertError> {
    let mut secrets = Secrets::of(&project.vars);
    let mut scripts = Vec::new();
    for migration in &chosen.back {
        scripts.push(Script::analyse(migration, &project.vars));
        if let Some(down) = migration.down.as_deref() {
            let down = super::way_back((*migration).clone(), migration, Some(down), "", &project.vars);
            scripts.push(Script::analyse(&down, &project.vars));
        }
    }
    scripts.iter().for_each(|script| secrets.learn_from(&script.passwords));
    secrets.spare_objects(&scripts);
    secrets.spare_known(session).await?;
    Ok(secrets)
}

impl RevertError {
    /// The same with everything secret in it as stars.
    pub(super) fn starred(mut self, secrets: &Secrets) -> Self {
        match &mut self {
            Self::Not(text) | Self::Stands(text) | Self::Rehearsal(text) => secrets.star_in(text),
            Self::Fails(Failures { failing, .. }) => {
                failing.iter_mut().for_each(|(_, why)| secrets.star_in(why));
            }
            Self::Refused(words, _) | Self::Misfits(words) => {
                words.iter_mut().for_each(|text| secrets.star_in(text));
            }
            Self::Asked(_) | Self::Select(_) | Self::Side(_) => {}
        }
        self
    }
}

/// A text as a migration's file has it: hidden values of placeholders stand as the placeholders, what only looks like one as none.
pub(super) fn with_placeholders(found: &str, known: &Vars) -> String {
    let plain = vars::escaped(found);
    let mut hidden: Vec<(&str, &str)> = known.hidden().collect();
    if hidden.is_empty() {
        return plain;
    }
    hidden.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let written = replaced(found, &hidden);
    // Whatever else the text has: it must come to the same.
    if filled(&written, known).as_deref() == Some(found) { written } else { plain }
}

fn replaced(found: &str, hidden: &[(&str, &str)]) -> String {
    let Some(((name, value), others)) = hidden.split_first() else { return vars::escaped(found) };
    if value.is_empty() {
        return replaced(found, others);
    }
    let pieces: Vec<String> = found.split(value).map(|piece| replaced(piece, others)).collect();
    pieces.join(&format!("${{{name}}}"))
}

fn filled(text: &str, known: &Vars) -> Option<String> {
    let opened = text::open(&Source::Embedded(text.as_bytes().to_vec().into())).ok()?;
    let mut filled = String::new();
    text::substitute(opened, known.clone()).read_to_string(&mut filled).ok()?;
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::{filled, with_placeholders};
    use crate::project::Vars;

    #[test]
    fn hidden_values_are_stored_as_placeholders_and_come_to_the_same() {
        let mut vars = Vars::new();
        vars.insert_hidden("pw", "Hunter2x").unwrap();
        vars.insert_hidden("long", "Hunter2x-and-more").unwrap();
        for text in [
            "SELECT 'Hunter2x', '${other}'",
            "SELECT 'Hunter2x-and-more', $$ Hunter2x $$",
            "SELECT $$Hunter2x$$",
            "SELECT '$Hunter2x'",
            "SELECT 1",
        ] {
            let written = with_placeholders(text, &vars);
            assert_eq!(filled(&written, &vars).as_deref(), Some(text), "{written}");
        }
        assert_eq!(with_placeholders("'Hunter2x' ${x}", &vars), "'${pw}' $${x}");
    }
}
