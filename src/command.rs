//! Everything a person can ask the window to do, in one table that feeds menus, palette, keys, tooltips and key sheet.

use std::fmt;
use std::str::FromStr;

/// Where a command is found in the menus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Folders, images, import and export.
    File,
    /// Undo, clipboard, selection.
    Edit,
    /// From one image to another.
    Image,
    /// Changes of the selected regions.
    Region,
    /// What the pointer does.
    Tool,
    /// Words of regions.
    Words,
    /// Captions and conversations.
    Language,
    /// How far the work is.
    Review,
    /// What is shown.
    View,
    /// The program itself.
    Help,
}

impl Group {
    /// All groups, in the order of the menus.
    pub const ALL: [Self; 10] = [
        Self::File,
        Self::Edit,
        Self::Image,
        Self::Region,
        Self::Tool,
        Self::Words,
        Self::Language,
        Self::Review,
        Self::View,
        Self::Help,
    ];

    /// The title of the menu, in English.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Edit => "Edit",
            Self::Image => "Image",
            Self::Region => "Region",
            Self::Tool => "Tools",
            Self::Words => "Words",
            Self::Language => "Language",
            Self::Review => "Review",
            Self::View => "View",
            Self::Help => "Help",
        }
    }
}

macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident, $id:literal, $group:ident, $text:literal, $tip:literal, [$($key:literal),*];)+) => {
        /// A command; what it acts on is the state of the window when it runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Command {
            $(#[doc = $tip] $(#[$meta])* $name,)+
        }

        impl Command {
            /// All commands, in the order of the menus.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in the settings file.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// The menu it is in.
            #[must_use]
            pub const fn group(self) -> Group {
                match self { $(Self::$name => Group::$group,)+ }
            }

            /// What menus and the palette say, in English.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// A sentence that explains it, in English.
            #[must_use]
            pub const fn tip(self) -> &'static str {
                match self { $(Self::$name => $tip,)+ }
            }

            /// The keys it has until a person chooses others.
            #[must_use]
            pub const fn default_keys(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($key),*],)+ }
            }
        }
    };
}

