//! Programs that are killed, and programs that work in one folder: what they were told is saved must be there.
//!
//! A short run is part of every test run; `SAMTOK_STRESS=1` makes it the long one. The programs are this test binary
//! itself, started again with only the test that plays their part and a folder to work in.
//!
//! Files that do harm, made of good ones by chance, are here too; `SAMTOK_FUZZ_SECONDS=600` looks for them that long.

mod importers;
mod kill;
mod two_programs;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Names the folder that a program works in; only there do the tests that play a program do anything.
const FOLDER: &str = "SAMTOK_STRESS_FOLDER";

/// Whether the long run is asked for.
fn is_long() -> bool {
    std::env::var_os("SAMTOK_STRESS").is_some()
}

/// Starts this binary as the program that `test` plays; what it says is on its standard output.
fn start(test: &str, folder: &Path, settings: &[(&str, String)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .envs(settings.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The folder to work in, in a program that [`start`] started.
fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(|folder: OsString| folder.into())
}

/// A SplitMix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
