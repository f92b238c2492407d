//! What a check can find: a stable code, how bad it is, where it is, and what to do about it.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Training on it would go wrong, or it cannot be used at all.
    Error,
    /// Probably not what was meant.
    Warning,
    /// Nothing is wrong; worth knowing.
    Info,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// The name in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The codes with their names, severities and advice, from one list.
macro_rules! codes {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, $severity:ident, $advice:literal;)+) => {
        /// What kind of thing was found; names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$meta])* $variant,)+
        }

        impl Code {
            /// All codes, in the order in which they are listed to people.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name, such as `words-stale`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// What to do about it, as an imperative without a final period.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }
        }
    };
}

codes! {
    /// A sub-folder could not be listed.
    FolderUnreadable = "folder-unreadable", Error,
        "change the permissions of the folder, then check again";
    /// A link to a folder, which is not followed.
    FolderLinked = "folder-linked", Info,
        "check the folder behind the link by itself";
    /// An image or folder whose name is not valid Unicode; it is left out everywhere.
    NameNotUnicode = "name-not-unicode", Error,
        "rename the image or folder";
    /// A sidecar is no annotation document, or only of a newer version.
    SidecarUnreadable = "sidecar-unreadable", Error,
        "restore the sidecar from a copy or from .samtok/backup, or move it away";
    /// A key of the sidecar has a wrong value; the region or conversation it is in was not checked further.
    ValueInvalid = "value-invalid", Error,
        "correct the value at the JSON path in a text editor, or restore the sidecar from a copy";
    /// The run lengths of a mask are damaged or do not cover the image exactly, so pixels lie outside of it.
    MaskInvalid = "mask-invalid", Error,
        "mark the region again, or restore the sidecar from a copy";
    /// A mask is of another size than its image.
    MaskSizeDiffers = "mask-size-differs", Error,
        "mark the region again on this image, or write the masks in the size of the upright image";
    /// Two regions, or two conversations, of one image have one id.
    DuplicateId = "duplicate-id", Error,
        "give one of them another id and correct the mentions of it";
    /// A sidecar lies beside no image.
    ImageMissing = "image-missing", Error,
        "put the image back under the name of the sidecar, rename the sidecar, or move it away";
    /// The image file cannot be read.
    ImageUnreadable = "image-unreadable", Error,
        "copy or convert the image again";
    /// The image is of another size than when it was annotated.
    ImageSizeDiffers = "image-size-differs", Error,
        "restore the image that was annotated, or mark its regions again";
    /// The bytes of the image are not those that were annotated.
    ImageChanged = "image-changed", Warning,
        "look whether the regions still fit, then save the annotations again, or restore the image";
    /// The sidecar names another file than the one it lies beside.
    ImageNameDiffers = "image-name-differs", Warning,
        "look whether the sidecar belongs to this image, then save it again";
    /// An image has no sidecar.
    ImageNotAnnotated = "image-not-annotated", Info,
        "annotate the image, or leave it out";

    /// A region has no pixels.
    EmptyRegion = "empty-region", Warning,
        "mark the region or delete it";
    /// A region has fewer pixels than the threshold.
    TinyRegion = "tiny-region", Warning,
        "look whether it is a slip of the brush; delete it, or lower --min-area";
    /// A region has the same pixels as another one.
    DuplicateRegion = "duplicate-region", Warning,
        "delete one of the two, or move its captions to the other";
    /// A region has nearly the same pixels as another one.
    NearDuplicateRegion = "near-duplicate-region", Warning,
        "delete one of the two if both mean the same thing, or raise --near-duplicate-iou";
    /// `bbox` is not the box around the mask.
    BboxDiffers = "bbox-differs", Warning,
        "save the annotations again, which derives it from the mask";
    /// `area` is not the number of pixels of the mask.
    AreaDiffers = "area-differs", Warning,
        "save the annotations again, which derives it from the mask";
    /// `value` is not the text with words in place of mentions.
    ValueDiffers = "value-differs", Warning,
        "save the annotations again, which derives it from text and words";

    /// Regions have no words yet.
    WordsMissing = "words-missing", Info,
        "run samtok tokenize on the folder";
    /// The words cannot be read, or not without mending them.
    WordsMalformed = "words-malformed", Error,
        "run samtok tokenize on the folder; words in a text are mended by samtok words";
    /// The text of the words and the codes say different things.
    WordsDisagree = "words-disagree", Error,
        "run samtok tokenize on the folder to make them again";
    /// Words or codes do not fit the codebooks of the model that they are said to be of.
    WordsOutsideCodebook = "words-outside-codebook", Error,
        "run samtok tokenize on the folder to make them again, or correct the tokenizer";
    /// The mask changed after the words were made.
    WordsStale = "words-stale", Warning,
        "run samtok tokenize on the folder";
    /// Different regions of one image have the same words, so a model cannot tell them apart.
    WordsIdentical = "words-identical", Warning,
        "run samtok tokenize --searched on the folder, or use a better model";
    /// The words give back too different a mask.
    LowIou = "low-iou", Warning,
        "run samtok tokenize --searched on the folder, use a better model, or leave the region out";
    /// The folder has words of more than one model with the same codebooks.
    MixedModels = "mixed-models", Warning,
        "run samtok tokenize on the folder, so that all words are of one model";
    /// The folder has words of models with different codebooks, so the same word means different things.
    MixedCodebooks = "mixed-codebooks", Error,
        "run samtok tokenize on the folder, so that all words are of one model";

    /// A text mentions a region that does not exist.
    MissingRegionMention = "missing-region-mention", Error,
        "mention a region that exists, or take the mention out";
    /// A text has double square brackets around something that looks like no region's id, which is plain text.
    PlainBrackets = "plain-brackets", Info,
        "mention a region by its id if one was meant";
    /// A caption has no text.
    EmptyCaption = "empty-caption", Warning,
        "write the caption or delete it";
    /// A turn of a conversation has no text.
    EmptyTurn = "empty-turn", Warning,
        "write the turn or delete it";
    /// A conversation does not end with an answer.
    NoAnswer = "conversation-without-answer", Warning,
        "write the answer or delete the question";
}

