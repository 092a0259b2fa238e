//! `uses`: what a stage says it reads exists. Made by the tool for every stage that is reached; no keys.

use super::{Check, exists};
use crate::verify::claim::Claim;
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measuring};

#[derive(Debug)]
struct Uses {
    objects: Vec<Claim>,
}

pub(super) fn of(objects: &[String]) -> Result<Box<dyn Check>, String> {
    let objects = objects.iter().map(|text| Claim::parse(text)).collect::<Result<_, _>>()?;
    Ok(Box::new(Uses { objects }))
}

impl Check for Uses {
    fn describe(&self) -> (String, String) {
        (format!("the catalogue, for {}", exists::list(&self.objects)), "all exist".to_owned())
    }

    fn in_psql(&self) -> Option<InPsql> {
        exists::relations(&self.objects)
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(exists::measure(&self.objects, ctx))
    }
}
