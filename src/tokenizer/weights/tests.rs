//! Tests of whole weights files: real, hand-assembled, hostile and mutated ones.

mod builder;
mod checkpoints;
mod hostile;
mod mutation;
mod written;
