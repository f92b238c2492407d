//! The rows of the index as they are written: which images there are, and what their sidecars say.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::facts::{Facts, Stamp};

/// What the index knows of an image before it is looked at again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) has_sidecar: bool,
    /// The image file when it was last looked at.
    pub(super) image: Option<Stamp>,
    /// The sidecar when it was last read.
    pub(super) sidecar: Option<Stamp>,
}

/// What there is to write about an image after a look at it.
#[derive(Debug)]
pub(super) enum Finding {
    /// The image is no longer there.
    Gone,
    /// The image file changed, and nothing else.
    Image(Stamp),
    /// There is no sidecar any more.
    NoSidecar(Stamp),
    /// The sidecar was read.
    Read(Stamp, Stamp, Box<Facts>),
    /// The sidecar was read in vain; the text says why. It may become readable without being changed.
    Unreadable(Stamp, String),
}

const KNOWN: &str =
    "SELECT name, has_sidecar, image_bytes, image_modified, sidecar_bytes, sidecar_modified FROM images";

impl Known {
    /// An image that is not listed yet.
    pub(super) fn nothing(name: String) -> Self {
        Self {
            name,
            has_sidecar: false,
            image: None,
            sidecar: None,
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let stamp = |bytes: usize| -> rusqlite::Result<Option<Stamp>> {
            let modified_ns = row.get(bytes + 1)?;
            Ok(row
                .get::<_, Option<i64>>(bytes)?
                .map(|bytes| Stamp { bytes, modified_ns }))
        };
        Ok(Self {
            name: row.get(0)?,
            has_sidecar: row.get(1)?,
            image: stamp(2)?,
            sidecar: stamp(4)?,
        })
    }

    /// Up to `limit` images that come behind `after`.
    pub(super) fn behind(connection: &Connection, after: &str, limit: usize) -> rusqlite::Result<Vec<Self>> {
        let mut statement =
            connection.prepare_cached(&format!("{KNOWN} WHERE name > ?1 ORDER BY name LIMIT ?2"))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        statement
            .query_map(params![after, limit], Self::from_row)?
            .collect()
    }

    /// The image called `name`, if it is listed.
    pub(super) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare_cached(&format!("{KNOWN} WHERE name = ?1"))?;
        statement.query_row([name], Self::from_row).optional()
    }
}

