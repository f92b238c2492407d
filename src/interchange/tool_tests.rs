//! What holds for every format of an annotation tool: documents survive in all respects, and no damage to a file does
//! harm.

use super::{
    Annotated, Arrived, Images, Incoming, Notes, Outgoing, OutputFolder, Result, cvat, labelme, labelstudio,
    xanylabeling,
};
use crate::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Status, Task, Tokenizer, Turn,
    UnknownKeys,
};
use crate::geometry::ImageSize;
use crate::image_file::write_mask_png;
use crate::mask::Mask;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Export = fn(&mut Outgoing<'_>, &OutputFolder, &mut Notes) -> Result<()>;
type Import = fn(&Path, &Images, &mut Incoming<'_>, &mut Notes) -> Result<()>;

/// A format under test.
pub(super) struct Tool {
    pub(super) name: &'static str,
    export: Export,
    import: Import,
}

pub(super) const LABELME: Tool = Tool {
    name: "labelme",
    export: labelme::export,
    import: labelme::import,
};
pub(super) const XANYLABELING: Tool = Tool {
    name: "xanylabeling",
    export: xanylabeling::export,
    import: xanylabeling::import,
};
pub(super) const CVAT: Tool = Tool {
    name: "cvat",
    export: cvat::export,
    import: cvat::import,
};
pub(super) const LABEL_STUDIO: Tool = Tool {
    name: "labelstudio",
    export: labelstudio::export,
    import: labelstudio::import,
};
const TOOLS: [Tool; 4] = [LABELME, XANYLABELING, CVAT, LABEL_STUDIO];

/// A folder of images that are as black as they are empty, and a place for exports.
pub(super) struct Workplace {
    pub(super) folder: TempDir,
    pub(super) images: Images,
}

impl Workplace {
    pub(super) fn new(images: &[(&str, ImageSize)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("images");
        for (name, size) in images {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_mask_png(&path, &Mask::empty(*size).unwrap()).unwrap();
        }
        let images = Images::open(&root).unwrap();
        Self { folder, images }
    }

    pub(super) fn annotated(&self, name: &str, document: Document) -> Annotated {
        Annotated {
            path: self.images.folder().join(name),
            name: name.to_owned(),
            document,
        }
    }

    /// A document without regions for the image of that name.
    pub(super) fn document(&self, name: &str) -> Document {
        let image = self.images.find(name).unwrap().unwrap();
        Document::new(ImageRef::new(&image.path, image.size, None))
    }

    pub(super) fn export(&self, tool: &Tool, items: &[Annotated], notes: &mut Notes) -> PathBuf {
        let path = self.folder.path().join(tool.name);
        let out = OutputFolder::open(&path).unwrap();
        (tool.export)(&mut items.iter().cloned().map(Ok), &out, notes).unwrap();
        path
    }

    pub(super) fn import(&self, tool: &Tool, source: &Path, notes: &mut Notes) -> Result<Vec<Arrived>> {
        let mut arrived = Vec::new();
        let take = &mut |item| {
            arrived.push(item);
            Ok(())
        };
        (tool.import)(source, &self.images, take, notes)?;
        Ok(arrived)
    }

    /// Writes a foreign file and reads it.
    pub(super) fn read(
        &self,
        tool: &Tool,
        file: &str,
        text: &str,
        notes: &mut Notes,
    ) -> Result<Vec<Arrived>> {
        let path = self.folder.path().join(file);
        fs::write(&path, text).unwrap();
        self.import(tool, &path, notes)
    }
}

/// What was lost, as sentences.
pub(super) fn losses(notes: &Notes) -> Vec<&str> {
    notes.losses().map(|(what, ..)| what).collect()
}

/// The rows of a mask, `#` for a set pixel.
pub(super) fn rows(region: &Region) -> String {
    let mask = Mask::from_rle(&region.mask.rle);
    let ImageSize { width, height } = mask.size();
    let row = |y| {
        (0..width)
            .map(|x| if mask.get(x, y) { '#' } else { '.' })
            .collect::<String>()
    };
    (0..height).map(row).collect::<Vec<_>>().join(" ")
}

/// `default` random cases, or as many as `PROPTEST_CASES` asks for.
fn cases(default: u32) -> ProptestConfig {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_asked { config.cases } else { default },
        ..config
    }
}

const SIZE: ImageSize = ImageSize::new(37, 29);

/// Masks with parts, holes and islands in them; never empty.
fn masks() -> impl Strategy<Value = Mask> {
    (any::<u64>(), 0..101_u64, 1..7_u64).prop_map(|(seed, share, scale)| {
        let mut mask = Mask::from_fn(SIZE, |x, y| {
            let cell = u64::from(x) / scale * 131 + u64::from(y) / scale;
            let mut state = (cell ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            state ^= state >> 29;
            state.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32 & 127 < share * 127 / 100
        })
        .unwrap();
        mask.set((seed % 37) as u32, (seed % 29) as u32, true);
        mask
    })
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z ]{0,12}",
        2 => Just("beside [[r2]], not [[nothing]]".to_owned()),
        1 => Just("<image>\n two\n\nparagraphs & <tags> \"quoted\"\t\r\n".to_owned()),
        1 => Just("\u{0}\u{1b}\u{fffe} 猫 🐈".to_owned()),
        1 => any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        texts().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(json!(1.5)),
        Just(Value::Null),
        Just(json!({"nested": [1, null, "x"]})),
    ]
}

fn names() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "caption",
        "label",
        "image",
        "difficult",
        "occluded",
        "samtok",
        "flags",
        "\u{1}",
    ]);
    prop_oneof![3 => "[a-z]{1,6}", 2 => special.prop_map(str::to_owned), 1 => texts()]
}

