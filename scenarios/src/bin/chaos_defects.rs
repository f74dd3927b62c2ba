//! `chaos` with a service that has planted defects: what `chaos selftest` starts. A build of its own, with a name of its own, so that a run
//! of it is never taken for a run of the service.

use std::process::ExitCode;

fn main() -> ExitCode {
    scenarios::chaos::main()
}
