//! `faultline baseline`.

use crate::connect;
use crate::home::Home;
use crate::output::{moment, print_json};
use crate::trouble::{Exit, Trouble};
use anyhow::Result;
use faultline_model::{Asn, Baseline, BaselineCell, Target};
use faultline_proto::operator::{BaselineCell as WireCell, GetBaselineRequest};
use faultline_runtime::now;

pub(super) async fn run(home: &Home) -> Result<()> {
    let mut client = connect::operator(home.credential()?).await?;
    let answer = client.get_baseline(GetBaselineRequest {}).await;
    let cells = answer.map_err(|e| Trouble::from_status("reading the baseline", &e))?.into_inner().cells;
    let mut cells = cells.iter().map(cell).collect::<Result<Vec<_>, _>>()?;
    cells.sort_by(|a, b| (a.asn, &a.target).cmp(&(b.asn, &b.target)));
    if cells.is_empty() {
        anstream::eprintln!("no quiet hours are recorded yet; the baseline is empty");
    }
    print_json(&Baseline { note: format!("recorded until {}", moment(now())), cells })
}

fn cell(cell: &WireCell) -> Result<BaselineCell, Trouble> {
    let odd =
        |e: String| Trouble::new(Exit::Failure, format!("the coordinator sent a cell that is none: {e}"));
    Ok(BaselineCell {
        target: Target::new(&cell.target).map_err(|e| odd(e.to_string()))?,
        asn: Asn::recorded(cell.asn).map_err(|e| odd(e.to_string()))?,
        measurements: cell.measurements,
        anomalies: cell.anomalies,
    })
}
