//! What needs what, as a picture.

use maud::{Markup, html};

use super::super::digest::Digest;
use super::super::picture::Picture;
use super::Shown;

pub(super) fn section(digest: &Digest<'_>) -> Markup {
    let Some(picture) = Picture::of(&digest.run.plan) else { return html! {} };
    html! {
        section #graph {
            h2 { "What needs what" }
            p.lead {
                @if let Some(instead) = &picture.instead { (Shown(instead)) " " }
                "An arrow leads to what is needed. Point at it for the reason."
            }
            div.scroll { (picture.markup()) }
        }
    }
}
