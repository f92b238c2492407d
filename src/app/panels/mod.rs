//! The parts of the window around the canvas; one file is one part.

pub(super) mod chat_tab;
pub(super) mod image_list;
pub(super) mod language_tab;
pub(super) mod menu_bar;
pub(super) mod proposals;
pub(super) mod region_list;
pub(super) mod region_tab;
pub(super) mod review_tab;
pub(super) mod status_bar;
pub(super) mod tool_bar;
pub(super) mod tool_icon;
pub(super) mod welcome;
