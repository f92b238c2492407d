//! The thread's own side: sorts requests, keeps the sidecars of open images, and works on the index when idle.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, never};

use super::folder::OpenFolder;
use super::opened::OpenedImage;
use super::{FileEvent, FileOptions, FileRequest, samples, thumbnail};
use crate::dataset::history::Mark;
use crate::dataset::{Document, Sidecar, sidecar_path};
use crate::worker::Wake;
use crate::worker::watch::Changes;

/// Thumbnails that may wait; older wishes are for rows that were scrolled away.
const THUMBNAILS_WAITING: usize = 64;

/// Everything the thread owns.
pub(super) struct Actor {
    options: FileOptions,
    requests: Receiver<FileRequest>,
    events: Sender<FileEvent>,
    wake: Wake,
    folder: Option<OpenFolder>,
    has_index_work: bool,
    /// Sidecars of open images, as they were last read or written.
    sidecars: HashMap<PathBuf, Sidecar>,
    saves: VecDeque<(PathBuf, Arc<Document>, Mark, u64)>,
    urgent: VecDeque<FileRequest>,
    page: Option<Range<usize>>,
    prefetch: VecDeque<PathBuf>,
    thumbnails: VecDeque<PathBuf>,
    /// Folders that were swept.
    swept: HashSet<PathBuf>,
}

impl Actor {
    pub(super) fn new(
        options: FileOptions,
        requests: Receiver<FileRequest>,
        events: Sender<FileEvent>,
        wake: Wake,
    ) -> Self {
        Self {
            options,
            requests,
            events,
            wake,
            folder: None,
            has_index_work: false,
            sidecars: HashMap::new(),
            saves: VecDeque::new(),
            urgent: VecDeque::new(),
            page: None,
            prefetch: VecDeque::new(),
            thumbnails: VecDeque::new(),
            swept: HashSet::new(),
        }
    }

    /// Works until the handle is gone and everything is saved.
    pub(super) fn run(mut self) {
        let mut is_open = true;
        loop {
            is_open &= self.take_requests();
            // A decoder that panics costs its image, not the thread.
            let step = panic::catch_unwind(AssertUnwindSafe(|| self.step(is_open)));
            if step.unwrap_or(true) {
                continue;
            }
            if !is_open {
                return;
            }
            let changes = self.folder.as_ref().map_or_else(never, OpenFolder::changes);
            crossbeam_channel::select! {
                recv(self.requests) -> request => match request {
                    Ok(request) => self.sort(request),
                    Err(_) => is_open = false,
                },
                recv(changes) -> changes => if let Ok(changes) = changes {
                    self.take_changes(&changes);
                },
            }
        }
    }

    fn send(&self, event: FileEvent) {
        // A window that is gone needs no events.
        if self.events.send(event).is_ok() {
            (self.wake)();
        }
    }

