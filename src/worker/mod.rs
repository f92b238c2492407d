//! Long work on threads of its own: the only place, besides training and the command line, that starts any.
//!
//! A job is given plain data and a tokenizer, tells how far it is through a callback, and stops when that says so.

pub mod tokenize;
pub mod watch;
