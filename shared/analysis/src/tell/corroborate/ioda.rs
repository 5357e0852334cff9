//! IODA's signals and outage events, as its API gives them (version 2), or as tables.
//!
//! Signals: `{"data": [[{"entityType", "entityCode", "datasource", "from", "step", "values"}]]}` with one level of lists
//! or two, and seconds since 1970. Events: `{"data": [{"location": "country/PK", "start", "duration", "datasource"}]}`.
//! A table of signals has a column of moments and one column per signal; a table of events has the events' fields.

use super::{Clock, ForeignError, Point, Stand, lag_words, moment_s};
use faultline_model::{Asn, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// What is usual is learnt over a day, without what was alarmed: a median.
const USUAL: Duration = Duration::from_secs(86_400);
/// Below this part of the usual value a signal fell (IODA's own warning for probing), and from the second on it did not.
const FELL: f64 = 0.8;
const HELD: f64 = 0.9;
const LEAST_VALUES: usize = 3;

/// One signal.
#[derive(Clone, Debug, PartialEq)]
pub struct IodaSeries {
    /// `country/PK` or `asn/23674`; empty where a table does not say.
    pub location: String,
    /// `bgp`, `ping-slash24`, ...
    pub datasource: String,
    /// Moments and values; what is missing is left out.
    pub values: Vec<(Timestamp, f64)>,
}

/// One outage event.
#[derive(Clone, Debug, PartialEq)]
pub struct IodaEvent {
    /// `country/PK` or `asn/23674`.
    pub location: String,
    /// The signal that fell.
    pub datasource: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended, if it did.
    pub to: Option<Timestamp>,
}

/// What a file of IODA's holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IodaData {
    /// Signals.
    pub series: Vec<IodaSeries>,
    /// Events.
    pub events: Vec<IodaEvent>,
}

/// Reads a file of IODA's.
///
/// # Errors
/// Says why it is none.
pub fn read_ioda(text: &str) -> Result<IodaData, ForeignError> {
    if !text.trim_start().starts_with(['{', '[']) {
        return read_table(text);
    }
    let value: Value = serde_json::from_str(text).map_err(ForeignError::Json)?;
    let mut data = IodaData::default();
    gather(value.get("data").unwrap_or(&value), &mut data);
    if data == IodaData::default() && !is_empty_list(value.get("data")) {
        return Err(ForeignError::Kind("signal and no event of IODA's"));
    }
    Ok(data)
}

fn is_empty_list(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_some_and(Vec::is_empty)
}

fn gather(value: &Value, data: &mut IodaData) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, data)),
        Value::Object(_) => {
            data.series.extend(series(value));
            data.events.extend(event(value));
        }
        _ => {}
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(|text| text.chars().take(80).collect())
}

fn series(value: &Value) -> Option<IodaSeries> {
    let (from, step) = (value.get("from")?.as_i64()?, value.get("step")?.as_i64().filter(|step| *step > 0)?);
    let values = value.get("values")?.as_array()?;
    let at = |index: i64| moment_s(from.saturating_add(index.saturating_mul(step)));
    Some(IodaSeries {
        location: format!("{}/{}", text(value, "entityType")?, text(value, "entityCode")?),
        datasource: text(value, "datasource")?,
        values: (0..).zip(values).filter_map(|(index, value)| Some((at(index), value.as_f64()?))).collect(),
    })
}

fn event(value: &Value) -> Option<IodaEvent> {
    let from = moment_s(value.get("start")?.as_i64()?);
    let lasts = value.get("duration").and_then(Value::as_u64).filter(|seconds| *seconds > 0);
    Some(IodaEvent {
        location: text(value, "location")?,
        datasource: text(value, "datasource")?,
        from,
        to: lasts.map(|seconds| from + Duration::from_secs(seconds)),
    })
}

fn read_table(text: &str) -> Result<IodaData, ForeignError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .map_err(ForeignError::Table)?
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    let column = |names: &[&str]| header.iter().position(|name| names.contains(&name.as_str()));
    let moments = column(&["time", "timestamp", "datetime", "date"]);
    let (location, start) = (column(&["location"]), column(&["start"]));
    let mut data = IodaData::default();
    if let Some(moments) = moments {
        let signals = (0..header.len()).filter(|index| *index != moments);
        data.series = signals
            .map(|index| IodaSeries {
                location: String::new(),
                datasource: header[index].clone(),
                values: Vec::new(),
            })
            .collect();
    } else if location.is_none() || start.is_none() {
        return Err(ForeignError::Kind("column time, and none of location and start"));
    }
    for record in reader.records() {
        let record = record.map_err(ForeignError::Table)?;
        let get = |index: Option<usize>| index.and_then(|index| record.get(index)).map(str::trim);
        if let Some(moments) = moments {
            let Some(at) = get(Some(moments)).and_then(moment) else { continue };
            let columns = (0..header.len()).filter(|index| *index != moments);
            for (series, index) in data.series.iter_mut().zip(columns) {
                let value = get(Some(index)).and_then(|text| text.parse().ok());
                series.values.extend(value.map(|value: f64| (at, value)));
            }
            continue;
        }
        let (Some(location), Some(from)) = (get(location), get(start).and_then(moment)) else { continue };
        let lasts = get(column(&["duration"])).and_then(|text| text.parse().ok());
        data.events.push(IodaEvent {
            location: location.to_owned(),
            datasource: get(column(&["datasource"])).unwrap_or("unknown").to_owned(),
            from,
            to: lasts.map(|seconds: u64| from + Duration::from_secs(seconds)),
        });
    }
    Ok(data)
}

fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<i64>().ok().map(moment_s).or_else(|| text.parse().ok()).or_else(|| {
        // Tables often leave the zone out and mean UTC.
        format!("{}Z", text.replacen(' ', "T", 1)).parse().ok()
    })
}

pub(super) fn points(clock: &Clock<'_>, data: &IodaData) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for series in &data.series {
        points.push(match place(clock, &series.location) {
            Place::Affected => signal(clock, series),
            Place::Elsewhere => continue,
            Place::Wider => {
                let sentence = "it watches the whole country, of which only a part is affected".to_owned();
                make(Stand::Blind, (&series.location, &series.datasource), sentence, None)
            }
        });
    }
    let is_near = |event: &&IodaEvent| {
        clock.overlaps(event.from, event.to) && !matches!(place(clock, &event.location), Place::Elsewhere)
    };
    let near: Vec<&IodaEvent> = data.events.iter().filter(is_near).collect();
    if near.is_empty() && !data.events.is_empty() {
        let sentence = "no event of its list lies in the incident's time and place".to_owned();
        points.push(make(Stand::Blind, (&String::new(), "events"), sentence, None));
    }
    points.extend(near.into_iter().map(|event| {
        let lag = clock.lag(event.from);
        let (stand, what) = if clock.is_about_services() {
            (
                Stand::Disagrees,
                "an outage of the whole network, where we say that single services are affected",
            )
        } else {
            (Stand::Agrees, "an outage of the whole network")
        };
        let sentence = format!("{what}, beginning {}", lag_words(lag));
        make(stand, (&event.location, &event.datasource), sentence, Some(lag))
    }));
    points
}

enum Place {
    Affected,
    /// The country, of which a part is affected.
    Wider,
    Elsewhere,
}

fn place(clock: &Clock<'_>, location: &str) -> Place {
    let country = format!("country/{}", clock.incident.country);
    if location.is_empty() || location.eq_ignore_ascii_case(&country) {
        return if clock.is_national() || clock.is_about_services() { Place::Affected } else { Place::Wider };
    }
    let asn = location.strip_prefix("asn/").and_then(|code| code.split('-').next()?.parse().ok());
    match asn.map(Asn::recorded) {
        Some(Ok(asn)) if clock.is_affected(asn) => Place::Affected,
        _ => Place::Elsewhere,
    }
}

fn signal(clock: &Clock<'_>, series: &IodaSeries) -> Point {
    let key = (&series.location, series.datasource.as_str());
    let within = |from: Timestamp, to: Timestamp| -> Vec<f64> {
        series.values.iter().filter(|(at, _)| *at >= from && *at < to).map(|(_, value)| *value).collect()
    };
    let usual = within(clock.from - USUAL, clock.from);
    let (Some(usual), Some(meanwhile)) = (median(usual), median(within(clock.from, clock.to))) else {
        return make(Stand::Blind, key, "too few values before or meanwhile".to_owned(), None);
    };
    if usual <= 0.0 {
        return make(Stand::Blind, key, "it is usually zero".to_owned(), None);
    }
    let part = meanwhile / usual;
    let fell = format!("{:.0} % of what is usual", 100.0 * part);
    let (stand, sentence) = match (part, clock.is_silence(), clock.is_about_services()) {
        (part, _, true) if part < FELL => {
            (Stand::Disagrees, format!("{fell}: more than single services was hit"))
        }
        (_, _, true) => (
            Stand::Blind,
            format!("{fell}: it does not see single services; the networks themselves were up"),
        ),
        (part, true, _) if part >= HELD => {
            (Stand::Disagrees, format!("{fell}, where we say that all was off"))
        }
        (part, _, _) if part < FELL => (Stand::Agrees, fell),
        _ => (Stand::Blind, format!("{fell}: between a fall and none, or worse lines that stay up")),
    };
    make(stand, key, sentence, None)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    if values.len() < LEAST_VALUES {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some(values[values.len() / 2])
}

fn make(stand: Stand, (location, source): (&String, &str), sentence: String, lag_s: Option<f64>) -> Point {
    let about = format!("{location} {source}").trim_start().to_owned();
    Point { stand, source: "ioda".to_owned(), about, sentence, lag_s }
}
