//! `cutover verify`.

use std::time::Duration;

use clap::Args;
use cutover::project::Overrides;
use cutover::text::visible;
use cutover::verify::VerifyRequest;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::verifying;

/// Measure every claim and check against the database
///
/// Every check runs in a transaction that is rolled back. The answers are added to the journal of the project's newest
/// run, where there is one that has ended. Ends with 1 when a claim is false or could not be measured.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover verify
  cutover verify --kind foreign_keys --kind claims
  cutover verify \"no dangling jobs\"
  cutover verify --stage 3.2
  cutover verify -v                    also what was measured and expected")]
pub(crate) struct Arguments {
    /// Only the checks of these names
    #[arg(value_name = "CHECK")]
    names: Vec<String>,
    /// Only checks of this kind, e.g. `no_rows`; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Measure as if this stage were the last one reached; default: what the history says
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// The database holds only what migrations put there: also measure that tables are empty
    #[arg(long)]
    fresh: bool,
    /// Do not add the answers to the journal of the newest run, where `report` shows them
    #[arg(long)]
    no_record: bool,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("verify", "cutover apply --sandbox --verify applies and verifies on one")?;
    let project = app.project(&Overrides::default())?;
    let request = VerifyRequest {
        names: arguments.names.clone(),
        kinds: arguments.kind.clone(),
        stage: verifying::stage(&project, arguments.stage.as_deref())?,
        fresh: arguments.fresh,
        ..VerifyRequest::default()
    };
    let (events, recorded) = app.block_on(async |signals| {
        let work = async {
            let target = app.target(&project).await?;
            let events = verifying::measure(app, &project, &target.options, &request, Duration::ZERO).await?;
            let recorded = if arguments.no_record {
                None
            } else {
                Some(verifying::record(app, &project, &target.options, &events).await)
            };
            Ok((events, recorded))
        };
        Box::pin(signals.or_end(work)).await
    })?;
    let checks = verifying::checks(&events);
    verifying::print_table(app, &checks, verifying::elapsed(&events), None);
    match recorded {
        _ if checks.is_empty() => app.output.remark(&nothing(arguments)),
        Some(recorded) => recorded.tell(app),
        None => {}
    }
    verifying::verdict(&checks)?;
    Ok(Exit::Done)
}

/// Why nothing was measured.
fn nothing(arguments: &Arguments) -> String {
    let here = match (arguments.kind.as_slice(), &arguments.stage) {
        ([], None) => "nothing here is to be measured now".to_owned(),
        ([], Some(stage)) => format!("up to stage {stage} nothing is to be measured"),
        (kinds, None) => format!("nothing of kind {} is to be measured now", kinds.join(", ")),
        (kinds, Some(stage)) => {
            format!("up to stage {stage} nothing of kind {} is to be measured", kinds.join(", "))
        }
    };
    format!(
        "{}: `creates` of a [[stage.migration]], [checks] sql, and each [[check]] that is no precondition and whose stage is \
         reached are",
        visible(&here)
    )
}
