// The picture of the canvas: ground, image, pixel grid, fills and outlines of regions, in one pass.
//
// Image and masks are cut into tiles of 256 texels, at the level of halving that has one or up to two texels per
// physical pixel. The page table says where each visible tile lies in the two tile textures, or which coarser tile
// stands in for it.
// A CPU twin of this file is `reference.rs`; both must change together.

struct Frame {
    // Top-left corner of the image, in physical pixels of the window.
    origin_px: vec2<f32>,
    // Texels of the level per physical pixel.
    texels_per_px: f32,
    // Physical pixels per image pixel.
    scale: f32,
    // Size of the level in texels.
    level_size: vec2<i32>,
    // First tile of the page table, and how many it has.
    page_first: vec2<i32>,
    page_size: vec2<i32>,
    flags: u32,
    channel: u32,
    // Size of the image in physical pixels.
    image_px: vec2<f32>,
    // Black, and 1 / (white - black), as shares of the largest sample.
    window: vec2<f32>,
    sample_unit: f32,
    contrast: f32,
    brightness: f32,
    gamma_exponent: f32,
    // Factor on the fill opacity of regions.
    fill_opacity: f32,
    // Width of an outline, in whole physical pixels; 0 for none.
    outline_px: f32,
    grid_opacity: f32,
    checker_px: f32,
    // Marks of a texel, of which any means that outlines may be near; 0 if they may be near everywhere.
    near_marks: u32,
    // Places around a pixel that are looked at: 0 without outlines, 16 with emphasised regions, otherwise 8.
    ring_count: u32,
    backdrop: array<vec4<f32>, 2>,
}

const NEAREST: u32 = 1u;
const FOUR_TAPS: u32 = 2u;
const INVERTED: u32 = 4u;
const SRGB_TARGET: u32 = 8u;
const REGIONS_SHOWN: u32 = 16u;
const ONLY_SOLO: u32 = 32u;
const GRAY: u32 = 64u;

const HIDDEN: u32 = 1u;
const HOVERED: u32 = 2u;
const SELECTED: u32 = 4u;
const DIMMED: u32 = 8u;
const SOLO: u32 = 16u;
const NO_OUTLINE: u32 = 32u;
const EMPHASISED: u32 = 6u;

// A texel of a mask tile: the number of its set, and marks above.
const SET_MASK: u32 = 0x3fffffffu;

const TILE_BITS: u32 = 8u;
const TILE_MASK: i32 = 255;
const SLOTS_PER_ROW: u32 = 32u;
const LIST_BITS: u32 = 10u;
const LIST_MASK: u32 = 1023u;
const STYLE_BITS: u32 = 8u;
const STYLE_MASK: u32 = 255u;

// What shows where the image has not arrived yet.
const PENDING: vec3<f32> = vec3<f32>(0.16, 0.16, 0.17);
const DIMMED_SHARE: f32 = 0.3;
const HOVERED_FILL: f32 = 0.2;
const HALO_OPACITY: f32 = 0.7;
// Moves the middle of a physical pixel off an edge between texels that it lies on, where rounding would decide.
const NUDGE_PX: f32 = 0.0009765625;
// Texels outside the image up to which an outline may reach where marks are used.
const REACH: i32 = 10;

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var pages: texture_2d<u32>;
@group(0) @binding(2) var picture: texture_2d<u32>;
@group(0) @binding(3) var masks: texture_2d<u32>;
@group(0) @binding(4) var sets: texture_2d<u32>;
@group(0) @binding(5) var styles: texture_2d<u32>;

@vertex
fn vertex_main(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    return vec4<f32>(corner * 2.0 - 1.0, 0.0, 1.0);
}

fn has(flag: u32) -> bool {
    return (frame.flags & flag) != 0u;
}

fn page(tile: vec2<i32>) -> vec4<u32> {
    let at = tile - frame.page_first;
    if any(at < vec2<i32>(0)) || any(at >= frame.page_size) {
        return vec4<u32>(0u);
    }
    return textureLoad(pages, at, 0);
}

// Where `texel` of the level in view lies in a tile texture; `entry` is place + 1 and how much coarser the tile is.
fn place(entry: u32, texel: vec2<i32>) -> vec2<i32> {
    let slot = (entry & 0xffffu) - 1u;
    let inside = (texel >> vec2<u32>(entry >> 16u)) & vec2<i32>(TILE_MASK);
    let first = vec2<i32>(vec2<u32>(slot % SLOTS_PER_ROW, slot / SLOTS_PER_ROW) << vec2<u32>(TILE_BITS));
    return first + inside;
}

// Red, green and blue of a texel, 0 to 1; alpha is 0 where it has not arrived.
fn picture_texel(wanted: vec2<i32>) -> vec4<f32> {
    let texel = clamp(wanted, vec2<i32>(0), frame.level_size - 1);
    let entry = page(texel >> vec2<u32>(TILE_BITS)).x;
    if entry == 0u {
        return vec4<f32>(0.0);
    }
    let samples = textureLoad(picture, place(entry, texel), 0);
    let color = vec3<f32>(samples.rgb) * frame.sample_unit;
    return vec4<f32>(select(color, color.rrr, has(GRAY)), 1.0);
}

