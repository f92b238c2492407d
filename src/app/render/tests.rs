//! The shader against its CPU twin, through the renderer as a window uses it but on a texture of our own.
//!
//! A machine without any adapter, not even a software one, fails these tests: a picture nobody compared is not right.

mod hostile;
mod outlines;
mod shapes;
mod tiles;
mod view;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use egui::{Rect, Vec2, pos2, vec2};
use proptest::prelude::*;

use super::display::{Channel, DisplaySettings, Emphasis, RegionStyle};
use super::frame_budget::FrameBudget;
use super::gpu::CanvasGpu;
use super::reference::ReferenceScene;
use super::region_layer::{Difference, RegionLayer, RegionPixels};
use super::renderer::CanvasRenderer;
use super::view_transform::ViewTransform;
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::RgbImage;
use crate::mask::Mask;
use crate::picture::{PicturePyramid, Samples};

/// A software or hardware adapter, made once for all tests.
pub(super) fn device() -> &'static (wgpu::Device, wgpu::Queue) {
    static DEVICE: OnceLock<(wgpu::Device, wgpu::Queue)> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let setup = egui_kittest::wgpu::default_wgpu_setup();
        let instance = pollster::block_on(setup.new_instance());
        let configuration = egui_wgpu::WgpuConfiguration {
            wgpu_setup: setup,
            ..Default::default()
        };
        let options = egui_wgpu::RendererOptions::default();
        let created = egui_wgpu::RenderState::create(&configuration, &instance, None, options);
        let state = pollster::block_on(created).unwrap_or_else(|error| {
            panic!("no graphics adapter, not even a software one: install mesa-vulkan-drivers ({error})")
        });
        (state.device.clone(), state.queue.clone())
    })
}

/// A window of one canvas that is drawn to a texture.
struct Window {
    gpu: CanvasGpu,
    size: ImageSize,
    format: wgpu::TextureFormat,
}

impl Window {
    fn new(size: ImageSize) -> Self {
        Self::of_format(size, wgpu::TextureFormat::Rgba8Unorm)
    }

    fn of_format(size: ImageSize, format: wgpu::TextureFormat) -> Self {
        Self {
            gpu: CanvasGpu::new(&device().0, format).unwrap(),
            size,
            format,
        }
    }

    /// RGBA bytes of the next frame.
    fn draw(
        &mut self,
        renderer: &mut CanvasRenderer,
        view: &ViewTransform,
        display: &DisplaySettings,
    ) -> Vec<u8> {
        let (device, queue) = device();
        let frame = renderer.next_frame(view, display);
        self.gpu.prepare(device, queue, renderer.queue(), &frame);
        let extent = wgpu::Extent3d {
            width: self.size.width,
            height: self.size.height,
            depth_or_array_layers: 1,
        };
        let target = device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: extent,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: self.format,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let target_view = target.create_view(&wgpu::TextureViewDescriptor::default());
        let row_bytes = (4 * self.size.width).next_multiple_of(256);
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(row_bytes) * u64::from(self.size.height),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &target_view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations::default(),
                })],
                ..Default::default()
            });
            self.gpu.draw(&mut pass, renderer.queue());
        }
        encoder.copy_texture_to_buffer(
            target.as_image_copy(),
            wgpu::TexelCopyBufferInfo {
                buffer: &buffer,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(row_bytes),
                    rows_per_image: None,
                },
            },
            extent,
        );
        queue.submit([encoder.finish()]);
        buffer
            .slice(..)
            .map_async(wgpu::MapMode::Read, |result| result.unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let mapped = buffer.slice(..).get_mapped_range().unwrap();
        mapped
            .chunks_exact(row_bytes as usize)
            .flat_map(|row| row[..4 * self.size.width as usize].to_vec())
            .collect()
    }
}

