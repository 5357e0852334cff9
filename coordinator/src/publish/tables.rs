//! The two tables of a sealed hour as Parquet files. What each column means stands in `docs/archive.md`.

use super::cells::Cell;
use crate::store::StoredMeasurement;
use faultline_model::{Observation, Why};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::sync::Arc;

/// The table of whole measurements.
pub(super) const MEASUREMENTS: &str = "
message measurement {
  required binary id (UTF8);
  required binary agent (UTF8);
  optional int32 asn;
  required binary country (UTF8);
  required boolean control;
  required boolean home_network;
  required binary target (UTF8);
  required binary check (UTF8);
  required boolean full;
  required boolean asked_for;
  required int64 started_at (TIMESTAMP(MILLIS,true));
  required int64 received_at (TIMESTAMP(MILLIS,true));
  required int32 clock_offset_ms;
  required int32 duration_ms;
  optional binary class (UTF8);
  optional binary layer (UTF8);
  optional binary status (UTF8);
  optional binary rule (UTF8);
  required int32 hop;
  required group observations (LIST) {
    repeated group list {
      required group element {
        required binary layer (UTF8);
        required binary engine (UTF8);
        required int32 hop;
        required int32 at_ms;
        required int32 took_ms;
        optional binary peer (UTF8);
        optional binary failure (UTF8);
        required binary fact (UTF8);
      }
    }
  }
}";

/// The table of cells for the public.
pub(super) const CELLS: &str = "
message cell {
  required int64 hour (TIMESTAMP(MILLIS,true));
  required int32 asn;
  optional binary target (UTF8);
  required binary outcome (UTF8);
  required int32 vantage_points_at_least;
}";

/// Columns in which neighbours are close to each other, and of which none is like another.
const CLOSE: [&str; 6] = [
    "started_at",
    "received_at",
    "clock_offset_ms",
    "duration_ms",
    "observations.list.element.at_ms",
    "observations.list.element.took_ms",
];
const LEVEL: i32 = 9;

/// A Parquet file that is being written.
pub(super) struct Table(SerializedFileWriter<File>);

impl Table {
    /// Begins a file with a table's columns.
    pub(super) fn create(file: File, columns: &str) -> Result<Self> {
        let schema = Arc::new(parse_message_type(columns)?);
        Ok(Self(SerializedFileWriter::new(file, schema, properties()?)?))
    }

    /// Adds whole measurements as a row group.
    pub(super) fn measurements(&mut self, rows: &[StoredMeasurement]) -> Result<()> {
        let mut group = self.0.next_row_group()?;
        texts(&mut group, rows.iter().map(|s| s.row.measurement.id.as_str()))?;
        texts(&mut group, rows.iter().map(|s| s.row.agent.as_str()))?;
        let asns = rows.iter().map(|s| s.row.asn.and_then(|asn| i32::try_from(asn.get()).ok()));
        some::<Int32Type>(&mut group, asns)?;
        owned(&mut group, rows.iter().map(|s| s.row.country.to_string()))?;
        plain::<BoolType>(&mut group, rows.iter().map(|s| s.row.control))?;
        plain::<BoolType>(&mut group, rows.iter().map(|s| s.row.is_home_network))?;
        owned(&mut group, rows.iter().map(|s| s.row.measurement.target.to_string()))?;
        texts(&mut group, rows.iter().map(|s| s.row.measurement.check.as_str()))?;
        let is_full = |s: &StoredMeasurement| s.row.measurement.depth == faultline_model::Depth::Full;
        plain::<BoolType>(&mut group, rows.iter().map(is_full))?;
        plain::<BoolType>(&mut group, rows.iter().map(|s| s.row.why == Why::Confirmation))?;
        plain::<Int64Type>(&mut group, rows.iter().map(|s| s.row.measurement.started_at.unix_ms()))?;
        plain::<Int64Type>(&mut group, rows.iter().map(|s| s.row.received_at.unix_ms()))?;
        plain::<Int32Type>(&mut group, rows.iter().map(|s| clipped(s.row.clock_offset_ms)))?;
        plain::<Int32Type>(&mut group, rows.iter().map(|s| whole(s.row.measurement.duration.as_millis())))?;
        let judged = |s: &StoredMeasurement| s.judgement.clone();
        maybe(&mut group, rows.iter().map(|s| Some(judged(s)?.class.as_str().to_owned())))?;
        maybe(&mut group, rows.iter().map(|s| Some(judged(s)?.layer.as_str().to_owned())))?;
        maybe(&mut group, rows.iter().map(|s| Some(judged(s)?.status.as_str().to_owned())))?;
        maybe(&mut group, rows.iter().map(|s| Some(judged(s)?.rule)))?;
        let hops = rows.iter().map(|s| s.judgement.as_ref().map_or(0, |judged| i32::from(judged.hop)));
        plain::<Int32Type>(&mut group, hops)?;
        observations(&mut group, rows)?;
        group.close().map(drop)
    }

