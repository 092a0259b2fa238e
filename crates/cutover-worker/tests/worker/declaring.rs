//! Who declares what.

use cutover_worker::{Declared, WorkerError, declare, schema};

use crate::support::{job, prepared, project, session};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_begin_at_once_make_the_schema_once_and_declare_each_job_once() {
    let database = testkit::database();
    let options = database.options();
    let one = async || {
        let mut session = session(&options).await;
        let made = schema::ensure(&mut session).await.unwrap();
        let project = project("p", &[("a", "SELECT 1"), ("b", "SELECT 2")]);
        (made, declare(&mut session, &project).await.unwrap())
    };
    let all = tokio::join!(one(), one(), one(), one());
    let all = [all.0, all.1, all.2, all.3];
    assert_eq!(all.iter().filter(|(made, _)| *made).count(), 1);
    assert_eq!(all.iter().map(|(_, declared)| declared.changed).sum::<u64>(), 2);
    assert_eq!(
        database.value("SELECT string_agg(name || revision, ' ' ORDER BY name) FROM cutover_worker.job"),
        "a1 b1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_belongs_to_whoever_declared_it() {
    let database = prepared().await;
    let mut session = session(&database.options()).await;
    let first = project("shop", &[("a", "SELECT 1"), ("b", "SELECT 2")]);
    assert_eq!(declare(&mut session, &first).await.unwrap(), Declared { changed: 2, removed: 0 });
    // SQL may not change it, nor take it away.
    for sql in [
        "SELECT cutover_worker.schedule('a', '5 seconds', 'SELECT 3')",
        "SELECT cutover_worker.unschedule('a')",
    ] {
        let refused = session.execute(sql).await.unwrap_err();
        let message = refused.server().unwrap();
        assert_eq!(
            (message.code.as_str(), message.message.as_str()),
            ("55006", "job 'a' is declared in cutover.toml of project 'shop'")
        );
    }
    // Nor another project; nothing of it is declared.
    let other = project("bar", &[("c", "SELECT 1"), ("b", "SELECT 2")]);
    let refused = declare(&mut session, &other).await.unwrap_err();
    assert!(
        matches!(&refused, WorkerError::Declare(why) if why.contains("'b' is declared in cutover.toml of project 'shop'")),
        "{refused}"
    );
    // And the file not what SQL declared.
    session.execute("SELECT cutover_worker.schedule('sql', '5 seconds', 'SELECT 3')").await.unwrap();
    let refused = declare(&mut session, &project("shop", &[("sql", "SELECT 3")])).await.unwrap_err();
    assert!(refused.to_string().contains("'sql' is declared by SQL (cutover_worker.schedule)"), "{refused}");
    assert!(refused.to_string().contains("cutover_worker.unschedule('sql')"), "{refused}");
    assert_eq!(
        database.value("SELECT string_agg(name, ' ' ORDER BY name) FROM cutover_worker.job"),
        "a b sql"
    );
    // What the file does not name any more goes, and what is the same stays as it is.
    let mut next = project("shop", &[("a", "SELECT 1")]);
    assert_eq!(declare(&mut session, &next).await.unwrap(), Declared { changed: 0, removed: 1 });
    next.jobs[0].retries = 3;
    assert_eq!(declare(&mut session, &next).await.unwrap(), Declared { changed: 1, removed: 0 });
    assert_eq!(
        database.value("SELECT string_agg(name || revision, ' ' ORDER BY name) FROM cutover_worker.job"),
        "a2 sql1"
    );
    // One that is at work is not waited for: it does not begin again.
    let held = database.hold("SELECT FROM cutover_worker.fence WHERE job = 'a' FOR UPDATE");
    assert_eq!(
        declare(&mut session, &project("shop", &[])).await.unwrap(),
        Declared { changed: 0, removed: 0 }
    );
    assert_eq!(database.value("SELECT enabled FROM cutover_worker.job WHERE name = 'a'"), "f");
    held.lets_go();
    assert_eq!(
        declare(&mut session, &project("shop", &[])).await.unwrap(),
        Declared { changed: 0, removed: 1 }
    );
}

/// Another schedule means other due times; all else leaves them alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_another_schedule_means_other_due_times() {
    let database = prepared().await;
    database.run("SELECT cutover_worker.schedule('a', '5 seconds', 'SELECT 1'); UPDATE cutover_worker.lease SET next_at = '2100-01-01'");
    let next = || database.value("SELECT coalesce(next_at::date::text, 'open') FROM cutover_worker.lease");
    database.run("SELECT cutover_worker.schedule('a', '5 seconds', 'SELECT 2', retries => 1)");
    assert_eq!(next(), "2100-01-01");
    database.run("SELECT cutover_worker.schedule('a', '6 seconds', 'SELECT 2', retries => 1)");
    assert_eq!(next(), "open");
    let mut wrong = job("a", "SELECT 1");
    wrong.schedule = "* * *".into();
    let mut project = project("p", &[]);
    project.jobs.push(wrong);
    let mut session = session(&database.options()).await;
    assert!(matches!(declare(&mut session, &project).await, Err(WorkerError::Declare(_))));
    for (call, why) in [
        ("'b', '0 seconds', 'SELECT 1'", "no schedule"),
        ("'b', '5 seconds', ' '", "its command is empty"),
        ("'b', '5 seconds', 'SELECT 1', 'Mars/Olympus'", "Mars/Olympus"),
        ("'b', '5 seconds', 'SELECT 1', missed => 'never'", "missed is 'never'"),
        ("'b', '5 seconds', 'SELECT 1', timeout => '0'", "timeout"),
        ("'b', '5 seconds', 'SELECT 1', retries => -1", "retries"),
        ("E'b\\n', '5 seconds', 'SELECT 1'", "needs a name"),
        ("NULL, '5 seconds', 'SELECT 1'", "needs a name"),
    ] {
        let refused = session.execute(&format!("SELECT cutover_worker.schedule({call})")).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{call}: {refused}");
    }
}
