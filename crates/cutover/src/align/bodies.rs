//! Functions of files of DDL on a server that others use: made without their bodies, which they get once nothing is run any more that
//! might call them.

use std::collections::BTreeSet;

use cutover_analysis::effects::Fenced;
use cutover_analysis::models::Part;
use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::Session;

use super::AlignError;
use super::build::refusal;

/// What became of a statement.
pub(super) enum Made<'a> {
    Refused(String),
    Whole,
    /// It is a function, and has no body yet.
    Empty(Body<'a>),
}

/// The body of a function that was made without.
pub(super) struct Body<'a> {
    part: &'a Part,
    /// The statement that puts it there.
    sql: String,
    routine: String,
    /// The search path under which the function was made.
    path: String,
}

/// Runs a statement.
pub(super) async fn made<'a>(
    part: &'a Part,
    fenced: &Fenced,
    session: &mut Session,
) -> Result<Made<'a>, AlignError> {
    let (Some(whole), Some(routine)) = (&fenced.whole, &fenced.routine) else {
        return Ok(refusal(&fenced.sql, session).await?.map_or(Made::Whole, Made::Refused));
    };
    let schema = value("SELECT pg_catalog.current_schema()", session).await?;
    if schema == "pg_catalog" {
        return Ok(Made::Refused("a function among PostgreSQL's own".to_owned()));
    }
    let path = search_path(session).await?;
    session.execute("SET check_function_bodies = off").await.map_err(AlignError::Lost)?;
    Ok(match refusal(&fenced.sql, session).await? {
        Some(why) => Made::Refused(why),
        None => Made::Empty(Body { part, sql: whole.clone(), routine: routine.clone(), path }),
    })
}

/// Puts the bodies where they belong. Returns the functions that are left without, and why.
pub(super) async fn put<'a>(
    bodies: Vec<Body<'a>>,
    session: &mut Session,
) -> Result<(BTreeSet<String>, Vec<(&'a Part, String)>), AlignError> {
    let (mut bodiless, mut refused) = (BTreeSet::new(), Vec::new());
    if bodies.is_empty() {
        return Ok((bodiless, refused));
    }
    let before = search_path(session).await?;
    for body in bodies {
        search(&body.path, session).await?;
        if let Some(why) = refusal(&body.sql, session).await? {
            bodiless.insert(body.routine);
            refused.push((body.part, why));
        }
    }
    search(&before, session).await?;
    Ok((bodiless, refused))
}

/// The search path of the session.
pub(super) async fn search_path(session: &mut Session) -> Result<String, AlignError> {
    value("SELECT pg_catalog.current_setting('search_path')", session).await
}

async fn value(query: &str, session: &mut Session) -> Result<String, AlignError> {
    let answer = session.query_text(query).await.map_err(AlignError::Lost)?;
    Ok(answer.scalar().unwrap_or_default().to_owned())
}

pub(super) async fn search(path: &str, session: &mut Session) -> Result<(), AlignError> {
    let text = format!("SELECT pg_catalog.set_config('search_path', {}, false)", quote_literal(path));
    session.query_text(&text).await.map(drop).map_err(AlignError::Lost)
}
