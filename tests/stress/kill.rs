//! A program that is killed at any moment: its file is whole, and at most the edit in flight is missing.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use samtok::dataset::{
    Caption, Conversation, Document, Edit, History, ImageRef, MaskChange, Region, RegionChange, Role,
    Sidecar, Task, Timestamp, Turn,
};
use samtok::geometry::{ImageSize, PixelRect};
use samtok::mask::{Mask, Rle};

use super::{Random, is_long, start};

const SIZE: ImageSize = ImageSize::new(640, 480);
/// Regions that the script keeps at most, so that a long run does not slow down.
const MOST_REGIONS: usize = 40;

fn rect(random: &mut Random) -> Rle {
    let (x, y) = (random.below(600) as u32, random.below(440) as u32);
    let rect = PixelRect::new(x, y, 1 + random.below(40) as u32, 1 + random.below(40) as u32);
    Mask::from_rects(SIZE, &[rect]).unwrap().to_rle()
}

/// The edit number `step` of the script; depends on nothing but that and the document.
fn scripted(document: &Document, step: u64) -> Edit {
    let random = &mut Random(step);
    let count = document.regions.len();
    if count == 0 || (count < MOST_REGIONS && random.below(4) == 0) {
        let mut region = Region::new(document.next_region_id(), rect(random));
        region.label = format!("step {step}");
        return Edit::AddRegion {
            index: random.below(count + 1),
            region: Box::new(region),
        };
    }
    let region = &document.regions[random.below(count)];
    let change = |change| Edit::Region {
        id: region.id.clone(),
        change,
    };
    let caption = Caption::new(format!("At step {step} [[{}]].", region.id), None);
    match random.below(6) {
        0 if count == MOST_REGIONS => Edit::RemoveRegion {
            id: region.id.clone(),
        },
        0 | 1 => change(RegionChange::Mask(
            MaskChange::between(&region.mask.rle, &rect(random)).unwrap(),
        )),
        2 if region.captions.len() < 5 => change(RegionChange::AddCaption { index: 0, caption }),
        2 => change(RegionChange::Caption { index: 0, caption }),
        3 => {
            let mut conversation = Conversation::new(document.next_conversation_id(), Task::Free);
            conversation.turns = vec![Turn::new(Role::User, caption.text)];
            let mut edits = vec![Edit::AddConversation {
                index: 0,
                conversation: Box::new(conversation),
            }];
            if let Some(last) = document.conversations.get(9) {
                edits.push(Edit::RemoveConversation { id: last.id.clone() });
            }
            Edit::Several(edits)
        }
        4 => Edit::rename_region(document, &region.id, &format!("r{step}-{}", random.below(1000))),
        _ => Edit::Notes(format!("{step}\n").repeat(1 + random.below(200))),
    }
}

/// Makes the edit number `document.revision + 1`.
fn edit(document: &mut Document, history: &mut History) {
    let edit = scripted(document, document.revision + 1);
    history
        .apply(document, edit, Timestamp::from(std::time::UNIX_EPOCH))
        .unwrap();
}

fn empty_document(image: &Path) -> Document {
    Document::new(ImageRef::new(image, SIZE, None))
}

/// The program: edits and saves on and on, and says which edit is saved.
#[test]
fn editor() {
    let Some(folder) = super::folder() else { return };
    let image = folder.join("photo.jpg");
    let (mut sidecar, document) = Sidecar::load(&image, SIZE).unwrap();
    let mut document = document.unwrap_or_else(|| empty_document(&image));
    let mut history = History::default();
    let mut out = io::stdout();
    writeln!(out, "\nready").unwrap();
    loop {
        edit(&mut document, &mut history);
        sidecar.save(&document).unwrap();
        history.saved(history.mark());
        writeln!(out, "saved {}", document.revision).unwrap();
    }
}

#[test]
fn a_killed_program_loses_at_most_the_edit_in_flight() {
    let kills = if is_long() { 500 } else { 12 };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    fs::write(&image, "").unwrap();
    let mut random = Random(u64::from(std::process::id()));
    let mut expected = empty_document(&image);
    let mut history = History::default();
    let (mut acknowledged, mut in_flight, mut unacknowledged) = (0, 0, 0);
    for kill in 0..kills {
        let mut program = start("stress::kill::editor", folder.path(), &[]);
        let mut said = BufReader::new(program.stdout.take().unwrap()).lines();
        // Some die while they start, most while they save.
        if random.below(10) > 0 {
            assert!(
                said.any(|line| line.unwrap() == "ready"),
                "kill {kill}: the program did not start"
            );
        }
        thread::sleep(Duration::from_micros(random.below(40_000) as u64));
        program.kill().unwrap();
        program.wait().unwrap();
        for line in said {
            // The last line may break off.
            let number = line
                .unwrap()
                .strip_prefix("saved ")
                .and_then(|number| number.parse().ok());
            acknowledged = number.map_or(acknowledged, |number: u64| acknowledged.max(number));
        }
        let (sidecar, document) = Sidecar::load(&image, SIZE).unwrap();
        let Some(document) = document else {
            assert_eq!(acknowledged, 0, "kill {kill}: the file is gone");
            continue;
        };
        let saved = document.revision;
        assert!(
            (acknowledged..=acknowledged + 1).contains(&saved),
            "kill {kill}: edit {acknowledged} was acknowledged and {saved} is on disk"
        );
        unacknowledged += u64::from(saved > acknowledged);
        in_flight += u64::from(saved == acknowledged);
        while expected.revision < saved {
            edit(&mut expected, &mut history);
        }
        assert_eq!(document, expected, "kill {kill}");
        for backup in Sidecar::backups(sidecar.path()).unwrap() {
            assert!(!backup.is_damaged);
            backup.read().unwrap();
        }
        // What is on disk is saved, whether or not the program lived to say so.
        acknowledged = saved;
    }
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    assert!(left.len() <= kills, "{left:?}");
    println!(
        "{kills} kills, {acknowledged} edits saved; {in_flight} times the last edit on disk was the last \
         acknowledged, {unacknowledged} times one more was on disk; {} temporary files left behind",
        left.len()
    );
    assert!(acknowledged > 0);
}
