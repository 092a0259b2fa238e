//! Any text is analysed or refused.
#![no_main]

use cutover_analysis::effects::effects_of_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = effects_of_text(text) {
        assert!(error.offset <= text.len());
    }
});
