//! The service file: named sets of connection parameters.

use std::path::{Path, PathBuf};

use super::ConnectError;
use super::keywords::keyword;
use super::origin::Origin;
use super::text::Pairs;

/// The parameters of a service and the file they are from: the first file that has it. `origin` is who names it.
pub(super) fn look_up(
    name: &str,
    origin: &Origin,
    files: &[PathBuf],
) -> Result<(Pairs, PathBuf), ConnectError> {
    for path in files {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                if let Some(pairs) = section(&text, name, path)? {
                    return Ok((pairs, path.clone()));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(ConnectError::usage(format!("service file {}: {error}", path.display()), ""));
            }
        }
    }
    let places: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    Err(ConnectError::usage(
        format!("{origin}: the service it names is not defined"),
        format!("looked in {}", places.join(" and ")),
    ))
}

fn section(text: &str, name: &str, path: &Path) -> Result<Option<Pairs>, ConnectError> {
    let mut found: Option<Pairs> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if header.strip_suffix(']') == Some(name) {
                found = Some(Pairs::new());
            }
            continue;
        }
        let Some(pairs) = &mut found else { continue };
        let place = format!("service file {}:{}", path.display(), index + 1);
        let Some((key, value)) = line.split_once('=') else {
            return Err(ConnectError::usage(format!("{place}: the line has no ="), "write name=value"));
        };
        if key == "service" {
            return Err(ConnectError::usage(format!("{place}: a service cannot name another"), ""));
        }
        let keyword = keyword(key, 1).map_err(|error| {
            ConnectError::usage(format!("{place}: this is no connection parameter"), error.advice())
        })?;
        pairs.push((keyword, value.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# c\n[a]\nhost=h1\nport=1\n\n[b]\nhost=h2\npassword=a=b\n[a]\nhost=h3\n";

    fn read(text: &str, name: &str) -> Result<Option<Vec<(&'static str, String)>>, ConnectError> {
        let pairs = section(text, name, Path::new("f"))?;
        Ok(pairs.map(|pairs| pairs.into_iter().map(|(keyword, value)| (keyword.name, value)).collect()))
    }

    #[test]
    fn the_first_section_of_a_name_counts() {
        let a = read(TEXT, "a").unwrap().unwrap();
        assert_eq!(a, [("host", "h1".to_owned()), ("port", "1".to_owned())]);
        let b = read(TEXT, "b").unwrap().unwrap();
        assert_eq!(b, [("host", "h2".to_owned()), ("password", "a=b".to_owned())]);
        assert_eq!(read(TEXT, "c").unwrap(), None);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let error = read("[a]\nhots=1\n", "a").unwrap_err();
        assert_eq!(error.to_string(), "service file f:2: this is no connection parameter");
        assert!(read("[a]\nservice=b\n", "a").is_err());
        assert!(read("[a]\nhost\n", "a").is_err());
    }
}
