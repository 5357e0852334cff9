use super::*;
use crate::store::contract::measurement;
use faultline_model::{AgentId, Class, Judgement, Layer, LayerStatus, MeasurementId};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Row;

const BEGIN_MS: i64 = 1_705_755_600_000; // 2024-01-20T13:00:00Z

fn begin() -> Timestamp {
    Timestamp::from_unix_ms(BEGIN_MS)
}

fn stored(number: u32, agent: u32) -> StoredMeasurement {
    let mut row = measurement("m", BEGIN_MS + i64::from(number) * 1000 + 90_000);
    row.measurement.id = MeasurementId::new(format!("m{number}")).expect("an id");
    row.agent = AgentId::new(format!("agent-{agent}")).expect("an id");
    let judgement = Judgement {
        class: Class::TlsReset,
        layer: Layer::Tls,
        status: LayerStatus::Blocked,
        rule: "tls.reset".into(),
        hop: 0,
        evidence: Default::default(),
    };
    StoredMeasurement { position: u64::from(number), row, judgement: Some(judgement) }
}

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).expect("a file")).expect("Parquet");
    reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect()
}

fn hour(folder: &Path, agents: u32) -> Vec<SealedFile> {
    let rows: Vec<StoredMeasurement> = (0..12).map(|number| stored(number, number % agents)).collect();
    let mut without_steps = stored(99, 0);
    without_steps.row.measurement.observations.clear();
    without_steps.judgement = None;
    let country = without_steps.row.country;
    let hour = Hour::new(folder, begin()).take(rows).and_then(|hour| hour.take(vec![without_steps]));
    let operator = |asn: u32| serde_json::json!({ "name": asn.to_string(), "asns": [asn] });
    let operators = serde_json::json!([operator(23_674), operator(45_595)]);
    let operators = serde_json::from_value(operators).expect("operators");
    let risk_tier = Some(RiskTier::Standard);
    let profile = CountryProfile { operators, risk_tier, ..CountryProfile::unknown(country) };
    hour.expect("written").finish(&[profile]).expect("sealed")
}

#[test]
fn an_hour_is_read_back_with_every_step_and_its_hash_is_that_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = hour(folder.path(), 4);
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let place = "country=PK/date=2024-01-20/hour=13.parquet";
    assert_eq!(paths, [format!("full/{place}"), format!("public/{place}")]);
    assert_eq!(files[0].rows, 13);
    for file in &files {
        let bytes = std::fs::read(folder.path().join(&file.path)).expect("a file");
        let hash = HEXLOWER.encode(aws_lc_rs::digest::digest(&SHA256, &bytes).as_ref());
        assert_eq!((bytes.len() as u64, hash), (file.bytes, file.sha256.clone()));
    }
    let all: Vec<String> =
        rows(&folder.path().join(&files[0].path)).iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 13);
    assert!(
        all[0].contains("failure: \"connection_reset\"") && all[0].contains("class: \"tls_reset\""),
        "{}",
        all[0]
    );
    assert!(all[12].contains("class: null") && all[12].contains("observations: []"), "{}", all[12]);
}

#[test]
fn the_public_reads_cells_and_no_pseudonym() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = hour(folder.path(), 4);
    let path = folder.path().join(&files[1].path);
    let all: Vec<String> = rows(&path).iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 2, "one cell, and a provider of whom nothing can be said: {all:?}");
    assert!(
        all[0].contains("outcome: \"failing\"") && all[0].contains("vantage_points_at_least: 3"),
        "{all:?}"
    );
    assert!(all[1].contains("asn: 45595") && all[1].contains("outcome: \"hidden\""), "{all:?}");
    let bytes = std::fs::read(&path).expect("a file");
    assert!(!bytes.windows(6).any(|window| window == b"agent-"), "nobody is named");
}

#[test]
fn two_volunteers_are_hidden() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = hour(folder.path(), 2);
    let all = rows(&folder.path().join(&files[1].path));
    assert!(all.iter().all(|row| row.to_string().contains("outcome: \"hidden\"")), "{all:?}");
}
