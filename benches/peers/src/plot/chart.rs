//! A chart as SVG: panels beside each other, each line with its label at its end. It brings its own light ground, so that
//! it looks the same on a light and on a dark page.

use measure::log::Failure;
use std::fmt::Write;

/// The whole picture's width; a page shows it at about this size.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 470.0;
/// Above the panels: title and subtitle, and each panel's own title.
const TOP: f64 = 112.0;
/// Below them: the ticks' labels.
const BOTTOM: f64 = 46.0;
/// Left of each panel: the ticks' labels.
const LEFT: f64 = 68.0;
/// Right of each panel: the lines' labels.
const RIGHT: f64 = 142.0;
/// Between two labels' baselines.
const LABEL_STEP: f64 = 17.0;

pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) subtitle: &'static str,
    pub(super) panels: Vec<Panel>,
}

pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) x: Scale,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y: Scale,
    pub(super) y_ticks: Vec<Tick>,
    pub(super) lines: Vec<Line>,
}

pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: &'static str,
}

pub(super) struct Line {
    pub(super) label: &'static str,
    pub(super) colour: &'static str,
    /// The one that the chart is about: thicker, and below the others so that none is hidden.
    pub(super) prominent: bool,
    pub(super) dashed: bool,
    /// From left to right; not empty.
    pub(super) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy)]
pub(super) enum Scale {
    Linear { from: f64, to: f64 },
    Logarithmic { from: f64, to: f64 },
}

impl Scale {
    /// Where a value lies between the ends, from 0 to 1.
    fn share(self, value: f64) -> f64 {
        match self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Logarithmic { from, to } => (value.max(from) / from).ln() / (to / from).ln(),
        }
        .clamp(0.0, 1.0)
    }
}

