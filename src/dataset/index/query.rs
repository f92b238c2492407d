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
            for_each_match(connection, filter, None, |row| {
                ids.push(ImageId(row.get(0)?));
                Ok(true)
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
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM images WHERE id = ?1"))?;
            let rows = ids
                .iter()
                .map(|id| statement.query_row([id.0], image_row).optional());
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
        let found = self.run(|connection| {
            let mut found = None;
            for_each_match(connection, filter, Some((name, direction)), |row| {
                found = Some(row.get::<_, String>(1)?);
                Ok(false)
            })?;
            Ok(found)
        })?;
        match found {
            Some(name) => self.image(&name),
            None => Ok(None),
        }
    }

    /// How many images there are of each status.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all.
    pub fn status_counts(&mut self) -> Result<StatusCounts, IndexError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT has_sidecar, status, problem IS NOT NULL, count(*) FROM images GROUP BY 1, 2, 3",
            )?;
            let mut rows = statement.query([])?;
            let mut counts = StatusCounts::default();
            let mut by_status = vec![0; Status::ALL.len()];
            while let Some(row) = rows.next()? {
                let images: usize = row.get(3)?;
                let status = status(row, 1)?.and_then(|status| Status::ALL.iter().position(|s| *s == status));
                if let Some(count) = status.and_then(|status| by_status.get_mut(status)) {
                    *count += images;
                } else if row.get(2)? {
                    counts.unreadable += images;
                } else if row.get(0)? {
                    counts.unread += images;
                } else {
                    counts.without += images;
                }
            }
            let all = Status::ALL.iter().copied().zip(by_status);
            counts.by_status = all.filter(|(_, images)| *images > 0).collect();
            Ok(counts)
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

/// Calls `each` with id and name of the images that `filter` lets through, in natural order, until it returns `false`.
///
/// With a `start` only those that lie that way from the name, nearest first.
fn for_each_match(
    connection: &Connection,
    filter: &Filter,
    start: Option<(&str, Direction)>,
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let mut conditions = vec!["1"];
    let mut parameters: Vec<Value> = Vec::new();
    match filter.annotations {
        Annotations::Any => {}
        Annotations::None => conditions.push("regions = 0 AND conversations = 0"),
        Annotations::Some => conditions.push("(regions > 0 OR conversations > 0)"),
        Annotations::Unreadable => conditions.push("problem IS NOT NULL"),
    }
    let statuses = format!("status IN ({})", vec!["?"; filter.statuses.len()].join(", "));
    if !filter.statuses.is_empty() {
        conditions.push(&statuses);
        parameters.extend(
            filter
                .statuses
                .iter()
                .map(|status| Value::from(status.as_str().to_owned())),
        );
    }
    if let Some(iou) = filter.iou_below {
        conditions.push("lowest_iou < ?");
        parameters.push(iou.into());
    }
    if let Some(label) = &filter.label {
        conditions.push(
            "id IN (SELECT image FROM image_labels WHERE label = (SELECT id FROM labels WHERE text = ?))",
        );
        parameters.push(label.clone().into());
    }
    if let Some(number) = filter.number {
        conditions.push("name = (SELECT name FROM images ORDER BY name LIMIT 1 OFFSET ?)");
        // The first is number 1; there is no number 0.
        let offset = number
            .checked_sub(1)
            .and_then(|offset| i64::try_from(offset).ok());
        parameters.push(offset.unwrap_or(i64::MAX).into());
    }
    let order = match start {
        None => "name",
        Some((name, direction)) => {
            parameters.push(name.to_owned().into());
            conditions.push(match direction {
                Direction::Next => "name > ?",
                Direction::Previous => "name < ?",
            });
            match direction {
                Direction::Next => "name",
                Direction::Previous => "name DESC",
            }
        }
    };
    let terms = filter.terms();
    let texts = terms
        .iter()
        .map(|term| Ok((term, images_with(connection, term)?)))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut buffer = String::new();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, name FROM images WHERE {} ORDER BY {order}",
        conditions.join(" AND ")
    ))?;
    let mut rows = statement.query(params_from_iter(parameters))?;
    while let Some(row) = rows.next()? {
        if !texts.is_empty() || filter.name_pattern.is_some() {
            let id = row.get(0)?;
            let name = row.get_ref(1)?.as_str()?;
            let is_match = filter
                .name_pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(name))
                && texts
                    .iter()
                    .all(|(term, images)| images.contains(&id) || term.is_in_name(name, &mut buffer));
            if !is_match {
                continue;
            }
        }
        if !each(row)? {
            break;
        }
    }
    Ok(())
}

/// The images whose annotations contain `term`.
fn images_with(connection: &Connection, term: &Term) -> rusqlite::Result<HashSet<i64>> {
    let id = |row: &Row<'_>| row.get(0);
    match term.look_up() {
        Some(look_up) => connection
            .prepare_cached("SELECT rowid FROM texts WHERE texts MATCH ?1 AND instr(text, ?2)")?
            .query_map([&look_up, term.as_str()], id)?
            .collect(),
        None => connection
            .prepare_cached("SELECT rowid FROM texts WHERE instr(text, ?1)")?
            .query_map([term.as_str()], id)?
            .collect(),
    }
}
