//! Long work off the caller's thread: threads that own the network, the language model and the files, and the batch
//! jobs that run on them.
//!
//! Each worker is a handle, one enum of requests and one enum of events. Requests go through a bounded channel and
//! are sorted on the other side: what a person waits for comes first, and of several requests of one kind that
//! replace each other the latest wins. Every event is followed by a call of the [`Wake`] that the worker was given.

pub mod batch;
pub mod files;
pub mod language;
pub mod network;
mod outcomes;
pub mod propose;
pub mod tokenize;
pub mod watch;

use std::sync::Arc;

/// Called after every event, from the worker's thread; a window asks for a repaint here.
pub type Wake = Arc<dyn Fn() + Send + Sync>;
