//! How the picture is shown: settings of the person at the screen, which never touch the data.

/// A colour in sRGB, 8 bits per channel.
pub type Rgb = [u8; 3];

/// Everything about the look of the canvas but the regions themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DisplaySettings {
    /// How samples of the image become brightness.
    pub tone: Tone,
    /// How regions are drawn.
    pub regions: RegionDisplay,
    /// Whether lines between pixels show from 8 physical pixels per image pixel on.
    pub has_pixel_grid: bool,
    /// The two colours of the checkerboard around the image; the same twice gives a plain ground.
    pub backdrop: [Rgb; 2],
}

impl Default for DisplaySettings {
    fn default() -> Self {
        Self {
            tone: Tone::default(),
            regions: RegionDisplay::default(),
            has_pixel_grid: true,
            backdrop: [[24, 24, 27]; 2],
        }
    }
}

/// How samples of the image become brightness, in this order: channel, window, contrast, brightness, gamma, invert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Which channel is seen.
    pub channel: Channel,
    /// The samples that become black and white, as shares of the largest sample: 0 and 1 show everything.
    pub window: [f32; 2],
    /// Factor on the distance to middle grey; 1 changes nothing.
    pub contrast: f32,
    /// Added after contrast, -1 to 1; 0 changes nothing.
    pub brightness: f32,
    /// Exponent is 1 / gamma: larger is brighter; 1 changes nothing.
    pub gamma: f32,
    /// Whether dark and bright are swapped.
    pub is_inverted: bool,
}

impl Default for Tone {
    fn default() -> Self {
        Self {
            channel: Channel::All,
            window: [0.0, 1.0],
            contrast: 1.0,
            brightness: 0.0,
            gamma: 1.0,
            is_inverted: false,
        }
    }
}

/// What of the colours is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// The colours as they are.
    #[default]
    All,
    /// Red as grey.
    Red,
    /// Green as grey.
    Green,
    /// Blue as grey.
    Blue,
    /// Luma of ITU-R 601 as grey.
    Luma,
}

impl Channel {
    pub(super) const fn code(self) -> u32 {
        match self {
            Self::All => 0,
            Self::Red => 1,
            Self::Green => 2,
            Self::Blue => 3,
            Self::Luma => 4,
        }
    }
}

/// How regions are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionDisplay {
    /// Whether any region is drawn at all.
    pub are_shown: bool,
    /// Whether only regions with [`RegionStyle::is_solo`] are drawn.
    pub only_solo: bool,
    /// Factor on every region's fill opacity.
    pub fill_opacity: f32,
    /// Width of outlines in ui points, 0 for none; emphasised regions get twice as much.
    pub outline_width: f32,
}

impl Default for RegionDisplay {
    fn default() -> Self {
        Self {
            are_shown: true,
            only_solo: false,
            fill_opacity: 1.0,
            outline_width: 1.0,
        }
    }
}

/// How one region is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionStyle {
    /// Colour of fill and outline.
    pub color: Rgb,
    /// Opacity of the fill, 0 to 1.
    pub fill_opacity: f32,
    /// Whether the region is not drawn.
    pub is_hidden: bool,
    /// Whether the region is drawn faintly, behind what matters now.
    pub is_dimmed: bool,
    /// Whether the region is drawn when only some are.
    pub is_solo: bool,
    /// Whether the region has an outline.
    pub has_outline: bool,
    /// Whether the region stands out.
    pub emphasis: Emphasis,
}

impl RegionStyle {
    /// The usual look in `color`.
    #[must_use]
    pub const fn new(color: Rgb) -> Self {
        Self {
            color,
            fill_opacity: 0.35,
            is_hidden: false,
            is_dimmed: false,
            is_solo: false,
            has_outline: true,
            emphasis: Emphasis::None,
        }
    }

    /// The style as the shader reads it: red, green, blue and opacity in bytes, lowest first, and flags.
    pub(super) fn packed(self) -> [u32; 2] {
        let [red, green, blue] = self.color;
        let opacity = (self.fill_opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = flag(self.is_hidden, style_flag::HIDDEN)
            | flag(self.is_dimmed, style_flag::DIMMED)
            | flag(self.is_solo, style_flag::SOLO)
            | flag(!self.has_outline, style_flag::NO_OUTLINE)
            | flag(self.emphasis == Emphasis::Hovered, style_flag::HOVERED)
            | flag(self.emphasis == Emphasis::Selected, style_flag::SELECTED);
        [u32::from_le_bytes([red, green, blue, opacity]), flags]
    }
}

/// Whether a region stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emphasis {
    /// It does not.
    #[default]
    None,
    /// The pointer is on it or on its mention: a broad outline over everything and a stronger fill.
    Hovered,
    /// It is selected: a broad white and coloured outline over everything, with a dark line around it.
    Selected,
}

/// Flags of a style; the same numbers stand in the shader.
pub(super) mod style_flag {
    pub(in super::super) const HIDDEN: u32 = 1;
    pub(in super::super) const HOVERED: u32 = 2;
    pub(in super::super) const SELECTED: u32 = 4;
    pub(in super::super) const DIMMED: u32 = 8;
    pub(in super::super) const SOLO: u32 = 16;
    pub(in super::super) const NO_OUTLINE: u32 = 32;
}
