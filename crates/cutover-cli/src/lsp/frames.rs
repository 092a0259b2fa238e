//! Messages of the language server protocol as they go over a stream: headers, an empty line, JSON.

use std::io::{self, BufRead, Read as _, Write};

use serde_json::Value;

/// The largest message that is read: 32 MiB.
const LARGEST: usize = 32 << 20;
/// The longest line of a header that is read.
const LONGEST: u64 = 4096;

/// What came.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// A message.
    Message(Value),
    /// Something that is no message, and why; what comes behind it can be read.
    Broken(String),
}

/// Reads the next message; nothing at the end of the stream.
///
/// # Errors
/// The stream cannot be read, or where the next message begins cannot be known.
pub(super) fn read(from: &mut dyn BufRead) -> io::Result<Option<Frame>> {
    let Some(length) = length(from)? else { return Ok(None) };
    if length > LARGEST {
        let skipped = io::copy(&mut from.take(length as u64), &mut io::sink())?;
        return Ok((skipped == length as u64)
            .then(|| Frame::Broken(format!("a message of {length} bytes, and at most {LARGEST} are read"))));
    }
    // Memory is taken as bytes come, not as they are announced.
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Ok(None);
    }
    Ok(Some(match serde_json::from_slice(&bytes) {
        Ok(message) => Frame::Message(message),
        Err(error) => Frame::Broken(format!("no JSON: {error}")),
    }))
}

/// The length that the headers say.
fn length(from: &mut dyn BufRead) -> io::Result<Option<usize>> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut length = None;
    loop {
        let mut line = Vec::new();
        if from.take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return Err(wrong("a header without an end"));
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            return length.map(Some).ok_or_else(|| wrong("headers without a Content-Length"));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse().map_err(|_| wrong("a Content-Length that is no number"))?);
        }
    }
}

/// Writes a message.
///
/// # Errors
/// As the stream says.
pub(super) fn write(to: &mut dyn Write, message: &Value) -> io::Result<()> {
    let text = message.to_string();
    write!(to, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(bytes: &[u8]) -> (Vec<Frame>, bool) {
        let mut from = bytes;
        let mut frames = Vec::new();
        loop {
            match read(&mut from) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, true),
                Err(_) => return (frames, false),
            }
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        write(&mut bytes, &json!({"a": "é\r\n"})).unwrap();
        bytes.extend_from_slice(b"content-type: x\r\ncontent-length:  2 \r\n\r\n{}");
        let messages = vec![Frame::Message(json!({"a": "é\r\n"})), Frame::Message(json!({}))];
        assert_eq!(all(&bytes), (messages, true));
    }

    #[test]
    fn nothing_that_comes_is_too_much() {
        assert_eq!(all(b""), (vec![], true));
        let (frames, ended) = all(b"Content-Length: 3\r\n\r\n{]}Content-Length: 2\r\n\r\n{}");
        assert!(ended && matches!(&frames[..], [Frame::Broken(_), Frame::Message(_)]), "{frames:?}");
        let deep = "[".repeat(100_000);
        let (frames, ended) = all(format!("Content-Length: {}\r\n\r\n{deep}", deep.len()).as_bytes());
        assert!(ended && matches!(&frames[..], [Frame::Broken(_)]));
        // What is announced and does not come.
        assert_eq!(all(b"Content-Length: 9\r\n\r\n{}"), (vec![], true));
        assert_eq!(all(b"Content-Length: 99999999999\r\n\r\n{}"), (vec![], true));
        for wrong in [
            &b"Content-Length: -1\r\n\r\n{}"[..],
            b"Content-Length: 99999999999999999999999\r\n\r\n",
            b"\r\n{}",
            b"Content-Type: x\r\n\r\n{}",
            &[b'x'; 10_000],
            b"\xff\xfe: 1\n\n",
        ] {
            assert_eq!(all(wrong), (vec![], false), "{:?}", String::from_utf8_lossy(wrong));
        }
    }
}
