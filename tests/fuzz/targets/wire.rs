//! What a coordinator sends, and what agents upload.

#![no_main]

use faultline_agent::scrub::Scrubber;
use faultline_proto::agent as wire;
use faultline_proto::convert::{confirmation_from_wire, measurement_from_wire, task_from_entry};
use prost::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = wire::Measurement::decode(data)
        && let Ok(measurement) = measurement_from_wire(message)
    {
        let text = serde_json::to_string(&measurement).expect("a measurement is JSON");
        let _ = serde_json::from_str::<faultline_model::Measurement>(&text).expect("its JSON is a measurement");
        let _ = Scrubber::new(&[[39, 32, 7, 209].into()]).scrub(measurement);
    }
    if let Ok(confirmation) = wire::Confirmation::decode(data) {
        let _ = confirmation_from_wire(confirmation);
    }
    if let Ok(entry) = wire::ScheduleEntry::decode(data) {
        let _ = task_from_entry(&entry);
    }
});
