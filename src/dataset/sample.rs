//! Random documents and edits for the property tests of this layer, from a seed.

use proptest::prelude::ProptestConfig;
use serde_json::{Value, json};

use super::document::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Tokenizer, Turn, UnknownKeys,
};
use super::edit::{ConversationChange, Edit, MaskChange, Mentions, RegionChange};
use super::vocabulary::{Color, Role, Status, Task};
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Mask, Rle};

/// The size of every image here.
pub(super) const SIZE: ImageSize = ImageSize::new(40, 30);

/// `default` cases per test, or as many as `PROPTEST_CASES` asks for.
pub(super) fn cases(default: u32) -> ProptestConfig {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return config;
    }
    ProptestConfig {
        cases: default,
        ..config
    }
}

/// A SplitMix64 generator.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    /// A text that is hardly ever made twice.
    pub(super) fn word(&mut self) -> String {
        format!("w{:x}", self.next() >> 24)
    }

    fn text(&mut self) -> String {
        let mention = self.pick(&["", " [[r1]]", " beside [[r2]]", " [[r9]] and [[x]]"]);
        self.word() + mention
    }

    pub(super) fn mask(&mut self) -> Rle {
        let rects: Vec<PixelRect> = (0..1 + self.below(3))
            .map(|_| {
                let (x, y) = (self.below(39) as u32, self.below(29) as u32);
                let width = 1 + self.below(40 - x as usize) as u32;
                PixelRect::new(x, y, width, 1 + self.below(30 - y as usize) as u32)
            })
            .collect();
        Mask::from_rects(SIZE, &rects).unwrap().to_rle()
    }

    fn keys(&mut self) -> UnknownKeys {
        let mut keys = UnknownKeys::new();
        for key in ["a", "b", "c", "d"] {
            if self.chance(40) {
                keys.insert(key.to_owned(), self.value());
            }
        }
        keys
    }

    fn value(&mut self) -> Value {
        match self.below(3) {
            0 => json!(self.below(9)),
            1 => json!(self.word()),
            _ => json!({"x": [self.below(9), null]}),
        }
    }

    fn status(&mut self) -> Status {
        self.pick(Status::ALL)
    }

    fn caption(&mut self) -> Caption {
        let author = self.chance(50).then(|| "human".to_owned());
        let mut caption = Caption::new(self.text(), author);
        if self.chance(20) {
            caption.unknown = self.keys();
        }
        caption
    }

    fn words(&mut self, tokenizers: &[Tokenizer], mask: &Rle) -> Option<MaskWords> {
        if tokenizers.is_empty() {
            return None;
        }
        let tokenizer = self.below(tokenizers.len());
        let tokenizer = tokenizers[tokenizer].id.clone();
        let codes = vec![self.below(256) as u32, self.below(256) as u32];
        let text = format!("<|mt_start|>{codes:?}<|mt_end|>");
        Some(MaskWords::new(
            text,
            codes,
            tokenizer,
            Some(self.below(100) as f32 / 100.0),
            mask,
        ))
    }

    fn region(&mut self, id: String, tokenizers: &[Tokenizer]) -> Region {
        let mut region = Region::new(id, self.mask());
        region.label = self.word();
        region.color = self.chance(50).then(|| self.color());
        if self.chance(60) {
            region.words = self.words(tokenizers, &region.mask.rle);
        }
        region.captions = (0..self.below(4)).map(|_| self.caption()).collect();
        region.attributes = self.keys();
        region.source = self.pick(&["brush", "", "import"]).to_owned();
        region.status = self.status();
        region.unknown = self.keys();
        region
    }

    fn color(&mut self) -> Color {
        let [red, green, blue, ..] = self.next().to_le_bytes();
        Color {
            rgb: [red, green, blue],
        }
    }

    /// Turns in alternation.
    fn turns(&mut self) -> Vec<Turn> {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        let count = 2 * self.below(3);
        roles
            .take(count)
            .map(|role| Turn::new(role, self.text()))
            .collect()
    }

    fn conversation(&mut self, id: String) -> Conversation {
        let mut conversation = Conversation::new(id, self.pick(Task::ALL));
        conversation.turns = self.turns();
        conversation.status = self.status();
        conversation.unknown = self.keys();
        conversation
    }

    fn tokenizer(&mut self, id: String) -> Tokenizer {
        Tokenizer {
            id,
            name: self.word(),
            fingerprint: self.word(),
            codebook_size: 256,
            codebook_depth: 2,
            unknown: self.keys(),
        }
    }

    pub(super) fn document(&mut self) -> Document {
        let mut document = Document::new(ImageRef::new("photo.jpg".as_ref(), SIZE, None));
        document.tokenizers = (1..=self.below(3))
            .map(|number| self.tokenizer(format!("T{number}")))
            .collect();
        for number in 1..=self.below(6) {
            let region = self.region(format!("r{number}"), &document.tokenizers);
            document.regions.push(region);
        }
        document.conversations = (1..=self.below(4))
            .map(|number| self.conversation(format!("c{number}")))
            .collect();
        document.status = self.status();
        document.notes = (0..self.below(4))
            .map(|_| self.word())
            .collect::<Vec<_>>()
            .join("\n");
        document.revision = self.next() >> 40;
        document.unknown = self.keys();
        document
    }

    /// An edit that fits `document`, of any kind.
    pub(super) fn edit(&mut self, document: &Document) -> Edit {
        loop {
            if let Some(edit) = self.try_edit(document) {
                return edit;
            }
        }
    }

    fn try_edit(&mut self, document: &Document) -> Option<Edit> {
        let region = (!document.regions.is_empty()).then(|| self.pick(&document.regions));
        let conversation = (!document.conversations.is_empty()).then(|| self.pick(&document.conversations));
        let index = self.below(8);
        Some(match self.below(22) {
            0 => Edit::AddRegion {
                index,
                region: Box::new(self.region(document.next_region_id(), &document.tokenizers)),
            },
            1 => {
                let mentions = if self.chance(50) {
                    Mentions::Keep
                } else {
                    Mentions::Replace(self.word())
                };
                Edit::remove_region(document, &region?.id, &mentions)
            }
            2 => Edit::MoveRegion {
                id: region?.id,
                index,
            },
            3 => Edit::rename_region(document, &region?.id, &self.word()),
            4..=11 => {
                let region = region?;
                let change = self.region_change(document, &region, index)?;
                Edit::Region {
                    id: region.id,
                    change,
                }
            }
            12 => Edit::AddConversation {
                index,
                conversation: Box::new(self.conversation(document.next_conversation_id())),
            },
            13 => Edit::RemoveConversation { id: conversation?.id },
            14 => Edit::MoveConversation {
                id: conversation?.id,
                index,
            },
            15 | 16 => {
                let conversation = conversation?;
                let change = self.conversation_change(&conversation, index)?;
                Edit::Conversation {
                    id: conversation.id,
                    change,
                }
            }
            17 => {
                let id = format!("T{}", document.tokenizers.len() + 1 + self.below(2));
                if document.tokenizers.iter().any(|other| other.id == id) {
                    return None;
                }
                Edit::AddTokenizer {
                    index,
                    tokenizer: Box::new(self.tokenizer(id)),
                }
            }
            18 => Edit::Status(self.status()),
            19 => {
                let mut lines: Vec<String> = document.notes.split('\n').map(str::to_owned).collect();
                let at = self.below(lines.len());
                lines[at] = self.word();
                lines.insert(at, self.word());
                Edit::Notes(lines.join("\n"))
            }
            20 => Edit::Unknown(self.keys()),
            _ => {
                let mut image = document.image.clone();
                image.blake3 = Some(self.word());
                Edit::Image(Box::new(image))
            }
        })
    }

    fn region_change(&mut self, document: &Document, region: &Region, index: usize) -> Option<RegionChange> {
        let captions = region.captions.len();
        Some(match self.below(12) {
            0 => RegionChange::Label(self.word()),
            1 => RegionChange::Color(Some(self.color())),
            2 | 3 => RegionChange::Mask(MaskChange::between(&region.mask.rle, &self.mask()).unwrap()),
            4 => RegionChange::Words(self.words(&document.tokenizers, &region.mask.rle).map(Box::new)),
            5 => RegionChange::AddCaption {
                index,
                caption: self.caption(),
            },
            6 if captions > 0 => RegionChange::RemoveCaption {
                index: self.below(captions),
            },
            7 if captions > 0 => RegionChange::MoveCaption {
                from: self.below(captions),
                to: index,
            },
            8 if captions > 0 => RegionChange::Caption {
                index: self.below(captions),
                caption: self.caption(),
            },
            9 => RegionChange::Attributes(self.keys()),
            10 => RegionChange::Source(self.word()),
            11 => RegionChange::Status(self.status()),
            _ => return None,
        })
    }

    fn conversation_change(
        &mut self,
        conversation: &Conversation,
        index: usize,
    ) -> Option<ConversationChange> {
        let turns = conversation.turns.len();
        let role = self.pick(Role::ALL);
        let turn = Turn::new(role, self.text());
        Some(match self.below(6) {
            0 => ConversationChange::Task(self.pick(Task::ALL)),
            1 => ConversationChange::Status(self.status()),
            2 => ConversationChange::AddTurn { index, turn },
            3 if turns > 0 => ConversationChange::RemoveTurn {
                index: self.below(turns),
            },
            4 if turns > 0 => ConversationChange::MoveTurn {
                from: self.below(turns),
                to: index,
            },
            5 if turns > 0 => ConversationChange::Turn {
                index: self.below(turns),
                turn,
            },
            _ => return None,
        })
    }
}