    /// Answers whether more requests may come.
    fn take_requests(&mut self) -> bool {
        loop {
            match self.requests.try_recv() {
                Ok(request) => self.sort(request),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Puts a request in its place, and drops what it replaces.
    fn sort(&mut self, request: FileRequest) {
        match request {
            FileRequest::Save {
                path,
                document,
                mark,
                number,
            } => {
                self.saves.retain(|(waiting, ..)| *waiting != path);
                self.saves.push_back((path, document, mark, number));
            }
            FileRequest::OpenImage {
                path,
                is_urgent: false,
            } => {
                self.prefetch.retain(|waiting| *waiting != path);
                self.prefetch.push_back(path);
            }
            FileRequest::OpenImage {
                ref path,
                is_urgent: true,
            } => {
                self.prefetch.retain(|waiting| waiting != path);
                // Whoever pages quickly through images waits for the last one only.
                self.urgent
                    .retain(|waiting| !matches!(waiting, FileRequest::OpenImage { .. }));
                self.urgent.push_back(request);
            }
            FileRequest::Page(places) => self.page = Some(places),
            FileRequest::Filter(_) => {
                self.urgent
                    .retain(|waiting| !matches!(waiting, FileRequest::Filter(_)));
                self.urgent.push_back(request);
            }
            FileRequest::Thumbnail(path) => {
                self.thumbnails.retain(|waiting| *waiting != path);
                self.thumbnails.push_back(path);
                while self.thumbnails.len() > THUMBNAILS_WAITING {
                    if let Some(path) = self.thumbnails.pop_front() {
                        self.send(FileEvent::Thumbnail { path, picture: None });
                    }
                }
            }
            FileRequest::OpenFolder(_)
            | FileRequest::OpenSamples(_)
            | FileRequest::Find { .. }
            | FileRequest::Refresh { .. }
            | FileRequest::Close(_)
            | FileRequest::Rescan
            | FileRequest::Changed(_) => self.urgent.push_back(request),
        }
    }

    /// Does the most important thing; `false` if there is nothing to do.
    fn step(&mut self, is_open: bool) -> bool {
        if let Some((path, document, mark, number)) = self.saves.pop_front() {
            self.save(path, document, mark, number);
        } else if !is_open {
            return false;
        } else if let Some(request) = self.urgent.pop_front() {
            self.serve(request);
        } else if let Some(places) = self.page.take() {
            self.with_folder(|folder| folder.page(places).map(Some));
        } else if let Some(path) = self.prefetch.pop_front() {
            self.open_image(path);
        } else if let Some(path) = self.thumbnails.pop_front() {
            let picture = thumbnail::read(&path, &self.options.limits);
            self.send(FileEvent::Thumbnail { path, picture });
        } else if self.has_index_work {
            let mut has_more = false;
            self.with_folder(|folder| {
                let (more, event) = folder.step()?;
                has_more = more;
                Ok(event)
            });
            self.has_index_work = has_more;
        } else {
            return false;
        }
        true
    }

    fn serve(&mut self, request: FileRequest) {
        match request {
            FileRequest::OpenFolder(path) => self.open_folder(&path),
            FileRequest::OpenSamples(path) => match samples::write(&path) {
                Ok(()) => self.open_folder(&path),
                Err(error) => {
                    let reason = format!("cannot make the sample images: {error}: {}", path.display());
                    self.send(FileEvent::FolderFailed { reason });
                }
            },
            FileRequest::Filter(typed) => self.with_folder(|folder| folder.filter(&typed).map(Some)),
            FileRequest::Find {
                from,
                direction,
                filter,
            } => {
                let found = self.folder.as_mut().map_or(Ok(None), |folder| {
                    folder.find(from.as_deref(), direction, &filter)
                });
                self.send(match found {
                    Ok(path) => FileEvent::Found(path),
                    Err(reason) => FileEvent::FilterFailed { reason },
                });
            }
            FileRequest::OpenImage { path, .. } => self.open_image(path),
            FileRequest::Refresh { path, document } => self.refresh(path, document),
            FileRequest::Close(path) => drop(self.sidecars.remove(&path)),
            FileRequest::Rescan => {
                if let Some(folder) = &mut self.folder {
                    folder.rescan();
                    self.has_index_work = true;
                }
            }
            FileRequest::Changed(path) => self.note_changed(&path),
            // These have queues of their own.
            FileRequest::Save { .. } | FileRequest::Page(_) | FileRequest::Thumbnail(_) => {}
        }
    }

    /// Runs `work` on the open folder and sends what comes of it.
    fn with_folder(
        &mut self,
        work: impl FnOnce(&mut OpenFolder) -> Result<Option<FileEvent>, crate::dataset::index::IndexError>,
    ) {
        let Some(folder) = &mut self.folder else { return };
        match work(folder) {
            Ok(Some(event)) => self.send(event),
            Ok(None) => {}
            Err(error) => {
                self.has_index_work = false;
                self.send(FileEvent::FolderFailed {
                    reason: error.to_string(),
                });
            }
        }
    }

    fn open_folder(&mut self, path: &Path) {
        let folder = if path.is_dir() {
            path
        } else {
            path.parent().unwrap_or(path)
        };
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        match OpenFolder::open(folder, self.options.cache.as_deref()) {
            Ok((folder, told)) => {
                if let Some(reason) = told {
                    tracing::warn!("{reason}");
                }
                self.send(FileEvent::FolderOpened(folder.path().to_path_buf()));
                self.folder = Some(folder);
                self.has_index_work = true;
                // The list of the last session is there at once, while the index looks for changes.
                self.with_folder(|folder| folder.list(Some((0, None))).map(Some));
            }
            Err(reason) => self.send(FileEvent::FolderFailed { reason }),
        }
    }

    fn open_image(&mut self, path: PathBuf) {
        let image = match OpenedImage::read(&path, &self.options.limits) {
            Ok(image) => image,
            Err(error) => {
                let reason = error.to_string();
                return self.send(FileEvent::ImageFailed { path, reason });
            }
        };
        self.sweep(&path);
        let document = match Sidecar::load(&path, image.size()) {
            Ok((sidecar, document)) => {
                self.sidecars.insert(path.clone(), sidecar);
                Ok(document)
            }
            Err(error) => {
                self.sidecars.remove(&path);
                Err(error.to_string())
            }
        };
        self.send(FileEvent::ImageOpened {
            path,
            image: Arc::new(image),
            document,
        });
    }

    /// Removes what killed programs left half-written beside an image, once for each folder.
    fn sweep(&mut self, path: &Path) {
        let Some(folder) = &self.folder else { return };
        if let Some(name) = folder.name_of(path)
            && let Some(parent) = path.parent()
            && self.swept.insert(parent.to_path_buf())
        {
            folder.sweep(&name);
        }
    }

    fn save(&mut self, path: PathBuf, document: Arc<Document>, mark: Mark, number: u64) {
        let Some(sidecar) = self.sidecars.get_mut(&path) else {
            let reason = format!(
                "the annotations were not read, so they are not overwritten: {}",
                path.display()
            );
            return self.send(FileEvent::SaveFailed {
                path,
                document,
                reason,
            });
        };
        match sidecar.save_merging(&document) {
            Ok(saved) => {
                self.note_changed(&sidecar_path(&path));
                self.send(FileEvent::Saved {
                    path,
                    document,
                    mark,
                    number,
                    saved,
                });
            }
            Err(error) => {
                let reason = error.to_string();
                self.send(FileEvent::SaveFailed {
                    path,
                    document,
                    reason,
                });
            }
        }
    }

    fn refresh(&mut self, path: PathBuf, document: Arc<Document>) {
        let Some(sidecar) = self.sidecars.get_mut(&path) else {
            return;
        };
        match sidecar.refresh(&document) {
            Ok(Some(merged)) => self.send(FileEvent::Refreshed {
                path,
                document,
                merged,
            }),
            Ok(None) => {}
            Err(error) => self.send(FileEvent::RefreshFailed {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Passes on what other programs changed; what this one saved comes back too and is found unchanged.
    fn take_changes(&mut self, changes: &Changes) {
        let Some(folder) = &mut self.folder else { return };
        folder.take_changes(changes);
        self.has_index_work = true;
        let open: Vec<PathBuf> = if changes.is_incomplete {
            self.sidecars.keys().cloned().collect()
        } else {
            let paths = changes.images.iter().filter_map(|name| folder.path_of(name));
            paths.filter(|path| self.sidecars.contains_key(path)).collect()
        };
        for path in open {
            self.send(FileEvent::ChangedOutside(path));
        }
    }

    fn note_changed(&mut self, path: &Path) {
        if let Some(folder) = &mut self.folder {
            folder.note_changed(path);
            self.has_index_work = true;
        }
    }
}