    /// Adds cells as a row group.
    pub(super) fn cells(&mut self, cells: &[Cell]) -> Result<()> {
        let mut group = self.0.next_row_group()?;
        plain::<Int64Type>(&mut group, cells.iter().map(|cell| cell.hour.unix_ms()))?;
        let asns = cells.iter().map(|cell| i32::try_from(cell.asn.get()).unwrap_or(i32::MAX));
        plain::<Int32Type>(&mut group, asns)?;
        maybe(&mut group, cells.iter().map(|cell| cell.target.as_ref().map(ToString::to_string)))?;
        texts(&mut group, cells.iter().map(|cell| cell.outcome.as_str()))?;
        let bounds = cells.iter().map(|cell| i32::try_from(cell.at_least).unwrap_or(i32::MAX));
        plain::<Int32Type>(&mut group, bounds)?;
        group.close().map(drop)
    }

    /// Writes the footer and returns the file, which is not synced yet.
    pub(super) fn finish(self) -> Result<File> {
        self.0.into_inner()
    }
}

fn properties() -> Result<WriterPropertiesPtr> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_created_by("faultline".to_owned())
        .set_column_dictionary_enabled(ColumnPath::from("id"), false);
    for name in CLOSE {
        let column = ColumnPath::new(name.split('.').map(str::to_owned).collect());
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(Arc::new(properties.build()))
}

type Group<'a> = SerializedRowGroupWriter<'a, File>;

fn column<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: (Option<&[i16]>, Option<&[i16]>),
) -> Result<()> {
    let missing = || ParquetError::General("the table has fewer columns than are written".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, levels.0, levels.1)?;
    column.close()
}

fn plain<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = T::T>) -> Result<()> {
    column::<T>(group, &values.collect::<Vec<_>>(), (None, None))
}

fn some<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = Option<T::T>>) -> Result<()> {
    let all: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = all.iter().map(|value| i16::from(value.is_some())).collect();
    column::<T>(group, &all.into_iter().flatten().collect::<Vec<_>>(), (Some(&levels), None))
}

fn texts<'a>(group: &mut Group<'_>, values: impl Iterator<Item = &'a str>) -> Result<()> {
    plain::<ByteArrayType>(group, values.map(ByteArray::from))
}

fn owned(group: &mut Group<'_>, values: impl Iterator<Item = String>) -> Result<()> {
    plain::<ByteArrayType>(group, values.map(|text| ByteArray::from(text.into_bytes())))
}

fn maybe(group: &mut Group<'_>, values: impl Iterator<Item = Option<String>>) -> Result<()> {
    some::<ByteArrayType>(group, values.map(|text| Some(ByteArray::from(text?.into_bytes()))))
}

/// The columns of the list of steps. Levels as in Dremel (Melnik et al. 2010): definition 0 is a measurement without
/// steps, 1 a step, 2 a step's value that may be absent; repetition 0 begins a measurement.
fn observations(group: &mut Group<'_>, rows: &[StoredMeasurement]) -> Result<()> {
    let steps = Steps::of(rows);
    steps.required::<ByteArrayType>(group, |step| ByteArray::from(step.layer.as_str()))?;
    steps.required::<ByteArrayType>(group, |step| ByteArray::from(step.engine.as_str()))?;
    steps.required::<Int32Type>(group, |step| i32::from(step.hop))?;
    steps.required::<Int32Type>(group, |step| whole(step.at.as_millis()))?;
    steps.required::<Int32Type>(group, |step| whole(step.took.as_millis()))?;
    steps.optional(group, |step| step.peer.map(|peer| peer.to_string()))?;
    steps.optional(group, |step| step.failure.as_ref().map(ToString::to_string))?;
    steps.required::<ByteArrayType>(group, |step| {
        ByteArray::from(serde_json::to_vec(&step.fact).unwrap_or_default())
    })
}

struct Steps<'a> {
    /// Absent: a measurement without steps.
    steps: Vec<Option<&'a Observation>>,
    repetition: Vec<i16>,
}

impl<'a> Steps<'a> {
    fn of(rows: &'a [StoredMeasurement]) -> Self {
        let (mut steps, mut repetition) = (Vec::new(), Vec::new());
        for stored in rows {
            let own = &stored.row.measurement.observations;
            for (number, step) in own.iter().enumerate() {
                steps.push(Some(step));
                repetition.push(i16::from(number > 0));
            }
            if own.is_empty() {
                steps.push(None);
                repetition.push(0);
            }
        }
        Self { steps, repetition }
    }

    fn required<T: DataType>(
        &self,
        group: &mut Group<'_>,
        value: impl Fn(&Observation) -> T::T,
    ) -> Result<()> {
        let levels: Vec<i16> = self.steps.iter().map(|step| i16::from(step.is_some())).collect();
        let values: Vec<T::T> = self.steps.iter().flatten().map(|step| value(step)).collect();
        column::<T>(group, &values, (Some(&levels), Some(&self.repetition)))
    }

    fn optional(&self, group: &mut Group<'_>, value: impl Fn(&Observation) -> Option<String>) -> Result<()> {
        let all: Vec<Option<Option<String>>> = self.steps.iter().map(|step| step.map(&value)).collect();
        let level = |step: &Option<Option<String>>| match step {
            None => 0,
            Some(None) => 1,
            Some(Some(_)) => 2,
        };
        let levels: Vec<i16> = all.iter().map(level).collect();
        let values = all.into_iter().flatten().flatten().map(|text| ByteArray::from(text.into_bytes()));
        column::<ByteArrayType>(group, &values.collect::<Vec<_>>(), (Some(&levels), Some(&self.repetition)))
    }
}

fn whole(number: u128) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn clipped(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}
