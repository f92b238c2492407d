//! Parquet rows as records.

use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::super::super::json_tree;
use super::super::super::{InterchangeError, Notes, Result};
use super::Seen;

/// Hands out the records of the parquet file at `path`.
pub(super) fn read(path: &Path, take: &mut dyn FnMut(Seen) -> Result<()>, notes: &mut Notes) -> Result<()> {
    let bad = |error: ParquetError| InterchangeError::foreign("a parquet file of training data", error, path);
    let reader = SerializedFileReader::new(json_tree::open(path)?).map_err(bad)?;
    let schema = reader.metadata().file_metadata().schema().clone();
    let wanted = without_bytes(&schema).map_err(bad)?;
    let rows = RowIter::from_file(Some(wanted), &reader).map_err(bad)?;
    for (number, row) in rows.enumerate() {
        let row = row.map_err(bad)?;
        let keys = row
            .get_column_iter()
            .map(|(name, field)| (name.clone(), value(field)));
        let records = Seen::of_row(keys.collect());
        if records.is_empty() {
            notes.lost(
                "rows without a problem and an answer were left out",
                "",
                format!("row {number}"),
            );
        }
        records.into_iter().try_for_each(&mut *take)?;
    }
    Ok(())
}

/// The schema without the bytes of images, which nobody wants to read.
fn without_bytes(schema: &Type) -> Result<Type, ParquetError> {
    let fields = schema.get_fields().iter().map(|field| {
        if field.name() == "images" {
            pruned(field)
        } else {
            Some(Ok(Arc::clone(field)))
        }
    });
    let fields = fields.flatten().collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder(schema.name())
        .with_fields(fields)
        .build()
}

/// `field` without what is called `bytes`; `None` where nothing is left.
fn pruned(field: &Arc<Type>) -> Option<Result<Arc<Type>, ParquetError>> {
    if field.is_primitive() {
        return (field.name() != "bytes").then(|| Ok(Arc::clone(field)));
    }
    let fields: Result<Vec<_>, _> = field.get_fields().iter().filter_map(pruned).collect();
    let info = field.get_basic_info();
    let build = |fields: Vec<_>| {
        let builder = Type::group_type_builder(field.name())
            .with_repetition(info.repetition())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_fields(fields);
        builder.build().map(Arc::new)
    };
    match fields {
        Ok(fields) if fields.is_empty() => None,
        Ok(fields) => Some(build(fields)),
        Err(error) => Some(Err(error)),
    }
}

/// A field as JSON; what has no counterpart is null.
fn value(field: &Field) -> Value {
    match field {
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Value::from),
        Field::Group(row) => {
            let keys = row
                .get_column_iter()
                .map(|(name, field)| (name.clone(), value(field)));
            keys.collect::<Map<_, _>>().into()
        }
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        _ => Value::Null,
    }
}
