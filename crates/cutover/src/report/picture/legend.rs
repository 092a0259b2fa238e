//! What the signs of a picture mean, below it: of those that are in it.

use maud::{Markup, html};

use super::{Arrow, Node, px};

/// Height of a row.
const ROW: f64 = 20.0;
/// Around the rows.
const MARGIN: f64 = 10.0;
/// Width of a sign with the space behind it.
const SIGN: f64 = 34.0;
/// Width of a character, generously: the font is the reader's own.
const CHARACTER: f64 = 6.6;
/// Between two entries.
const APART: f64 = 18.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Box(&'static str),
    Arrow { late: bool },
    None,
}

/// Signs with their words and places.
#[derive(Debug)]
pub(super) struct Legend {
    /// Left, top, sign and words of each.
    entries: Vec<(f64, f64, Sign, &'static str)>,
    /// Height that it takes, with what is around it.
    pub(super) height: f64,
}

impl Legend {
    /// Of these boxes and arrows, in so much width. `grouped`: a box may stand for several migrations.
    pub(super) fn of(nodes: &[Node], arrows: &[Arrow], grouped: bool, width: f64) -> Self {
        let opaque = nodes.iter().any(|node| node.class == "opaque");
        let (needs, late) = (arrows.iter().any(|arrow| !arrow.late), arrows.iter().any(|arrow| arrow.late));
        let what = if grouped { "migrations" } else { "a migration" };
        let wanted = [
            (true, Sign::Box("known"), what),
            (opaque, Sign::Box("opaque"), "not all that it does is known"),
            (needs, Sign::Arrow { late: false }, "needs"),
            (late, Sign::Arrow { late: true }, "needs what comes later"),
            (true, Sign::None, "point at a box or an arrow for more"),
        ];
        let (mut x, mut y) = (MARGIN, MARGIN);
        let mut entries = Vec::new();
        for (_, sign, words) in wanted.into_iter().filter(|(is_there, ..)| *is_there) {
            let characters = u16::try_from(words.chars().count()).unwrap_or(u16::MAX);
            let sign_width = if sign == Sign::None { 0.0 } else { SIGN };
            let own = sign_width + f64::from(characters) * CHARACTER;
            if x > MARGIN && x + own > width - MARGIN {
                (x, y) = (MARGIN, y + ROW);
            }
            entries.push((x, y, sign, words));
            x += own + APART;
        }
        Self { entries, height: y + ROW + MARGIN }
    }

    /// The legend below a picture that is so tall.
    pub(super) fn markup(&self, top: f64) -> Markup {
        html! {
            g.legend {
                @for (x, y, sign, words) in &self.entries {
                    @let middle = top + y + ROW / 2.0;
                    @match sign {
                        Sign::Box(class) => rect class={ "node " (class) } x=(px(*x)) y=(px(middle - 6.0)) rx="3" width="26" height="12" {},
                        // The marker is at the end that is needed.
                        Sign::Arrow { late } => path.edge.late[*late] d={ "M" (px(x + 26.0)) " " (px(middle)) "L" (px(*x)) " " (px(middle)) } marker-end="url(#needs)" {},
                        Sign::None => {},
                    }
                    @let words_at = if *sign == Sign::None { *x } else { x + SIGN };
                    text x=(px(words_at)) y=(px(middle + 4.0)) { (words) }
                }
            }
        }
    }
}