/// What is compared: a scene, a view of it, and settings.
struct Case {
    size: ImageSize,
    samples: Samples,
    regions: Vec<(Mask, RegionStyle)>,
    window: ImageSize,
    view: ViewTransform,
    display: DisplaySettings,
}

impl Case {
    fn new(size: ImageSize, regions: Vec<(Mask, RegionStyle)>, window: ImageSize) -> Self {
        let viewport = Rect::from_min_size(pos2(0.0, 0.0), vec2(window.width as f32, window.height as f32));
        let display = DisplaySettings {
            backdrop: [[60, 61, 62], [90, 91, 92]],
            ..Default::default()
        };
        Self {
            size,
            samples: rgb8(size),
            regions,
            window,
            view: ViewTransform::fitted(size, viewport, 1.0),
            display,
        }
    }

    fn zoomed(mut self, scale: f64, center: [f64; 2]) -> Self {
        self.view.restore(center, scale);
        assert_eq!(self.view.scale(), scale, "the scale is within the limits");
        self
    }

    fn renderer(&self) -> CanvasRenderer {
        let mut renderer = CanvasRenderer::new();
        renderer.set_budget(FrameBudget::UNLIMITED);
        let picture = PicturePyramid::new(self.size, self.samples.clone()).unwrap();
        renderer.set_image(1, self.size, Some(Arc::new(picture)));
        renderer.set_regions(&layers(&self.regions));
        renderer
    }

    fn expected(&self) -> Vec<u8> {
        let width = self.size.width as usize;
        let index = |x: u32, y: u32| y as usize * width + x as usize;
        let sample = |x: u32, y: u32| match &self.samples {
            Samples::Rgb8(samples) => {
                [0, 1, 2].map(|channel| u32::from(samples.pixels[3 * index(x, y) + channel]))
            }
            Samples::Rgb16(samples) => [0, 1, 2].map(|channel| u32::from(samples[3 * index(x, y) + channel])),
            Samples::Gray16(samples) => [u32::from(samples[index(x, y)]); 3],
        };
        let white = if matches!(self.samples, Samples::Rgb8(_)) {
            255
        } else {
            65535
        };
        let scene = ReferenceScene {
            size: self.size,
            samples: Some(&sample),
            white,
            regions: &self.regions,
        };
        scene.render(self.window, &self.view, &self.display)
    }

    #[track_caller]
    fn check(&self, name: &str) {
        let mut renderer = self.renderer();
        self.check_drawn(name, &mut renderer);
    }

    #[track_caller]
    fn check_drawn(&self, name: &str, renderer: &mut CanvasRenderer) {
        let drawn = Window::new(self.window).draw(renderer, &self.view, &self.display);
        assert_eq!(differences(name, self.window, &drawn, &self.expected()), None);
    }
}

fn layers(regions: &[(Mask, RegionStyle)]) -> Vec<RegionLayer<'_>> {
    (0..)
        .zip(regions)
        .map(|(key, (mask, style))| RegionLayer {
            key,
            revision: 1,
            pixels: RegionPixels::Mask(mask),
            style: *style,
        })
        .collect()
}

/// Says where two pictures differ by more than one level.
fn differences(name: &str, size: ImageSize, drawn: &[u8], expected: &[u8]) -> Option<String> {
    assert_eq!(drawn.len(), expected.len());
    let far: Vec<usize> = drawn
        .chunks_exact(4)
        .zip(expected.chunks_exact(4))
        .enumerate()
        .filter(|(_, (drawn, expected))| {
            drawn
                .iter()
                .zip(*expected)
                .any(|(left, right)| left.abs_diff(*right) > 1)
        })
        .map(|(pixel, _)| pixel)
        .collect();
    let first = *far.first()?;
    let (x, y) = (first % size.width as usize, first / size.width as usize);
    Some(format!(
        "{name}: {} of {} pixels differ, first ({x}, {y}): drawn {:?}, expected {:?}",
        far.len(),
        size.area(),
        &drawn[4 * first..4 * first + 3],
        &expected[4 * first..4 * first + 3],
    ))
}

