//! `chaos`: scenarios by name, and saved runs judged again.

use std::process::ExitCode;

fn main() -> ExitCode {
    scenarios::chaos::main()
}
