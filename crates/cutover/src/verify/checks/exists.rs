//! `exists`: objects exist in the schemas of the search path, or in the one they are named with. Key: `objects`, as in
//! claims, e.g. `["table users", "index idx_a"]`.

use std::collections::BTreeMap;

use cutover_analysis::schema::Id;

use super::{Check, Input};
use crate::catalog;
use crate::verify::claim::Claim;
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measured, Measuring, Trouble, search_path};
use crate::verify::preview::Reads;

#[derive(Debug)]
struct Exists {
    objects: Vec<Claim>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    if !table.has("objects") {
        table.missing("objects");
    }
    let mut objects = Vec::new();
    for object in table.take_strings("objects") {
        match Claim::parse(object.get_ref()) {
            Ok(claim) => objects.push(claim),
            Err(why) => table.report(&object.span(), why, None),
        }
    }
    Box::new(Exists { objects })
}

impl Check for Exists {
    fn describe(&self) -> (String, String) {
        (format!("the catalogue, for {}", list(&self.objects)), "all exist".to_owned())
    }

    fn reads(&self) -> Reads {
        Reads { objects: self.objects.iter().map(Claim::reference).collect(), all: true, unparsed: false }
    }

    fn in_psql(&self) -> Option<InPsql> {
        relations(&self.objects)
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(measure(&self.objects, ctx))
    }
}

pub(super) fn list(objects: &[Claim]) -> String {
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The same for a script, where all of them are relations: what else there is has no name that one function looks up.
pub(super) fn relations(objects: &[Claim]) -> Option<InPsql> {
    let names = objects.iter().map(Claim::relation).collect::<Option<Vec<_>>>()?;
    Some(InPsql::Relations(names))
}

pub(super) async fn measure(objects: &[Claim], ctx: &mut Ctx<'_>) -> Result<Vec<Measured>, Trouble> {
    let path = search_path(ctx.session).await?;
    let live = catalog::schema(ctx.session, &[]).await?.named();
    let missing: Vec<String> =
        objects.iter().filter(|claim| !is_there(claim, &live, &path)).map(ToString::to_string).collect();
    let answer = if missing.is_empty() {
        Measured::holds(format!("{} of {} exist", objects.len(), objects.len()))
    } else {
        Measured::wrong(format!("missing: {}", missing.join(", ")))
    };
    Ok(vec![answer])
}

/// Whether a claimed object is among those that have names: in the schema it is named with, otherwise in one of the search path.
pub(super) fn is_there(claim: &Claim, live: &BTreeMap<Id, bool>, path: &[String]) -> bool {
    live.keys().any(|object| {
        claim.names(object)
            && (claim.has_schema(object)
                || object.schema.as_ref().is_none_or(|schema| path.iter().any(|one| one == schema)))
    })
}
