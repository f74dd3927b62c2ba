//! Options that say what a run stands on: where the stores come from, and whose proxies break the network.
//!
//! In: what a person chose. Out: a [`Rig`], and the same options as words of a command that repeats the run. Nothing is reached here.

use clap::{Args, ValueEnum};
use harness::run::fits;
use harness::scenario::Scenario;
use harness::stack::containers::Images;
use harness::stack::{Backend, Rig};

use crate::entry;

/// Where the stores come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendName {
    /// Own Redis and MySQL processes in a private folder on free ports
    Process,
    /// Servers that somebody else runs: needs --redis-url and --mysql-url
    External,
    /// Own Redis and MySQL servers in containers of the Docker engine of this machine
    Containers,
}

/// What a run stands on.
#[derive(Debug, Clone, Default, Args)]
pub struct RigOptions {
    /// Where the stores come from; external if both URLs are given, containers if an image is
    #[arg(long, value_enum, requires_if("external", "redis_url"))]
    pub backend: Option<BackendName>,
    /// Redis to use instead of an own one: redis://host:port/
    #[arg(long, env = "HOLDFAST_REDIS_URL", hide_env_values = true, value_name = "URL", requires = "mysql_url")]
    pub redis_url: Option<String>,
    /// MySQL or MariaDB to use instead of an own one: mysql://user:password@host:port/database
    #[arg(long, env = "HOLDFAST_MYSQL_URL", hide_env_values = true, value_name = "URL", requires = "redis_url")]
    pub mysql_url: Option<String>,
    /// Image of the Redis container [default: redis:7.4]; it needs redis-server on its PATH
    #[arg(long, value_name = "IMAGE", conflicts_with = "redis_url")]
    pub redis_image: Option<String>,
    /// Image of the MySQL or MariaDB container [default: mariadb:10.11]; it needs mariadbd and mariadb-install-db, or mysqld, on its PATH
    #[arg(long, value_name = "IMAGE", conflicts_with = "mysql_url")]
    pub mysql_image: Option<String>,
    /// Empty external stores that already hold a sale; several runs in a row need it
    #[arg(long)]
    pub wipe: bool,
    /// Toxiproxy server to break the network with, instead of the proxies of this program: http://host:port
    #[arg(long, value_name = "URL")]
    pub toxiproxy: Option<String>,
}

impl RigOptions {
    /// Where the stores come from. URLs alone mean external ones, an image alone means containers.
    #[must_use]
    pub fn backend(&self) -> Backend {
        let any_image = self.redis_image.is_some() || self.mysql_image.is_some();
        match self.backend {
            Some(BackendName::Process) => Backend::Process,
            Some(BackendName::Containers) => self.containers(),
            None if any_image => self.containers(),
            None | Some(BackendName::External) => self.external().unwrap_or_default(),
        }
    }

    /// Containers of the given images, or of the usual ones.
    #[must_use]
    pub fn containers(&self) -> Backend {
        let usual = Images::default();
        let redis = self.redis_image.clone().unwrap_or(usual.redis);
        let mysql = self.mysql_image.clone().unwrap_or(usual.mysql);
        Backend::Containers(Images { redis, mysql })
    }

    /// The given stores, if both were given.
    #[must_use]
    pub fn external(&self) -> Option<Backend> {
        let (redis_url, mysql_url) = (self.redis_url.clone()?, self.mysql_url.clone()?);
        Some(Backend::External { redis_url, mysql_url, may_wipe: self.wipe })
    }

    /// What a run stands on, with further arguments of its service processes.
    #[must_use]
    pub fn rig(&self, service_args: Vec<String>) -> Rig {
        Rig { backend: self.backend(), toxiproxy: self.toxiproxy.clone(), service_args }
    }
}

/// The options that make this rig, each behind a space, without passwords; nothing for the rig that needs none.
#[must_use]
pub fn words(rig: &Rig) -> String {
    let mut words = Vec::new();
    match &rig.backend {
        Backend::Process => {}
        Backend::Containers(Images { redis, mysql }) => {
            words.extend(["--backend", "containers", "--redis-image", redis, "--mysql-image", mysql].map(str::to_owned));
        }
        Backend::External { redis_url, mysql_url, may_wipe } => {
            words.extend(["--redis-url".to_owned(), redis_url.clone(), "--mysql-url".to_owned(), mysql_url.clone()]);
            words.extend(may_wipe.then(|| "--wipe".to_owned()));
        }
    }
    words.extend(rig.toxiproxy.iter().flat_map(|url| ["--toxiproxy".to_owned(), url.clone()]));
    words.extend(rig.service_args.iter().map(|argument| format!("--service-arg={argument}")));
    words.iter().map(|word| format!(" {}", entry::quoted(word))).collect()
}

/// Why this rig cannot carry several runs, if it cannot.
///
/// # Errors
/// The stores are somebody else's and may not be emptied, so that they are free for one run only.
pub fn carries_several(rig: &Rig) -> Result<(), String> {
    match rig.backend {
        Backend::External { may_wipe: false, .. } => {
            Err("several runs on given stores need --wipe: each begins with stores that hold no sale".to_owned())
        }
        _ => Ok(()),
    }
}

/// Why a scenario cannot run on this rig, if it cannot, in words.
#[must_use]
pub fn misfit(scenario: &Scenario, rig: &Rig) -> Option<String> {
    fits(scenario, rig).err().map(|error| format!("{}: {error}", scenario.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_rig_make_it_again_but_for_passwords() {
        assert_eq!(words(&Rig::default()), "");
        let options = RigOptions {
            redis_url: Some("redis://h:1/".to_owned()),
            mysql_url: Some("mysql://u:secret@h:2/shop".to_owned()),
            wipe: true,
            toxiproxy: Some("http://t:8474".to_owned()),
            ..RigOptions::default()
        };
        let words = words(&options.rig(vec!["--writer-connections=2".to_owned()]));
        assert_eq!(
            words,
            " --redis-url redis://h:1/ --mysql-url 'mysql://u:***@h:2/shop' --wipe --toxiproxy http://t:8474 \
             --service-arg=--writer-connections=2"
        );
    }

    #[test]
    fn an_image_alone_means_containers_and_its_words_name_both() {
        let options = RigOptions { mysql_image: Some("mysql:9".into()), ..RigOptions::default() };
        assert_eq!(words(&options.rig(Vec::new())), " --backend containers --redis-image redis:7.4 --mysql-image mysql:9");
        assert!(carries_several(&options.rig(Vec::new())).is_ok());
        let own = RigOptions { backend: Some(BackendName::Process), ..options };
        assert_eq!(own.backend(), Backend::Process);
    }

    #[test]
    fn stores_that_may_not_be_emptied_carry_one_run() {
        let options = RigOptions { redis_url: Some("r".into()), mysql_url: Some("m".into()), ..RigOptions::default() };
        assert!(carries_several(&options.rig(Vec::new())).is_err());
        assert!(carries_several(&RigOptions { wipe: true, ..options.clone() }.rig(Vec::new())).is_ok());
        let own = RigOptions { backend: Some(BackendName::Process), ..options };
        assert_eq!(own.backend(), Backend::Process, "URLs from the environment do not overrule what was asked for");
        assert!(carries_several(&own.rig(Vec::new())).is_ok());
    }
}
