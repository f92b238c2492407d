//! What is known of the images of a folder without opening their files: a list that is sorted, filtered and searched.
//!
//! An [`Index`] answers from a database in `.samtok/index.sqlite`; an [`Indexer`] keeps it in step with the folder, a
//! little at a time, on whatever thread calls it. Nothing is in the index that is not derived from the folder: one that
//! is damaged, locked or of another version is made anew, and where the folder cannot be written it is kept elsewhere.

mod facts;
mod filter;
mod indexer;
mod listed;
mod look;
mod place;
mod query;
mod records;
mod schema;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use rusqlite::Connection;

use self::place::Place;
use super::folder::Folder;

pub use self::filter::{Annotations, Filter, FilterError};
pub use self::indexer::{Indexer, Progress, Rescan, Stage};
pub use self::query::{CodeCount, Direction, ImageId, ImageRow, LabelCount, Selection, StatusCounts};

/// How often a place may turn out damaged before it is given up, as with a failing disk.
const DAMAGES_PER_PLACE: u32 = 3;

/// The index cannot even be kept in memory.
#[derive(Debug, thiserror::Error)]
#[error("the list of images failed ({source}); open the folder again")]
pub struct IndexError {
    #[from]
    source: rusqlite::Error,
}

/// What is known of the images of one folder.
///
/// Several processes may use the index of a folder at once. A query waits for the disk, so it is no work for the thread
/// that draws.
#[derive(Debug)]
pub struct Index {
    connection: Connection,
    /// Where the index is, and behind it where it can still go.
    places: Vec<Place>,
    damages: u32,
    /// Counts how often the index was begun anew while it was open.
    generation: u64,
}

impl Index {
    /// Opens the index of `folder`, which is empty where there was none, and old until an [`Indexer`] has been through.
    ///
    /// `cache` is where the index of a folder that cannot be written is kept; without it, such an index lasts as long
    /// as the value.
    ///
    /// # Errors
    /// [`IndexError`] if not even an index in memory can be made.
    pub fn open(folder: &Folder, cache: Option<&Path>) -> Result<Self, IndexError> {
        let mut places = Place::all(folder, cache);
        let connection = open_first(&mut places)?;
        Ok(Self {
            connection,
            places,
            damages: 0,
            generation: 0,
        })
    }

    /// The file it is kept in; `None` if it is not kept.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self.places.first()? {
            Place::File { path, .. } => Some(path),
            Place::Memory => None,
        }
    }

    /// Runs `operation`; if the index fails it, again with a new and empty one.
    fn run<T>(
        &mut self,
        operation: impl Fn(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        match operation(&mut self.connection) {
            Ok(value) => Ok(value),
            Err(error) => {
                self.begin_anew(&error)?;
                Ok(operation(&mut self.connection)?)
            }
        }
    }

    /// Replaces the index, which failed with `error`, by an empty one: in the same place if its content was at fault, else
    /// in the next.
    fn begin_anew(&mut self, error: &rusqlite::Error) -> Result<(), IndexError> {
        tracing::warn!("the index of the folder failed and is made anew: {error}");
        self.generation += 1;
        let is_damaged = place::is_damage(error);
        let failed = std::mem::replace(&mut self.connection, schema::open_in_memory()?);
        if is_damaged {
            // Its log must not reach the file that takes its place.
            failed.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        drop(failed);
        self.damages += 1;
        if is_damaged && self.damages <= DAMAGES_PER_PLACE {
            if let Some(place) = self.places.first() {
                place.remove();
            }
        } else if self.places.len() > 1 {
            self.places.remove(0);
            self.damages = 0;
        }
        self.connection = open_first(&mut self.places)?;
        Ok(())
    }
}

/// Opens the first place where that works, and forgets those before it.
fn open_first(places: &mut Vec<Place>) -> rusqlite::Result<Connection> {
    loop {
        match places.first() {
            None => return schema::open_in_memory(),
            Some(place) => match place.open() {
                Ok(connection) => return Ok(connection),
                Err(error) => tracing::debug!("the index cannot be kept in {place:?}: {error}"),
            },
        }
        places.remove(0);
    }
}
