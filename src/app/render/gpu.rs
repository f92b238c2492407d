//! What lies on the graphics card: tile textures, tables and the pipeline that draws them.
//!
//! The renderer decides on the CPU and queues [`GpuWrite`]s; [`CanvasGpu`] carries them out. A frame that egui throws
//! away therefore loses nothing: its writes stay in the queue.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::{Pod, Zeroable};

use super::tile_cache::SLOTS_PER_ROW;
use crate::geometry::{ImageSize, PixelRect};
use crate::picture::TexelFormat;
use crate::picture::tile::TILE;

/// Numbers per row of the texture that holds the list of sets.
pub(super) const LIST_WIDTH: u32 = 1024;

/// Styles per row of their texture.
const STYLE_WIDTH: u32 = 256;

/// Tiles along the sides of the page table.
pub(super) const PAGE_SIDE: u32 = 128;

/// Why a canvas cannot be drawn on this graphics card.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Textures of the adapter are too small.
    #[error(
        "the graphics adapter offers textures of at most {offered} texels a side, but {needed} are needed; \
         try another driver or set WGPU_BACKEND"
    )]
    SmallTextures {
        /// Most texels along a side.
        offered: u32,
        /// Texels that the canvas needs.
        needed: u32,
    },
}

/// The uniforms of a frame, as the shader has them.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct FrameUniforms {
    pub(super) origin_px: [f32; 2],
    pub(super) texels_per_px: f32,
    pub(super) scale: f32,
    pub(super) level_size: [i32; 2],
    pub(super) page_first: [i32; 2],
    pub(super) page_size: [i32; 2],
    pub(super) flags: u32,
    pub(super) channel: u32,
    pub(super) image_px: [f32; 2],
    pub(super) window: [f32; 2],
    pub(super) sample_unit: f32,
    pub(super) contrast: f32,
    pub(super) brightness: f32,
    pub(super) gamma_exponent: f32,
    pub(super) fill_opacity: f32,
    pub(super) outline_px: f32,
    pub(super) grid_opacity: f32,
    pub(super) checker_px: f32,
    pub(super) near_marks: u32,
    pub(super) ring_count: u32,
    pub(super) padding: [u32; 2],
    pub(super) backdrop: [[f32; 4]; 2],
}

/// Flags of [`FrameUniforms`]; the same numbers stand in the shader.
pub(super) mod frame_flag {
    pub(in super::super) const NEAREST: u32 = 1;
    pub(in super::super) const FOUR_TAPS: u32 = 2;
    pub(in super::super) const INVERTED: u32 = 4;
    pub(in super::super) const SRGB_TARGET: u32 = 8;
    pub(in super::super) const REGIONS_SHOWN: u32 = 16;
    pub(in super::super) const ONLY_SOLO: u32 = 32;
    pub(in super::super) const GRAY: u32 = 64;
}

/// Where a tile lies: place + 1 and steps to a coarser level of its image tile, the same of its mask tile, and the
/// set of regions where it is the same all over the tile.
pub(super) type PageEntry = [u32; 4];

/// One frame: everything that changes with the view.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) uniforms: FrameUniforms,
    /// Row by row, `page_size` of the uniforms.
    pub(super) pages: Vec<PageEntry>,
}

/// A change of what lies on the card.
#[derive(Debug)]
pub(super) enum GpuWrite {
    /// A new, empty texture for image tiles.
    PictureTexture { format: TexelFormat, rows: u32 },
    /// A new, empty texture for mask tiles.
    MaskTexture { rows: u32 },
    /// A new, empty list of sets.
    SetTexture { rows: u32 },
    /// Texels of an image tile from its top-left corner on.
    PictureTile {
        slot: u32,
        size: ImageSize,
        bytes: Vec<u8>,
    },
    /// Sets of a rectangle inside a mask tile.
    MaskTile {
        slot: u32,
        rect: PixelRect,
        texels: Vec<u32>,
    },
    /// Whole rows of the list of sets.
    Sets { first_row: u32, values: Vec<u32> },
    /// The style table.
    Styles(Vec<[u32; 2]>),
}

