//! Where the image lies on the screen, so that drawing and every tool convert between both spaces alike.
//!
//! Three spaces: *image* pixels, *ui* points as egui counts them, and *physical* pixels of the screen
//! (`ui * pixels_per_point`). The picture is always moved by whole physical pixels, which keeps pixel edges where
//! they are while panning; [`ViewTransform::ui_from_image`] knows of it, so outlines of tools meet the masks.

use egui::{Pos2, Rect, Vec2, pos2, vec2};

use crate::geometry::{ImagePoint, ImageRect, ImageSize, PixelRect};

/// Largest scale of ordinary images, in physical pixels per image pixel; small images go on until they fit.
const MAX_SCALE: f64 = 128.0;

/// The smallest scale is this share of the scale at which the image fits, but never above 1.
const MIN_SHARE_OF_FIT: f64 = 0.5;

/// Free room around an image that was fitted, in ui points on each side.
const FIT_MARGIN: f32 = 8.0;

/// Pan and zoom of an image in a rectangle of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewTransform {
    image_size: ImageSize,
    viewport: Rect,
    pixels_per_point: f32,
    /// The image position at the middle of the viewport, in image pixels.
    center: [f64; 2],
    /// Physical pixels per image pixel.
    scale: f64,
    is_fitted: bool,
    /// Where the last change was a zoom at; `None` after any other change.
    zoom_anchor: Option<Pos2>,
}

impl ViewTransform {
    /// The whole image, as large as `viewport` (in ui points) allows.
    #[must_use]
    pub fn fitted(image_size: ImageSize, viewport: Rect, pixels_per_point: f32) -> Self {
        let mut view = Self {
            image_size,
            viewport: finite(viewport),
            pixels_per_point: positive(pixels_per_point),
            center: [0.0; 2],
            scale: 1.0,
            is_fitted: true,
            zoom_anchor: None,
        };
        view.fit();
        view
    }

    /// Tells the view where it is now; call it once per frame. A fitted image stays fitted, otherwise the image
    /// position in the middle stays where it is, at the same number of image pixels per ui point.
    pub fn set_viewport(&mut self, viewport: Rect, pixels_per_point: f32) {
        let (viewport, pixels_per_point) = (finite(viewport), positive(pixels_per_point));
        if self.viewport == viewport && self.pixels_per_point == pixels_per_point {
            return;
        }
        self.scale *= f64::from(pixels_per_point / self.pixels_per_point);
        self.viewport = viewport;
        self.pixels_per_point = pixels_per_point;
        self.zoom_anchor = None;
        if self.is_fitted {
            self.fit();
        } else {
            self.limit();
        }
    }

    /// Shows an image of another size, fitted, unless the size is the same.
    pub fn set_image_size(&mut self, image_size: ImageSize) {
        if self.image_size != image_size {
            self.image_size = image_size;
            self.fit();
        }
    }

    /// Shows the whole image.
    pub fn fit(&mut self) {
        self.center = [
            f64::from(self.image_size.width) / 2.0,
            f64::from(self.image_size.height) / 2.0,
        ];
        self.scale = self.fit_scale();
        self.is_fitted = true;
        self.zoom_anchor = None;
    }

    /// Shows `rect` as large as possible, with a margin around it of `margin` times its size.
    pub fn fit_rect(&mut self, rect: PixelRect, margin: f32) {
        let grown = 1.0 + 2.0 * f64::from(margin.max(0.0));
        let size = self.viewport_size_px();
        let (width, height) = (f64::from(rect.width.max(1)), f64::from(rect.height.max(1)));
        self.center = [f64::from(rect.x) + width / 2.0, f64::from(rect.y) + height / 2.0];
        self.scale = (size[0] / (width * grown)).min(size[1] / (height * grown));
        self.is_fitted = false;
        self.limit();
    }

    /// Moves the image by `delta` ui points.
    pub fn pan_by(&mut self, delta: Vec2) {
        let per_point = f64::from(self.pixels_per_point) / self.scale;
        self.center[0] -= f64::from(delta.x) * per_point;
        self.center[1] -= f64::from(delta.y) * per_point;
        self.is_fitted = false;
        self.limit();
    }

