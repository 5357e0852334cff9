//! `faultline watch`: a stream of revisions that is taken up again when it breaks.

use super::incidents::readable;
use crate::arguments::WatchArguments;
use crate::connect;
use crate::output::{print, print_json_line};
use crate::show::watch_line;
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_proto::research::WatchIncidentsRequest;
use faultline_runtime::Backoff;
use std::collections::BTreeMap;
use std::time::Duration;

/// How the stream ended, where that is no reason to stop.
struct Lost(Trouble);

/// What was shown: the newest revision per incident, so that a new connection repeats nothing.
#[derive(Default)]
struct Shown(BTreeMap<String, u32>);

impl Shown {
    /// Says whether a revision is news, and remembers it.
    fn is_news(&mut self, id: &str, revision: u32) -> bool {
        match self.0.get(id) {
            Some(shown) if *shown >= revision => false,
            _ => {
                self.0.insert(id.to_owned(), revision);
                true
            }
        }
    }
}

pub(super) async fn run(api: &str, arguments: &WatchArguments) -> Result<()> {
    let country = super::country_filter(arguments.country.as_deref())?;
    tokio::select! {
        outcome = follow(api, &country, arguments.format.json) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(api: &str, country: &str, as_json: bool) -> Result<()> {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    let mut shown = Shown::default();
    loop {
        let Lost(trouble) = stream(api, country, as_json, (&mut shown, &mut backoff)).await?;
        let wait = backoff.next_wait();
        anstream::eprintln!("{trouble}; trying again in {} s (Ctrl-C ends)", wait.as_secs().max(1));
        tokio::time::sleep(wait).await;
    }
}

/// Follows one stream until it breaks; errors that another try would not mend end the program.
async fn stream(
    api: &str,
    country: &str,
    as_json: bool,
    (shown, backoff): (&mut Shown, &mut Backoff),
) -> Result<Lost> {
    let lost = |trouble: Trouble| match trouble.exit() {
        Exit::Unavailable | Exit::Failure => Ok(Lost(trouble)),
        _ => Err(anyhow::Error::new(trouble)),
    };
    let mut client = match connect::research(api).await {
        Ok(client) => client,
        Err(trouble) => return lost(trouble),
    };
    let request = WatchIncidentsRequest { country: country.to_owned() };
    let mut revisions = match client.watch_incidents(request).await {
        Ok(revisions) => revisions.into_inner(),
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            return Err(Trouble::from_status("watching", &status).into());
        }
        Err(status) => return lost(Trouble::from_status("watching", &status)),
    };
    if !as_json && shown.0.is_empty() {
        anstream::eprintln!("watching {api}; Ctrl-C ends");
    }
    loop {
        match revisions.message().await {
            Ok(Some(message)) => {
                backoff.reset();
                let Some(incident) = message.incident else { continue };
                let incident = readable(&incident)?;
                if !shown.is_news(incident.id.as_str(), incident.revision) {
                    continue;
                }
                if as_json {
                    print_json_line(&incident)?;
                } else {
                    print(&watch_line(&incident))?;
                }
            }
            Ok(None) => return Ok(Lost(Trouble::new(Exit::Unavailable, "the coordinator ended the stream"))),
            Err(status) => return lost(Trouble::from_status("the connection broke", &status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_repeats_nothing() {
        let mut shown = Shown::default();
        assert!(shown.is_news("a", 1));
        assert!(!shown.is_news("a", 1));
        assert!(shown.is_news("a", 2));
        assert!(!shown.is_news("a", 1), "an older revision is no news");
        assert!(shown.is_news("b", 1));
    }
}
