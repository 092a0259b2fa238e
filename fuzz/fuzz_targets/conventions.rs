//! Any names of files, with any texts, are sorted into migrations, what belongs to them, strays and problems, each once; the
//! next name is of the same convention.
#![no_main]

use std::collections::BTreeMap;
use std::io::BufReader;

use cutover::project::Project;
use cutover::project::conventions::contents::LineReader;
use cutover::project::conventions::{Folder, all, detect, detect_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A line is the path of a file; lines that begin with a tab are its text.
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut path = String::new();
    for line in text.lines() {
        match line.strip_prefix('\t') {
            Some(line) => {
                let text = files.entry(path.clone()).or_default();
                text.push_str(line);
                text.push('\n');
            }
            None => {
                line.clone_into(&mut path);
                files.entry(path.clone()).or_default();
            }
        }
    }
    let paths: Vec<String> = files.keys().cloned().collect();
    let read = |path: &str, limit: u64| {
        let text = files.get(path).map(String::as_bytes).unwrap_or_default();
        Ok(text[..text.len().min(usize::try_from(limit).unwrap_or(usize::MAX))].to_vec())
    };
    for root in [".", "supabase/migrations"] {
        let folder = Folder::new(root, &paths, &read);
        let _ = (detect(&folder), detect_all(&folder));
        for convention in all() {
            let reading = convention.read(&folder);
            let mut seen: Vec<&str> = reading.paths().collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, paths.iter().map(String::as_str).collect::<Vec<_>>(), "{}", convention.name());
            let mut run: Vec<&str> = reading.migrations.iter().map(|found| found.path.as_str()).collect();
            let count = run.len();
            run.sort_unstable();
            run.dedup();
            assert_eq!(run.len(), count, "{}", convention.name());
            for found in &reading.migrations {
                // What is shown to people is what they write; a plan alone knows which of its occurrences a name means.
                if let Some(again) = convention.version(&found.version.to_string()) {
                    assert_eq!(again, found.version, "{}", convention.name());
                }
            }
            for path in &paths {
                let _ = convention.version(path);
            }
            if let Some(scan) = convention.scan() {
                for text in files.values() {
                    let mut reader = BufReader::new(text.as_bytes());
                    let contents = scan(&mut LineReader::new(&mut reader)).expect("memory can be read");
                    let lines = contents.up.lines().unwrap_or_default();
                    assert!(lines.iter().all(|range| range.start() <= range.end()), "{}", convention.name());
                    assert!(lines.windows(2).all(|two| two[0].end() < two[1].start()), "{}", convention.name());
                }
            }
        }
    }
    let embedded: Vec<(&str, &[u8])> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
    let Ok(project) = Project::embedded("fuzz", &embedded) else { return };
    for convention in all() {
        let existing: Vec<_> = project.migrations.iter().collect();
        if let Ok(next) = convention.next(&existing, "next_one", 20_300_102_030_405) {
            let mut paths: Vec<String> = next.iter().map(|file| file.path.clone()).collect();
            paths.sort();
            let reading = convention.read(&Folder::of_names(&paths));
            assert_eq!(reading.migrations.len(), 1, "{} of {paths:?}", convention.name());
        }
    }
});
