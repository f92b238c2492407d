//! Changes that other programs make in a folder, gathered until they pause and told as images to look at again.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::dataset::folder::Folder;
use crate::dataset::index::{Indexer, Rescan};

/// How long nothing may happen before changes are told: a save is several changes.
const PAUSE: Duration = Duration::from_millis(150);

/// How long changes that never pause are held back.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// More names than this at once are told as "look at everything", so that copying a large folder costs no memory.
const MOST_NAMES: usize = 10_000;

/// Events that wait to be understood; when there are more, everything is looked at.
const MOST_EVENTS: usize = 4096;

/// How often a folder is looked through where the system cannot tell of changes in it.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// A folder cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The system does not tell of changes there, and looking for them failed too.
    #[error("changes by other programs cannot be noticed ({reason}); open the folder again to see them: {}", path.display())]
    Watch {
        /// What the system said.
        reason: notify::Error,
        /// The folder.
        path: PathBuf,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// What changed in a folder since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names of images that, or whose sidecars, were made, changed or deleted.
    pub images: BTreeSet<String>,
    /// Names of other things that were: folders, as far as they are known; the empty name is the folder itself.
    pub folders: BTreeSet<String>,
    /// Whether more changed than could be followed, so that everything is to be looked at again.
    pub is_incomplete: bool,
}

impl Changes {
    fn is_empty(&self) -> bool {
        !self.is_incomplete && self.images.is_empty() && self.folders.is_empty()
    }

    /// Tells an indexer of the folder, which looks at them in its next steps.
    pub fn tell(&self, folder: &Folder, indexer: &mut Indexer) {
        if self.is_incomplete {
            indexer.rescan(Rescan::Everything);
        }
        for name in self.images.iter().chain(&self.folders) {
            match name.as_str() {
                "" => indexer.note_changed(folder.path()),
                name => folder
                    .path_of(name)
                    .iter()
                    .for_each(|path| indexer.note_changed(path)),
            }
        }
    }

    fn add(&mut self, folder: &Folder, event: &Event) {
        // Being read is no change; without this, looking at a change would be one.
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        self.is_incomplete |= event.need_rescan();
        for path in &event.paths {
            if let Some(image) = folder.image_at(path) {
                self.images.insert(image);
            } else if let Some(name) = folder.name_of(path)
                && is_folder(path, &name, event.kind)
            {
                self.folders.insert(name);
            }
        }
        if self.images.len() + self.folders.len() > MOST_NAMES {
            *self = Self {
                is_incomplete: true,
                ..Self::default()
            };
        }
    }
}

/// Whether what is or was at `path` may be a folder whose list of images is another now.
fn is_folder(path: &Path, name: &str, kind: EventKind) -> bool {
    // Each file that is made or deleted changes its folder; that file is told by itself.
    if matches!(
        kind,
        EventKind::Modify(notify::event::ModifyKind::Metadata(_) | notify::event::ModifyKind::Data(_))
    ) {
        return false;
    }
    match path.symlink_metadata() {
        Ok(metadata) => metadata.is_dir() && !name.is_empty(),
        // Gone: it may have been one.
        Err(_) => true,
    }
}

/// Watches a folder for as long as it lives.
#[derive(Debug)]
pub struct FolderWatch {
    /// Stops the watching thread when it goes, because its events end then.
    _watcher: AnyWatcher,
    changes: Receiver<Changes>,
}

