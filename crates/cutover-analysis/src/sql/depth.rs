//! How deeply the messages in protobuf bytes are nested, measured without recursion and without a schema.
//!
//! Decoding, walking and dropping a tree recurse: a tree that is too deep for the stack must be known before.

/// An upper bound of the nesting: a text that happens to look like a message counts as one.
pub(super) fn nesting(bytes: &[u8]) -> usize {
    let mut deepest = 0;
    let mut pending = vec![(bytes, 0_usize)];
    while let Some((message, depth)) = pending.pop() {
        let known = pending.len();
        if push_children(message, depth + 1, &mut pending) {
            deepest = deepest.max(depth + 1);
        } else {
            pending.truncate(known);
        }
    }
    deepest
}

/// How deeply arrays and objects of a JSON text are nested.
pub(super) fn json_nesting(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Appends the length-delimited fields of `message`; false if it is no message.
fn push_children<'a>(message: &'a [u8], depth: usize, children: &mut Vec<(&'a [u8], usize)>) -> bool {
    let mut rest = message;
    while !rest.is_empty() {
        let Some((key, after_key)) = varint(rest) else {
            return false;
        };
        let skipped = match key & 7 {
            0 => varint(after_key).map(|(_, after)| after),
            1 => after_key.get(8..),
            2 => varint(after_key).and_then(|(len, after)| {
                let (field, after) = after.split_at_checked(usize::try_from(len).ok()?)?;
                if !field.is_empty() {
                    children.push((field, depth));
                }
                Some(after)
            }),
            5 => after_key.get(4..),
            _ => None,
        };
        let (Some(after), true) = (skipped, key >> 3 > 0) else {
            return false;
        };
        rest = after;
    }
    true
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        // Most are of one byte.
        [byte, rest @ ..] if byte & 0x80 == 0 => Some((u64::from(*byte), rest)),
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{json_nesting, nesting};

    #[test]
    fn braces_in_strings_do_not_count() {
        assert_eq!(json_nesting(r#"{"a\"{{":[{"b":"]["}],"c":{}}"#), 3);
        assert_eq!(json_nesting("1"), 0);
    }

    /// A message with `inner` as its only field.
    fn message(inner: &[u8]) -> Vec<u8> {
        let len = u8::try_from(inner.len()).expect("a short message");
        [&[0x0A, len], inner].concat()
    }

    #[test]
    fn counts_messages_within_messages() {
        assert_eq!(nesting(&[]), 1);
        assert_eq!(nesting(&[0x08, 0x01]), 1);
        assert_eq!(nesting(&message(&[0x08, 0x01])), 2);
        assert_eq!(nesting(&message(&message(&message(&[0x08, 0x01])))), 4);
    }

    #[test]
    fn a_text_is_no_message() {
        assert_eq!(nesting(&message(b"threads")), 1);
        assert_eq!(nesting(&message(&[0xFF; 40])), 1);
    }
}