fn rgb8(size: ImageSize) -> Samples {
    let pixel = |x: u32, y: u32| [x * 7 + y * 3, x ^ (y * 5), x * y / 3].map(|value| (value % 256) as u8);
    let pixels = (0..size.height).flat_map(|y| (0..size.width).flat_map(move |x| pixel(x, y)));
    Samples::Rgb8(Arc::new(RgbImage {
        size,
        pixels: pixels.collect(),
    }))
}

fn styled(color: [u8; 3], change: impl FnOnce(&mut RegionStyle)) -> RegionStyle {
    let mut style = RegionStyle::new(color);
    change(&mut style);
    style
}

/// Regions with holes, parts, thin lines, overlaps and pixels at every edge of the image.
fn varied(size: ImageSize) -> Vec<(Mask, RegionStyle)> {
    let (width, height) = (size.width as i64, size.height as i64);
    let mask = |is_set: &dyn Fn(i64, i64) -> bool| {
        Mask::from_fn(size, |x, y| is_set(i64::from(x), i64::from(y))).unwrap()
    };
    let ring = move |x: i64, y: i64| {
        let distance = (x - width / 2).pow(2) + (y - height / 2).pow(2);
        let radius = width.min(height) / 3;
        distance <= radius.pow(2) && distance > (radius / 2).pow(2)
    };
    vec![
        (
            mask(&|x, y| x < width / 2 && y < height / 2),
            styled([220, 60, 40], |_| {}),
        ),
        (
            mask(&ring),
            styled([40, 200, 90], |style| style.fill_opacity = 0.5),
        ),
        (
            mask(&|x, y| (x + y) % 17 == 0 && x > width / 3),
            styled([70, 90, 250], |_| {}),
        ),
        (
            mask(&|x, y| x == width - 1 || y == height - 1 || x == 0),
            styled([250, 230, 20], |_| {}),
        ),
        (
            mask(&|x, y| x / 5 % 4 == 1 && y / 5 % 3 == 1),
            styled([200, 30, 220], |style| style.fill_opacity = 0.8),
        ),
        (
            mask(&|x, y| x * 3 > width && x * 2 < width && y * 4 > height),
            styled([20, 220, 220], |_| {}),
        ),
    ]
}

/// Sizes around tile borders and odd halves; a window that no size divides.
const SMALL: ImageSize = ImageSize::new(61, 47);
const STYLED: ImageSize = ImageSize::new(130, 100);
const MIDDLE: ImageSize = ImageSize::new(530, 301);
const WINDOW: ImageSize = ImageSize::new(173, 131);

#[test]
fn pixels_are_exact_at_every_zoom() {
    let views: [(f64, ImageSize, [f64; 2]); 9] = [
        (0.25, MIDDLE, [260.3, 150.2]),
        (0.37, MIDDLE, [255.0, 140.0]),
        (0.73, MIDDLE, [256.4, 250.7]),
        (1.0, MIDDLE, [256.0, 256.0]),
        (1.0, MIDDLE, [1.5, 300.0]),
        (1.6, MIDDLE, [512.3, 256.2]),
        (3.7, SMALL, [30.0, 20.0]),
        (16.0, SMALL, [59.0, 44.0]),
        (16.0, MIDDLE, [256.0, 256.0]),
    ];
    for (scale, size, center) in views {
        let name = format!("{scale} of {size} at {center:?}");
        Case::new(size, varied(size), WINDOW)
            .zoomed(scale, center)
            .check(&name);
    }
}

