//! A measurement of OONI's.

#![no_main]

use faultline_analysis::ooni::{Reading, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Reading::Measurements(all)) = read(data) {
        for imported in all {
            let controls: Vec<_> = imported.control.into_iter().collect();
            let _ = faultline_analysis::judge::judge(&imported.measurement, &controls);
        }
    }
});
