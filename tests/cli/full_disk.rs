//! A full disk: every file is as it was, and nothing half-written stays.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Workspace, contents};

/// A small file system in memory, mounted until dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it at `path`; only root may do that.
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(&path)
            .output();
        mounted.ok()?.status.success().then_some(Self(path))
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

#[test]
fn a_full_disk_changes_nothing() {
    let workspace = Workspace::new();
    let Some(disk) = SmallDisk::mount(workspace.path("disk")) else {
        assert!(
            std::env::var_os("REQUIRE_FULL_DISK").is_none(),
            "a small disk could not be mounted"
        );
        eprintln!("SKIPPED: a full disk needs root to mount one; REQUIRE_FULL_DISK makes this a failure");
        return;
    };
    fs::copy(workspace.path("photo.png"), disk.0.join("photo.png")).unwrap();
    workspace
        .run(&["annotate", "disk/photo.png", "--mask", "a.png"])
        .expect(0);
    workspace.write("small.json", super::train::small_config());
    disk.fill();
    let before = contents(&disk.0);
    let words = "<|mt_start|><|mt_0003|><|mt_0033|><|mt_end|>";
    let golden = super::golden();
    let golden = golden.to_str().unwrap();
    for arguments in [
        &["decode", "photo.png", "--words", words, "--out", "disk"][..],
        &[
            "segment",
            "photo.png",
            "--point",
            "50,50",
            "--out",
            "disk/new.png",
        ],
        &["annotate", "disk/photo.png", "--mask", "b.png"],
        &["model", "convert", golden, "--out", "disk/model"],
        &[
            "train",
            "--config",
            "small.json",
            "--out",
            "disk/run",
            "--steps",
            "1",
            "--images",
            "1",
            "--masks",
            "1",
        ],
    ] {
        let answer = workspace.run(arguments);
        assert_eq!(
            (answer.code, answer.stderr.lines().count()),
            (Some(2), 1),
            "{}",
            answer.stderr
        );
        let is_told = answer.stderr.contains("disk is full") || answer.stderr.contains("No space left");
        assert!(is_told, "{}", answer.stderr);
        assert_eq!(contents(Path::new(&disk.0)), before, "{arguments:?}");
    }
}
