//! Questions about the images: which ones, in which order, how many, and what lists show of each.

use std::collections::HashSet;
use std::ops::Range;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use super::super::folder::Folder;
use super::super::vocabulary::Status;
use super::filter::{Annotations, Filter};
use super::text::Term;
use super::{Index, IndexError};

/// An image in one index, for as long as the index is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(i64);

/// The images that a filter lets through, in natural order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    ids: Vec<ImageId>,
    generation: u64,
}

/// What lists show of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRow {
    /// The image.
    pub id: ImageId,
    /// Its name in the folder.
    pub name: String,
    /// Whether it has a sidecar.
    pub has_sidecar: bool,
    /// Whether the rest is known; if not, the sidecar has yet to be read.
    pub is_read: bool,
    /// How far the work is; `None` without a sidecar that can be read.
    pub status: Option<Status>,
    /// How many regions it has.
    pub regions: u32,
    /// How many captions its regions have.
    pub captions: u32,
    /// How many conversations are about it.
    pub conversations: u32,
    /// The lowest IoU, 0 to 1, of a region with the mask that its words give back.
    pub lowest_iou: Option<f64>,
    /// Why the sidecar cannot be read.
    pub problem: Option<String>,
    /// Size of the image file; `None` until it was looked at.
    pub image_bytes: Option<u64>,
    /// When the image file last changed, in nanoseconds since 1970; `None` where that is not certain yet.
    pub image_modified_ns: Option<i64>,
}

/// Which neighbour of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The one that comes next in natural order.
    Next,
    /// The one that comes before.
    Previous,
}

/// How many images there are of each kind; every image counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// Without a sidecar.
    pub without: usize,
    /// With a sidecar that is yet to be read.
    pub unread: usize,
    /// With a sidecar that cannot be read.
    pub unreadable: usize,
    /// With a sidecar of each status, in the order of [`Status::ALL`]; only those that occur.
    pub by_status: Vec<(Status, usize)>,
}

/// A label and how often it occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelCount {
    /// The label.
    pub label: String,
    /// How many images have it.
    pub images: usize,
    /// How many regions have it.
    pub regions: usize,
}

/// A code of a tokenizer and how often it occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCount {
    /// The tokenizer.
    pub fingerprint: String,
    /// Which of the words of a mask, from 0.
    pub depth: u32,
    /// The code in the codebook of that depth.
    pub code: u32,
    /// How many regions have it.
    pub regions: usize,
}

impl StatusCounts {
    /// How many images there are.
    #[must_use]
    pub fn total(&self) -> usize {
        let with_status = self.by_status.iter().map(|(_, images)| images);
        self.without + self.unread + self.unreadable + with_status.sum::<usize>()
    }
}

impl Selection {
    /// How many images it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The images in natural order.
    #[must_use]
    pub fn ids(&self) -> &[ImageId] {
        &self.ids
    }

    /// The place of an image, from 0.
    #[must_use]
    pub fn position(&self, id: ImageId) -> Option<usize> {
        self.ids.iter().position(|&other| other == id)
    }
}

