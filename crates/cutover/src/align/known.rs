//! Tables that tools of migration keep for themselves: no application has models of them.

use cutover_analysis::ours::is_ours;

/// Their names, and the tool.
const BOOKKEEPING: &[(&str, &str)] = &[
    ("__diesel_schema_migrations", "Diesel"),
    ("__drizzle_migrations", "Drizzle"),
    ("__efmigrationshistory", "Entity Framework"),
    ("_prisma_migrations", "Prisma"),
    ("_sqlx_migrations", "sqlx"),
    ("alembic_version", "Alembic"),
    ("ar_internal_metadata", "Rails"),
    ("databasechangelog", "Liquibase"),
    ("databasechangeloglock", "Liquibase"),
    ("django_migrations", "Django"),
    ("flyway_schema_history", "Flyway"),
    ("goose_db_version", "goose"),
    ("knex_migrations", "Knex"),
    ("knex_migrations_lock", "Knex"),
    ("pgmigrations", "node-pg-migrate"),
    ("refinery_schema_history", "refinery"),
    ("schema_migrations", "Rails, dbmate or golang-migrate"),
    ("seaql_migrations", "SeaORM"),
    ("sequelizemeta", "Sequelize"),
];

/// Whether a table is there for a tool and not for the application.
pub(super) fn is_bookkeeping(schema: Option<&str>, name: &str) -> bool {
    let name = name.to_lowercase();
    schema.is_some_and(is_ours) || BOOKKEEPING.iter().any(|(known, _)| *known == name)
}