#[derive(Debug)]
enum AnyWatcher {
    Told(#[expect(dead_code, reason = "watches while it lives")] RecommendedWatcher),
    Polling(#[expect(dead_code, reason = "watches while it lives")] PollWatcher),
}

impl FolderWatch {
    /// Watches `folder` and its sub-folders; `wake` is called on a thread of the watch whenever there are
    /// [`changes`](Self::changes) to take, and must not wait for anything.
    ///
    /// Changes of this program are told like those of others. On some network drives nobody is told what other
    /// computers do, so a window should also look when it comes to the front ([`Rescan`]).
    ///
    /// # Errors
    /// [`WatchError`]; the folder can be worked on all the same.
    pub fn start(folder: &Folder, wake: impl Fn() + Send + 'static) -> Result<Self, WatchError> {
        let (happened, events) = bounded(MOST_EVENTS);
        let (overflowed, overflows) = bounded(1);
        let send = move |event: notify::Result<Event>| {
            // What cannot be passed on is made up for by looking at everything.
            let is_lost = event.is_ok_and(|event| happened.try_send(event).is_err());
            if is_lost {
                let _is_told_already = overflowed.try_send(());
            }
        };
        let watcher = watcher(folder.path(), send)?;
        // Whoever takes the changes late gets them in pieces; no piece is larger than `MOST_NAMES`.
        let (found, changes) = unbounded();
        let gathering = Gathering {
            folder: folder.clone(),
            events,
            overflows,
            found,
        };
        thread::Builder::new()
            .name("samtok-watch".to_owned())
            .spawn(move || gathering.run(&wake))
            .map_err(WatchError::Thread)?;
        Ok(Self {
            _watcher: watcher,
            changes,
        })
    }

    /// Where the changes come out.
    #[must_use]
    pub fn changes(&self) -> &Receiver<Changes> {
        &self.changes
    }
}

/// The system's own way to tell of changes, or else looking for them.
fn watcher(
    path: &Path,
    send: impl Fn(notify::Result<Event>) + Send + Clone + 'static,
) -> Result<AnyWatcher, WatchError> {
    let told = notify::recommended_watcher(send.clone()).and_then(|mut watcher| {
        watcher.watch(path, RecursiveMode::Recursive)?;
        Ok(AnyWatcher::Told(watcher))
    });
    told.or_else(|error| {
        tracing::info!(
            "the system cannot tell of changes ({error}); looking for them: {}",
            path.display()
        );
        let config = Config::default().with_poll_interval(POLL_INTERVAL);
        let mut watcher = PollWatcher::new(send, config)?;
        watcher.watch(path, RecursiveMode::Recursive)?;
        Ok(AnyWatcher::Polling(watcher))
    })
    .map_err(|reason| WatchError::Watch {
        reason,
        path: path.to_path_buf(),
    })
}

/// The thread between the system and whoever takes the changes.
struct Gathering {
    folder: Folder,
    events: Receiver<Event>,
    overflows: Receiver<()>,
    found: Sender<Changes>,
}

impl Gathering {
    /// Until nobody is interested any more.
    fn run(self, wake: &dyn Fn()) {
        let mut changes = Changes::default();
        // When the first of the changes happened.
        let mut since: Option<Instant> = None;
        loop {
            let wait = since.map_or(Duration::MAX, |since| {
                PAUSE.min(LONGEST_DELAY.saturating_sub(since.elapsed()))
            });
            let event = match since {
                None => self
                    .events
                    .recv()
                    .map_err(|_closed| RecvTimeoutError::Disconnected),
                Some(_) => self.events.recv_timeout(wait),
            };
            match event {
                Ok(event) => {
                    changes.add(&self.folder, &event);
                    if !changes.is_empty() {
                        since.get_or_insert_with(Instant::now);
                    }
                    if since.is_none_or(|since| since.elapsed() < LONGEST_DELAY) {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            changes.is_incomplete |= self.overflows.try_recv().is_ok();
            since = None;
            if self.found.send(std::mem::take(&mut changes)).is_err() {
                return;
            }
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Takes changes until `is_enough`; answers all of them together.
    fn gather(watch: &FolderWatch, is_enough: impl Fn(&Changes) -> bool) -> Changes {
        let mut all = Changes::default();
        while !is_enough(&all) {
            let more = watch.changes().recv_timeout(PATIENCE).unwrap();
            all.images.extend(more.images);
            all.folders.extend(more.folders);
            all.is_incomplete |= more.is_incomplete;
        }
        all
    }

    #[test]
    fn images_sidecars_and_folders_are_told_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("a")).unwrap();
        fs::create_dir(place.path().join(".samtok")).unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let watch = FolderWatch::start(&folder, move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        for name in [
            "x.png",
            "a/y.jpg.samtok.json",
            "a/notes.txt",
            ".samtok/index.sqlite",
            ".hidden.png",
        ] {
            fs::write(place.path().join(name), "x").unwrap();
        }
        let both = |changes: &Changes| changes.images.len() == 2;
        let changes = gather(&watch, both);
        assert_eq!(
            changes.images,
            BTreeSet::from(["x.png".to_owned(), "a/y.jpg".to_owned()])
        );
        assert_eq!((changes.folders, changes.is_incomplete), (BTreeSet::new(), false));
        let start = Instant::now();
        while woken.load(Ordering::Relaxed) == 0 && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(woken.load(Ordering::Relaxed) > 0);

        fs::rename(place.path().join("a"), place.path().join("b")).unwrap();
        let changes = gather(&watch, |changes| changes.folders.len() == 2);
        assert_eq!(changes.folders, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        fs::remove_file(place.path().join("x.png")).unwrap();
        let changes = gather(&watch, |changes| !changes.images.is_empty());
        assert!(changes.images.contains("x.png"));
        fs::write(place.path().join("b/z.png"), "x").unwrap();
        let changes = gather(&watch, |changes| !changes.images.is_empty());
        assert!(
            changes.images.contains("b/z.png"),
            "new folders are watched too: {changes:?}"
        );
        fs::read(place.path().join("b/z.png")).unwrap();
        assert!(
            watch.changes().recv_timeout(2 * PAUSE).is_err(),
            "reading is no change"
        );
    }

    #[test]
    fn a_save_is_told_once_and_very_many_changes_as_everything() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let mut changes = Changes::default();
        let event = |name: &str| Event::new(EventKind::Any).add_path(folder.path().join(name));
        for _ in 0..3 {
            changes.add(&folder, &event("a.png"));
        }
        assert_eq!(changes.images.len(), 1);
        for index in 0..=MOST_NAMES {
            changes.add(&folder, &event(&format!("{index}.png")));
        }
        assert!(
            changes.is_incomplete && changes.images.len() <= 1,
            "{}",
            changes.images.len()
        );
        changes = Changes::default();
        changes.add(&folder, &event("../outside.png"));
        changes.add(&folder, &Event::new(EventKind::Any).add_path("/etc/x.png".into()));
        assert!(changes.is_empty());
    }

    #[test]
    fn the_thread_ends_with_the_watch() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let token = Arc::new(());
        let held = Arc::clone(&token);
        let watch = FolderWatch::start(&folder, move || drop(Arc::clone(&held))).unwrap();
        drop(watch);
        let start = Instant::now();
        while Arc::strong_count(&token) > 1 && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(Arc::strong_count(&token), 1);
    }
}