impl Index {
    /// The images that `filter` lets through.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn select(&mut self, filter: &Filter) -> Result<Selection, IndexError> {
        let ids = self.run(|connection| {
            let mut ids = Vec::new();
            for_each_match(connection, filter, None, |id| {
                ids.push(ImageId(id));
                true
            })?;
            Ok(ids)
        })?;
        Ok(Selection {
            ids,
            generation: self.generation,
        })
    }

    /// What is known of the images at these places of a selection; those that are gone since are left out.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn page(&mut self, selection: &Selection, places: Range<usize>) -> Result<Vec<ImageRow>, IndexError> {
        if selection.generation != self.generation {
            return Ok(Vec::new());
        }
        let places = places.start.min(selection.len())..places.end.min(selection.len());
        let ids = selection.ids.get(places).unwrap_or_default();
        let generation = self.generation;
        let rows = self.run(|connection| {
            let rows = ids.iter().map(|id| image_with(connection, id.0));
            rows.filter_map(Result::transpose)
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        // The same number means another image in a new index.
        Ok(if generation == self.generation {
            rows
        } else {
            Vec::new()
        })
    }

    /// What is known of the image called `name`.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn image(&mut self, name: &str) -> Result<Option<ImageRow>, IndexError> {
        self.run(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM images WHERE name = ?1"))?;
            statement.query_row([name], image_row).optional()
        })
    }

    /// The image that comes next to `name` among those that `filter` lets through, whether or not it is one of them.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn neighbour(
        &mut self,
        filter: &Filter,
        name: &str,
        direction: Direction,
    ) -> Result<Option<ImageRow>, IndexError> {
        self.run(|connection| {
            let mut found = None;
            for_each_match(connection, filter, Some((name, direction)), |id| {
                found = Some(id);
                false
            })?;
            found.map_or(Ok(None), |id| image_with(connection, id))
        })
    }

    /// How many images there are of each status.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn status_counts(&mut self) -> Result<StatusCounts, IndexError> {
        self.run(|connection| {
            let of_status = Status::ALL
                .iter()
                .map(|status| format!(", count(*) FILTER (WHERE status = '{}')", status.as_str()));
            let mut statement = connection.prepare_cached(&format!(
                "SELECT count(*), count(*) FILTER (WHERE NOT has_sidecar), count(problem) {} FROM images",
                of_status.collect::<String>()
            ))?;
            statement.query_row([], |row| {
                let (total, without, unreadable): (usize, usize, usize) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                let mut unread = total.saturating_sub(without + unreadable);
                let mut by_status = Vec::new();
                for (column, &status) in (3..).zip(Status::ALL) {
                    let images: usize = row.get(column)?;
                    unread = unread.saturating_sub(images);
                    if images > 0 {
                        by_status.push((status, images));
                    }
                }
                Ok(StatusCounts {
                    without,
                    unread,
                    unreadable,
                    by_status,
                })
            })
        })
    }

    /// All labels in natural order.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn labels(&mut self) -> Result<Vec<LabelCount>, IndexError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT text, images, regions FROM labels JOIN (
                    SELECT label, count(*) AS images, sum(regions) AS regions FROM image_labels GROUP BY label
                 ) ON label = id ORDER BY text COLLATE natural_order",
            )?;
            let labels = statement.query_map([], |row| {
                Ok(LabelCount {
                    label: row.get(0)?,
                    images: row.get(1)?,
                    regions: row.get(2)?,
                })
            })?;
            labels.collect()
        })
    }

    /// All codes that regions have, by tokenizer, depth and code.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn codes(&mut self) -> Result<Vec<CodeCount>, IndexError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT fingerprint, depth, code, regions FROM tokenizers JOIN (
                    SELECT tokenizer, depth, code, sum(regions) AS regions FROM image_codes GROUP BY 1, 2, 3
                 ) ON tokenizer = id ORDER BY 1, 2, 3",
            )?;
            let codes = statement.query_map([], |row| {
                Ok(CodeCount {
                    fingerprint: row.get(0)?,
                    depth: row.get(1)?,
                    code: row.get(2)?,
                    regions: row.get(3)?,
                })
            })?;
            codes.collect()
        })
    }
}

const COLUMNS: &str = "id, name, has_sidecar, status, regions, captions, conversations, lowest_iou, problem, sidecar_bytes, \
     image_bytes, image_modified";

fn image_row(row: &Row<'_>) -> rusqlite::Result<ImageRow> {
    let name: String = row.get(1)?;
    if !Folder::is_name(&name) {
        // Somebody made this index to lead out of the folder.
        return Err(rusqlite::Error::InvalidQuery);
    }
    let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<u32>>(column)?.unwrap_or(0));
    let has_sidecar = row.get(2)?;
    let problem: Option<String> = row.get(8)?;
    Ok(ImageRow {
        id: ImageId(row.get(0)?),
        name,
        has_sidecar,
        is_read: !has_sidecar || problem.is_some() || row.get_ref(9)?.as_i64_or_null()?.is_some(),
        status: status(row, 3)?,
        regions: count(4)?,
        captions: count(5)?,
        conversations: count(6)?,
        lowest_iou: row.get(7)?,
        problem,
        image_bytes: row.get(10)?,
        image_modified_ns: row.get(11)?,
    })
}

fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Status>> {
    let name = row.get_ref(column)?.as_str_or_null()?;
    Ok(name.and_then(|name| Status::ALL.iter().copied().find(|status| status.as_str() == name)))
}

fn image_with(connection: &Connection, id: i64) -> rusqlite::Result<Option<ImageRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM images WHERE id = ?1"))?;
    statement.query_row([id], image_row).optional()
}