    /// Multiplies the scale by `factor`; what is under `anchor` stays there.
    pub fn zoom_by(&mut self, factor: f32, anchor: Pos2) {
        self.zoom_to(self.scale * f64::from(positive(factor)), anchor);
    }

    /// Sets the scale, in physical pixels per image pixel (1 is "100 %"); what is under `anchor` stays there.
    pub fn zoom_to(&mut self, scale: f64, anchor: Pos2) {
        let scale = if scale.is_finite() { scale } else { self.scale };
        let scale = scale.clamp(self.min_scale(), self.max_scale());
        let anchor_px = [anchor.x, anchor.y].map(|value| f64::from(value) * f64::from(self.pixels_per_point));
        let (min, size) = (self.viewport_min_px(), self.viewport_size_px());
        let middle = [0, 1].map(|axis| min[axis] + size[axis] / 2.0);
        // What is seen lies on whole physical pixels. Only the first step starts from there, otherwise the roundings
        // of many small steps would add up and the image would slip away from under the pointer.
        if self.zoom_anchor != Some(anchor) {
            self.center = self.image_from_physical(middle);
        }
        let change = 1.0 / self.scale - 1.0 / scale;
        self.center = [0, 1].map(|axis| self.center[axis] + (anchor_px[axis] - middle[axis]) * change);
        self.scale = scale;
        self.is_fitted = false;
        self.limit();
        self.zoom_anchor = Some(anchor);
    }

    /// Brings `point` to the middle.
    pub fn center_on(&mut self, point: ImagePoint) {
        self.center = [f64::from(point.x), f64::from(point.y)];
        self.is_fitted = false;
        self.limit();
    }

    /// Restores a position and scale that [`ViewTransform::center`] and [`ViewTransform::scale`] told.
    pub fn restore(&mut self, center: [f64; 2], scale: f64) {
        if center.iter().all(|value| value.is_finite()) && scale.is_finite() && scale > 0.0 {
            self.center = center;
            self.scale = scale;
            self.is_fitted = false;
            self.limit();
        }
    }

    /// The image position under `position`.
    #[must_use]
    pub fn image_from_ui(&self, position: Pos2) -> ImagePoint {
        let [x, y] = self.image_from_physical([
            f64::from(position.x) * f64::from(self.pixels_per_point),
            f64::from(position.y) * f64::from(self.pixels_per_point),
        ]);
        ImagePoint::new(x as f32, y as f32)
    }

    /// The image pixel under `position`, `None` outside the image.
    #[must_use]
    pub fn pixel_from_ui(&self, position: Pos2) -> Option<(u32, u32)> {
        let point = self.image_from_ui(position);
        let is_inside = point.x >= 0.0
            && point.y >= 0.0
            && f64::from(point.x) < f64::from(self.image_size.width)
            && f64::from(point.y) < f64::from(self.image_size.height);
        is_inside.then_some((point.x as u32, point.y as u32))
    }

    /// Where `point` is on the screen.
    #[must_use]
    pub fn ui_from_image(&self, point: ImagePoint) -> Pos2 {
        let origin = self.origin_px();
        let per_point = f64::from(self.pixels_per_point);
        pos2(
            ((origin[0] + f64::from(point.x) * self.scale) / per_point) as f32,
            ((origin[1] + f64::from(point.y) * self.scale) / per_point) as f32,
        )
    }

    /// Where `rect` is on the screen.
    #[must_use]
    pub fn ui_rect_from_image(&self, rect: ImageRect) -> Rect {
        Rect::from_min_max(
            self.ui_from_image(ImagePoint::new(rect.x0, rect.y0)),
            self.ui_from_image(ImagePoint::new(rect.x1, rect.y1)),
        )
    }

