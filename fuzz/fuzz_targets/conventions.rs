//! Any names of files are sorted into migrations, strays and problems, each once, and the next name is of the same
//! convention.
#![no_main]

use cutover::project::Project;
use cutover::project::conventions::{all, detect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut paths: Vec<String> = text.lines().map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    let _ = detect(&paths);
    for convention in all() {
        let reading = convention.read(&paths);
        let mut seen: Vec<&String> = reading.migrations.iter().map(|found| &found.path).collect();
        seen.extend(reading.strays.iter().map(|stray| &stray.path));
        seen.extend(reading.problems.iter().map(|(path, _)| path));
        seen.sort();
        assert_eq!(seen, paths.iter().collect::<Vec<_>>(), "{}", convention.name());
        for found in &reading.migrations {
            // What is shown to people is what they write.
            let again = convention.version(&found.version.to_string());
            assert_eq!(again.as_ref(), Some(&found.version), "{}", convention.name());
        }
        for path in &paths {
            let _ = convention.version(path);
        }
    }
    let files: Vec<(&str, &[u8])> =
        paths.iter().map(|path| (path.as_str(), b"SELECT 1;".as_slice())).collect();
    let Ok(project) = Project::embedded("fuzz", &files) else { return };
    for convention in all() {
        let existing: Vec<_> = project.migrations.iter().collect();
        if let Ok(next) = convention.next(&existing, "next_one", 20_300_102_030_405) {
            let reading = convention.read(std::slice::from_ref(&next));
            assert_eq!(reading.migrations.len(), 1, "{} of {next}", convention.name());
        }
    }
});