#[test]
fn styles_are_those_of_the_reference() {
    type Change = fn(&mut [(Mask, RegionStyle)], &mut DisplaySettings);
    let changes: [(&str, Change); 9] = [
        ("hidden", |regions, _| regions[1].1.is_hidden = true),
        ("dimmed", |regions, _| {
            regions.iter_mut().for_each(|region| region.1.is_dimmed = true)
        }),
        ("solo", |regions, display| {
            regions[1].1.is_solo = true;
            regions[4].1.is_solo = true;
            display.regions.only_solo = true;
        }),
        ("hovered", |regions, _| regions[1].1.emphasis = Emphasis::Hovered),
        ("selected", |regions, _| {
            regions[1].1.emphasis = Emphasis::Selected
        }),
        ("both", |regions, _| {
            regions[0].1.emphasis = Emphasis::Selected;
            regions[5].1.emphasis = Emphasis::Hovered;
        }),
        ("no outline", |regions, _| {
            regions.iter_mut().for_each(|region| region.1.has_outline = false)
        }),
        ("broad", |_, display| display.regions.outline_width = 3.0),
        ("faint", |_, display| {
            display.regions.outline_width = 0.0;
            display.regions.fill_opacity = 0.4;
        }),
    ];
    for (name, change) in changes {
        for scale in [0.6, 1.0, 5.3] {
            let mut case = Case::new(STYLED, varied(STYLED), WINDOW).zoomed(scale, [60.0, 45.0]);
            change(&mut case.regions, &mut case.display);
            case.check(&format!("{name} at {scale}"));
        }
    }
}

#[test]
fn tones_are_those_of_the_reference() {
    type Change = fn(&mut DisplaySettings);
    let changes: [(&str, Change); 9] = [
        ("brightness", |display| display.tone.brightness = 0.2),
        ("contrast", |display| display.tone.contrast = 1.7),
        ("gamma", |display| display.tone.gamma = 2.2),
        ("inverted", |display| display.tone.is_inverted = true),
        ("window", |display| display.tone.window = [0.2, 0.45]),
        ("red", |display| display.tone.channel = Channel::Red),
        ("green", |display| display.tone.channel = Channel::Green),
        ("blue", |display| display.tone.channel = Channel::Blue),
        ("luma", |display| display.tone.channel = Channel::Luma),
    ];
    let count = SMALL.area() as u32;
    let wide = |channels: u32| {
        Arc::new(
            (0..count * channels)
                .map(|index| (index * 2311 % 65536) as u16)
                .collect(),
        )
    };
    for samples in [rgb8(SMALL), Samples::Gray16(wide(1)), Samples::Rgb16(wide(3))] {
        for (name, change) in changes {
            let mut case = Case::new(SMALL, Vec::new(), WINDOW).zoomed(3.1, [31.0, 22.0]);
            case.samples = samples.clone();
            change(&mut case.display);
            case.check(name);
        }
        let mut case = Case::new(SMALL, Vec::new(), ImageSize::new(50, 40)).zoomed(0.55, [31.0, 22.0]);
        case.samples = samples;
        case.check("smooth");
    }
}

#[test]
fn screens_of_other_densities_are_exact() {
    for density in [1.25, 2.0] {
        let mut case = Case::new(SMALL, varied(SMALL), WINDOW);
        case.regions[1].1.emphasis = Emphasis::Selected;
        let size = vec2(WINDOW.width as f32, WINDOW.height as f32) / density;
        case.view = ViewTransform::fitted(SMALL, Rect::from_min_size(pos2(0.0, 0.0), size), density);
        case.view.restore([25.3, 20.1], 4.3);
        case.check(&format!("density {density}"));
    }
}