impl GpuWrite {
    fn bytes(&self) -> usize {
        match self {
            Self::PictureTexture { .. } | Self::MaskTexture { .. } | Self::SetTexture { .. } => 0,
            Self::PictureTile { bytes, .. } => bytes.len(),
            Self::MaskTile { texels, .. } => 4 * texels.len(),
            Self::Sets { values, .. } => 4 * values.len(),
            Self::Styles(styles) => 8 * styles.len(),
        }
    }
}

/// Bytes from which on what waits is forgotten and made anew when frames are drawn again, as behind another window.
const MAX_BYTES: usize = 256 << 20;

/// Writes that have not reached the card yet.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    writes: Vec<GpuWrite>,
    bytes: usize,
    has_delivered: bool,
    is_lost: bool,
}

impl WriteQueue {
    pub(super) fn push(&mut self, write: GpuWrite) {
        self.bytes += write.bytes();
        self.writes.push(write);
        if self.bytes > MAX_BYTES {
            self.writes = Vec::new();
            self.bytes = 0;
            self.is_lost = true;
        }
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the card has lost what was written before; asking makes a fresh start.
    pub(super) fn take_lost(&mut self) -> bool {
        if self.is_lost {
            *self = Self::default();
            return true;
        }
        false
    }

    fn take(&mut self) -> Vec<GpuWrite> {
        self.bytes = 0;
        self.has_delivered = true;
        std::mem::take(&mut self.writes)
    }
}

/// The queue between a renderer and the card.
pub(super) type SharedQueue = Arc<Mutex<WriteQueue>>;

/// The pipeline and the textures of every canvas of a window.
#[derive(Debug)]
pub(super) struct CanvasGpu {
    pipeline: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    target_flags: u32,
    canvases: HashMap<usize, CanvasTextures>,
}

impl CanvasGpu {
    pub(super) fn new(device: &wgpu::Device, target: wgpu::TextureFormat) -> Result<Self, RenderError> {
        let (offered, needed) = (device.limits().max_texture_dimension_2d, SLOTS_PER_ROW * TILE);
        if offered < needed {
            return Err(RenderError::SmallTextures { offered, needed });
        }
        let shader = device.create_shader_module(wgpu::include_wgsl!("canvas.wgsl"));
        let texture = |binding: u32| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty: wgpu::BindingType::Texture {
                sample_type: wgpu::TextureSampleType::Uint,
                view_dimension: wgpu::TextureViewDimension::D2,
                multisampled: false,
            },
            count: None,
        };
        let uniforms = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: false,
                min_binding_size: NonZeroU64::new(size_of::<FrameUniforms>() as u64),
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("canvas"),
            entries: &[
                uniforms,
                texture(1),
                texture(2),
                texture(3),
                texture(4),
                texture(5),
            ],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("canvas"),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("canvas"),
            layout: Some(&pipeline_layout),
            vertex: wgpu::VertexState {
                module: &shader,
                entry_point: Some("vertex_main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &shader,
                entry_point: Some("fragment_main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(target.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        Ok(Self {
            pipeline,
            layout,
            target_flags: if target.is_srgb() {
                frame_flag::SRGB_TARGET
            } else {
                0
            },
            canvases: HashMap::new(),
        })
    }

    /// Carries out the writes of a canvas and takes over its frame.
    pub(super) fn prepare(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        writes: &SharedQueue,
        frame: &Frame,
    ) {
        self.canvases.retain(|_, canvas| canvas.writes.strong_count() > 0);
        let mut waiting = writes.lock().unwrap_or_else(PoisonError::into_inner);
        let canvas = self
            .canvases
            .entry(Arc::as_ptr(writes) as usize)
            .or_insert_with(|| {
                waiting.is_lost = waiting.has_delivered;
                CanvasTextures::new(device, Arc::downgrade(writes))
            });
        // What waits for textures that are lost has no place to go; the renderer starts again with its next frame.
        let is_lost = waiting.is_lost;
        let writes = waiting.take();
        drop(waiting);
        for write in writes.iter().filter(|_| !is_lost) {
            canvas.write(device, queue, write);
        }
        canvas.take_frame(queue, frame, self.target_flags);
        canvas.bind(device, &self.layout);
    }

