//! The command line that makes a container of a launch.

use std::ffi::OsString;
use std::path::Path;

use super::Within;
use crate::stack::child::Launch;

/// Takes the input and the log from its first arguments and becomes the program.
const SHELL: &str = r#"input=$1 log=$2 && shift 2 && exec "$@" <"$input" >>"$log" 2>&1"#;

/// Label of every container of a stack.
const LABEL: &str = "holdfast";

/// Arguments of `docker` that make the container `name` of `launch`: its program with its arguments, in the network and among the process ids of this
/// machine, as the user of this process. An entry point of the image is passed over: it may change the user, or want settings that are not ours.
pub(super) fn arguments(name: &str, launch: &Launch, within: &Within) -> Vec<OsString> {
    let user = format!("{}:{}", nix::unistd::geteuid(), nix::unistd::getegid());
    let label = format!("{LABEL}={}", launch.role);
    let options = ["create", "--name", name, "--label", &label, "--user", &user, "--network", "host", "--pid", "host"];
    let mut args: Vec<OsString> = options.map(OsString::from).into();
    // A log within the private folder is shared with it; one place cannot be shared twice.
    let logs = launch.log.parent().filter(|logs| !logs.starts_with(&within.folder));
    for folder in [Some(within.folder.as_path()), logs].into_iter().flatten() {
        args.extend(["--mount".into(), format!("type=bind,source={0},target={0}", folder.display()).into()]);
    }
    for (variable, value) in &launch.env {
        args.extend(["--env".into(), format!("{variable}={value}").into()]);
    }
    args.extend(["--entrypoint", "/bin/sh", &within.image, "-c", SHELL, "sh"].map(OsString::from));
    args.push(launch.input.as_deref().unwrap_or(Path::new("/dev/null")).into());
    args.extend([launch.log.clone().into(), launch.program.clone().into()]);
    args.extend(launch.args.iter().cloned());
    args
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn told(log: &str) -> Vec<String> {
        let launch = Launch {
            role: "redis".into(),
            program: PathBuf::from("redis-server"),
            args: ["--port".into(), "7".into()].into(),
            env: vec![("A".into(), "b".into())],
            input: None,
            log: PathBuf::from(log),
            within: None,
        };
        let within = Within { image: "redis:7".into(), folder: PathBuf::from("/private") };
        arguments("one", &launch, &within).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_container_runs_the_same_program_with_the_same_files() {
        let words = told("/logs/redis.log");
        let at = words.iter().position(|word| word == "redis:7").unwrap();
        assert_eq!(words[at + 4..], ["/dev/null", "/logs/redis.log", "redis-server", "--port", "7"]);
        let line = words.join(" ");
        for part in [
            "create --name one --label holdfast=redis",
            "--network host --pid host",
            "--mount type=bind,source=/private,target=/private --mount type=bind,source=/logs,target=/logs --env A=b --entrypoint",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn no_folder_is_shared_twice() {
        assert_eq!(told("/private/logs/redis.log").iter().filter(|word| *word == "--mount").count(), 1);
    }
}
