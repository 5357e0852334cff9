//! A task list, its signatures, and the operators' keys.

#![no_main]

use faultline_model::TaskList;
use faultline_proto::agent as wire;
use faultline_proto::convert::list_from_wire;
use faultline_runtime::OperatorRoot;
use prost::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = TaskList::from_bytes(data);
    if let Ok(root) = OperatorRoot::from_json(data) {
        let _ = root.validate();
    }
    if let Ok(message) = wire::SignedList::decode(data)
        && let Ok(list) = list_from_wire(message)
    {
        let _ = TaskList::from_bytes(&list.document);
    }
});