/// The text names no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no finding {found:?}; the codes are {}", names())]
pub struct UnknownCode {
    found: String,
}

fn names() -> String {
    let names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.join(", ")
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let code = Self::ALL.iter().find(|code| code.as_str() == text);
        code.copied().ok_or_else(|| UnknownCode {
            found: text.to_owned(),
        })
    }
}

/// What of an image a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The image or its sidecar as a whole.
    Image,
    /// The region with this id.
    Region(String),
    /// The conversation with this id.
    Conversation(String),
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// Path of the image below the folder, with `/` between the parts; of the sub-folder where the finding is about
    /// one.
    pub image: String,
    /// What of the image.
    pub subject: Subject,
    /// JSON path in the sidecar, such as `regions[2].mask.counts`, where the finding is about one value.
    pub at: Option<String>,
    /// What was found, as a clause without a final period; quotes and escapes what it repeats of the file.
    pub message: String,
}

impl Finding {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// One JSON object; `region` or `conversation` and `at` only where they apply.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut keys = Map::new();
        let mut add = |key: &str, value: &str| keys.insert(key.to_owned(), Value::from(value));
        add("code", self.code.as_str());
        add("severity", self.severity().as_str());
        add("image", &self.image);
        match &self.subject {
            Subject::Image => None,
            Subject::Region(id) => add("region", id),
            Subject::Conversation(id) => add("conversation", id),
        };
        if let Some(at) = &self.at {
            add("at", at);
        }
        add("message", &self.message);
        add("advice", self.code.advice());
        Value::Object(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_kebab_case_and_are_read_back() {
        let mut names = HashSet::new();
        for &code in Code::ALL {
            let name = code.as_str();
            assert!(names.insert(name), "{name} twice");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{name}"
            );
            assert_eq!(name.parse(), Ok(code));
            assert!(
                !code.advice().ends_with('.') && code.advice().len() > 10,
                "{name}"
            );
        }
        let error = "nonsense".parse::<Code>().unwrap_err().to_string();
        assert!(
            error.contains("\"nonsense\"") && error.contains("words-stale"),
            "{error}"
        );
    }
}
