//! Names of what PostgreSQL makes along with something else.

/// Names of range types whose multirange may be called so: PostgreSQL writes `multirange` for the first `range` of the
/// name, else appends `_multirange`. Also one that was given another name can be called so by chance: it is for
/// looking up, not for claiming.
pub fn range_of(multirange: &str) -> Vec<String> {
    let written = multirange.contains("multirange").then(|| multirange.replacen("multirange", "range", 1));
    let appended = multirange.strip_suffix("_multirange").map(str::to_owned);
    written.into_iter().chain(appended).collect()
}

/// Names of types of which a type of this name may be made without being written: arrays of `t` are `_t`, multiranges
/// of `r_range` are `r_multirange`.
pub fn bases_of_type(name: &str) -> Vec<String> {
    let element = name.strip_prefix('_').map(str::to_owned);
    let ranges = range_of(element.as_deref().unwrap_or(name));
    element.into_iter().chain(ranges).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_behind_a_name() {
        assert_eq!(range_of("textmultirange"), ["textrange"]);
        assert_eq!(range_of("r_multirange"), ["r_range", "r"]);
        assert!(range_of("range").is_empty());
        assert_eq!(bases_of_type("_mood"), ["mood"]);
        assert_eq!(bases_of_type("_textmultirange"), ["textmultirange", "textrange"]);
    }
}
