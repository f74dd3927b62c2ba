//! Faults of processes: killed, ended, stopped where they stand.
//!
//! Proof that it bit is what the kernel tells the parent (`waitpid`), or the state of a process that uses no CPU. A killed process heals
//! by a restart on the same ports with the same data: a new process id, and from a store a new identity.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::FaultError;
use super::begun::Begun;
use super::mysql_store::uptime_s;
use super::redis_client::run_id;
use crate::stack::controls::{Controls, Paused};
use crate::stack::usage::Life;

/// Processes that have ended by order.
pub(super) struct Dead<'a> {
    controls: Controls<'a>,
    ended: Vec<Ended>,
    /// `run_id` of Redis before it ended, if it is among them.
    redis_run: Option<String>,
}

struct Ended {
    role: String,
    pid: u32,
    how: String,
}

impl<'a> Dead<'a> {
    /// Kills them all at once.
    pub(super) async fn kill(controls: Controls<'a>, roles: Vec<String>, begun: &Begun) -> Result<(Self, String), FaultError> {
        let end = async |role: &str| Ok(controls.kill(role).await?);
        Self::end(controls, roles, begun, "signal 9", end).await
    }

    /// Asks them all at once to end. How they end is the service's: `stops_cleanly` judges it.
    pub(super) async fn terminate(controls: Controls<'a>, roles: Vec<String>, begun: &Begun) -> Result<(Self, String), FaultError> {
        let end = async |role: &str| match controls.terminate(role).await? {
            (how, false) => Ok(how),
            (how, true) => Ok(format!("{how}, killed because it did not end by itself within 10 s of SIGTERM")),
        };
        Self::end(controls, roles, begun, "", end).await
    }

    async fn end(
        controls: Controls<'a>,
        roles: Vec<String>,
        begun: &Begun,
        wanted: &str,
        end: impl AsyncFn(&str) -> Result<String, FaultError>,
    ) -> Result<(Self, String), FaultError> {
        let redis_run = match roles.iter().any(|role| role == "redis") {
            true => Some(run_id(&controls.redis_url()).await?),
            false => None,
        };
        let one = async |role: String| {
            let pid = controls.pid(&role)?;
            begun.now();
            let how = end(&role).await?;
            Ok::<_, FaultError>(Ended { role, pid, how })
        };
        let ended = try_join_all(roles.into_iter().map(one)).await?;
        if let Some(other) = ended.iter().find(|ended| !ended.how.contains(wanted)) {
            return Err(FaultError::failed(format!("kill {}", other.role), format!("it ended with {}", other.how)));
        }
        let dead = Self { controls, ended, redis_run };
        let facts = dead.proof();
        Ok((dead, facts))
    }

    /// How each ended, as its parent was told.
    pub(super) fn proof(&self) -> String {
        let told = self.ended.iter().map(|Ended { role, pid, how }| format!("{role} (pid {pid}) ended with {how}"));
        told.collect::<Vec<_>>().join("; ")
    }

    /// Starts them all again, and looks that they are others than before.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        let again = try_join_all(self.ended.iter().map(async |ended| {
            let pid = self.controls.restart(&ended.role).await?;
            let as_before = || FaultError::failed(format!("start {} again", ended.role), format!("its pid is {pid} as before"));
            if pid == ended.pid { Err(as_before()) } else { self.identity(&ended.role, pid).await }
        }));
        Ok(again.await?.join("; "))
    }

    async fn identity(&self, role: &str, pid: u32) -> Result<String, FaultError> {
        Ok(match role {
            "redis" => {
                let now = run_id(&self.controls.redis_url()).await?;
                if self.redis_run.as_ref() == Some(&now) {
                    return Err(FaultError::failed("start redis again", "its run_id is as before"));
                }
                format!("redis is pid {pid}, run_id {now}")
            }
            "mysql" => format!("mysql is pid {pid}, up for {} s", uptime_s(&self.controls.mysql_url()).await?),
            service => format!("{service} is pid {pid}"),
        })
    }
}

/// Processes that are stopped where they stand.
pub(super) struct Stopped<'a> {
    controls: Controls<'a>,
    roles: Vec<Asleep<'a>>,
}

struct Asleep<'a> {
    role: String,
    pid: u32,
    guard: Paused<'a>,
    /// First look at it while it was stopped.
    seen: Option<Life>,
}

impl<'a> Stopped<'a> {
    /// Stops them all at once, for `max` at the most.
    pub(super) async fn pause(
        controls: Controls<'a>,
        roles: Vec<String>,
        max: Duration,
        begun: &Begun,
    ) -> Result<(Self, String), FaultError> {
        let one = async |role: String| {
            let pid = controls.pid(&role)?;
            begun.now();
            let guard = controls.pause(&role, max).await?;
            Ok::<_, FaultError>(Asleep { role, pid, guard, seen: None })
        };
        let roles = try_join_all(roles.into_iter().map(one)).await?;
        let facts = roles.iter().map(|asleep| format!("SIGSTOP to {} (pid {})", asleep.role, asleep.pid)).collect::<Vec<_>>();
        Ok((Self { controls, roles }, facts.join("; ")))
    }

    /// Two looks at which each process was stopped and between which it used no CPU.
    pub(super) fn bit(&mut self) -> Result<Option<String>, FaultError> {
        let mut proof = Vec::new();
        for Asleep { role, seen, .. } in &mut self.roles {
            let now = self.controls.life(role)?.filter(|life| life.state == 'T');
            let before = std::mem::replace(seen, now);
            match (before, now) {
                (Some(before), Some(now)) if before == now => {
                    proof.push(format!("{role} is in state T and stays at {} ticks of CPU", now.cpu_ticks));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(proof.join("; ")))
    }

    /// Lets them go on, and looks that they do.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        let mut proof = Vec::new();
        for Asleep { role, pid, guard, .. } in self.roles {
            guard.resume().await?;
            match self.controls.life(&role)? {
                Some(life) if life.state != 'T' => proof.push(format!("{role} (pid {pid}) is in state {}", life.state)),
                Some(_) => return Err(FaultError::failed(format!("resume {role}"), "it is still in state T")),
                None => return Err(FaultError::failed(format!("resume {role}"), "it is gone")),
            }
        }
        Ok(proof.join("; "))
    }
}
