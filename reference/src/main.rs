//! The reservation service on its own: `reservation-service --redis-url .. --mysql-url ..`.

use std::process::ExitCode;

use clap::Parser as _;
use reference::config::Config;

fn main() -> ExitCode {
    reference::start_logging();
    match reference::app::run(Config::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ended");
            ExitCode::FAILURE
        }
    }
}
