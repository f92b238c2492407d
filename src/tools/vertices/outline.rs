//! The outlines of a mask as few vertices with the exact course of the pixels between them.

use super::super::Patch;
use super::super::plane::{Bounds, distance, nearest_on_segment};
use super::super::raster::{pixels_in, relative_to};
use crate::geometry::{ImagePoint, PixelRect};
use crate::mask::{FillRule, Mask, MaskPolygon};

/// All outlines of one mask.
#[derive(Clone, Debug)]
pub(super) struct Outlines {
    parts: Vec<Part>,
}

/// One outer ring with its holes.
#[derive(Clone, Debug)]
struct Part {
    /// The outer ring and then the holes.
    rings: Vec<Ring>,
    /// Holds every ring.
    bounds: Bounds,
}

/// A closed line.
#[derive(Clone, Debug)]
struct Ring {
    vertices: Vec<ImagePoint>,
    /// What leads from each vertex to the next, the last to the first.
    lines: Vec<Line>,
}

/// The way between two vertices.
#[derive(Clone, Debug, Default, PartialEq)]
struct Line {
    /// The points on the way, the vertices not among them.
    between: Vec<ImagePoint>,
    /// Whether an edit made it, so that it no longer follows the pixels it began with.
    is_changed: bool,
}

/// Which vertex; valid until vertices are added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VertexId {
    part: usize,
    ring: usize,
    index: usize,
}

/// A place on an outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) at: ImagePoint,
    part: usize,
    ring: usize,
    /// The vertex whose line it lies on.
    line: usize,
    /// How many of the points between come before it.
    before: usize,
}

impl Outlines {
    /// Traces `mask`; lines between vertices stray at most `tolerance_px` from the pixels' outline.
    pub(super) fn of(mask: &Mask, tolerance_px: f32) -> Self {
        // Only the part that is not empty, which may be small in a large image.
        let Some(patch) = Patch::around(mask) else {
            return Self { parts: Vec::new() };
        };
        let (dx, dy) = (patch.rect().x as f32, patch.rect().y as f32);
        let placed = |ring: Vec<ImagePoint>| -> Vec<ImagePoint> {
            ring.into_iter()
                .map(|point| ImagePoint::new(point.x + dx, point.y + dy))
                .collect()
        };
        let parts = patch.mask().trace().into_iter().filter_map(|polygon| {
            let rings = std::iter::once(polygon.outer).chain(polygon.holes);
            Part::new(rings.map(|ring| Ring::of(placed(ring), tolerance_px)).collect())
        });
        Self {
            parts: parts.collect(),
        }
    }

    /// The vertices of every ring.
    pub(super) fn rings(&self) -> impl Iterator<Item = &[ImagePoint]> {
        self.all_rings().map(|ring| ring.vertices.as_slice())
    }

    /// The lines that edits made, from vertex to vertex.
    pub(super) fn changed_lines(&self) -> impl Iterator<Item = Vec<ImagePoint>> {
        self.all_rings().flat_map(|ring| {
            let changed = ring.lines.iter().enumerate().filter(|(_, line)| line.is_changed);
            changed.map(|(index, _)| ring.course(index).collect())
        })
    }

    fn all_rings(&self) -> impl Iterator<Item = &Ring> {
        self.parts.iter().flat_map(|part| &part.rings)
    }

    /// Where a vertex is.
    pub(super) fn vertex(&self, id: VertexId) -> Option<ImagePoint> {
        self.ring(id)?.vertices.get(id.index).copied()
    }

    /// The vertices before and after one.
    pub(super) fn neighbours(&self, id: VertexId) -> Option<(ImagePoint, ImagePoint)> {
        let ring = self.ring(id)?;
        let before = ring.vertices.get(ring.previous(id.index))?;
        let after = ring.vertices.get(ring.next(id.index))?;
        Some((*before, *after))
    }

    fn ring(&self, id: VertexId) -> Option<&Ring> {
        self.parts.get(id.part)?.rings.get(id.ring)
    }

    /// The vertex nearest to `at`, at most `reach_px` away.
    pub(super) fn vertex_near(&self, at: ImagePoint, reach_px: f32) -> Option<VertexId> {
        let mut nearest: Option<(VertexId, f32)> = None;
        for (part, ring, points) in self.rings_near(at, reach_px) {
            for (index, &vertex) in points.vertices.iter().enumerate() {
                let distance = distance(vertex, at);
                if distance <= nearest.map_or(reach_px, |(_, nearest)| nearest) {
                    nearest = Some((VertexId { part, ring, index }, distance));
                }
            }
        }
        nearest.map(|(id, _)| id)
    }

