//! What a frame costs the CPU, apart from the graphics card, as the number of regions and pixels grows.
//!
//! Every test run does a small round and looks for gross mistakes only; `SAMTOK_FRAME_COST=1 cargo test --release
//! frame_cost -- --nocapture` prints the table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{Rect, pos2, vec2};

use super::display::{DisplaySettings, Emphasis, RegionStyle};
use super::gpu::CanvasGpu;
use super::region_layer::{RegionLayer, RegionPixels};
use super::region_shape::RegionShape;
use super::renderer::CanvasRenderer;
use super::tests::device;
use super::view_transform::ViewTransform;
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::RgbImage;
use crate::mask::{Mask, Rle};
use crate::picture::PicturePyramid;

/// Size of the window in physical pixels: a full-screen canvas beside its panels.
const WINDOW: ImageSize = ImageSize::new(1600, 1000);

/// Time that this thread has spent on a processor: other programs do not count. Wall time where that is unknown.
fn processor_time(begun: Instant) -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok().map(Duration::from_nanos));
    spent.unwrap_or_else(|| begun.elapsed())
}

/// A canvas and the card that it is drawn with.
struct Canvas {
    renderer: CanvasRenderer,
    gpu: CanvasGpu,
    view: ViewTransform,
    display: DisplaySettings,
    target: wgpu::TextureView,
    begun: Instant,
    frames: Vec<Duration>,
    /// Waiting for the card, all frames together.
    card: Duration,
}

impl Canvas {
    fn new(window: ImageSize, size: ImageSize, regions: usize) -> (Self, Vec<Arc<RegionShape>>) {
        let (device, _) = device();
        let format = wgpu::TextureFormat::Rgba8Unorm;
        let target = device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d {
                width: window.width,
                height: window.height,
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        let viewport = Rect::from_min_size(pos2(0.0, 0.0), vec2(window.width as f32, window.height as f32));
        let mut renderer = CanvasRenderer::new();
        let pixels = vec![90; 3 * size.area() as usize];
        let picture = PicturePyramid::from_rgb(Arc::new(RgbImage { size, pixels })).unwrap();
        renderer.set_image(1, size, Some(Arc::new(picture)));
        let shapes = shapes(size, regions);
        let canvas = Self {
            renderer,
            gpu: CanvasGpu::new(device, format).unwrap(),
            view: ViewTransform::fitted(size, viewport, 1.0),
            display: DisplaySettings::default(),
            target: target.create_view(&wgpu::TextureViewDescriptor::default()),
            begun: Instant::now(),
            frames: Vec::new(),
            card: Duration::ZERO,
        };
        (canvas, shapes)
    }

    /// One frame; `change` counts as part of it.
    fn frame(&mut self, change: impl FnOnce(&mut Self)) {
        let (device, queue) = device();
        let before = processor_time(self.begun);
        change(self);
        let frame = self.renderer.next_frame(&self.view, &self.display);
        self.gpu.prepare(device, queue, self.renderer.queue(), &frame);
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &self.target,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations::default(),
                })],
                ..Default::default()
            });
            self.gpu.draw(&mut pass, self.renderer.queue());
        }
        queue.submit([encoder.finish()]);
        self.frames.push(processor_time(self.begun) - before);
        let begun = Instant::now();
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        self.card += begun.elapsed();
    }

    /// Frames until everything in view is there.
    fn settle(&mut self) -> usize {
        for count in 1..1000 {
            self.frame(|_| {});
            if self.renderer.is_complete() {
                return count;
            }
        }
        panic!("the canvas never gets complete");
    }

    /// Median and largest time of the frames since the last call, and the mean wait for the card.
    fn figures(&mut self) -> Figures {
        let mut frames = std::mem::take(&mut self.frames);
        let card = std::mem::take(&mut self.card) / frames.len().max(1) as u32;
        frames.sort_unstable();
        Figures {
            median: frames.get(frames.len() / 2).copied().unwrap_or_default(),
            largest: frames.last().copied().unwrap_or_default(),
            card,
        }
    }
}

struct Figures {
    median: Duration,
    largest: Duration,
    card: Duration,
}

/// Round regions of many sizes, some of them over half of the image.
fn shapes(size: ImageSize, count: usize) -> Vec<Arc<RegionShape>> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: u32| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % u64::from(bound.max(1))) as u32
    };
    let side = size.width.min(size.height);
    (0..count)
        .map(|index| {
            let radius = match index {
                0..3 => side / 4,
                _ => side / 200 + next(side / 60),
            }
            .max(4);
            let (x, y) = (next(size.width), next(size.height));
            let (mut counts, mut covered) = (Vec::new(), 0);
            for column in x.saturating_sub(radius)..(x + radius).min(size.width) {
                let half = (radius.pow(2) - column.abs_diff(x).pow(2)).isqrt();
                let rows = y.saturating_sub(half)..(y + half).min(size.height);
                if !rows.is_empty() {
                    counts.extend([column * size.height + rows.start - covered, rows.len() as u32]);
                    covered = column * size.height + rows.end;
                }
            }
            counts.push(size.area() as u32 - covered);
            Arc::new(RegionShape::from_rle(&Rle::from_counts(size, counts).unwrap()))
        })
        .collect()
}

