//! What of a rehearsal is not shown: values that were given, and passwords, wherever a server or a rule repeats them.

use super::model::{Answer, Failed, Proof, Rehearsal};
use crate::secrets::{Secrets, without_passwords};

/// Stars it everywhere.
pub(super) fn star(rehearsal: &mut Rehearsal, secrets: &Secrets) {
    let star = |text: &mut String| {
        *text = without_passwords(text);
        secrets.star_in(text);
    };
    for failed in rehearsal.migrations.iter_mut().filter_map(|traced| traced.failure.as_mut()) {
        let Failed { message, hint, .. } = failed;
        std::iter::once(message).chain(hint).for_each(star);
    }
    for finding in &mut rehearsal.findings {
        let found = &mut finding.found;
        [&mut found.message, &mut found.source_line, &mut found.help].into_iter().for_each(star);
        finding.measured.iter_mut().for_each(star);
    }
    for disagreement in &mut rehearsal.disagreements {
        star(&mut disagreement.what);
    }
    rehearsal.workload.iter_mut().flat_map(|workload| &mut workload.failed).for_each(star);
    let felt = rehearsal.workload.iter_mut().flat_map(|workload| &mut workload.felt);
    felt.flat_map(|felt| &mut felt.errors).for_each(|hurt| star(&mut hurt.message));
    let left_out = rehearsal.ground.left_out.iter_mut().map(|left_out| &mut left_out.why);
    left_out.chain(&mut rehearsal.ground.remarks).for_each(star);
    if let Some(proof) = &mut rehearsal.proof {
        let Proof { migrations, unresolved, not_proven, differs } = proof;
        for proven in migrations {
            for answer in [&mut proven.rolled_back, &mut proven.reverted, &mut proven.again] {
                if let Answer::No(why) | Answer::NotMeasured(why) = answer {
                    star(why);
                }
            }
        }
        for one in unresolved {
            star(&mut one.message);
        }
        not_proven.iter_mut().chain(differs).for_each(star);
    }
}
