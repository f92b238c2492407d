//! Two programs that edit the same images: no edit of either is lost, and what clashes is told.
//!
//! Every edit writes something that occurs nowhere else, a name or a mask, and says what it replaced of what it saw.
//! In the end everything must be there that nobody replaced.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use samtok::dataset::merge::CONFLICTS_KEY;
use samtok::dataset::{
    Caption, Conversation, ConversationChange, Document, Edit, History, ImageRef, MaskChange, Region,
    RegionChange, Role, Sidecar, Task, Timestamp, Turn,
};
use samtok::geometry::{ImageSize, PixelRect};
use samtok::mask::{Mask, Rle};
use serde_json::Value;

use super::{Random, is_long, start};

const SIZE: ImageSize = ImageSize::new(640, 480);
const IMAGES: usize = 3;

/// One program's side of the story.
struct Editor {
    name: String,
    random: Random,
    /// What the last edit wrote.
    wrote: Vec<String>,
    /// What the last edit replaced.
    replaced: Vec<String>,
    count: usize,
}

/// An image as a program has it open.
struct Open {
    sidecar: Sidecar,
    document: Document,
    history: History,
}

impl Open {
    fn new(image: &Path) -> Self {
        let (sidecar, document) = Sidecar::load(image, SIZE).unwrap();
        Self {
            sidecar,
            document: document.unwrap_or_else(|| Document::new(ImageRef::new(image, SIZE, None))),
            history: History::default(),
        }
    }
}

impl Editor {
    /// A name that was never used.
    fn token(&mut self) -> String {
        self.count += 1;
        let token = format!("{}-{}", self.name, self.count);
        self.wrote.push(token.clone());
        token
    }

    fn mask(&mut self) -> Rle {
        let random = &mut self.random;
        let rects: Vec<PixelRect> = (0..3)
            .map(|_| {
                let (x, y) = (random.below(600) as u32, random.below(440) as u32);
                PixelRect::new(x, y, 1 + random.below(40) as u32, 1 + random.below(40) as u32)
            })
            .collect();
        let mask = Mask::from_rects(SIZE, &rects).unwrap().to_rle();
        self.wrote.push(mask.to_compressed());
        mask
    }

    fn edit(&mut self, document: &Document) -> Edit {
        self.wrote.clear();
        self.replaced.clear();
        let regions = &document.regions;
        if regions.is_empty() || self.random.below(6) == 0 {
            let mut region = Region::new(document.next_region_id(), self.mask());
            region.label = self.token();
            return Edit::AddRegion {
                index: self.random.below(regions.len() + 1),
                region: Box::new(region),
            };
        }
        // The first regions are where both meet.
        let region = &regions[self.random.below(regions.len().min(4))];
        let (id, captions) = (region.id.clone(), region.captions.len());
        let change = match self.random.below(10) {
            0 => {
                self.replaced.push(region.label.clone());
                RegionChange::Label(self.token())
            }
            1 => {
                self.replaced.push(region.mask.rle.to_compressed());
                RegionChange::Mask(MaskChange::between(&region.mask.rle, &self.mask()).unwrap())
            }
            2 => RegionChange::AddCaption {
                index: self.random.below(captions + 1),
                caption: Caption::new(self.token(), None),
            },
            3 if captions > 0 => {
                let index = self.random.below(captions);
                self.replaced.push(region.captions[index].text.clone());
                RegionChange::Caption {
                    index,
                    caption: Caption::new(self.token(), None),
                }
            }
            4 => {
                let mut attributes = region.attributes.clone();
                let key = format!("key {}", self.random.below(5));
                if let Some(Value::String(old)) = attributes.insert(key, self.token().into()) {
                    self.replaced.push(old);
                }
                RegionChange::Attributes(attributes)
            }
            5 if regions.len() > 6 => {
                self.replaced.extend(strings(&region_json(document, &id)));
                return Edit::RemoveRegion { id };
            }
            6 => {
                return Edit::MoveRegion {
                    id,
                    index: self.random.below(regions.len()),
                };
            }
            7 => {
                let mut turns = [Role::User, Role::Assistant].map(|role| Turn::new(role, String::new()));
                turns[0].text = self.token();
                turns[1].text = self.token();
                return self.say(document, turns);
            }
            _ => {
                let mut notes = document.notes.clone();
                if !notes.is_empty() {
                    notes.push('\n');
                }
                notes.push_str(&self.token());
                return Edit::Notes(notes);
            }
        };
        Edit::Region { id, change }
    }

    /// Goes on with a conversation, or starts one.
    fn say(&mut self, document: &Document, turns: [Turn; 2]) -> Edit {
        let conversations = &document.conversations;
        if conversations.is_empty() || self.random.below(4) == 0 {
            let mut conversation = Conversation::new(document.next_conversation_id(), Task::Free);
            conversation.turns = turns.into();
            return Edit::AddConversation {
                index: conversations.len(),
                conversation: Box::new(conversation),
            };
        }
        let conversation = &conversations[self.random.below(conversations.len())];
        let end = conversation.turns.len();
        let add = |(offset, turn)| Edit::Conversation {
            id: conversation.id.clone(),
            change: ConversationChange::AddTurn {
                index: end + offset,
                turn,
            },
        };
        Edit::Several(turns.into_iter().enumerate().map(add).collect())
    }
}