commands! {
    OpenFolder, "open_folder", File, "Open folder…", "Open a folder of images.", ["Ctrl+U", "Ctrl+O"];
    OpenImage, "open_image", File, "Open image…", "Open an image and the folder it is in.", ["Ctrl+Shift+O"];
    OpenSamples, "open_samples", File, "Open the sample images", "Make a folder of sample images to try things on.", [];
    Save, "save", File, "Save now", "Annotations are saved by themselves; this saves at once.", ["Ctrl+S"];
    Import, "import", File, "Import annotations…", "Bring in annotations of another program.", ["Ctrl+Shift+I"];
    Export, "export", File, "Export…", "Write training data or another program's format.", ["Ctrl+Shift+E"];
    FolderWords, "folder_words", File, "Make words for the folder", "Make the words of all regions that lack them.", [];
    Report, "report", File, "Report on the folder", "Statistics, problems and the worst words, with jumps to the regions.", ["Ctrl+R"];
    Rescan, "rescan", File, "Look for changes", "Look for images and annotations that came from elsewhere.", ["F5"];
    Quit, "quit", File, "Quit", "Save what is left and close the window.", ["Ctrl+Q"];

    Undo, "undo", Edit, "Undo", "Take the last step on this image back.", ["Ctrl+Z"];
    Redo, "redo", Edit, "Redo", "Make the step that was taken back again.", ["Ctrl+Shift+Z", "Ctrl+Y"];
    Copy, "copy", Edit, "Copy", "Copy the selected regions, to paste them on this or another image.", ["Ctrl+C"];
    Cut, "cut", Edit, "Cut", "Copy the selected regions and delete them.", ["Ctrl+X"];
    Paste, "paste", Edit, "Paste", "Paste regions, or show the masks of words in the clipboard.", ["Ctrl+V"];
    Duplicate, "duplicate", Edit, "Duplicate", "Make a copy of the selected regions.", ["Ctrl+D"];
    Delete, "delete", Edit, "Delete", "Delete the selected regions; their mentions become plain text.", ["Delete"];
    SelectAll, "select_all", Edit, "Select all", "Select all regions.", ["Ctrl+A"];
    NextRegion, "next_region", Edit, "Next region", "Select the next region and show it.", ["J"];
    PreviousRegion, "previous_region", Edit, "Previous region", "Select the region before and show it.", ["K"];
    Find, "find", Edit, "Search images", "Search by name, label, text, status or IoU.", ["Ctrl+P"];

    NextImage, "next_image", Image, "Next image", "Go to the next image of the list.", ["D", "PageDown"];
    PreviousImage, "previous_image", Image, "Previous image", "Go to the image before.", ["A", "PageUp"];
    NextToReview, "next_to_review", Image, "Next to review", "Go to the next image that is done but not reviewed.", ["Ctrl+Shift+D"];
    NextEmpty, "next_empty", Image, "Next without annotations", "Go to the next image without annotations.", ["Shift+D"];
    NextUnanswered, "next_unanswered", Image, "Next draft", "Go to the next image that is still a draft.", ["Alt+D"];

    EditLabel, "edit_label", Region, "Edit label", "Name the selected regions.", ["Ctrl+E", "F2"];
    FillHoles, "fill_holes", Region, "Fill holes", "Fill the holes of the selected regions.", [];
    DropSpecks, "drop_specks", Region, "Drop specks", "Remove small separate parts of the selected regions.", [];
    Grow, "grow", Region, "Grow by a pixel", "Make the selected regions one pixel larger all around.", ["Ctrl+Up"];
    Shrink, "shrink", Region, "Shrink by a pixel", "Make the selected regions one pixel smaller all around.", ["Ctrl+Down"];
    Smooth, "smooth", Region, "Smooth", "Round off ragged edges of the selected regions.", [];
    Split, "split", Region, "Split parts", "Make a region of every separate part.", [];
    Merge, "merge", Region, "Merge", "Make one region of the selected ones.", ["Ctrl+G"];
    RemoveUnderlying, "remove_underlying", Region, "Remove underlying", "Take the pixels of the selected regions away from those below.", [];
    ToFront, "to_front", Region, "Bring to front", "Draw the selected regions above all others.", ["Ctrl+CloseBracket"];
    ToBack, "to_back", Region, "Send to back", "Draw the selected regions below all others.", ["Ctrl+OpenBracket"];

    ToolSelect, "tool_select", Tool, "Select and move", "Click selects, drag moves; the arrow keys nudge.", ["V"];
    ToolBrush, "tool_brush", Tool, "Brush", "Paint the selected region, or a new one.", ["B"];
    ToolEraser, "tool_eraser", Tool, "Eraser", "Erase pixels of the selected region.", ["E"];
    ToolPolygon, "tool_polygon", Tool, "Polygon", "Click corners; Enter or a click on the first one closes.", ["P"];
    ToolVertices, "tool_vertices", Tool, "Edit corners", "Drag the corners of the selected region.", ["Shift+P"];
    ToolLasso, "tool_lasso", Tool, "Lasso", "Draw around what is meant.", ["L"];
    ToolRectangle, "tool_rectangle", Tool, "Rectangle", "Drag a box; Shift makes a square.", ["R"];
    ToolEllipse, "tool_ellipse", Tool, "Ellipse", "Drag an ellipse; Shift makes a circle.", ["O"];
    ToolWand, "tool_wand", Tool, "Magic wand", "Press on a colour and drag to widen the tolerance.", ["Shift+W"];
    ToolSmart, "tool_smart", Tool, "Smart select", "Click on an object, right-click on what is not part of it, or drag a box.", ["Q", "W"];
    CombineNew, "combine_new", Tool, "New region", "Shapes become new regions.", ["Alt+1"];
    CombineAdd, "combine_add", Tool, "Add to region", "Shapes are added to the selected region.", ["Alt+2"];
    CombineSubtract, "combine_subtract", Tool, "Subtract from region", "Shapes are taken away from the selected region.", ["Alt+3"];
    CombineIntersect, "combine_intersect", Tool, "Intersect with region", "Only what a shape and the selected region share stays.", ["Alt+4"];

    CopyWords, "copy_words", Words, "Copy words", "Copy the words of the selected regions.", ["Y"];
    ShowRebuilt, "show_rebuilt", Words, "Show rebuilt masks", "Show what the words give back, and where it differs.", ["T"];
    RefreshWords, "refresh_words", Words, "Make words anew", "Make the words of the selected regions, or of all, with this model.", ["Ctrl+T"];
    SearchWords, "search_words", Words, "Search better words", "Try many words for the selected regions and keep those that fit best.", ["Shift+Y"];

    AddCaption, "add_caption", Language, "Write a caption", "Write a caption for the selected region.", ["I"];
    AddConversation, "add_conversation", Language, "New conversation", "Ask and answer about the image.", ["C"];
    Chat, "chat", Language, "Chat about the image", "Ask the language model about the image and its regions.", ["Slash"];
    AddChat, "add_chat", Language, "Add the chat to the conversations", "Write the chat into the annotations, its masks as drafts of regions.", ["Ctrl+Shift+M"];
    ClearChat, "clear_chat", Language, "Clear the chat", "Forget what was asked and answered about this image.", [];
    ProposeCaption, "propose_caption", Language, "Propose a caption", "Let the language model describe each selected region.", ["Shift+I"];
    ProposeAnswer, "propose_answer", Language, "Propose an answer…", "Let the language model answer a question about the selected regions.", ["Shift+C"];
    ProposeDescription, "propose_description", Language, "Propose a description of the image", "Let the language model describe the image and mark what it speaks of.", ["Shift+G"];
    ProposeNamed, "propose_named", Language, "Propose what a text names…", "Let the language model mark what a phrase names or a sentence describes.", ["Shift+S"];
    ProposeCategories, "propose_categories", Language, "Propose all of some categories…", "Let the language model mark everything of the categories you list.", ["Shift+T"];
    StopAnswer, "stop_answer", Language, "Stop the language model", "Take all questions back; what was answered so far stays.", ["Ctrl+Period"];
    LanguageModel, "language_model", Language, "Language model…", "Choose the language model: a server or a folder.", ["Ctrl+Shift+L"];
    MentionRegion, "mention_region", Language, "Mention the selected region", "Put the selected region into the text that is being written.", ["Ctrl+M"];

    MarkDone, "mark_done", Review, "Done, next", "Mark the image as done and go to the next one.", ["Ctrl+Enter"];
    Approve, "approve", Review, "Approve, next", "Approve the image and go to the next one to review.", ["Ctrl+Shift+A"];
    Reject, "reject", Review, "Reject…", "Send the image back with a comment.", ["Ctrl+Shift+R"];
    NextProposal, "next_proposal", Review, "Next proposal", "Look at the next proposal that waits for you.", ["N"];
    PreviousProposal, "previous_proposal", Review, "Previous proposal", "Look at the proposal before.", ["Shift+N"];
    AcceptProposal, "accept_proposal", Review, "Accept the proposal", "Keep it as it is now; where a region of yours is nearly the same, that one is linked instead.", ["S"];
    KeepProposal, "keep_proposal", Review, "Keep both", "Accept the proposed region beside the one that is nearly the same.", ["Shift+K"];
    EditProposal, "edit_proposal", Review, "Edit the proposal", "Mend the mask or the text; accept it afterwards.", ["U"];
    RejectProposal, "reject_proposal", Review, "Reject the proposal", "Take it away; it is counted, and can be undone.", ["X"];
    ProposalStatistics, "proposal_statistics", Review, "How good the proposals are…", "How many proposals were accepted and how far they were mended, by model, task and label.", ["Ctrl+Shift+P"];
    MarkDraft, "mark_draft", Review, "Back to draft", "Mark the image as not finished.", [];

    ZoomIn, "zoom_in", View, "Zoom in", "Show less of the image, larger.", ["Plus", "Equals", "Ctrl+Plus", "Ctrl+Equals"];
    ZoomOut, "zoom_out", View, "Zoom out", "Show more of the image, smaller.", ["Minus", "Ctrl+Minus"];
    Fit, "fit", View, "Fit", "Show the whole image.", ["F", "Ctrl+0"];
    ActualSize, "actual_size", View, "100 %", "Show one image pixel per screen pixel.", ["Ctrl+1"];
    ZoomSelection, "zoom_selection", View, "Zoom to selection", "Show the selected regions as large as possible.", ["Z"];
    ToggleMasks, "toggle_masks", View, "Show masks", "Show or hide all masks.", ["M"];
    ToggleHidden, "toggle_hidden", View, "Hide region", "Hide the selected regions, or show them again.", ["H"];
    Solo, "solo", View, "Solo", "Show the selected regions alone.", ["Shift+H"];
    LessOpacity, "less_opacity", View, "Fainter masks", "Fill masks less.", ["Comma"];
    MoreOpacity, "more_opacity", View, "Stronger masks", "Fill masks more.", ["Period"];
    ToggleGrid, "toggle_grid", View, "Pixel grid", "Show the grid of pixels when close.", ["G"];
    Adjust, "adjust", View, "Brightness and contrast", "Brightness, contrast, gamma, channels; never changes the data.", ["Ctrl+B"];
    ToggleTheme, "toggle_theme", View, "Dark or light", "Switch between the dark and the light theme.", [];
    ToggleLanguage, "toggle_language", View, "中文 / English", "Switch between English and Chinese.", [];
    LargerInterface, "larger_interface", View, "Larger interface", "Make text and buttons larger.", ["Ctrl+Alt+Plus", "Ctrl+Alt+Equals"];
    SmallerInterface, "smaller_interface", View, "Smaller interface", "Make text and buttons smaller.", ["Ctrl+Alt+Minus"];

    Palette, "palette", Help, "All commands…", "Find a command by typing.", ["Ctrl+K"];
    KeySheet, "key_sheet", Help, "Keys", "Show and change the keys.", ["Questionmark", "F1"];
    Models, "models", Help, "Model…", "Choose the model and the device.", [];
    Messages, "messages", Help, "Messages", "Everything that was reported.", [];
    About, "about", Help, "About", "Version and licences.", [];
}

