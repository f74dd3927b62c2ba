//! The reservation service on its own: `reservation-service --redis-url .. --mysql-url ..`.

use std::process::ExitCode;

use reference::app::{ServeError, run};
use reference::config::Config;

fn main() -> ExitCode {
    reference::start_logging();
    match Config::from_command_line().map_err(ServeError::from).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ended");
            ExitCode::FAILURE
        }
    }
}