fn unknown() -> impl Strategy<Value = UnknownKeys> {
    prop::collection::vec(("zz[a-z]{0,3}", values()), 0..2).prop_map(|entries| entries.into_iter().collect())
}

fn statuses() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL)
}

fn regions() -> impl Strategy<Value = Region> {
    let caption = (texts(), prop::option::of(texts()), unknown());
    let captions = prop::collection::vec(caption, 0..3);
    let attributes = prop::collection::vec((names(), values()), 0..4);
    (
        masks(),
        texts(),
        captions,
        attributes,
        statuses(),
        any::<[u8; 2]>(),
        unknown(),
        unknown(),
    )
        .prop_map(
            |(mask, label, captions, attributes, status, codes, unknown, mask_unknown)| {
                let mut region = Region::new(String::new(), mask.to_rle());
                region.label = label;
                region.captions = captions
                    .into_iter()
                    .map(|(text, author, unknown)| Caption {
                        unknown,
                        ..Caption::new(text, author)
                    })
                    .collect();
                region.attributes = attributes.into_iter().collect();
                region.status = status;
                region.source = "brush".to_owned();
                region.unknown = unknown;
                region.mask.unknown = mask_unknown;
                if codes[0] < 170 {
                    let codes: Vec<u32> = codes.into_iter().map(u32::from).collect();
                    let text = format!(
                        "<|mt_start|><|mt_{:04}|><|mt_{:04}|><|mt_end|>",
                        codes[0],
                        codes[1] + 256
                    );
                    region.words = Some(MaskWords::new(
                        text,
                        codes,
                        "T1".to_owned(),
                        Some(0.9),
                        &region.mask.rle,
                    ));
                }
                region
            },
        )
}

fn conversations() -> impl Strategy<Value = Conversation> {
    let turn = (prop::sample::select(Role::ALL), texts(), unknown());
    let turns = prop::collection::vec(turn, 0..5);
    (prop::sample::select(Task::ALL), turns, statuses(), unknown()).prop_map(
        |(task, turns, status, unknown)| {
            let mut conversation = Conversation::new(String::new(), task);
            conversation.turns = turns
                .into_iter()
                .map(|(role, text, unknown)| Turn {
                    unknown,
                    ..Turn::new(role, text)
                })
                .collect();
            conversation.status = status;
            conversation.unknown = unknown;
            conversation
        },
    )
}