// One texel or the four around, weighted: branches cost a software adapter both ways, loops do not.
fn picture_at(position: vec2<f32>) -> vec4<f32> {
    if has(NEAREST) {
        return picture_texel(vec2<i32>(floor(position + NUDGE_PX * frame.texels_per_px)));
    }
    let corner = position - 0.5;
    let first = vec2<i32>(floor(corner));
    let share = corner - floor(corner);
    var color = vec4<f32>(0.0);
    for (var i = 0; i < 4; i++) {
        let step = vec2<i32>(i & 1, i >> 1u);
        let weight = select(1.0 - share, share, step == vec2<i32>(1));
        color += weight.x * weight.y * picture_texel(first + step);
    }
    return color;
}

fn toned(samples: vec3<f32>) -> vec3<f32> {
    var color = samples;
    switch frame.channel {
        case 1u: { color = samples.rrr; }
        case 2u: { color = samples.ggg; }
        case 3u: { color = samples.bbb; }
        case 4u: { color = vec3<f32>(dot(samples, vec3<f32>(0.299, 0.587, 0.114))); }
        default: {}
    }
    color = clamp((color - frame.window.x) * frame.window.y, vec3<f32>(0.0), vec3<f32>(1.0));
    color = (color - 0.5) * frame.contrast + 0.5 + frame.brightness;
    color = clamp(color, vec3<f32>(0.0), vec3<f32>(1.0));
    if frame.gamma_exponent != 1.0 {
        color = pow(color, vec3<f32>(frame.gamma_exponent));
    }
    return select(color, 1.0 - color, has(INVERTED));
}

// Number of the set of regions at a texel, with marks; no region outside the image.
fn marked_set_at(texel: vec2<i32>) -> u32 {
    let gap = max(-texel, texel - frame.level_size + 1);
    let distance = max(gap.x, gap.y);
    if distance > 0 {
        return select(0u, frame.near_marks, distance <= REACH);
    }
    let entry = page(texel >> vec2<u32>(TILE_BITS));
    if entry.y == 0u {
        return entry.z;
    }
    return textureLoad(masks, place(entry.y, texel), 0).r;
}

fn marked_set_from_px(px: vec2<f32>) -> u32 {
    return marked_set_at(vec2<i32>(floor((px - frame.origin_px + NUDGE_PX) * frame.texels_per_px)));
}

fn list(index: u32) -> u32 {
    return textureLoad(sets, vec2<u32>(index & LIST_MASK, index >> LIST_BITS), 0).r;
}

fn contains(members: u32, region: u32) -> bool {
    let count = list(members);
    for (var i = 1u; i <= count; i++) {
        if list(members + i) == region {
            return true;
        }
    }
    return false;
}

fn style_of(region: u32) -> vec2<u32> {
    return textureLoad(styles, vec2<u32>(region & STYLE_MASK, region >> STYLE_BITS), 0).rg;
}

fn is_drawn(flags: u32) -> bool {
    return (flags & HIDDEN) == 0u && (!has(ONLY_SOLO) || (flags & SOLO) != 0u);
}

// Eight directions; the diagonal ones are as long as the others.
fn direction(index: u32) -> vec2<f32> {
    let sign = 1.0 - 2.0 * vec2<f32>(vec2<u32>(index & 1u, (index >> 1u) & 1u));
    let axis = select(vec2<f32>(0.0, sign.x), vec2<f32>(sign.x, 0.0), index < 2u);
    return select(sign * 0.70710678, axis, index < 4u);
}

// The different sets around a pixel.
struct Ring {
    // Sets at the distance of an outline; with `FARTHER` at twice that distance.
    sets: array<u32, 16>,
    count: u32,
    // How many of them, the first, are at the distance of an outline.
    near_count: u32,
}

const FARTHER: u32 = 0x80000000u;

// Whether `region`, which is at the pixel, ends within an outline's distance (1), within twice that (2) or both (3).
fn ends(ring: ptr<function, Ring>, members: u32, region: u32, count: u32) -> u32 {
    var found = 0u;
    for (var i = 0u; i < count; i++) {
        let other = (*ring).sets[i];
        if (other & SET_MASK) != members && !contains(other & SET_MASK, region) {
            found |= 1u + (other >> 31u);
        }
    }
    return found;
}

