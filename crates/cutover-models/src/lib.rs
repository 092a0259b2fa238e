//! Models of applications, read as the schema that they mean: SQLModel, SQLAlchemy, Django, Prisma, Diesel and files of DDL.
//!
//! Each source is one file and gives [`Models`]: tables with what the model says of them, and what it says that is not understood,
//! with its line. [`ddl`] makes SQL of them, to be built by PostgreSQL itself. Nothing here runs the application's code, opens a file
//! or knows a database.

mod diesel;
mod django;
mod prisma;
mod python;
mod source;
mod sql;
mod sqlalchemy;

use cutover_analysis::models as model;
pub use cutover_analysis::models::{Models, Place, ddl};
pub use source::{File, SOURCES, Settings, Source, by_name, recognised};