#[test]
fn a_picture_is_right_while_it_is_edited() {
    let mut case = Case::new(MIDDLE, varied(MIDDLE), WINDOW).zoomed(1.0, [256.0, 200.0]);
    let mut renderer = case.renderer();
    let mut window = Window::new(WINDOW);
    window.draw(&mut renderer, &case.view, &case.display);
    renderer.set_budget(FrameBudget {
        time: Duration::ZERO,
        tiles: 0,
    });
    let mut revision = 1;
    // Strokes across tile borders, outside the old box, erasing, and at coarse and fine levels, each in one frame.
    let strokes = [
        (1, PixelRect::new(240, 240, 40, 30), true),
        (1, PixelRect::new(180, 190, 20, 20), false),
        (0, PixelRect::new(300, 200, 30, 61), true),
        (4, PixelRect::new(200, 150, 99, 80), false),
        (5, PixelRect::new(255, 255, 2, 2), true),
    ];
    for (step, (region, rect, value)) in strokes.into_iter().enumerate() {
        revision += 1;
        case.regions[region].0.fill_rect(rect, value);
        assert!(renderer.update_region(region as u64, revision, &case.regions[region].0, rect));
        case.check_drawn_in(&mut window, &format!("stroke {step}"), &mut renderer);
    }
    renderer.set_budget(FrameBudget::UNLIMITED);
    for scale in [0.3, 0.6, 4.0] {
        case = case.zoomed(scale, [250.0, 200.0]);
        case.check_drawn_in(&mut window, &format!("afterwards at {scale}"), &mut renderer);
    }
}

#[test]
fn order_and_number_of_regions_may_change() {
    let mut case = Case::new(MIDDLE, varied(MIDDLE), WINDOW).zoomed(0.9, [260.0, 220.0]);
    let mut renderer = case.renderer();
    let mut window = Window::new(WINDOW);
    let keys: [&[u64]; 6] = [
        &[0, 1, 2, 3, 4, 5],
        &[5, 4, 3, 2, 1, 0],
        &[4, 1],
        &[1, 4, 0],
        &[],
        &[2, 3],
    ];
    let regions = case.regions.clone();
    for keys in keys {
        case.regions = keys.iter().map(|&key| regions[key as usize].clone()).collect();
        let layers: Vec<RegionLayer<'_>> = keys
            .iter()
            .map(|&key| RegionLayer {
                key,
                revision: 1,
                pixels: RegionPixels::Mask(&regions[key as usize].0),
                style: regions[key as usize].1,
            })
            .collect();
        renderer.set_regions(&layers);
        case.check_drawn_in(&mut window, &format!("{keys:?}"), &mut renderer);
        let visible: Vec<u64> = renderer.regions_at(260, 220).collect();
        let expected: Vec<u64> = keys
            .iter()
            .rev()
            .copied()
            .filter(|&key| regions[key as usize].0.get(260, 220))
            .collect();
        assert_eq!(visible, expected);
    }
}

#[test]
fn previews_and_differences_lie_in_front() {
    let mut case = Case::new(MIDDLE, varied(MIDDLE), WINDOW).zoomed(1.3, [265.0, 150.0]);
    let mut renderer = case.renderer();
    let (original, rebuilt) = (case.regions[1].0.clone(), case.regions[0].0.clone());
    let preview = case.regions[4].0.clone();
    let look = |color| styled(color, |style| style.has_outline = false);
    let (red, blue, grey, white) = (
        look([230, 90, 0]),
        look([0, 110, 200]),
        look([90; 3]),
        look([255; 3]),
    );
    renderer.set_preview(Some((RegionPixels::Mask(&preview), white)));
    renderer.set_difference(Some(Difference {
        original: RegionPixels::Mask(&original),
        rebuilt: RegionPixels::Rle(&rebuilt.to_rle()),
        only_original: red,
        only_rebuilt: blue,
        both: grey,
    }));
    let plain = case.regions.clone();
    case.regions.extend([
        (original.difference(&rebuilt).unwrap(), red),
        (rebuilt.difference(&original).unwrap(), blue),
        (original.intersection(&rebuilt).unwrap(), grey),
        (preview, white),
    ]);
    let mut window = Window::new(WINDOW);
    case.check_drawn_in(&mut window, "difference", &mut renderer);
    renderer.set_preview(None);
    renderer.set_difference(None);
    case.regions = plain;
    case.check_drawn_in(&mut window, "without", &mut renderer);
}

