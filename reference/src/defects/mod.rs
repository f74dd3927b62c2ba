//! Planted defects: mistakes that a programmer could have made, each behind its name. Only in builds with the feature `defects`.
//!
//! A harness that has never caught a bug proves nothing, so `chaos selftest` starts the service with one of them and asks which claim fails.
//! A normal build has neither this module nor any line that asks it: each place where a defect is planted is compiled with the feature only.
//!
//! A defect stands where a programmer would make the mistake and is no larger than that. A mistake in a script of `lua/` is a replacement of
//! some of its text, so that the scripts themselves stay as they are.

use std::sync::OnceLock;

/// What a process was started with. Set once, before anything runs.
static PLANTED: OnceLock<Vec<Defect>> = OnceLock::new();

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)*) => {
        /// A defect, by the name of its switch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Defect {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The mistake in one line.
            #[must_use]
            pub fn mistake(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

defects! {
    /// A unit is looked for and taken in two calls.
    CheckThenDecrement = "check_then_decrement";
    /// The last unit but one is the last: `>` instead of `>=`, one too many or too few.
    OffByOne = "off_by_one";
}

impl std::str::FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|defect| defect.name() == name).ok_or_else(|| format!("there is no defect {name:?}"))
    }
}

/// Plants defects in this process. Each further call is without effect.
pub fn plant(defects: &[Defect]) {
    if !defects.is_empty() {
        tracing::warn!(defects = %defects.iter().map(|defect| defect.name()).collect::<Vec<_>>().join(","), "planted defects");
    }
    PLANTED.get_or_init(|| defects.to_vec());
}

/// Whether this process was started with the defect.
#[must_use]
pub fn planted(defect: Defect) -> bool {
    PLANTED.get().is_some_and(|planted| planted.contains(&defect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_unique() {
        for defect in Defect::ALL {
            assert_eq!(defect.name().parse(), Ok(*defect));
            assert!(!defect.mistake().is_empty());
        }
        assert!("none_such".parse::<Defect>().is_err());
    }
}