    /// Draws the canvas over the viewport of `pass`.
    pub(super) fn draw(&self, pass: &mut wgpu::RenderPass<'_>, writes: &SharedQueue) {
        let canvas = self.canvases.get(&(Arc::as_ptr(writes) as usize));
        if let Some(group) = canvas.and_then(|canvas| canvas.group.as_ref()) {
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

/// The textures of one canvas.
#[derive(Debug)]
struct CanvasTextures {
    writes: Weak<Mutex<WriteQueue>>,
    uniforms: wgpu::Buffer,
    pages: wgpu::Texture,
    picture: wgpu::Texture,
    texel_bytes: u32,
    masks: wgpu::Texture,
    sets: wgpu::Texture,
    styles: wgpu::Texture,
    /// Missing after a texture was replaced.
    group: Option<wgpu::BindGroup>,
}

impl CanvasTextures {
    fn new(device: &wgpu::Device, writes: Weak<Mutex<WriteQueue>>) -> Self {
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("canvas frame"),
            size: size_of::<FrameUniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let small = |label, format| texture(device, label, [1, 1], format);
        Self {
            writes,
            uniforms,
            pages: texture(
                device,
                "canvas pages",
                [PAGE_SIDE; 2],
                wgpu::TextureFormat::Rgba32Uint,
            ),
            picture: small("canvas image", wgpu::TextureFormat::Rgba8Uint),
            texel_bytes: 4,
            masks: small("canvas masks", wgpu::TextureFormat::R32Uint),
            sets: small("canvas sets", wgpu::TextureFormat::R32Uint),
            styles: small("canvas styles", wgpu::TextureFormat::Rg32Uint),
            group: None,
        }
    }

    fn write(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, write: &GpuWrite) {
        let tiles = |rows: u32| [SLOTS_PER_ROW * TILE, rows * TILE];
        match write {
            GpuWrite::PictureTexture { format, rows } => {
                self.texel_bytes = format.bytes() as u32;
                let format = match format {
                    TexelFormat::Rgba8 => wgpu::TextureFormat::Rgba8Uint,
                    TexelFormat::R16 => wgpu::TextureFormat::R16Uint,
                    TexelFormat::Rgba16 => wgpu::TextureFormat::Rgba16Uint,
                };
                self.picture = texture(device, "canvas image", tiles(*rows), format);
                self.group = None;
            }
            GpuWrite::MaskTexture { rows } => {
                self.masks = texture(device, "canvas masks", tiles(*rows), wgpu::TextureFormat::R32Uint);
                self.group = None;
            }
            GpuWrite::SetTexture { rows } => {
                self.sets = texture(
                    device,
                    "canvas sets",
                    [LIST_WIDTH, *rows],
                    wgpu::TextureFormat::R32Uint,
                );
                self.group = None;
            }
            GpuWrite::PictureTile { slot, size, bytes } => {
                let rect = PixelRect::new(0, 0, size.width, size.height);
                upload(
                    queue,
                    &self.picture,
                    in_slot(*slot, rect),
                    self.texel_bytes,
                    bytes,
                );
            }
            GpuWrite::MaskTile { slot, rect, texels } => {
                upload(
                    queue,
                    &self.masks,
                    in_slot(*slot, *rect),
                    4,
                    bytemuck::cast_slice(texels),
                );
            }
            GpuWrite::Sets { first_row, values } => {
                let rect = PixelRect::new(0, *first_row, LIST_WIDTH, values.len() as u32 / LIST_WIDTH);
                upload(queue, &self.sets, rect, 4, bytemuck::cast_slice(values));
            }
            GpuWrite::Styles(table) => {
                let rows = (table.len() as u32).div_ceil(STYLE_WIDTH).max(1);
                if self.styles.height() < rows || self.styles.width() < STYLE_WIDTH {
                    let size = [STYLE_WIDTH, rows.next_power_of_two()];
                    self.styles = texture(device, "canvas styles", size, wgpu::TextureFormat::Rg32Uint);
                    self.group = None;
                }
                let mut padded = table.clone();
                padded.resize((rows * STYLE_WIDTH) as usize, [0; 2]);
                let rect = PixelRect::new(0, 0, STYLE_WIDTH, rows);
                upload(queue, &self.styles, rect, 8, bytemuck::cast_slice(&padded));
            }
        }
    }

    fn take_frame(&self, queue: &wgpu::Queue, frame: &Frame, target_flags: u32) {
        let mut uniforms = frame.uniforms;
        uniforms.flags |= target_flags;
        queue.write_buffer(&self.uniforms, 0, bytemuck::bytes_of(&uniforms));
        let [width, height] = frame.uniforms.page_size.map(i32::unsigned_abs);
        let rect = PixelRect::new(0, 0, width, height);
        upload(queue, &self.pages, rect, 16, bytemuck::cast_slice(&frame.pages));
    }

    fn bind(&mut self, device: &wgpu::Device, layout: &wgpu::BindGroupLayout) {
        if self.group.is_some() {
            return;
        }
        let textures = [&self.pages, &self.picture, &self.masks, &self.sets, &self.styles];
        let views = textures.map(|texture| texture.create_view(&wgpu::TextureViewDescriptor::default()));
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: self.uniforms.as_entire_binding(),
        }];
        entries.extend((1..).zip(&views).map(|(binding, view)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::TextureView(view),
        }));
        self.group = Some(device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("canvas"),
            layout,
            entries: &entries,
        }));
    }
}

