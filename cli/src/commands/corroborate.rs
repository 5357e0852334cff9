//! `faultline corroborate`: others' data along an incident's clock.

use super::explain::{explained, parsed, whole_id};
use super::incidents::readable;
use crate::arguments::CorroborateArguments;
use crate::connect;
use crate::objects::Objects;
use crate::output::{print, print_json};
use crate::show::corroboration_text;
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_analysis::judge::{Fingerprints, judge_with};
use faultline_analysis::ooni::{Reading, read};
use faultline_analysis::tell::corroborate::{
    Foreign, ForeignError, IodaData, OoniResult, corroborate, read_ioda, read_radar,
};
use faultline_analysis::tell::{Explanation, Provider};
use faultline_model::{CountryProfile, Operator};
use faultline_proto::research::GetIncidentRequest;
use faultline_runtime::now;
use std::io::Read;
use std::path::Path;

/// Larger files of signals or outages are refused.
const MAX_FILE: u64 = 64 << 20;

pub(super) async fn run(api: &str, arguments: &CorroborateArguments) -> Result<()> {
    if arguments.ooni.is_empty() && arguments.ioda.is_empty() && arguments.radar.is_empty() {
        let trouble = Trouble::new(Exit::Data, "name others' data: --ooni, --ioda or --radar");
        return Err(trouble.into());
    }
    let foreign = foreign(arguments)?;
    let mut client = connect::research(api).await?;
    let id = whole_id(&mut client, &arguments.id).await?;
    let answer = client.get_incident(GetIncidentRequest { id: id.clone() }).await;
    let answer = answer.map_err(|e| Trouble::from_status("reading the incident", &e))?.into_inner();
    let incident = readable(&answer.incident.unwrap_or_default())?;
    let profile = match &arguments.profile {
        Some(path) => crate::profile::read(path)?,
        None => {
            let said: Explanation = parsed(&explained(&mut client, id).await?)?;
            known(incident.country, &said.users.providers)
        }
    };
    let said = corroborate(&incident, &profile, &foreign, now());
    if arguments.format.json {
        return print_json(&said);
    }
    print(&corroboration_text(&said))
}

/// A profile of what readers know: providers by their main networks.
fn known(country: faultline_model::CountryCode, providers: &[Provider]) -> CountryProfile {
    let operator = |provider: &Provider| Operator {
        name: provider.name.clone(),
        asns: vec![provider.asn],
        access: provider.access,
        user_share: provider.user_share,
        upstreams: Vec::new(),
    };
    CountryProfile { operators: providers.iter().map(operator).collect(), ..CountryProfile::unknown(country) }
}

/// Reads all files.
fn foreign(arguments: &CorroborateArguments) -> Result<Foreign> {
    let mut foreign = Foreign::default();
    if !arguments.ooni.is_empty() {
        let mut results = Vec::new();
        for path in &arguments.ooni {
            ooni(path, &mut results)?;
        }
        foreign.ooni = Some(results);
    }
    for path in &arguments.ioda {
        let read = read_ioda(&text(path)?).map_err(|e| bad(path, e))?;
        let data = foreign.ioda.get_or_insert_with(IodaData::default);
        data.series.extend(read.series);
        data.events.extend(read.events);
    }
    for path in &arguments.radar {
        let read = read_radar(&text(path)?).map_err(|e| bad(path, e))?;
        foreign.radar.get_or_insert_with(Vec::new).extend(read);
    }
    Ok(foreign)
}

fn bad(path: &Path, error: ForeignError) -> Trouble {
    Trouble::new(Exit::Data, format!("{} cannot be used", path.display())).source(error)
}

fn text(path: &Path) -> Result<String, Trouble> {
    let mut text = String::new();
    let reading = crate::lines::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text);
    reading.map_err(|e| Trouble::new(Exit::Data, format!("{} cannot be read", path.display())).source(e))?;
    if text.len() as u64 > MAX_FILE {
        return Err(Trouble::new(Exit::Data, format!("{} is larger than 64 MB", path.display())));
    }
    Ok(text)
}

/// Reads OONI's measurements and judges each beside its own control.
fn ooni(path: &Path, results: &mut Vec<OoniResult>) -> Result<()> {
    let fingerprints = Fingerprints::built_in();
    let mut objects = Objects::open(path)?;
    while let Some(text) = objects.next_object() {
        match read(&text) {
            Ok(Reading::Measurements(all)) => {
                objects.accept();
                for found in all {
                    let Some(asn) = found.origin.asn else { continue };
                    let controls: Vec<_> = found.control.into_iter().collect();
                    let judgement = judge_with(&found.measurement, &controls, &fingerprints);
                    results.push(OoniResult {
                        asn,
                        target: found.measurement.target,
                        at: found.measurement.started_at,
                        class: judgement.class,
                        status: judgement.status,
                    });
                }
            }
            Ok(Reading::NotImported(_)) => objects.accept(),
            Err(error) => objects.report(&error.to_string()),
        }
    }
    objects.finish()?;
    Ok(())
}
