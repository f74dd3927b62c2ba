//! The scripts of `lua/` and the commands that run them.
//!
//! The texts are part of the binary, so a process cannot run another script than the one it was tested with. `ready.lua` is put
//! before each, because a script cannot load another one.

use std::fmt::Display;
use std::sync::LazyLock;

use redis::{Cmd, RedisWrite};

use super::keys::Key;

/// A script, its name for messages, and its hash.
#[derive(Debug)]
pub(super) struct Script {
    /// What it does, for messages: its file name without the ending.
    pub(super) act: &'static str,
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(act: &'static str, text: &'static str) -> Self {
        Self { act, text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// EVALSHA: what every call tries first.
    pub(super) fn by_hash(&self, invocation: &Invocation<'_>, incarnation: &str) -> Cmd {
        invocation.command("EVALSHA", &self.hash, incarnation)
    }

    /// EVAL: for a server that does not know the script; it will know it from then on.
    pub(super) fn by_text(&self, invocation: &Invocation<'_>, incarnation: &str) -> Cmd {
        invocation.command("EVAL", self.text, incarnation)
    }
}

/// Keys and arguments of one call. Argument 1 is the incarnation, which the connection adds.
pub(super) struct Invocation<'a> {
    /// The keys, in the order of the script.
    pub(super) keys: &'a [Key<'a>],
    /// The arguments from the second on.
    pub(super) arguments: &'a [&'a (dyn Display + Sync)],
    /// Further arguments of one kind.
    pub(super) members: &'a [crate::domain::Member],
}

impl Invocation<'_> {
    /// Room for the usual key, argument or member; more is taken when needed.
    const ARGUMENT_BYTES: usize = 48;

    fn command(&self, verb: &str, script: &str, incarnation: &str) -> Cmd {
        let arguments = 4 + self.keys.len() + self.arguments.len() + self.members.len();
        let mut command = Cmd::with_capacity(arguments, script.len() + incarnation.len() + arguments * Self::ARGUMENT_BYTES);
        command.write_arg(verb.as_bytes());
        command.write_arg(script.as_bytes());
        command.write_arg_fmt(self.keys.len());
        self.keys.iter().for_each(|key| command.write_arg_fmt(key));
        command.write_arg(incarnation.as_bytes());
        self.arguments.iter().for_each(|argument| command.write_arg_fmt(argument));
        self.members.iter().for_each(|member| command.write_arg_fmt(member));
        command
    }
}

macro_rules! text {
    ($act:literal) => {
        concat!(include_str!("../../../lua/ready.lua"), "\n", include_str!(concat!("../../../lua/", $act, ".lua")))
    };
}

macro_rules! script {
    ($($constant:ident = $act:literal)*) => {
        $(
            #[doc = concat!("`lua/", $act, ".lua`")]
            pub(super) static $constant: LazyLock<Script> = LazyLock::new(|| {
                let text = text!($act);
                #[cfg(feature = "defects")]
                let text = crate::defects::scripts::as_planted($act, text);
                Script::new($act, text)
            });
        )*

        /// Name and text of each script.
        #[cfg(feature = "defects")]
        pub(crate) const TEXTS: &[(&str, &str)] = &[$(($act, text!($act)),)*];
    };
}

script! {
    PRE_DEDUCT = "pre_deduct"
    CONFIRM = "confirm"
    ROLLBACK = "rollback"
    APPLY_DELTA = "apply_delta"
    INSTALL = "install"
    PROBE = "probe"
}

/// A write that asks nothing.
#[cfg(feature = "defects")]
pub(super) static OVERWRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new("overwrite", "redis.call('SET', KEYS[1], ARGV[2]) redis.call('HSET', KEYS[2], 'avail', ARGV[2]) return {'OK', '1'}")
});

/// An increase, or a decrease, that asks nothing.
#[cfg(feature = "defects")]
pub(super) static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new("add", "redis.call('INCRBY', KEYS[1], ARGV[2]) redis.call('HINCRBY', KEYS[2], 'avail', ARGV[2]) return {'OK', '1'}")
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Item;

    #[test]
    fn a_command_declares_its_keys_and_puts_the_incarnation_first() {
        let item = Item::new(1, 2, 3).unwrap();
        let invocation =
            Invocation { keys: &[Key::Meta(item), Key::Lock(item)], arguments: &[&7], members: &["o|7:1|2".parse().unwrap()] };
        let packed = String::from_utf8(CONFIRM.by_hash(&invocation, "run:replid").get_packed_command()).unwrap();
        let words: Vec<&str> = packed.split("\r\n").skip(2).step_by(2).collect();
        let hash = CONFIRM.hash.as_str();
        assert_eq!(words, ["EVALSHA", hash, "2", "inventory:meta:{1:2:3}", "inventory:lock:{1:2:3}", "run:replid", "7", "o|7:1|2"]);
    }
}