/// `rect`, inside a tile, in the texture that holds the tile at `slot`.
const fn in_slot(slot: u32, rect: PixelRect) -> PixelRect {
    PixelRect::new(
        slot % SLOTS_PER_ROW * TILE + rect.x,
        slot / SLOTS_PER_ROW * TILE + rect.y,
        rect.width,
        rect.height,
    )
}

fn texture(
    device: &wgpu::Device,
    label: &str,
    [width, height]: [u32; 2],
    format: wgpu::TextureFormat,
) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d {
            width,
            height,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

/// Writes `bytes`, row by row, to `rect` of a texture; does nothing unless it lies inside and the bytes fill it.
fn upload(queue: &wgpu::Queue, texture: &wgpu::Texture, rect: PixelRect, texel_bytes: u32, bytes: &[u8]) {
    let is_inside = rect.right() <= texture.width() && rect.bottom() <= texture.height();
    if rect.area() == 0 || !is_inside || bytes.len() as u64 != rect.area() * u64::from(texel_bytes) {
        debug_assert!(rect.area() == 0, "{rect} of {bytes} bytes", bytes = bytes.len());
        return;
    }
    queue.write_texture(
        wgpu::TexelCopyTextureInfo {
            texture,
            mip_level: 0,
            origin: wgpu::Origin3d {
                x: rect.x,
                y: rect.y,
                z: 0,
            },
            aspect: wgpu::TextureAspect::All,
        },
        bytes,
        wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(rect.width * texel_bytes),
            rows_per_image: Some(rect.height),
        },
        wgpu::Extent3d {
            width: rect.width,
            height: rect.height,
            depth_or_array_layers: 1,
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_draws_is_forgotten_and_made_anew() {
        let mut queue = WriteQueue::default();
        for _ in 0..1000 {
            let values = vec![0; 1 << 18];
            queue.push(GpuWrite::Sets { first_row: 0, values });
            assert!(queue.bytes() <= MAX_BYTES);
        }
        assert!(queue.take_lost());
        assert!(!queue.take_lost());
        assert_eq!((queue.bytes(), queue.take().len()), (0, 0));
    }
}