fn documents() -> impl Strategy<Value = Document> {
    let regions = prop::collection::vec(regions(), 0..5);
    let conversations = prop::collection::vec(conversations(), 0..4);
    (regions, conversations, statuses(), texts(), unknown(), 0..9_u64).prop_map(
        |(regions, conversations, status, notes, unknown, revision)| {
            let image = ImageRef::new(Path::new("a.png"), SIZE, Some("00ff".to_owned()));
            let mut document = Document::new(image);
            document.tokenizers = vec![Tokenizer {
                id: "T1".to_owned(),
                name: "nano".to_owned(),
                fingerprint: "f".to_owned(),
                codebook_size: 256,
                codebook_depth: 2,
                unknown: UnknownKeys::new(),
            }];
            document.regions = regions;
            for (number, region) in document.regions.iter_mut().enumerate() {
                region.id = if number == 3 {
                    "the cat".to_owned()
                } else {
                    format!("r{}", number + 1)
                };
            }
            document.conversations = conversations;
            for (number, conversation) in document.conversations.iter_mut().enumerate() {
                conversation.id = format!("c{}", number + 1);
            }
            document.status = status;
            document.notes = notes;
            document.unknown = unknown;
            document.revision = revision;
            document
        },
    )
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn documents_survive_in_all_respects(first in documents(), second in documents()) {
        let mut second = second;
        second.image.file_name = "b.png".to_owned();
        let place = Workplace::new(&[("a.png", SIZE), ("x/b.png", SIZE)]);
        let items = [place.annotated("a.png", first), place.annotated("x/b.png", second)];
        for tool in &TOOLS {
            let mut notes = Notes::default();
            let out = place.export(tool, &items, &mut notes);
            let mut arrived = place.import(tool, &out, &mut notes).unwrap();
            arrived.sort_by(|a, b| a.image.name.cmp(&b.image.name));
            prop_assert_eq!(losses(&notes), Vec::<&str>::new(), "{}", tool.name);
            prop_assert_eq!(arrived.len(), 2, "{}", tool.name);
            for (item, arrived) in items.iter().zip(arrived) {
                prop_assert_eq!(&item.name, &arrived.image.name);
                prop_assert_eq!(&item.document, &arrived.document, "{}", tool.name);
            }
        }
    }

    #[test]
    fn damaged_files_do_no_harm(document in documents(), edits in prop::collection::vec(edits(), 1..6)) {
        let place = Workplace::new(&[("a.png", SIZE)]);
        let items = [place.annotated("a.png", document)];
        for tool in &TOOLS {
            let out = place.export(tool, &items, &mut Notes::default());
            for entry in fs::read_dir(&out).unwrap() {
                let path = entry.unwrap().path();
                let mut bytes = fs::read(&path).unwrap();
                for edit in &edits {
                    edit.apply(&mut bytes);
                }
                fs::write(&path, &bytes).unwrap();
                let Ok(arrived) = place.import(tool, &path, &mut Notes::default()) else {
                    continue;
                };
                for item in arrived {
                    let sidecar = crate::dataset::format::write(&item.document);
                    prop_assert!(sidecar.is_ok(), "{}: {sidecar:?}", tool.name);
                }
            }
        }
    }
}

/// Damage to a file.
#[derive(Clone, Debug)]
struct Edit {
    at: prop::sample::Index,
    length: usize,
    insert: Vec<u8>,
}

fn edits() -> impl Strategy<Value = Edit> {
    let hostile = prop::sample::select(vec![
        "",
        "0",
        "-1",
        "1e999",
        "4294967296",
        "99999999999999999999",
        "null",
        "{}",
        "[]",
        "[[",
        "\"",
        "\\u0000",
        "<",
        "&x;",
        "<!DOCTYPE a [<!ENTITY x \"y\">]>",
        "..",
        "/",
        "\u{0}",
        ",",
        "true",
        "\"samtok\":",
    ]);
    let inserts = prop_oneof![
        hostile.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<prop::sample::Index>(), 0..12_usize, inserts).prop_map(|(at, length, insert)| Edit {
        at,
        length,
        insert,
    })
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let start = self.at.index(bytes.len());
        let end = (start + self.length).min(bytes.len());
        bytes.splice(start..end, self.insert.iter().copied());
    }
}

#[test]
fn what_is_no_such_file_is_an_error_that_names_it() {
    let place = Workplace::new(&[("a.png", SIZE)]);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = "<annotations>".repeat(1000);
    let bomb =
        "<!DOCTYPE a [<!ENTITY x \"xxxxxxxxxx\"><!ENTITY y \"&x;&x;&x;&x;\">]><annotations>&y;</annotations>";
    for tool in &TOOLS {
        for text in [
            "",
            "{",
            "null",
            "3",
            "\u{feff}",
            "hello",
            "<html></html>",
            &deep,
            &nested,
            bomb,
            "[1]",
        ] {
            let error = place
                .read(tool, "file", text, &mut Notes::default())
                .unwrap_err()
                .to_string();
            assert!(
                error.ends_with("file") && error.len() < 500,
                "{}: {error}",
                tool.name
            );
        }
        let missing = place.import(tool, Path::new("/no/such/file"), &mut Notes::default());
        assert!(missing.is_err(), "{}", tool.name);
    }
}
