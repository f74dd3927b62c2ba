//! What a run stood on: the machine's own description, and the hash of the program under test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::report::files::sha256;

/// Cores, memory and system, by name; what the system does not tell is left out.
pub(super) fn describe() -> BTreeMap<String, String> {
    let mut machine = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            machine.insert(name.to_owned(), value);
        }
    };
    put("cores", std::thread::available_parallelism().ok().map(|cores| cores.to_string()));
    put("cpu", field_of("/proc/cpuinfo", "model name"));
    put("memory", field_of("/proc/meminfo", "MemTotal"));
    put("system", field_of("/etc/os-release", "PRETTY_NAME").map(|name| name.trim_matches('"').to_owned()));
    put("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()));
    machine
}

/// The value of the first line `name : value` or `name=value` of a file.
fn field_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let (_, value) = line.split_once([':', '='])?;
    Some(value.trim().to_owned())
}

/// SHA-256 of a program file, as hexadecimal text; `unknown` if it cannot be read.
pub(super) fn build_id(program: &Path) -> String {
    sha256(program).unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_one_hash_and_a_missing_one_is_unknown() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(build_id(&own), build_id(&own));
        assert_eq!(build_id(&own).len(), 64);
        assert_eq!(build_id(Path::new("/nowhere/at/all")), "unknown");
    }
}