/// Calls `each` with the images that `filter` lets through, in natural order, until it returns `false`.
///
/// With a `start` only those that lie that way from the name, nearest first.
fn for_each_match(
    connection: &Connection,
    filter: &Filter,
    start: Option<(&str, Direction)>,
    mut each: impl FnMut(i64) -> bool,
) -> rusqlite::Result<()> {
    // The images are gone through in the order in which they are stored; to look up those with a label or text one by
    // one and sort them would take longer.
    let label = match &filter.label {
        Some(label) => Some(images_with_label(connection, label)?),
        None => None,
    };
    let terms = filter.terms();
    let texts = terms
        .iter()
        .map(|term| Ok((term, images_with_text(connection, term)?)))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let needs_name = !texts.is_empty() || filter.name_pattern.is_some();

    let (conditions, parameters) = conditions(filter, start);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, {} FROM images WHERE {conditions} ORDER BY name {}",
        if needs_name { "name" } else { "NULL" },
        match start {
            Some((_, Direction::Previous)) => "DESC",
            _ => "",
        },
    ))?;
    let mut buffer = String::new();
    let mut rows = statement.query(params_from_iter(parameters))?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        if label.as_ref().is_some_and(|images| !images.contains(&id)) {
            continue;
        }
        if needs_name {
            let name = row.get_ref(1)?.as_str()?;
            let pattern = filter.name_pattern.as_ref();
            let is_match = pattern.is_none_or(|pattern| pattern.is_match(name))
                && texts
                    .iter()
                    .all(|(term, images)| images.contains(&id) || term.is_in_name(name, &mut buffer));
            if !is_match {
                continue;
            }
        }
        if !each(id) {
            break;
        }
    }
    Ok(())
}

/// What the database can tell of the filter by the columns of an image, and the parameters in it.
fn conditions(filter: &Filter, start: Option<(&str, Direction)>) -> (String, Vec<Value>) {
    let mut conditions = vec!["1".to_owned()];
    let mut parameters: Vec<Value> = Vec::new();
    let annotations = match filter.annotations {
        Annotations::Any => None,
        Annotations::None => Some("regions = 0 AND conversations = 0"),
        Annotations::Some => Some("(regions > 0 OR conversations > 0)"),
        Annotations::Unreadable => Some("problem IS NOT NULL"),
    };
    conditions.extend(annotations.map(str::to_owned));
    if !filter.statuses.is_empty() {
        let places = vec!["?"; filter.statuses.len()].join(", ");
        conditions.push(format!("status IN ({places})"));
        let statuses = filter.statuses.iter().map(|status| status.as_str().to_owned());
        parameters.extend(statuses.map(Value::from));
    }
    if let Some(iou) = filter.iou_below {
        conditions.push("lowest_iou < ?".to_owned());
        parameters.push(iou.into());
    }
    if let Some(number) = filter.number {
        conditions.push("name = (SELECT name FROM images ORDER BY name LIMIT 1 OFFSET ?)".to_owned());
        // The first is number 1; there is no number 0.
        let offset = number
            .checked_sub(1)
            .and_then(|offset| i64::try_from(offset).ok());
        parameters.push(offset.unwrap_or(i64::MAX).into());
    }
    if let Some((name, direction)) = start {
        conditions.push(match direction {
            Direction::Next => "name > ?".to_owned(),
            Direction::Previous => "name < ?".to_owned(),
        });
        parameters.push(name.to_owned().into());
    }
    (conditions.join(" AND "), parameters)
}

fn images_with_label(connection: &Connection, label: &str) -> rusqlite::Result<HashSet<i64>> {
    connection
        .prepare_cached(
            "SELECT image FROM image_labels WHERE label = (SELECT id FROM labels WHERE text = ?1)",
        )?
        .query_map([label], |row| row.get(0))?
        .collect()
}

/// The images whose annotations contain `term`.
fn images_with_text(connection: &Connection, term: &Term) -> rusqlite::Result<HashSet<i64>> {
    let id = |row: &Row<'_>| row.get(0);
    match term.look_up() {
        Some(look_up) => connection
            .prepare_cached(
                "SELECT image FROM text_groups JOIN image_texts ON image = text_groups.rowid
                 WHERE text_groups MATCH ?1 AND instr(image_texts.text, ?2)",
            )?
            .query_map([&look_up, term.as_str()], id)?
            .collect(),
        None => connection
            .prepare_cached("SELECT image FROM image_texts WHERE instr(text, ?1)")?
            .query_map([term.as_str()], id)?
            .collect(),
    }
}
