//! Rows for reinforcement learning: `images`, `problem`, `answer`, `masks`, `source` in a parquet file.
//!
//! Written column by column with their levels, since the rows have one fixed shape. The shape is the one that the
//! published files have, including the note by which `datasets` knows that `images` are images.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use super::rendering::OWN_KEY;
use crate::geometry::ImageSize;

/// Rows are put on disk in groups of at most about so many bytes and so many rows; readers hold one group in memory.
const GROUP_BYTES: usize = 16 << 20;
const GROUP_ROWS: usize = 2000;

const COLUMNS: &str = "
    optional group images (LIST) { repeated group list { optional group element {
        optional binary bytes; optional binary path (STRING); } } }
    optional binary problem (STRING);
    optional binary answer (STRING);
    optional group masks (LIST) { repeated group list { optional group element {
        optional binary counts (STRING);
        optional group size (LIST) { repeated group list { optional int64 element; } } } } }
    optional binary source (STRING);";

/// One question and answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// The files' bytes, where they are to be inside, and their paths.
    pub(super) images: Vec<(Option<Vec<u8>>, String)>,
    pub(super) problem: String,
    pub(super) answer: String,
    /// Size and COCO's compressed run lengths.
    pub(super) masks: Vec<(ImageSize, String)>,
    pub(super) source: &'static str,
    /// What only this program reads.
    pub(super) own: Option<String>,
}

impl Row {
    fn bytes(&self) -> usize {
        let images = self
            .images
            .iter()
            .map(|(bytes, path)| bytes.as_ref().map_or(0, Vec::len) + path.len());
        let masks = self.masks.iter().map(|(_, counts)| counts.len() + 16);
        let own = self.own.as_ref().map_or(0, String::len);
        images.chain(masks).sum::<usize>() + self.problem.len() + self.answer.len() + own
    }
}

/// A parquet file being written.
pub(super) struct RowFile<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    rows: Vec<Row>,
    bytes: usize,
}

impl<W: Write + Send> std::fmt::Debug for RowFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowFile")
            .field("waiting", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl<W: Write + Send> RowFile<W> {
    /// Starts a file; `has_own` says whether rows have what only this program reads.
    pub(super) fn new(file: W, has_own: bool) -> io::Result<Self> {
        let own = if has_own {
            format!("optional binary {OWN_KEY} (STRING);")
        } else {
            String::new()
        };
        let schema =
            parse_message_type(&format!("message schema {{ {COLUMNS} {own} }}")).map_err(io_error)?;
        let features = KeyValue::new("huggingface".to_owned(), features(has_own));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            // No two rows of any column but `source` are alike, and dictionaries of images only take memory.
            .set_dictionary_enabled(false)
            .set_key_value_metadata(Some(vec![features]))
            .build();
        let writer =
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(io_error)?;
        Ok(Self {
            writer,
            rows: Vec::new(),
            bytes: 0,
        })
    }

    pub(super) fn push(&mut self, row: Row) -> io::Result<()> {
        self.bytes += row.bytes();
        self.rows.push(row);
        if self.rows.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left and gives the file back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.writer.into_inner().map_err(io_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut group = self.writer.next_row_group().map_err(io_error)?;
        write_columns(&mut group, &rows).map_err(io_error)?;
        group.close().map_err(io_error)?;
        Ok(())
    }
}

/// The values of one column with their definition and repetition levels.
struct Column<T> {
    values: Vec<T>,
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

impl<T> Column<T> {
    const fn new() -> Self {
        Self {
            values: Vec::new(),
            defined: Vec::new(),
            repeated: Vec::new(),
        }
    }

    /// Adds a value, or where it is `None` that something is missing below level `defined`.
    fn push(&mut self, value: Option<T>, defined: i16, repeated: i16) {
        self.values.extend(value);
        self.defined.push(defined);
        self.repeated.push(repeated);
    }

    /// Adds one list of a row, whose elements are defined at level `element` or, where missing, one level above.
    fn push_list(&mut self, items: impl Iterator<Item = Option<T>>, element: i16) {
        let mut is_empty = true;
        for item in items {
            let defined = if item.is_some() { element } else { element - 1 };
            self.push(item, defined, i16::from(!is_empty));
            is_empty = false;
        }
        if is_empty {
            // The list is there, nothing is in it.
            self.push(None, 1, 0);
        }
    }
}

fn write_columns<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row],
) -> Result<(), ParquetError> {
    let mut images = Column::new();
    let mut paths = Column::new();
    let mut counts = Column::new();
    let mut sizes = Column::new();
    for row in rows {
        images.push_list(
            row.images
                .iter()
                .map(|(bytes, _)| bytes.clone().map(ByteArray::from)),
            4,
        );
        paths.push_list(row.images.iter().map(|(_, path)| Some(text(path))), 4);
        counts.push_list(row.masks.iter().map(|(_, counts)| Some(text(counts))), 4);
        for (index, (size, _)) in row.masks.iter().enumerate() {
            sizes.push(Some(i64::from(size.height)), 6, i16::from(index > 0));
            sizes.push(Some(i64::from(size.width)), 6, 2);
        }
        if row.masks.is_empty() {
            sizes.push(None, 1, 0);
        }
    }
    write_bytes(group, &images)?;
    write_bytes(group, &paths)?;
    write_bytes(group, &flat(rows, |row| Some(&row.problem)))?;
    write_bytes(group, &flat(rows, |row| Some(&row.answer)))?;
    write_bytes(group, &counts)?;
    write_column(group, |column| match column {
        ColumnWriter::Int64ColumnWriter(writer) => {
            writer.write_batch(&sizes.values, Some(&sizes.defined), Some(&sizes.repeated))
        }
        _ => Err(ParquetError::General(
            "the column of sizes is not where it should be".to_owned(),
        )),
    })?;
    write_bytes(group, &flat(rows, |row| Some(row.source)))?;
    // There is one more column where there is anything to put in it.
    write_bytes(group, &flat(rows, |row| row.own.as_deref()))
}

fn flat<'r>(rows: &'r [Row], value: impl Fn(&'r Row) -> Option<&'r str>) -> Column<ByteArray> {
    let mut column = Column::new();
    for row in rows {
        let value = value(row).map(text);
        let defined = i16::from(value.is_some());
        column.push(value, defined, 0);
    }
    column
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text.as_bytes().to_vec())
}

fn write_bytes<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &Column<ByteArray>,
) -> Result<(), ParquetError> {
    write_column(group, |writer| match writer {
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            writer.write_batch(&column.values, Some(&column.defined), Some(&column.repeated))
        }
        _ => Err(ParquetError::General(
            "a column of texts is not where it should be".to_owned(),
        )),
    })
}

fn write_column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    write: impl FnOnce(&mut ColumnWriter<'_>) -> Result<usize, ParquetError>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Ok(());
    };
    write(column.untyped())?;
    column.close()
}

/// What `datasets` has to know to take `images` for images; in the spelling that all its versions read.
fn features(has_own: bool) -> String {
    let value = |dtype: &str| json!({"dtype": dtype, "_type": "Value"});
    let mut features = json!({
        "images": {"feature": {"_type": "Image"}, "_type": "Sequence"},
        "problem": value("string"),
        "answer": value("string"),
        "masks": [{"counts": value("string"), "size": {"feature": value("int64"), "_type": "Sequence"}}],
        "source": value("string"),
    });
    if let (true, Some(features)) = (has_own, features.as_object_mut()) {
        features.insert(OWN_KEY.to_owned(), value("string"));
    }
    json!({"info": {"features": features}}).to_string()
}

fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
