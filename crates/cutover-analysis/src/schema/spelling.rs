//! One spelling where PostgreSQL has two for the same: what it prints of an array that is cast as a whole it reads as an array
//! of elements that are cast, and prints that otherwise. A database that was dumped and restored would differ from the files
//! it was made by in each `IN` over `varchar` (measured on 12 to 18).

use std::borrow::Cow;

/// The text with `(ARRAY[a, b])::t[]` written as `ARRAY[(a)::t, (b)::t]`, as PostgreSQL prints it once it has read its own
/// print.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    const BEGINNING: &str = "(ARRAY[";
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGINNING) {
        let (before, array) = rest.split_at(at);
        let inside = &array[BEGINNING.len()..];
        if let Some((elements, type_name, length)) = cast_array(inside) {
            let cast: Vec<String> =
                elements.iter().map(|element| format!("({})::{type_name}", canonical(element))).collect();
            result.extend([before, "ARRAY[", &cast.join(", "), "]"]);
            rest = &inside[length..];
        } else {
            result.extend([before, BEGINNING]);
            rest = inside;
        }
    }
    if result.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(result + rest) }
}

/// The elements, the type they are cast to, and how long it all is, behind `(ARRAY[`; none where it is no array that is cast as
/// a whole.
fn cast_array(text: &str) -> Option<(Vec<&str>, &str, usize)> {
    let (mut depth, mut quote, mut from, mut elements) = (0_usize, None, 0, Vec::new());
    let mut end = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) => quote = quote.filter(|_| c != open),
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ']') if depth == 0 => {
                elements.push(&text[from..at]);
                end = Some(at);
                break;
            }
            (None, ')' | ']') => depth = depth.checked_sub(1)?,
            (None, ',') if depth == 0 => {
                elements.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    let end = end?;
    let behind = text[end..].strip_prefix("])::")?;
    let type_length = behind.find("[]")?;
    let type_name = &behind[..type_length];
    let is_type = |c: char| c.is_alphanumeric() || matches!(c, '_' | ' ' | '.' | '"' | '(' | ')' | ',');
    if type_name.is_empty() || !type_name.chars().all(is_type) || behind[type_length + 2..].starts_with('[') {
        return None;
    }
    let elements: Vec<&str> =
        elements.into_iter().map(str::trim).filter(|element| !element.is_empty()).collect();
    (!elements.is_empty()).then_some((elements, type_name, end + "])::".len() + type_length + "[]".len()))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn an_array_that_is_cast_is_an_array_of_casts() {
        for (printed, once_read) in [
            (
                "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b, ]'::character varying])::text[])))",
                "CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, ('b, ]'::character varying)::text])))",
            ),
            (
                "(ARRAY[f(1, 2), (ARRAY[3])::text[]])::text[]",
                "ARRAY[(f(1, 2))::text, (ARRAY[(3)::text])::text]",
            ),
            ("x (ARRAY[1])::numeric(4,2)[] y", "x ARRAY[(1)::numeric(4,2)] y"),
        ] {
            assert_eq!(canonical(printed), once_read);
            assert_eq!(canonical(once_read), once_read);
        }
        for other in [
            "(ARRAY[1, 2])",
            "(ARRAY[1, 2])::text",
            "(ARRAY['",
            "ARRAY[1]::text[]",
            "(ARRAY[])::text[]",
            "(ARRAY[1])::text[][]",
        ] {
            assert_eq!(canonical(other), other);
        }
    }
}