impl Command {
    /// The command with this name in the settings file.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.id() == id)
    }
}

/// A key with its modifiers, such as `Ctrl+Shift+Z`; keys have the names of egui.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyChord {
    /// Ctrl, or Command on a Mac.
    pub ctrl: bool,
    /// Shift.
    pub shift: bool,
    /// Alt.
    pub alt: bool,
    /// The key.
    pub key: String,
}

/// The text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a key such as Ctrl+Shift+Z")]
pub struct NotAKey;

impl FromStr for KeyChord {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut chord = Self {
            ctrl: false,
            shift: false,
            alt: false,
            key: String::new(),
        };
        let (modifiers, key) = text
            .rsplit_once('+')
            .map_or(("", text), |(modifiers, key)| (modifiers, key));
        for modifier in modifiers.split('+').filter(|part| !part.is_empty()) {
            match modifier {
                "Ctrl" => chord.ctrl = true,
                "Shift" => chord.shift = true,
                "Alt" => chord.alt = true,
                _ => return Err(NotAKey),
            }
        }
        if key.is_empty() {
            return Err(NotAKey);
        }
        key.clone_into(&mut chord.key);
        Ok(chord)
    }
}

impl fmt::Display for KeyChord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (is_held, name) in [(self.ctrl, "Ctrl+"), (self.alt, "Alt+"), (self.shift, "Shift+")] {
            if is_held {
                f.write_str(name)?;
            }
        }
        f.write_str(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn ids_and_texts_are_unique() {
        let ids: HashSet<_> = Command::ALL.iter().map(|command| command.id()).collect();
        let texts: HashSet<_> = Command::ALL.iter().map(|command| command.text()).collect();
        assert_eq!((ids.len(), texts.len()), (Command::ALL.len(), Command::ALL.len()));
        for command in Command::ALL {
            assert_eq!(Command::from_id(command.id()), Some(*command));
            assert!(Group::ALL.contains(&command.group()));
        }
    }

    #[test]
    fn no_two_commands_have_one_key() {
        let mut taken: HashMap<KeyChord, Command> = HashMap::new();
        for command in Command::ALL {
            for key in command.default_keys() {
                let chord: KeyChord = key.parse().unwrap();
                assert_eq!(chord.to_string().parse::<KeyChord>().unwrap(), chord);
                if let Some(other) = taken.insert(chord, *command) {
                    panic!("{key} is both {other:?} and {command:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "Ctrl+", "Hyper+A", "+"] {
            assert!(text.parse::<KeyChord>().is_err(), "{text}");
        }
    }
}