    /// The place on an outline nearest to `at`, at most `reach_px` away.
    pub(super) fn place_near(&self, at: ImagePoint, reach_px: f32) -> Option<Place> {
        let mut nearest: Option<(Place, f32)> = None;
        for (part, ring, points) in self.rings_near(at, reach_px) {
            for line in 0..points.lines.len() {
                let course = points.course(line).zip(points.course(line).skip(1));
                for (before, (from, to)) in course.enumerate() {
                    let on_line = nearest_on_segment(at, from, to);
                    let distance = distance(on_line, at);
                    if distance <= nearest.map_or(reach_px, |(_, nearest)| nearest) {
                        let place = Place {
                            at: on_line,
                            part,
                            ring,
                            line,
                            before,
                        };
                        nearest = Some((place, distance));
                    }
                }
            }
        }
        nearest.map(|(place, _)| place)
    }

    fn rings_near(&self, at: ImagePoint, reach_px: f32) -> impl Iterator<Item = (usize, usize, &Ring)> {
        let is_near = move |(_, part): &(usize, &Part)| part.bounds.grown(reach_px.into()).contains(at);
        let near = self.parts.iter().enumerate().filter(is_near);
        near.flat_map(|(part, rings)| {
            let rings = rings.rings.iter().enumerate();
            rings.map(move |(ring, points)| (part, ring, points))
        })
    }

    /// Makes a vertex of a place, which changes no line.
    pub(super) fn insert(&mut self, place: Place) -> VertexId {
        let Place { part, ring, line, .. } = place;
        if let Some(ring) = self.parts.get_mut(part).and_then(|part| part.rings.get_mut(ring))
            && let Some(first) = ring.lines.get_mut(line)
        {
            let rest = first.between.split_off(place.before.min(first.between.len()));
            let second = Line {
                between: rest,
                is_changed: first.is_changed,
            };
            ring.vertices.insert(line + 1, place.at);
            ring.lines.insert(line + 1, second);
        }
        VertexId {
            part,
            ring,
            index: line + 1,
        }
    }

    /// Moves a vertex, straightening the lines to its neighbours, and answers what changes in `target`.
    pub(super) fn move_vertex(&mut self, id: VertexId, to: ImagePoint, target: &Mask) -> Option<Patch> {
        let mut after = self.parts.get(id.part)?.clone();
        let ring = after.rings.get_mut(id.ring)?;
        let touched = Bounds::around(ring.course_around(id.index).chain([to]))?;
        *ring.vertices.get_mut(id.index)? = to;
        let previous = ring.previous(id.index);
        for line in [previous, id.index] {
            *ring.lines.get_mut(line)? = Line::straight();
        }
        self.replace(id.part, Part::new(after.rings), touched, target)
    }

    /// Removes a vertex, joining its neighbours by a straight line (or its ring, if no area would be left), and answers
    /// what changes in `target`.
    pub(super) fn remove_vertex(&mut self, id: VertexId, target: &Mask) -> Option<Patch> {
        let mut after = self.parts.get(id.part)?.clone();
        let ring = after.rings.get_mut(id.ring)?;
        if ring.vertices.len() > 3 {
            let touched = Bounds::around(ring.course_around(id.index))?;
            let previous = ring.previous(id.index);
            *ring.lines.get_mut(previous)? = Line::straight();
            ring.vertices.remove(id.index);
            ring.lines.remove(id.index);
            self.replace(id.part, Part::new(after.rings), touched, target)
        } else {
            let touched = Bounds::around(ring.points())?;
            after.rings.remove(id.ring);
            // Without its outer ring a part is nothing, whatever holes it had.
            let after = if id.ring == 0 {
                None
            } else {
                Part::new(after.rings)
            };
            self.replace(id.part, after, touched, target)
        }
    }

