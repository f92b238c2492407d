//! The tables of the index, and how a connection to them is set up.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::natural_order;

/// Changes with every change of the tables, of natural order, or of what is derived from a sidecar.
const VERSION: i32 = 1;

/// Marks the file as ours: `STix`.
const APPLICATION_ID: i32 = 0x5354_6978;

/// How long a reader or writer waits for one in another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// Pages kept in memory, in KiB.
const CACHE_KIB: i32 = 16 * 1024;

/// `images` is stored in the order in which it is shown, so that lists are read from front to back without sorting.
/// The columns that lists are filtered by come first, because a row is decoded only as far as it is asked for.
/// The texts have a table of their own, because many are fetched faster from there than through the search index.
const TABLES: &str = "
    CREATE TABLE images (
        name TEXT NOT NULL PRIMARY KEY COLLATE natural_order,
        id INTEGER NOT NULL,
        has_sidecar INTEGER NOT NULL,
        status TEXT,
        regions INTEGER,
        captions INTEGER,
        conversations INTEGER,
        lowest_iou REAL,
        problem TEXT,
        image_bytes INTEGER,
        image_modified INTEGER,
        sidecar_bytes INTEGER,
        sidecar_modified INTEGER
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX images_by_id ON images (id);
    CREATE INDEX images_unsettled ON images (name) WHERE sidecar_modified IS NULL AND sidecar_bytes IS NOT NULL;

    CREATE TABLE counters (next_image INTEGER NOT NULL);
    INSERT INTO counters VALUES (1);

    CREATE TABLE labels (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE image_labels (
        image INTEGER NOT NULL, label INTEGER NOT NULL, regions INTEGER NOT NULL, PRIMARY KEY (image, label)
    ) WITHOUT ROWID;
    CREATE INDEX image_labels_by_label ON image_labels (label, image, regions);

    CREATE TABLE tokenizers (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);
    CREATE TABLE image_codes (
        image INTEGER NOT NULL, tokenizer INTEGER NOT NULL, depth INTEGER NOT NULL, code INTEGER NOT NULL,
        regions INTEGER NOT NULL, PRIMARY KEY (image, tokenizer, depth, code)
    ) WITHOUT ROWID;
    CREATE INDEX image_codes_by_code ON image_codes (tokenizer, depth, code, regions);

    CREATE TABLE image_texts (image INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE VIRTUAL TABLE text_groups USING fts5 (
        text, tokenize = 'trigram case_sensitive 1', detail = none, content = '', contentless_delete = 1
    );
";

/// Whether several processes on this machine may write ahead to one log, which network drives cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journal {
    WriteAhead,
    Rollback,
}

/// A connection to the index in the file at `path`, made where there is none.
///
/// # Errors
/// If the file is damaged, in use for too long, of another version, or cannot be written.
pub(super) fn open(path: &Path, journal: Journal) -> rusqlite::Result<Connection> {
    // A link in place of the file would have somebody else's file written to.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode = match journal {
        Journal::WriteAhead => "wal",
        Journal::Rollback => "truncate",
    };
    // Of two processes that change the mode at once, one is refused without waiting for the other.
    let deadline = Instant::now() + BUSY_TIMEOUT;
    while let Err(error) = connection.pragma_update(None, "journal_mode", mode) {
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || Instant::now() >= deadline {
            return Err(error);
        }
    }
    // Safe against a crash of the program; after one of the machine, the last changes are derived again.
    connection.pragma_update(None, "synchronous", "normal")?;
    set_up(&mut connection)?;
    // The file came with the folder and may be anybody's work.
    if definitions(&connection)? != definitions(&open_in_memory()?)? {
        return Err(rusqlite::Error::InvalidQuery);
    }
    Ok(connection)
}

/// A connection to an index of its own that ends with it.
///
/// # Errors
/// If there is no memory for it.
pub(super) fn open_in_memory() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    set_up(&mut connection)?;
    Ok(connection)
}

fn set_up(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.create_collation("natural_order", natural_order::compare)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(64);
    // Two processes may find the file empty at once; the second waits and then finds the tables.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if definitions(&transaction)?.is_empty() {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    let number = |pragma| transaction.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    if (number("user_version")?, number("application_id")?) != (VERSION, APPLICATION_ID) {
        return Err(rusqlite::Error::InvalidQuery);
    }
    transaction.commit()
}

/// Everything that is defined in a database.
fn definitions(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement =
        connection.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")?;
    statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