/// The region as it is in the file.
fn region_json(document: &Document, id: &str) -> Value {
    let bytes = samtok::dataset::format::write(document).unwrap();
    let mut file: Value = serde_json::from_slice(&bytes).unwrap();
    let regions = file["regions"].as_array_mut().unwrap();
    let index = regions.iter().position(|region| region["id"] == id).unwrap();
    regions.swap_remove(index)
}

/// All texts in `value`, line by line.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split('\n').map(str::to_owned).collect(),
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(keys) => keys.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

fn images(folder: &Path) -> Vec<PathBuf> {
    (0..IMAGES)
        .map(|index| folder.join(format!("{index}.jpg")))
        .collect()
}

/// One of the programs: edits images that it has open, saves every edit, and says what it did.
#[test]
fn editor() {
    let Some(folder) = super::folder() else { return };
    let setting = |name: &str| std::env::var(name).unwrap();
    let name = setting("SAMTOK_STRESS_NAME");
    let edits: usize = setting("SAMTOK_STRESS_EDITS").parse().unwrap();
    let pause_micros: usize = setting("SAMTOK_STRESS_PAUSE_MICROS").parse().unwrap();
    let mut editor = Editor {
        random: Random(name.bytes().map(u64::from).sum()),
        name,
        wrote: Vec::new(),
        replaced: Vec::new(),
        count: 0,
    };
    let mut open: Vec<Open> = images(&folder).iter().map(|image| Open::new(image)).collect();
    let mut out = io::stdout();
    writeln!(out).unwrap();
    for _ in 0..edits {
        let image = editor.random.below(IMAGES);
        let Open {
            sidecar,
            document,
            history,
        } = &mut open[image];
        let edit = editor.edit(document);
        history.apply(document, edit, Timestamp::now()).unwrap();
        let saved = sidecar.save_merging(document).unwrap();
        if let Some(merged) = saved.merged {
            history.merged(document, &merged);
            *document = merged;
        }
        history.saved(history.mark());
        for conflict in &saved.conflicts {
            writeln!(out, "conflict\t{image}\t{conflict}").unwrap();
        }
        writeln!(
            out,
            "edit\t{}\t{}",
            editor.wrote.join(" "),
            editor.replaced.join(" ")
        )
        .unwrap();
        thread::sleep(Duration::from_micros(editor.random.below(pause_micros + 1) as u64));
    }
    writeln!(out, "finished").unwrap();
}

#[test]
fn two_programs_on_one_folder_lose_nothing() {
    let (edits, pause_micros) = if is_long() { (1000, 90_000) } else { (40, 4_000) };
    let folder = tempfile::tempdir().unwrap();
    for image in images(folder.path()) {
        fs::write(image, "").unwrap();
    }
    let started = Instant::now();
    let mut programs = ["A", "B"].map(|name| {
        let settings = [
            ("SAMTOK_STRESS_NAME", name.to_owned()),
            ("SAMTOK_STRESS_EDITS", edits.to_string()),
            ("SAMTOK_STRESS_PAUSE_MICROS", pause_micros.to_string()),
        ];
        start("stress::two_programs::editor", folder.path(), &settings)
    });
    let readers = programs.each_mut().map(|program| {
        let said = BufReader::new(program.stdout.take().unwrap());
        thread::Builder::new()
            .spawn(move || said.lines().map(Result::unwrap).collect::<Vec<String>>())
            .unwrap()
    });
    let said: Vec<String> = readers
        .into_iter()
        .flat_map(|reader| reader.join().unwrap())
        .collect();
    for program in &mut programs {
        assert!(program.wait().unwrap().success());
    }
    let finished = said.iter().filter(|line| *line == "finished").count();
    assert_eq!(finished, 2);
    let done: Vec<[HashSet<&str>; 2]> = said
        .iter()
        .filter_map(|line| line.strip_prefix("edit\t")?.split_once('\t'))
        .map(|(wrote, replaced)| [wrote, replaced].map(|texts| texts.split_whitespace().collect()))
        .collect();
    assert_eq!(done.len(), 2 * edits);
    let conflicts: Vec<&String> = said
        .iter()
        .filter(|line| line.starts_with("conflict\t"))
        .collect();

    let mut found = HashSet::new();
    let (mut regions, mut records) = (0, 0);
    for image in images(folder.path()) {
        let (sidecar, document) = Sidecar::load(&image, SIZE).unwrap();
        let document = document.unwrap();
        regions += document.regions.len();
        records += document
            .unknown
            .get(CONFLICTS_KEY)
            .map_or(0, |list| list.as_array().unwrap().len());
        let file: Value = serde_json::from_slice(&fs::read(sidecar.path()).unwrap()).unwrap();
        found.extend(strings(&file));
    }
    let replaced: HashSet<&str> = done.iter().flat_map(|[_, replaced]| replaced).copied().collect();
    let written = || done.iter().flat_map(|[wrote, _]| wrote);
    let lost: Vec<&&str> = written()
        .filter(|text| !replaced.contains(**text) && !found.contains(**text))
        .collect();
    println!(
        "{} edits in {:.1} s: {} texts and masks written, {} of them replaced later, {} lost; {} conflicts told, \
         {records} of them noted in the files, {regions} regions in the end",
        done.len(),
        started.elapsed().as_secs_f64(),
        written().count(),
        written().filter(|text| replaced.contains(**text)).count(),
        lost.len(),
        conflicts.len(),
    );
    assert!(lost.is_empty(), "{lost:?}");
    let noted = conflicts
        .iter()
        .filter(|line| line.contains("noted the second"))
        .count();
    assert_eq!(noted, records, "every value that gave way is told and noted");
}
