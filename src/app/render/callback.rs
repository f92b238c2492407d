//! The seam to egui: a canvas becomes a paint callback of the window's render pass.

use egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};

use super::display::DisplaySettings;
use super::gpu::{CanvasGpu, Frame, RenderError, SharedQueue};
use super::renderer::CanvasRenderer;
use super::view_transform::ViewTransform;

/// Makes the pipeline of all canvases of a window; call it once, before the first frame.
///
/// The window must be drawn without multisampling and depth buffer, as eframe does unless told otherwise.
///
/// # Errors
/// [`RenderError`] for an adapter that is too weak.
pub fn install(render_state: &RenderState) -> Result<(), RenderError> {
    let gpu = CanvasGpu::new(&render_state.device, render_state.target_format)?;
    render_state.renderer.write().callback_resources.insert(gpu);
    Ok(())
}

impl CanvasRenderer {
    /// Draws the canvas over `view.viewport()` as `painter` clips it, and asks for another frame while tiles are
    /// missing. One call per renderer and frame.
    pub fn paint(&mut self, painter: &egui::Painter, view: &ViewTransform, display: &DisplaySettings) {
        let frame = self.next_frame(view, display);
        let callback = CanvasCallback {
            queue: self.queue().clone(),
            frame,
        };
        painter.add(egui_wgpu::Callback::new_paint_callback(view.viewport(), callback));
        if !self.is_complete() {
            painter.ctx().request_repaint();
        }
    }
}

/// One frame of a canvas on its way to the card.
#[derive(Debug)]
struct CanvasCallback {
    queue: SharedQueue,
    frame: Frame,
}

impl CallbackTrait for CanvasCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        match resources.get_mut::<CanvasGpu>() {
            Some(gpu) => gpu.prepare(device, queue, &self.queue, &self.frame),
            None => tracing::error!("the canvas cannot be drawn: it was not installed in this window"),
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        if let Some(gpu) = resources.get::<CanvasGpu>() {
            gpu.draw(pass, &self.queue);
        }
    }
}
