//! The tables that were touched, as a diagram.

use maud::{Markup, html};

use super::super::digest::Digest;
use super::super::erd;
use super::super::format::count;

pub(super) fn section(digest: &Digest<'_>) -> Markup {
    let Some(diagram) = erd::of(digest.run) else { return html! {} };
    html! {
        section #tables {
            h2 { "The tables it touched" }
            p.lead {
                "As the run left them. A line leads from a foreign key to the table it refers to; tables with a broken frame were not touched."
                @if diagram.more > 0 { " Not drawn: " (count(diagram.more, "table", "tables")) " more." }
            }
            div.scroll { (erd::markup(diagram)) }
        }
    }
}
