//! The one integration binary, because every further one links the network again.

/// The layers and who may import whom.
mod architecture;
/// The program as people run it: files in, files and text out.
mod cli;