/// The images whose sidecar was read so soon after it changed that another change would not have shown.
pub(super) fn unsettled(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM images WHERE sidecar_modified IS NULL AND sidecar_bytes IS NOT NULL",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// How many images there are.
pub(super) fn count_images(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("SELECT count(*) FROM images", [], |row| row.get(0))
}

/// Adds an image of which nothing is known but whether it has a sidecar; one that is there is left as it is.
pub(super) fn add_image(connection: &Connection, name: &str, has_sidecar: bool) -> rusqlite::Result<bool> {
    // Nothing is in an image without a sidecar; what is in a sidecar is not known before it is read.
    let count = (!has_sidecar).then_some(0);
    let mut statement = connection.prepare_cached(
        "INSERT INTO images (name, id, has_sidecar, regions, captions, conversations)
         VALUES (?1, (SELECT next_image FROM counters), ?2, ?3, ?3, ?3) ON CONFLICT (name) DO NOTHING",
    )?;
    if statement.execute(params![name, has_sidecar, count])? == 0 {
        return Ok(false);
    }
    connection
        .prepare_cached("UPDATE counters SET next_image = next_image + 1")?
        .execute([])?;
    Ok(true)
}

/// Takes note that an image has a sidecar now, or none any more.
pub(super) fn mark_sidecar(connection: &Connection, name: &str, has_sidecar: bool) -> rusqlite::Result<()> {
    let id = id_of(connection, name)?;
    if let Some(id) = id {
        forget_facts(connection, id)?;
    }
    let count = (!has_sidecar).then_some(0);
    connection
        .prepare_cached(
            "UPDATE images SET has_sidecar = ?2, status = NULL, regions = ?3, captions = ?3, conversations = ?3,
             lowest_iou = NULL, problem = NULL, sidecar_bytes = NULL, sidecar_modified = NULL WHERE name = ?1",
        )?
        .execute(params![name, has_sidecar, count])?;
    Ok(())
}

/// Removes an image and all that is known of it.
pub(super) fn remove_image(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let Some(id) = id_of(connection, name)? else {
        return Ok(false);
    };
    forget_facts(connection, id)?;
    connection
        .prepare_cached("DELETE FROM images WHERE name = ?1")?
        .execute([name])?;
    Ok(true)
}

/// Writes what a look at the image called `name` found; `false` if the image is not listed.
pub(super) fn write(connection: &Connection, name: &str, finding: &Finding) -> rusqlite::Result<bool> {
    match finding {
        Finding::Gone => remove_image(connection, name),
        Finding::Image(image) => stamp_image(connection, name, *image),
        Finding::NoSidecar(image) => {
            mark_sidecar(connection, name, false)?;
            stamp_image(connection, name, *image)
        }
        Finding::Unreadable(image, problem) => {
            mark_sidecar(connection, name, true)?;
            connection
                .prepare_cached("UPDATE images SET problem = ?2 WHERE name = ?1")?
                .execute(params![name, problem])?;
            stamp_image(connection, name, *image)
        }
        Finding::Read(image, sidecar, facts) => {
            let Some(id) = id_of(connection, name)? else {
                return Ok(false);
            };
            forget_facts(connection, id)?;
            connection
                .prepare_cached(
                    "UPDATE images SET has_sidecar = 1, status = ?2, regions = ?3, captions = ?4,
                     conversations = ?5, lowest_iou = ?6, problem = NULL, image_bytes = ?7, image_modified = ?8,
                     sidecar_bytes = ?9, sidecar_modified = ?10 WHERE name = ?1",
                )?
                .execute(params![
                    name,
                    facts.status.as_str(),
                    facts.regions,
                    facts.captions,
                    facts.conversations,
                    facts.lowest_iou,
                    image.bytes,
                    image.modified_ns,
                    sidecar.bytes,
                    sidecar.modified_ns,
                ])?;
            write_facts(connection, id, facts)?;
            Ok(true)
        }
    }
}

fn stamp_image(connection: &Connection, name: &str, stamp: Stamp) -> rusqlite::Result<bool> {
    let mut statement = connection
        .prepare_cached("UPDATE images SET image_bytes = ?2, image_modified = ?3 WHERE name = ?1")?;
    Ok(statement.execute(params![name, stamp.bytes, stamp.modified_ns])? > 0)
}

fn id_of(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM images WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

fn forget_facts(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM image_labels WHERE image = ?1",
        "DELETE FROM image_codes WHERE image = ?1",
        "DELETE FROM image_texts WHERE image = ?1",
        "DELETE FROM text_groups WHERE rowid = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([id])?;
    }
    Ok(())
}

fn write_facts(connection: &Connection, id: i64, facts: &Facts) -> rusqlite::Result<()> {
    for (label, regions) in &facts.labels {
        connection
            .prepare_cached("INSERT OR IGNORE INTO labels (text) VALUES (?1)")?
            .execute([label])?;
        connection
            .prepare_cached(
                "INSERT INTO image_labels (image, label, regions) SELECT ?1, id, ?3 FROM labels WHERE text = ?2",
            )?
            .execute(params![id, label, regions])?;
    }
    for (code, regions) in &facts.codes {
        connection
            .prepare_cached("INSERT OR IGNORE INTO tokenizers (fingerprint) VALUES (?1)")?
            .execute([&code.fingerprint])?;
        connection
            .prepare_cached(
                "INSERT INTO image_codes (image, tokenizer, depth, code, regions)
                 SELECT ?1, id, ?3, ?4, ?5 FROM tokenizers WHERE fingerprint = ?2",
            )?
            .execute(params![id, code.fingerprint, code.depth, code.code, regions])?;
    }
    if !facts.text.as_str().is_empty() {
        for statement in [
            "INSERT INTO image_texts (image, text) VALUES (?1, ?2)",
            "INSERT INTO text_groups (rowid, text) VALUES (?1, ?2)",
        ] {
            connection
                .prepare_cached(statement)?
                .execute(params![id, facts.text.as_str()])?;
        }
    }
    Ok(())
}