    /// The image pixels of which any part is visible, `None` if none is.
    #[must_use]
    pub fn visible_pixels(&self) -> Option<PixelRect> {
        let from = self.image_from_physical(self.viewport_min_px());
        let size = self.viewport_size_px();
        let range = |axis: usize, length: u32| {
            let start = from[axis].floor().clamp(0.0, f64::from(length)) as u32;
            let end = (from[axis] + size[axis] / self.scale)
                .ceil()
                .clamp(0.0, f64::from(length)) as u32;
            (end > start).then_some((start, end - start))
        };
        let (x, width) = range(0, self.image_size.width)?;
        let (y, height) = range(1, self.image_size.height)?;
        Some(PixelRect::new(x, y, width, height))
    }

    /// Size of the image that is shown.
    #[must_use]
    pub const fn image_size(&self) -> ImageSize {
        self.image_size
    }

    /// The part of the window that the image is shown in, in ui points.
    #[must_use]
    pub const fn viewport(&self) -> Rect {
        self.viewport
    }

    /// Physical pixels per ui point.
    #[must_use]
    pub const fn pixels_per_point(&self) -> f32 {
        self.pixels_per_point
    }

    /// Physical pixels per image pixel; 1 is "100 %".
    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// Ui points per image pixel.
    #[must_use]
    pub fn zoom(&self) -> f32 {
        (self.scale / f64::from(self.pixels_per_point)) as f32
    }

    /// The image position at the middle of the viewport.
    #[must_use]
    pub const fn center(&self) -> [f64; 2] {
        self.center
    }

    /// Whether the view shows the whole image and keeps doing so when its size changes.
    #[must_use]
    pub const fn is_fitted(&self) -> bool {
        self.is_fitted
    }

    /// Where the top-left corner of the image lies, in whole physical pixels of the window.
    pub(super) fn origin_px(&self) -> [f64; 2] {
        let (min, size) = (self.viewport_min_px(), self.viewport_size_px());
        [0, 1].map(|axis| (min[axis] + size[axis] / 2.0 - self.center[axis] * self.scale).round())
    }

    fn image_from_physical(&self, position: [f64; 2]) -> [f64; 2] {
        let origin = self.origin_px();
        [0, 1].map(|axis| (position[axis] - origin[axis]) / self.scale)
    }

    fn viewport_min_px(&self) -> [f64; 2] {
        let min = self.viewport.min;
        [min.x, min.y].map(|value| f64::from(value) * f64::from(self.pixels_per_point))
    }

    fn viewport_size_px(&self) -> [f64; 2] {
        let size = self.viewport.size().max(vec2(1.0, 1.0));
        [size.x, size.y].map(|value| f64::from(value) * f64::from(self.pixels_per_point))
    }

    fn fit_scale(&self) -> f64 {
        let size = self.viewport_size_px();
        let margin = 2.0 * f64::from(FIT_MARGIN) * f64::from(self.pixels_per_point);
        let fit = |axis: usize, length: u32| (size[axis] - margin).max(1.0) / f64::from(length.max(1));
        fit(0, self.image_size.width).min(fit(1, self.image_size.height))
    }

    fn min_scale(&self) -> f64 {
        (self.fit_scale() * MIN_SHARE_OF_FIT).min(1.0)
    }

    fn max_scale(&self) -> f64 {
        self.fit_scale().max(MAX_SCALE)
    }

    /// Keeps the scale in its limits and some of the image in view: its edges go no farther than the middle.
    fn limit(&mut self) {
        self.zoom_anchor = None;
        self.scale = self.scale.clamp(self.min_scale(), self.max_scale());
        let lengths = [self.image_size.width, self.image_size.height];
        for (center, length) in self.center.iter_mut().zip(lengths) {
            let length = f64::from(length);
            // A position that is no number would stay none whatever comes after it.
            *center = if center.is_nan() {
                length / 2.0
            } else {
                center.clamp(0.0, length)
            };
        }
    }
}

/// `viewport`, or one without size where its edges are no numbers.
fn finite(viewport: Rect) -> Rect {
    if viewport.is_finite() {
        viewport
    } else {
        Rect::ZERO
    }
}

/// `value`, or 1 where it is no positive number.
fn positive(value: f32) -> f32 {
    if value.is_finite() && value > 0.0 {
        value
    } else {
        1.0
    }
}