    /// Puts `after` in the place of a part, nothing outside `touched` being different.
    ///
    /// The answer sets and clears exactly the pixels that the old and the new outlines disagree on.
    fn replace(&mut self, part: usize, after: Option<Part>, touched: Bounds, target: &Mask) -> Option<Patch> {
        // Not grown by a pixel: centres on the edge of the box are in it.
        let window = pixels_in(touched, target.size());
        let before = window.and_then(|window| self.filled(window));
        match after {
            Some(after) => *self.parts.get_mut(part)? = after,
            None => {
                self.parts.remove(part);
            }
        }
        let (window, before) = (window?, before?);
        let after = self.filled(window)?;
        let changes = before.symmetric_difference(&after).ok()?;
        let bounds = changes.bounding_box()?;
        let mut mask = target.crop(window).ok()?;
        mask.union_with(&after.difference(&before).ok()?).ok()?;
        mask.subtract(&before.difference(&after).ok()?).ok()?;
        let mask = mask.crop(bounds).ok()?;
        Some(Patch::new(window.x + bounds.x, window.y + bounds.y, mask))
    }

    /// The pixels of `window` inside the outlines.
    ///
    /// A pixel whose centre lies on a line must count alike in every window, or it would stay behind when that line
    /// moves on. Where a line crosses a row is rounded, so columns are counted from the edge of the image.
    fn filled(&self, window: PixelRect) -> Option<Mask> {
        let rows = PixelRect::new(0, window.y, window.right(), window.height);
        let mut mask = Mask::empty(rows.size()).ok()?;
        let window_bounds = Bounds {
            x0: window.x.into(),
            y0: window.y.into(),
            x1: window.right().into(),
            y1: window.bottom().into(),
        };
        for part in self
            .parts
            .iter()
            .filter(|part| part.bounds.touches(window_bounds))
        {
            let mut rings = part
                .rings
                .iter()
                .map(|ring| relative_to(&ring.points().collect::<Vec<_>>(), rows));
            let outer = rings.next()?;
            let holes = rings.collect();
            mask.fill_polygon(&MaskPolygon { outer, holes }, FillRule::NonZero, true)
                .ok()?;
        }
        mask.crop(PixelRect::new(window.x, 0, window.width, window.height))
            .ok()
    }
}

impl Part {
    /// `None` without rings.
    fn new(rings: Vec<Ring>) -> Option<Self> {
        let bounds = Bounds::around(rings.iter().flat_map(Ring::points))?;
        Some(Self { rings, bounds })
    }
}

impl Ring {
    /// Chooses vertices among the points of a traced ring, no point of which comes twice.
    fn of(points: Vec<ImagePoint>, tolerance_px: f32) -> Self {
        let polygon = MaskPolygon {
            outer: points,
            holes: Vec::new(),
        };
        let vertices = polygon.simplified(tolerance_px).outer;
        let mut lines: Vec<Line> = Vec::with_capacity(vertices.len());
        let mut upcoming = vertices.iter().peekable();
        for point in polygon.outer {
            if upcoming.next_if(|&&vertex| vertex == point).is_some() {
                lines.push(Line::default());
            } else if let Some(line) = lines.last_mut() {
                line.between.push(point);
            }
        }
        Self { vertices, lines }
    }

    const fn next(&self, index: usize) -> usize {
        if index + 1 < self.vertices.len() {
            index + 1
        } else {
            0
        }
    }

    const fn previous(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            Some(previous) => previous,
            None => self.vertices.len().saturating_sub(1),
        }
    }

    /// The points of a line, both of its vertices among them.
    fn course(&self, line: usize) -> impl Iterator<Item = ImagePoint> {
        let between = self
            .lines
            .get(line)
            .map_or(&[] as &[_], |line| line.between.as_slice());
        let ends = [self.vertices.get(line), self.vertices.get(self.next(line))];
        let [first, last] = ends.map(|end| end.into_iter());
        first.chain(between).chain(last).copied()
    }

    /// The points of both lines at a vertex.
    fn course_around(&self, index: usize) -> impl Iterator<Item = ImagePoint> {
        self.course(self.previous(index)).chain(self.course(index))
    }

    /// All points in order.
    fn points(&self) -> impl Iterator<Item = ImagePoint> {
        let steps = self.vertices.iter().zip(&self.lines);
        steps.flat_map(|(vertex, line)| std::iter::once(vertex).chain(&line.between).copied())
    }
}

impl Line {
    const fn straight() -> Self {
        Self {
            between: Vec::new(),
            is_changed: true,
        }
    }
}