impl Chart {
    /// # Errors
    /// A panel has no lines.
    pub(super) fn complete(self, part: &str) -> Result<Self, Failure> {
        if self.panels.iter().any(|panel| panel.lines.is_empty()) {
            return Err(format!("the file has no numbers for {part}").into());
        }
        Ok(self)
    }

    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12.5" role="img">
<title>{title}</title>
<rect x="0.5" y="0.5" width="{width}" height="{height}" rx="8" fill="#ffffff" stroke="#d0d7de"/>
<text x="22" y="34" font-size="18" font-weight="600" fill="#1f2328">{title}</text>
<text x="22" y="56" fill="#59636e">{subtitle}</text>
"##,
            title = self.title,
            subtitle = self.subtitle,
            width = WIDTH - 1.0,
            height = HEIGHT - 1.0,
        );
        let panel_width = (WIDTH - 12.0) / self.panels.len() as f64;
        for (index, panel) in self.panels.iter().enumerate() {
            panel.draw(&mut svg, panel_width * index as f64, panel_width);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Where a panel's lines are, in the picture's units.
struct Frame {
    left: f64,
    right: f64,
}

impl Frame {
    const TOP: f64 = TOP;
    const BOTTOM: f64 = HEIGHT - BOTTOM;

    fn x(&self, share: f64) -> f64 {
        self.left + share * (self.right - self.left)
    }

    fn y(&self, share: f64) -> f64 {
        Self::BOTTOM - share * (Self::BOTTOM - Self::TOP)
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, left: f64, width: f64) {
        let frame = Frame { left: left + LEFT, right: left + width - RIGHT };
        let (top, bottom) = (Frame::TOP, Frame::BOTTOM);
        let _ = writeln!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" font-weight="600" fill="#1f2328">{}</text>"##,
            frame.left,
            top - 18.0,
            self.title
        );
        for tick in &self.y_ticks {
            let y = frame.y(self.y.share(tick.at));
            let _ = writeln!(
                svg,
                r##"<path d="M{:.1} {y:.1}H{:.1}" stroke="#e6eaef"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#59636e">{}</text>"##,
                frame.left,
                frame.right,
                frame.left - 8.0,
                y + 4.0,
                tick.label
            );
        }
        for tick in &self.x_ticks {
            let x = frame.x(self.x.share(tick.at));
            let _ = writeln!(
                svg,
                r##"<path d="M{x:.1} {top:.1}V{bottom:.1}" stroke="#f0f3f6"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="11.5" fill="#59636e">{}</text>"##,
                bottom + 20.0,
                tick.label
            );
        }
        let prominent_first = |line: &&Line| !line.prominent;
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by_key(prominent_first);
        for line in &lines {
            self.draw_line(svg, &frame, line);
        }
        self.draw_labels(svg, &frame, lines);
    }

    fn draw_line(&self, svg: &mut String, frame: &Frame, line: &Line) {
        let points = line.points.iter().map(|&(x, y)| (frame.x(self.x.share(x)), frame.y(self.y.share(y))));
        let (width, radius) = if line.prominent { (5.0, 5.0) } else { (1.7, 2.4) };
        let dash = if line.dashed { r#" stroke-dasharray="4 4""# } else { "" };
        let path: Vec<String> = points.clone().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = writeln!(
            svg,
            r#"<path d="M{}" fill="none" stroke="{}" stroke-width="{width}" stroke-linejoin="round"{dash}/>"#,
            path.join("L"),
            line.colour
        );
        for (x, y) in points {
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{}"/>"#, line.colour);
        }
    }

    /// Each label stands where its line ends, or as near as its neighbours let it; a hair line leads there.
    fn draw_labels(&self, svg: &mut String, frame: &Frame, mut lines: Vec<&Line>) {
        let end = |line: &Line| line.points.last().map_or(0.0, |&(_, y)| frame.y(self.y.share(y)));
        lines.sort_by(|one, other| end(one).total_cmp(&end(other)));
        let wanted: Vec<f64> = lines.iter().map(|line| end(line)).collect();
        for (line, (y, wanted)) in lines.iter().zip(spread(&wanted, Frame::TOP, Frame::BOTTOM).into_iter().zip(&wanted))
        {
            let weight = if line.prominent { 700 } else { 400 };
            let _ = writeln!(
                svg,
                r#"<path d="M{:.1} {wanted:.1}L{:.1} {y:.1}" stroke="{colour}" stroke-width="0.8" fill="none"/><text x="{:.1}" y="{:.1}" font-weight="{weight}" fill="{colour}">{}</text>"#,
                frame.right + 4.0,
                frame.right + 16.0,
                frame.right + 19.0,
                y + 4.0,
                line.label,
                colour = line.colour,
            );
        }
    }
}

/// Places as near to the wanted ones (in ascending order) as a step between them and the two ends allow.
fn spread(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut places = wanted.to_vec();
    // Down from the top, then up from the bottom: whoever is pushed down too far comes back, and pushes others up.
    for index in 1..places.len() {
        places[index] = places[index].max(places[index - 1] + LABEL_STEP);
    }
    // Labels that stand in each other's way share the way they have to give.
    let mut first = 0;
    while first < places.len() {
        let mut last = first;
        while last + 1 < places.len() && places[last + 1] - places[last] <= LABEL_STEP {
            last += 1;
        }
        let pushed: f64 = (first..=last).map(|index| places[index] - wanted[index]).sum();
        let back = pushed / (last - first + 1) as f64;
        let room = if first == 0 { places[0] - top } else { places[first] - places[first - 1] - LABEL_STEP };
        for place in &mut places[first..=last] {
            *place -= back.min(room.max(0.0));
        }
        first = last + 1;
    }
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LABEL_STEP;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_overlap_and_stay_in_the_panel() {
        let cases: [&[f64]; 4] =
            [&[100.0, 100.0, 100.0], &[100.0, 101.0, 390.0, 399.0, 400.0], &[250.0, 251.0, 252.0, 260.0], &[300.0]];
        for wanted in cases {
            let places = spread(wanted, 100.0, 400.0);
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] > LABEL_STEP - 0.01), "{wanted:?}: {places:?}");
            assert!(places.iter().all(|place| (99.9..400.1).contains(place)), "{wanted:?}: {places:?}");
        }
    }

    #[test]
    fn a_scale_puts_decades_at_equal_distances() {
        let scale = Scale::Logarithmic { from: 10.0, to: 1_000.0 };
        let shares = [1.0, 10.0, 100.0, 1_000.0].map(|value| scale.share(value));
        assert!(shares.iter().zip([0.0, 0.0, 0.5, 1.0]).all(|(share, wanted)| (share - wanted).abs() < 1e-9));
    }
}
