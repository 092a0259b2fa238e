//! Instructions to the tool in comments.

/// Those that mean something.
pub const DIRECTIVES: [&str; 4] = ["new-transaction", "no-transaction", "name", "allow"];

/// Name and argument of `-- cutover: name argument`, or of the same in `/* */`; none if the comment is another one.
pub(crate) fn directive_of(comment: &[u8]) -> Option<(String, String)> {
    let inner = comment
        .strip_prefix(b"--")
        .or_else(|| comment.strip_prefix(b"/*").and_then(|comment| comment.strip_suffix(b"*/")))?;
    let text = std::str::from_utf8(inner).ok()?;
    let text = text.trim_start().strip_prefix("cutover:")?.trim();
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (!name.is_empty()).then(|| (name.to_owned(), argument.trim_start().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::directive_of;

    #[test]
    fn a_directive_has_a_name_and_perhaps_an_argument() {
        let parse = |text: &str| directive_of(text.as_bytes());
        let some = |name: &str, argument: &str| Some((name.to_owned(), argument.to_owned()));
        assert_eq!(parse("-- cutover: no-transaction"), some("no-transaction", ""));
        assert_eq!(parse("--cutover:name  a check, in words "), some("name", "a check, in words"));
        assert_eq!(parse("/* cutover: allow drop-table\na copy */"), some("allow", "drop-table\na copy"));
        assert_eq!(parse("-- cutover:"), None);
        assert_eq!(parse("-- about cutover: x"), None);
        assert_eq!(parse("-- cutovers: x"), None);
    }
}
