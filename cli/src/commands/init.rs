//! `faultline init`.

use crate::arguments::InitArguments;
use crate::home::Home;
use crate::output::print;
use anyhow::Result;
use std::fmt::Write;

pub(super) fn run(home: &Home, arguments: &InitArguments) -> Result<()> {
    let created = home.create(arguments.from.as_deref())?;
    let mut text = String::new();
    let verb = if created.is_new_key { "made" } else { "kept" };
    let _ =
        writeln!(text, "{verb} the operator key in {} (id {})", created.dir.display(), &created.key_id[..16]);
    if created.is_new_key {
        text.push_str(
            "It signs task lists, and agents obey no other. Keep a copy offline: it cannot be recovered.\n",
        );
    }
    if created.is_new_credential {
        text.push_str("took over the coordinator's credential\n");
    }
    text.push_str(if created.has_credential {
        "next: faultline list push lists/core.toml\n"
    } else {
        "next: faultline init --from DATA/operator.json (DATA is the coordinator's --data folder)\n"
    });
    print(&text)
}
