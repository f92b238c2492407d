//! The one integration binary, because every further one links the network again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

/// The layers and who may import whom.
mod architecture;
/// The program as people run it: files in, files and text out.
mod cli;
/// The program beside a bad server.
mod served;
/// Programs that are killed, and programs that work in one folder.
mod stress;