// Regions of the set `members` over `ground`.
fn over(ground: vec3<f32>, members: u32, ring: ptr<function, Ring>) -> vec3<f32> {
    var color = vec3<f32>(0.0);
    var through = 1.0;
    var outline = vec4<f32>(0.0);
    let count = list(members);
    for (var i = 1u; i <= count; i++) {
        let region = list(members + i);
        let style = style_of(region);
        let flags = style.y;
        let rgba = unpack4x8unorm(style.x);
        let strength = select(1.0, DIMMED_SHARE, (flags & DIMMED) != 0u);
        var opacity = rgba.a * frame.fill_opacity;
        opacity = select(opacity, min(opacity + HOVERED_FILL, 1.0), (flags & HOVERED) != 0u) * strength;
        let is_emphasised = (flags & EMPHASISED) != 0u;
        let ring_count = select((*ring).near_count, (*ring).count, is_emphasised);
        let is_outlined = is_drawn(flags) && (flags & NO_OUTLINE) == 0u;
        let end = ends(ring, members, region, select(0u, ring_count, is_outlined));
        if !is_emphasised {
            opacity = select(opacity, max(opacity, strength), (end & 1u) != 0u);
        } else if end != 0u && outline.a == 0.0 {
            // Seen through everything in front of it; the frontmost wins.
            let is_white = (end & 1u) != 0u && (flags & SELECTED) != 0u;
            outline = vec4<f32>(select(rgba.rgb, vec3<f32>(1.0), is_white), 1.0);
        }
        opacity = select(0.0, opacity, is_drawn(flags));
        color += through * opacity * rgba.rgb;
        through *= 1.0 - opacity;
        if through < 0.001 && (*ring).count == 0u {
            break;
        }
    }
    return mix(color + through * ground, outline.rgb, outline.a);
}

// Whether a selected region that is not at the pixel begins within the distance of an outline.
fn is_in_halo(members: u32, ring: ptr<function, Ring>, ring_count: u32) -> bool {
    for (var k = 0u; k < ring_count; k++) {
        let other = (*ring).sets[k];
        let count = select(0u, list(other), other != members);
        for (var i = 1u; i <= count; i++) {
            let region = list(other + i);
            let flags = style_of(region).y;
            if (flags & SELECTED) != 0u && (flags & NO_OUTLINE) == 0u && is_drawn(flags) && !contains(members, region) {
                return true;
            }
        }
    }
    return false;
}

fn with_regions(ground: vec3<f32>, px: vec2<f32>) -> vec3<f32> {
    let marked = marked_set_from_px(px);
    let members = marked & SET_MASK;
    let is_near = frame.near_marks == 0u || (marked & frame.near_marks) != 0u;
    let tap_count = select(0u, 4u, is_near && has(FOUR_TAPS));
    var taps = vec4<u32>(members);
    for (var i = 0u; i < tap_count; i++) {
        let tap = vec2<f32>(vec2<u32>(i & 1u, i >> 1u)) * 0.5 - 0.25;
        taps[i] = marked_set_from_px(px + tap) & SET_MASK;
    }
    let is_mixed = any(taps != taps.xxxx) || taps.x != members;
    let place_count = select(0u, frame.ring_count, is_near);
    var ring: Ring;
    // Neighbours mostly repeat one or two sets, and those of the pixel itself end nothing.
    for (var i = 0u; i < place_count; i++) {
        let is_farther = i >= 8u;
        let distance = select(frame.outline_px, 2.0 * frame.outline_px, is_farther);
        let other = (marked_set_from_px(px + direction(i & 7u) * distance) & SET_MASK) | select(0u, FARTHER, is_farther);
        let is_known = ring.count > 0u && (other == ring.sets[0] || other == ring.sets[max(ring.count, 1u) - 1u]);
        if !is_known && (is_mixed || (other & SET_MASK) != members) {
            ring.sets[ring.count] = other;
            ring.count++;
            ring.near_count += select(1u, 0u, is_farther);
        }
    }
    var color = vec3<f32>(0.0);
    let shade_count = select(1u, 4u, is_mixed);
    for (var i = 0u; i < shade_count; i++) {
        color += over(ground, taps[i], &ring);
    }
    color = color / f32(shade_count);
    if is_in_halo(members, &ring, select(0u, ring.near_count, frame.ring_count == 16u)) {
        color = mix(color, vec3<f32>(0.0), HALO_OPACITY);
    }
    return color;
}

fn linear_from_gamma(color: vec3<f32>) -> vec3<f32> {
    let low = color / 12.92;
    let high = pow((color + 0.055) / 1.055, vec3<f32>(2.4));
    return select(high, low, color <= vec3<f32>(0.04045));
}

@fragment
fn fragment_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let px = position.xy;
    let at = px - frame.origin_px;
    let is_inside = all(at >= vec2<f32>(0.0)) && all(at < frame.image_px);
    var color: vec3<f32>;
    if is_inside {
        let sampled = picture_at(at * frame.texels_per_px);
        color = mix(PENDING, toned(sampled.rgb), select(0.0, 1.0, sampled.a > 0.999));
        if frame.grid_opacity > 0.0 {
            let here = floor((at + NUDGE_PX) / frame.scale);
            let before = floor((at + NUDGE_PX - 1.0) / frame.scale);
            if any(here != before) {
                let luma = dot(color, vec3<f32>(0.299, 0.587, 0.114));
                color = mix(color, vec3<f32>(select(1.0, 0.0, luma > 0.5)), frame.grid_opacity);
            }
        }
    } else {
        let cell = vec2<i32>(floor(px / frame.checker_px));
        color = frame.backdrop[(cell.x + cell.y) & 1].rgb;
    }
    if has(REGIONS_SHOWN) {
        color = with_regions(color, px);
    }
    if has(SRGB_TARGET) {
        color = linear_from_gamma(color);
    }
    return vec4<f32>(color, 1.0);
}
