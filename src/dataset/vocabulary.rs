//! The fixed words of the sidecar, so that a status or a task is never a free string; and colours.

use std::fmt;
use std::str::FromStr;

/// The enum and its names in the file, from one list.
macro_rules! named_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// All values, in the order in which they are offered.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

named_enum! {
    /// How far the work is.
    Status {
        /// Being worked on.
        Draft = "draft",
        /// Finished by its annotator.
        Done = "done",
        /// Accepted by a reviewer.
        Approved = "approved",
        /// Sent back or not to be used.
        Rejected = "rejected",
    }
}

named_enum! {
    /// Who speaks in a conversation.
    Role {
        /// The person who asks.
        User = "user",
        /// The model that answers.
        Assistant = "assistant",
    }
}

named_enum! {
    /// What a conversation trains.
    Task {
        /// A short caption of the image.
        Caption = "caption",
        /// A long description of a region.
        DetailedCaption = "detailed_caption",
        /// Questions about regions.
        RegionQa = "region_qa",
        /// A caption whose phrases name their regions.
        GroundedCaption = "grounded_caption",
        /// From a phrase to regions.
        ReferringSegmentation = "referring_segmentation",
        /// A phrase that fits nothing in the image.
        NoTarget = "no_target",
        /// From an implied description to regions.
        ReasoningSegmentation = "reasoning_segmentation",
        /// Segmentation over several rounds.
        Interactive = "interactive",
        /// Regions and their relations.
        SceneGraph = "scene_graph",
        /// Anything else.
        Free = "free",
    }
}

/// An opaque colour, written `#e4572e`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    /// Red, green, blue.
    pub rgb: [u8; 3],
}

/// The text is no `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a colour such as #e4572e")]
pub struct NotAColor;

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.rgb;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl FromStr for Color {
    type Err = NotAColor;

    fn from_str(text: &str) -> Result<Self, NotAColor> {
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6)
            .ok_or(NotAColor)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAColor);
        }
        let number = u32::from_str_radix(digits, 16).ok().ok_or(NotAColor)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self {
            rgb: [red, green, blue],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_written() {
        assert_eq!(
            "#E4572e".parse(),
            Ok(Color {
                rgb: [0xe4, 0x57, 0x2e]
            })
        );
        assert_eq!(Color { rgb: [0, 10, 255] }.to_string(), "#000aff");
        for text in ["", "#", "e4572e", "#e4572", "#e4572ef", "#+4572e", "#e4572é"] {
            assert_eq!(text.parse::<Color>(), Err(NotAColor), "{text}");
        }
    }
}