#[test]
fn a_tight_budget_ends_in_the_same_picture() {
    let case = Case::new(MIDDLE, varied(MIDDLE), WINDOW).zoomed(1.0, [256.0, 256.0]);
    let mut renderer = case.renderer();
    renderer.set_budget(FrameBudget {
        time: Duration::from_secs(1),
        tiles: 1,
    });
    let mut window = Window::new(WINDOW);
    let mut frames = 1;
    window.draw(&mut renderer, &case.view, &case.display);
    assert!(!renderer.is_complete());
    while !renderer.is_complete() {
        window.draw(&mut renderer, &case.view, &case.display);
        frames += 1;
        assert!(frames < 40);
    }
    case.check_drawn_in(&mut window, "complete", &mut renderer);
}

#[test]
fn another_window_gets_the_whole_picture_again() {
    let case = Case::new(SMALL, varied(SMALL), WINDOW).zoomed(2.5, [30.0, 20.0]);
    let mut renderer = case.renderer();
    case.check_drawn("first window", &mut renderer);
    let mut window = Window::new(WINDOW);
    // The first frame of a new card only tells that all is lost.
    window.draw(&mut renderer, &case.view, &case.display);
    case.check_drawn_in(&mut window, "second window", &mut renderer);
}

#[test]
fn an_empty_canvas_is_only_ground() {
    let case = Case::new(SMALL, Vec::new(), WINDOW);
    let mut renderer = CanvasRenderer::new();
    let drawn = Window::new(WINDOW).draw(&mut renderer, &case.view, &case.display);
    assert!(drawn.chunks_exact(4).all(|pixel| pixel[3] == 255));
    renderer.set_image(3, ImageSize::new(40, 30), None);
    Window::new(WINDOW).draw(&mut renderer, &case.view, &case.display);
}

impl Case {
    #[track_caller]
    fn check_drawn_in(&self, window: &mut Window, name: &str, renderer: &mut CanvasRenderer) {
        let drawn = window.draw(renderer, &self.view, &self.display);
        assert_eq!(differences(name, self.window, &drawn, &self.expected()), None);
    }
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn views_turn_both_ways(
        (width, height) in (1..20_000_u32, 1..20_000_u32),
        (x, y, factor) in (0.0..900_f32, 0.0..700_f32, 0.01..100_f32),
        (pan_x, pan_y) in (-3000.0..3000_f32, -3000.0..3000_f32),
        density in prop_oneof![Just(1.0_f32), Just(1.5), Just(2.0)],
    ) {
        let viewport = Rect::from_min_size(pos2(31.0, 17.0), vec2(900.0, 700.0));
        let mut view = ViewTransform::fitted(ImageSize::new(width, height), viewport, density);
        prop_assert!(view.visible_pixels().is_some_and(|visible| visible.size() == view.image_size()));
        view.pan_by(Vec2::new(pan_x, pan_y));
        let anchor = viewport.min + vec2(x, y);
        let before = view.image_from_ui(anchor);
        view.zoom_by(factor, anchor);
        let after = view.image_from_ui(anchor);
        // The anchor stays where it is, but for whole physical pixels, unless the limit on panning moved the image.
        let is_free = |center: f64, length: u32| center > 0.0 && center < f64::from(length);
        if is_free(view.center()[0], width) && is_free(view.center()[1], height) {
            let pixel = 2.0 / view.scale() as f32 + 0.01;
            prop_assert!((before.x - after.x).abs() <= pixel && (before.y - after.y).abs() <= pixel);
        }
        let back = view.ui_from_image(after);
        prop_assert!((back - anchor).length() < 0.05, "{back:?} {anchor:?}");
        prop_assert!(view.visible_pixels().is_some());
        view.set_viewport(Rect::from_min_size(pos2(0.0, 0.0), vec2(0.0, 0.0)), f32::NAN);
        prop_assert!(view.scale().is_finite() && view.center().iter().all(|value| value.is_finite()));
    }
}