fn layers(shapes: &[Arc<RegionShape>], hovered: u64) -> Vec<RegionLayer<'_>> {
    (0..)
        .zip(shapes)
        .map(|(key, shape)| {
            let mut style = RegionStyle::new([(key * 37 % 256) as u8, (key * 91 % 256) as u8, 160]);
            if key == hovered {
                style.emphasis = Emphasis::Hovered;
            }
            RegionLayer {
                key,
                revision: 1,
                pixels: RegionPixels::Shape(shape),
                style,
            }
        })
        .collect()
}

/// Prints a row per kind of frame; the slowest median of all kinds.
fn measure(window: ImageSize, size: ImageSize, regions: usize) -> Duration {
    let (mut canvas, shapes) = Canvas::new(window, size, regions);
    canvas.frame(|canvas| canvas.renderer.set_regions(&layers(&shapes, u64::MAX)));
    let mut slowest = Duration::ZERO;
    let mut report = |canvas: &mut Canvas, kind: &str, note: String| {
        let Figures {
            median,
            largest,
            card,
        } = canvas.figures();
        println!(
            "{size:>15} {regions:>6} {kind:<18} {:>8.2} {:>8.2} {:>8.1}  {note}",
            median.as_secs_f64() * 1e3,
            largest.as_secs_f64() * 1e3,
            card.as_secs_f64() * 1e3,
            size = size.to_string(),
        );
        slowest = slowest.max(median);
    };
    let frames = canvas.settle();
    report(
        &mut canvas,
        "first view",
        format!("{frames} frames until complete"),
    );
    for step in 0..20 {
        canvas.frame(|canvas| canvas.renderer.set_regions(&layers(&shapes, step)));
    }
    report(&mut canvas, "hover", String::new());
    for step in 0..60 {
        let factor = if step < 30 { 1.12 } else { 1.0 / 1.12 };
        canvas.frame(|canvas| {
            canvas
                .view
                .zoom_by(factor, canvas.view.viewport().center() + vec2(7.0, 3.0))
        });
    }
    report(&mut canvas, "zoom", String::new());
    canvas.view.zoom_to(1.0, canvas.view.viewport().center());
    canvas.settle();
    canvas.figures();
    for _ in 0..40 {
        canvas.frame(|canvas| canvas.view.pan_by(vec2(-23.0, -11.0)));
    }
    report(&mut canvas, "pan at 100 %", String::new());
    canvas.settle();
    canvas.figures();
    let center = canvas.view.center().map(|value| value as u32);
    let mut mask = Mask::from_rects(
        size,
        &[PixelRect::new(center[0] / 2, center[1] / 2, center[0], center[1])],
    )
    .unwrap();
    canvas
        .renderer
        .update_region(0, 2, &mask, PixelRect::covering(size));
    canvas.settle();
    canvas.figures();
    for step in 0..40 {
        let dirty = PixelRect::new(center[0].saturating_sub(300) + step * 12, center[1], 80, 80);
        mask.fill_rect(dirty, step % 3 != 0);
        canvas.frame(|canvas| {
            canvas
                .renderer
                .update_region(0, 3 + u64::from(step), &mask, dirty);
        });
    }
    report(&mut canvas, "brush of 80 px", String::new());
    for _ in 0..10 {
        canvas.frame(|_| {});
    }
    report(&mut canvas, "nothing changes", String::new());
    slowest
}

#[test]
fn frames_cost_little() {
    if std::env::var_os("SAMTOK_FRAME_COST").is_none() {
        // Ten times the target, for a build without optimisation on a busy machine.
        assert!(
            measure(ImageSize::new(160, 100), ImageSize::new(1200, 1000), 300) < Duration::from_millis(40)
        );
        return;
    }
    println!("processor milliseconds of the window's thread per frame; waiting for the card apart");
    println!(
        "{:>15} {:>6} {:<18} {:>8} {:>8} {:>8}",
        "image", "regions", "frames", "median", "largest", "card"
    );
    let by_regions = [10, 100, 2000, 10_000].map(|regions| (8000, regions));
    let by_size = [1000, 4000, 12_000, 20_000].map(|side| (side, 2000));
    for (side, regions) in by_regions.into_iter().chain(by_size) {
        measure(WINDOW, ImageSize::new(side, side), regions);
    }
}
