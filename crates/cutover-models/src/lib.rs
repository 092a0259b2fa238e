//! Models of applications, read as the schema that they mean: SQLModel, SQLAlchemy, Django, Prisma and Diesel.
//!
//! Each source is one file and gives [`Models`]: tables with what the model says of them, and what it says that is not understood,
//! with its line. [`ddl`] makes SQL of them, to be built by PostgreSQL itself. Nothing here runs the application's code, opens a file
//! or knows a database.

mod ddl;
mod diesel;
mod django;
mod model;
mod prisma;
mod python;
mod source;
mod sqlalchemy;

pub use ddl::{Part, Script, ddl};
pub use model::{
    Aspect, Check, Column, Default, Enum, ForeignKey, Identity, Index, Models, Place, Table, Unique,
    Unsupported,
};
pub use source::{File, SOURCES, Settings, Source, by_name, recognised};
