//! Differences in words.

use std::fmt;

use super::{Attribute, Change, Left, What};
use crate::schema::Value;

impl fmt::Display for Change {
    /// `+ table users`, `- column users.age`, `~ column users.name: type text → varchar(20)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Created => write!(f, "+ {}", self.object),
            What::Dropped => write!(f, "- {}", self.object),
            What::Altered { attributes } => {
                let parts: Vec<String> = attributes.iter().map(ToString::to_string).collect();
                write!(f, "~ {}: {}", self.object, parts.join("; "))
            }
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, from, to } = self;
        match (from, to) {
            (Some(Value::List(from)), Some(Value::List(to))) => list(f, name, from, to),
            (None, Some(Value::List(to))) => list(f, name, &[], to),
            (Some(Value::List(from)), None) => list(f, name, from, &[]),
            (None | Some(Value::Flag(_)), Some(Value::Flag(_))) => write!(f, "now {name}"),
            (Some(Value::Flag(_)), None) => write!(f, "no longer {name}"),
            (Some(from), Some(to)) => texts(f, name, &from.text(), &to.text()),
            (None, Some(to)) => write!(f, "{name} now {}", short(&to.text())),
            (Some(from), None) => write!(f, "{name} no longer {}", short(&from.text())),
            (None, None) => f.write_str(name),
        }
    }
}

/// Elements that are gone and new; where it is their order, both lists.
fn list(f: &mut fmt::Formatter<'_>, name: &str, from: &[String], to: &[String]) -> fmt::Result {
    let gone: Vec<String> =
        from.iter().filter(|element| !to.contains(element)).map(|text| format!("−{}", short(text))).collect();
    let new: Vec<String> =
        to.iter().filter(|element| !from.contains(element)).map(|text| format!("+{}", short(text))).collect();
    if gone.is_empty() && new.is_empty() {
        return write!(f, "order of {name} {} → {}", from.join(", "), to.join(", "));
    }
    write!(f, "{name} {}", gone.into_iter().chain(new).collect::<Vec<_>>().join(" "))
}

/// Of long texts, the first line that is not the same.
fn texts(f: &mut fmt::Formatter<'_>, name: &str, from: &str, to: &str) -> fmt::Result {
    if !from.contains('\n') && !to.contains('\n') {
        return write!(f, "{name} {} → {}", short(from), short(to));
    }
    let (before, after): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let alike = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let at = before.iter().zip(&after).take_while(alike).count();
    // Lines that came or went do not make those behind them others.
    let behind = before.iter().skip(at).rev().zip(after.iter().skip(at).rev()).take_while(alike).count();
    let line = |lines: &[&str]| {
        let other = lines.get(at..lines.len() - behind).and_then(<[&str]>::first);
        other.map_or_else(|| "nothing".to_owned(), |line| format!("`{}`", short(line.trim())))
    };
    write!(f, "{name} line {}: {} → {}", at + 1, line(&before), line(&after))
}

/// The beginning of a text, on one line.
fn short(text: &str) -> String {
    const LONGEST: usize = 200;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        line
    } else {
        line.chars().take(LONGEST).chain("…".chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Attribute;
    use crate::schema::Value;

    #[test]
    fn the_line_is_told_that_is_another_one() {
        let told = |from: &str, to: &str| {
            let [from, to] = [from, to].map(|text| Some(Value::Text(text.to_owned())));
            Attribute { name: "definition".to_owned(), from, to }.to_string()
        };
        assert_eq!(told("a\nb\nc", "a\n COST 5\nb\nc"), "definition line 2: nothing → `COST 5`");
        assert_eq!(told("a\nb\nc", "a\nc"), "definition line 2: `b` → nothing");
        assert_eq!(told("a\nb\nc", "a\nx\nc"), "definition line 2: `b` → `x`");
        assert_eq!(told("a\nb", "a\nb\nb"), "definition line 3: nothing → `b`");
    }
}
