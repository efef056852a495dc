//! The module's picture: a rope between two posts, on a disc in the module's colour. The same shapes are
//! written as SVG and drawn as PNG.

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Side of the picture in pixels.
const SIDE: u16 = 128;
/// Samples in a pixel, each way.
const SAMPLES: u16 = 4;
/// Radius of the disc around the middle.
const DISC: f64 = 60.0;
/// The posts: left edge, upper edge, width, height.
const POSTS: [[f64; 4]; 2] = [[31.0, 38.0, 10.0, 54.0], [87.0, 38.0, 10.0, 54.0]];
/// Radius of the knobs on the posts, and how high their middles stand.
const KNOB: (f64, f64) = (8.0, 38.0);
/// The ropes: a curve's start, control point and end.
const ROPES: [[(f64, f64); 3]; 2] = [
    [(36.0, 46.0), (64.0, 78.0), (92.0, 46.0)],
    [(36.0, 62.0), (64.0, 94.0), (92.0, 62.0)],
];
/// Half a rope's width.
const ROPE: f64 = 3.0;
/// Dark enough to stand behind white.
const COLOURS: [[u8; 3]; 8] = [
    [0x1d, 0x4e, 0x89],
    [0x5b, 0x2a, 0x86],
    [0x0b, 0x6e, 0x4f],
    [0x9a, 0x34, 0x12],
    [0x0e, 0x63, 0x77],
    [0x8a, 0x1c, 0x4a],
    [0x3f, 0x4d, 0x1f],
    [0x33, 0x3a, 0x73],
];

/// How much of each pixel the disc covers, and how much of it is white, in sixteenths.
static COVER: LazyLock<Vec<(u16, u16)>> = LazyLock::new(|| {
    let mut cover = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (mut disc, mut white) = (0, 0);
            for sample in 0..SAMPLES * SAMPLES {
                let at = |pixel: u16, step: u16| {
                    f64::from(pixel) + (f64::from(step) + 0.5) / f64::from(SAMPLES)
                };
                let point = (at(x, sample % SAMPLES), at(y, sample / SAMPLES));
                if distance(point, (64.0, 64.0)) <= DISC {
                    disc += 1;
                    white += u16::from(is_white(point));
                }
            }
            cover.push((disc, white));
        }
    }
    cover
});

fn colour(name: &str) -> [u8; 3] {
    let sum: usize = name.bytes().map(usize::from).sum();
    COLOURS[sum % COLOURS.len()]
}

/// As SVG.
pub(super) fn svg(name: &str) -> String {
    let [red, green, blue] = colour(name);
    let mut shapes = String::new();
    for [left, top, width, height] in POSTS {
        let middle = left + width / 2.0;
        shapes.push_str(&format!(
            "  <rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n  \
             <circle cx=\"{middle}\" cy=\"{}\" r=\"{}\" fill=\"#fff\"/>\n",
            KNOB.1, KNOB.0
        ));
    }
    for [start, control, end] in ROPES {
        shapes.push_str(&format!(
            "  <path d=\"M{} {} Q{} {} {} {}\" fill=\"none\" stroke=\"#fff\" stroke-width=\"{}\"/>\n",
            start.0,
            start.1,
            control.0,
            control.1,
            end.0,
            end.1,
            ROPE * 2.0
        ));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{SIDE}\" height=\"{SIDE}\" viewBox=\"0 0 {SIDE} {SIDE}\">\n  \
         <circle cx=\"64\" cy=\"64\" r=\"{DISC}\" fill=\"#{red:02x}{green:02x}{blue:02x}\"/>\n{shapes}</svg>\n"
    )
}

/// As PNG: square, with nothing behind the disc.
pub(super) fn png(name: &str) -> Vec<u8> {
    let colour = colour(name);
    let full = SAMPLES * SAMPLES;
    let mut rows = Vec::new();
    for row in COVER.chunks(usize::from(SIDE)) {
        // No filter.
        rows.push(0);
        for &(disc, white) in row {
            for part in colour {
                let mixed = (u16::from(part) * (disc - white) + 255 * white).checked_div(disc);
                rows.push(byte(mixed.unwrap_or(0)));
            }
            rows.push(byte(255 * disc / full));
        }
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(&rows);
    let packed = encoder.finish().unwrap_or_default();
    let side = u32::from(SIDE).to_be_bytes();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    // Eight bits for each of red, green, blue and opacity.
    let header = [&side[..], &side[..], &[8, 6, 0, 0, 0]].concat();
    for (kind, content) in [(b"IHDR", header), (b"IDAT", packed), (b"IEND", Vec::new())] {
        let length = u32::try_from(content.len()).unwrap_or_default();
        png.extend(length.to_be_bytes());
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(&content);
        png.extend(kind);
        png.extend(content);
        png.extend(sum.sum().to_be_bytes());
    }
    png
}

fn byte(value: u16) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

fn is_white(point: (f64, f64)) -> bool {
    let is_post = POSTS.iter().any(|[left, top, width, height]| {
        (*left..=left + width).contains(&point.0) && (*top..=top + height).contains(&point.1)
    });
    let is_knob = POSTS
        .iter()
        .any(|[left, _, width, _]| distance(point, (left + width / 2.0, KNOB.1)) <= KNOB.0);
    is_post || is_knob || ROPES.iter().any(|rope| to_rope(point, rope) <= ROPE)
}

/// Distance from a point to a curve, which is near enough to a chain of short lines.
fn to_rope(point: (f64, f64), [start, control, end]: &[(f64, f64); 3]) -> f64 {
    const LINES: u32 = 24;
    let on = |step: u32| {
        let (there, left) = (
            f64::from(step) / f64::from(LINES),
            1.0 - f64::from(step) / f64::from(LINES),
        );
        let blend =
            |a: f64, b: f64, c: f64| left * left * a + 2.0 * left * there * b + there * there * c;
        (
            blend(start.0, control.0, end.0),
            blend(start.1, control.1, end.1),
        )
    };
    (0..LINES)
        .map(|step| to_line(point, on(step), on(step + 1)))
        .fold(f64::INFINITY, f64::min)
}

fn to_line(point: (f64, f64), start: (f64, f64), end: (f64, f64)) -> f64 {
    let (along, across) = (end.0 - start.0, end.1 - start.1);
    let share = ((point.0 - start.0) * along + (point.1 - start.1) * across)
        / (along * along + across * across);
    let share = share.clamp(0.0, 1.0);
    distance(point, (start.0 + share * along, start.1 + share * across))
}

fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    ((a.0 - b.0) * (a.0 - b.0) + (a.1 - b.1) * (a.1 - b.1)).sqrt()
}
