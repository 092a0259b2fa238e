//! Rehearsals on real servers.

mod agreement;
mod ground;
mod proofs;
mod support;
mod traces;
