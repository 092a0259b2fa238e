//! Prisma: `schema.prisma`.

use crate::model::Models;
use crate::source::{File, Settings, Source};

pub(crate) static SOURCE: Source =
    Source { name: "prisma", about: "Prisma: `schema.prisma`", extension: "prisma", is_so: |_| false, read };

fn read(_files: &[File], _settings: &Settings) -> Models {
    Models::default()
}
