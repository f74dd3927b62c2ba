//! `flash-sale`: stack up, sell out, judge, report.

use std::process::ExitCode;

use clap::Parser as _;
use scenarios::cli::FlashSaleArgs;
use scenarios::{entry, launch};

fn main() -> ExitCode {
    if let Some(code) = entry::serve_if_asked() {
        return code;
    }
    let arguments = FlashSaleArgs::parse();
    let seed = arguments.seed.unwrap_or_else(entry::fresh_seed);
    let launch = launch::Launch {
        scenario: arguments.sale().scenario(seed),
        saved: None,
        rig: arguments.rig.rig(arguments.service_args.clone()),
        reports: arguments.reports.clone(),
        command: entry::repeat_command("flash-sale", seed),
    };
    launch::run_one(launch, arguments.live)
}
