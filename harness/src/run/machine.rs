//! What a run stood on: the machine's own description, and the hash of the program under test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
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
    put("memory", field_of("/proc/meminfo", "MemTotal").and_then(|total| in_gib(&total)));
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

/// `24684092 kB`, which are KiB, as `23.5 GiB`.
fn in_gib(total: &str) -> Option<String> {
    let kib: f64 = total.strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{:.1} GiB", kib / 1024.0 / 1024.0))
}

/// SHA-256 of a program file, as hexadecimal text; `unknown` if it cannot be read.
pub(super) fn build_id(program: &Path) -> String {
    sha256(program).unwrap_or_else(|_| "unknown".to_owned())
}

/// The service processes that run another program than `program`, in words: one that was replaced meanwhile would be judged under the
/// name of this one. Where the system does not tell what a process runs there is none.
pub(super) fn strangers(pids: &[(String, u32)], program: &Path) -> Vec<String> {
    let Some(expected) = file_of(program) else { return Vec::new() };
    let services = pids.iter().filter(|(role, _)| role.starts_with("api-") || role.starts_with("worker-"));
    let is_other = |pid: u32| file_of(Path::new(&format!("/proc/{pid}/exe"))).is_some_and(|found| found != expected);
    let tell = |(role, pid): &(String, u32)| format!("{role} (pid {pid}) runs another program than the one under test");
    services.filter(|(_, pid)| is_other(*pid)).map(tell).collect()
}

/// Which file it is, whatever it is called: device and number.
fn file_of(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Planted defect H8: an old binary under test.
    #[test]
    fn a_service_that_runs_another_program_is_a_stranger() {
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pids = [("api-1", std::process::id()), ("worker-1", other.id()), ("redis", other.id())];
        let pids = pids.map(|(role, pid)| (role.to_owned(), pid));
        let found = strangers(&pids, &std::env::current_exe().unwrap());
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(found, [format!("worker-1 (pid {}) runs another program than the one under test", pids[1].1)]);
    }

    #[test]
    fn memory_is_told_in_gib() {
        assert_eq!(in_gib("24684092 kB").as_deref(), Some("23.5 GiB"));
        assert_eq!(in_gib("much"), None);
        assert!(describe().contains_key("memory"));
    }

    #[test]
    fn a_program_has_one_hash_and_a_missing_one_is_unknown() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(build_id(&own), build_id(&own));
        assert_eq!(build_id(&own).len(), 64);
        assert_eq!(build_id(Path::new("/nowhere/at/all")), "unknown");
    }
}
