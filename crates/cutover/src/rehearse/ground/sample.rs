//! Some rows of each table, and those that they refer to. Where that goes too far, what refers to rows that are not among them is
//! taken out again before foreign keys are made, so that the sample keeps every promise that the real database keeps.

use cutover_analysis::effects::{NewForeignKey, ObjectRef};
use cutover_analysis::ours::IN_SQL;
use cutover_analysis::own_schemas;
use cutover_analysis::sql::{quote_ident, quote_literal, quote_qualified};
use cutover_postgres::session::{Failure, Session, TransactionStatus};

use super::super::error::RehearseError;
use super::dump::Restoring;

/// Bytes of one table at most: 64 MiB.
const BYTES: usize = 64 << 20;
/// How far rows that others refer to are followed.
const ROUNDS: usize = 5;
/// Keys that are asked for at a time.
const CHUNK: usize = 1_000;

const TABLES: &str = concat!(
    "
SELECT n.nspname, c.relname,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
   AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2"
);

/// Child and parent of each foreign key, its columns on both sides, and how they are compared.
const KEYS: &str = "
SELECT cn.nspname, c.relname, pn.nspname, p.relname,
       (SELECT json_agg(quote_ident(a.attname) ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY u (attnum, n)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
       (SELECT json_agg(quote_ident(a.attname) ORDER BY u.n) FROM unnest(k.confkey) WITH ORDINALITY u (attnum, n)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum),
       (SELECT json_agg(quote_ident(n.nspname) || '.' || o.oprname ORDER BY u.n) FROM unnest(k.conpfeqop) WITH ORDINALITY u (op, n)
          JOIN pg_catalog.pg_operator o ON o.oid = u.op JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace)
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
  JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 1, 2, k.conname";

/// A foreign key that a migration is to make, as [`KEYS`] gives one; no row where its tables are not there.
fn to_be(key: &NewForeignKey) -> String {
    let list = |names: &[String]| {
        let quoted: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
        quote_literal(&serde_json::to_string(&quoted).unwrap_or_default())
    };
    let table = |object: &ObjectRef| {
        let schema =
            object.schema.as_ref().map(|schema| format!("{}.", quote_ident(schema))).unwrap_or_default();
        quote_literal(&format!("{schema}{}", quote_ident(&object.name)))
    };
    let to = if key.parent_columns.is_empty() {
        "(SELECT pg_catalog.json_agg(pg_catalog.quote_ident(a.attname) ORDER BY u.n)
            FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY u (attnum, n)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum WHERE i.indrelid = p.oid AND i.indisprimary)"
            .to_owned()
    } else {
        list(&key.parent_columns)
    };
    let equal = vec!["pg_catalog.=".to_owned(); key.columns.len()];
    let equal = quote_literal(&serde_json::to_string(&equal).unwrap_or_default());
    format!(
        "SELECT cn.nspname, c.relname, pn.nspname, p.relname, {}, {to}, {equal}
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace,
                pg_catalog.pg_class p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
          WHERE c.oid = pg_catalog.to_regclass({}) AND p.oid = pg_catalog.to_regclass({})",
        list(&key.columns),
        table(&key.table),
        table(&key.parent)
    )
}

/// Takes at most so many rows of each table, with those that they refer to, also by keys that are to come.
pub(super) async fn take(
    source: &mut Session,
    restoring: &mut Restoring<'_>,
    rows: u64,
    pending: &[NewForeignKey],
) -> Result<(), RehearseError> {
    let tables = source.query_text(TABLES).await?.rows;
    restoring
        .session
        .execute("SET session_replication_role = replica; SET datestyle = ISO; SET intervalstyle = postgres")
        .await?;
    for table in &tables {
        let [Some(schema), Some(name), columns] = table.as_slice() else { continue };
        let columns = columns.as_deref().unwrap_or_default();
        let table = quote_qualified(schema, name);
        match one(source, restoring.session, &table, columns, rows).await {
            Ok(copied) => restoring.ground.rows += copied,
            Err(failure @ Failure::Lost(_)) => return Err(failure.into()),
            Err(failure) => {
                restoring.ground.remarks.push(format!("no rows of {schema}.{name}: {failure}"));
                to_savepoint(source).await?;
            }
        }
    }
    let keys = source.query_text(KEYS).await?.rows;
    let keys: Vec<Key> = keys.iter().filter_map(|row| Key::of(row, &tables)).collect();
    let mut to_come = Vec::new();
    for key in pending {
        let found = source.query_text(&to_be(key)).await?.rows;
        to_come.extend(found.iter().filter_map(|row| Key::of(row, &tables)));
    }
    for _ in 0..ROUNDS {
        let mut more = 0;
        for key in &keys {
            more += parents(source, restoring.session, key, rows).await?;
        }
        // What they refer to and is not there either is left as it is: that is what the key will say.
        for key in &to_come {
            more += match parents(source, restoring.session, key, rows).await {
                Err(failure @ Failure::Lost(_)) => return Err(failure.into()),
                // Columns that are not comparable so, or are still to be made.
                Err(_) => {
                    to_savepoint(source).await?;
                    0
                }
                Ok(more) => more,
            };
        }
        restoring.ground.rows += more;
        if more == 0 {
            break;
        }
    }
    whole(&keys, restoring.session, &mut restoring.ground.rows).await?;
    sequences(source, restoring.session).await?;
    restoring.session.execute("RESET session_replication_role").await?;
    Ok(())
}

/// The snapshot would be gone with the transaction: what else is read would be of another time.
async fn to_savepoint(source: &mut Session) -> Result<(), Failure> {
    if source.transaction_status() == TransactionStatus::Failed {
        source.execute("ROLLBACK TO SAVEPOINT cutover_sample").await?;
    }
    Ok(())
}

/// Rows of one table.
async fn one(
    source: &mut Session,
    copy: &mut Session,
    table: &str,
    columns: &str,
    rows: u64,
) -> Result<u64, Failure> {
    let query = format!("SELECT {columns} FROM ONLY {table} LIMIT {rows}");
    copied_rows(source, copy, table, columns, &query).await
}

/// The rows of a query, put into a table.
async fn copied_rows(
    source: &mut Session,
    copy: &mut Session,
    table: &str,
    columns: &str,
    query: &str,
) -> Result<u64, Failure> {
    source.execute("SAVEPOINT cutover_sample").await?;
    let mut data = Vec::new();
    let mut out = source.copy_out(&format!("COPY ({query}) TO STDOUT")).await?;
    while let Some(chunk) = out.next().await? {
        if data.len() + chunk.len() > BYTES {
            // Only whole rows.
            break;
        }
        data.extend_from_slice(&chunk);
    }
    drop(out);
    source.execute("RELEASE SAVEPOINT cutover_sample").await?;
    let whole = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    data.truncate(whole);
    let columns = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
    let mut sink = copy.copy_in(&format!("COPY {table}{columns} FROM STDIN")).await?;
    sink.send(data.into()).await?;
    Ok(sink.finish_outcome().await.result?.rows_affected().unwrap_or_default())
}

/// A foreign key.
struct Key {
    child: String,
    parent: String,
    /// Its columns, quoted.
    from: Vec<String>,
    /// Those that they refer to.
    to: Vec<String>,
    /// The operators that say that both are equal, with their schemas.
    equal: Vec<String>,
    /// The columns of the parent that rows are made of, quoted; nothing where it is partitioned.
    columns: Option<String>,
}

impl Key {
    fn of(row: &[Option<String>], tables: &[Vec<Option<String>>]) -> Option<Self> {
        let [Some(schema), Some(child), Some(other), Some(parent), Some(from), Some(to), Some(equal)] = row
        else {
            return None;
        };
        let is_parent = |table: &&Vec<Option<String>>| {
            table.first() == Some(&Some(other.clone())) && table.get(1) == Some(&Some(parent.clone()))
        };
        let list = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap_or_default();
        Some(Self {
            child: quote_qualified(schema, child),
            parent: quote_qualified(other, parent),
            from: list(from),
            to: list(to),
            equal: list(equal),
            columns: tables.iter().find(is_parent).and_then(|table| table.get(2).cloned().flatten()),
        })
    }

    /// Rows of the child, as `c`, whose parent is not there.
    fn orphans(&self) -> String {
        let pairs = self.from.iter().zip(&self.to).zip(&self.equal);
        let same: Vec<String> =
            pairs.map(|((from, to), equal)| format!("p.{to} OPERATOR({equal}) c.{from}")).collect();
        let filled: Vec<String> = self.from.iter().map(|from| format!("c.{from} IS NOT NULL")).collect();
        format!(
            "{} AND NOT EXISTS (SELECT FROM {} p WHERE {})",
            filled.join(" AND "),
            self.parent,
            same.join(" AND ")
        )
    }
}

/// Fetches rows that others refer to, at most so many.
async fn parents(source: &mut Session, copy: &mut Session, key: &Key, rows: u64) -> Result<u64, Failure> {
    let Some(columns) = &key.columns else { return Ok(0) };
    let values: Vec<String> = key.from.iter().map(|from| format!("c.{from}::pg_catalog.text")).collect();
    let text = format!(
        "SELECT DISTINCT {} FROM {} c WHERE {} LIMIT {rows}",
        values.join(", "),
        key.child,
        key.orphans()
    );
    let missing = copy.query_text(&text).await?.rows;
    let mut copied = 0;
    for some in missing.chunks(CHUNK) {
        // Literals take the types of the columns, so that an index can be used.
        let values: Vec<String> = some
            .iter()
            .map(|row| row.iter().flatten().map(|value| quote_literal(value)).collect::<Vec<_>>().join(", "))
            .map(|row| format!("({row})"))
            .collect();
        let query = format!(
            "SELECT {columns} FROM {} WHERE ({}) IN ({})",
            key.parent,
            key.to.join(", "),
            values.join(", ")
        );
        match copied_rows(source, copy, &key.parent, columns, &query).await {
            Ok(count) => copied += count,
            Err(failure @ Failure::Lost(_)) => return Err(failure),
            // What may not be read there is not in the sample, and what refers to it goes.
            Err(_) => {
                to_savepoint(source).await?;
                return Ok(copied);
            }
        }
    }
    Ok(copied)
}

/// Takes out what refers to rows that are not among the sample, until nothing does.
async fn whole(keys: &[Key], copy: &mut Session, rows: &mut u64) -> Result<(), Failure> {
    loop {
        let mut gone = 0;
        for key in keys {
            let text = format!("DELETE FROM {} c WHERE {}", key.child, key.orphans());
            gone += copy.execute(&text).await?.rows_affected().unwrap_or_default();
        }
        *rows = rows.saturating_sub(gone);
        if gone == 0 {
            return Ok(());
        }
    }
}

/// Sequences stand where they stand there, as far as they may be read.
async fn sequences(source: &mut Session, copy: &mut Session) -> Result<(), Failure> {
    let sql = format!(
        "SELECT schemaname, sequencename, last_value FROM pg_catalog.pg_sequences
                WHERE last_value IS NOT NULL AND schemaname NOT IN ({IN_SQL})"
    );
    for row in source.query_text(&sql).await?.rows {
        let [Some(schema), Some(name), Some(value)] = row.as_slice() else { continue };
        let sequence = quote_literal(&format!("{}.{}", quote_ident(schema), quote_ident(name)));
        // One that was left out is not missed.
        if let Err(failure @ Failure::Lost(_)) =
            copy.execute(&format!("SELECT pg_catalog.setval({sequence}, {})", quote_literal(value))).await
        {
            return Err(failure);
        }
    }
    Ok(())
}
