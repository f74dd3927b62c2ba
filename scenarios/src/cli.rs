//! Options of `flash-sale`.

use std::path::PathBuf;

use clap::Parser;
use harness::scenario::{Carts, Mix, Operator, Processes};
use harness::seed::Seed;

use crate::flash_sale::{self, FlashSale};
use crate::named_faults;
use crate::rig::RigOptions;

/// Most ordinary SKUs: with the hot one they are as many items as a scenario may hold.
const SKUS_MAX: i64 = 99_999;

/// Sells out a flash sale on real servers and judges the evidence.
///
/// Exit codes: 0 held, 1 violated, 2 usage, 3 inconclusive, 4 rig failed, 5 budget missed, 130 interrupted.
#[derive(Debug, Clone, Parser)]
#[command(name = "flash-sale", version, allow_negative_numbers = true)]
pub struct FlashSaleArgs {
    /// Units of the hot SKU; 0 leaves it out. 10000 by default; with --faults, as many as are asked for while they last
    #[arg(long, value_name = "UNITS")]
    pub stock: Option<u64>,
    /// Ordinary SKUs beside the hot one
    #[arg(long, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(..=SKUS_MAX))]
    pub skus: u32,
    /// Units of each ordinary SKU
    #[arg(long, default_value_t = 50, value_name = "UNITS")]
    pub sku_stock: u64,
    /// New orders due per second in the spike; warm-up and tail have a quarter of it
    #[arg(long, default_value_t = 1_200.0, value_name = "PER_S", value_parser = above_zero)]
    pub rate: f64,
    /// Units asked for, as a multiple of the supply; decides how long the spike lasts
    #[arg(long, default_value_t = 3.0, value_name = "FACTOR", value_parser = above_zero)]
    pub demand: f64,
    /// Length of the spike in seconds, instead of --demand
    #[arg(long, value_name = "S", conflicts_with = "demand", value_parser = above_zero)]
    pub duration: Option<f64>,
    /// Share of orders sent twice with the same id, 0 to 1
    #[arg(long, default_value_t = 0.05, value_name = "SHARE")]
    pub duplicates: f64,
    /// Share of those duplicates sent at the same instant to another process, 0 to 1
    #[arg(long, default_value_t = 0.4, value_name = "SHARE")]
    pub concurrent_duplicates: f64,
    /// Share of orders that their user cancels, 0 to 1
    #[arg(long, default_value_t = 0.03, value_name = "SHARE")]
    pub cancels: f64,
    /// Share of orders that their user pays, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub payments: f64,
    /// Share of orders that their user reads back, 0 to 1
    #[arg(long, default_value_t = 0.02, value_name = "SHARE")]
    pub reads: f64,
    /// Share of orders that their user pays and gives back later, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub refunds: f64,
    /// Share of orders that ask for several SKUs, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub carts: f64,
    /// Most different SKUs in a cart, 2 to 49; their number is drawn evenly from 2 to this
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    pub cart_skus: u32,
    /// Share of the carts that name one SKU in two lines, 0 to 1
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub carts_twice: f64,
    /// Stores that the ordinary SKUs are spread over, so that carts hold items of several
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub stores: u32,
    /// Seconds until an unpaid order expires, 1 to 31536000; up to 15 the run waits until all that are unpaid have expired
    #[arg(long, default_value_t = 1_800.0, value_name = "S", value_parser = above_zero)]
    pub order_ttl: f64,
    /// Units of one SKU that a user may hold in live orders; 0 is no limit
    #[arg(long, default_value_t = 0, value_name = "UNITS")]
    pub limit: u32,
    /// Share of orders that come from one user in a hundred, who buys again and again, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub greedy: f64,
    /// Restocks during the load, at random instants, 0 to 10000
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub restocks: u32,
    /// Stock cuts during the load, 0 to 10000
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub cuts: u32,
    /// Holds of stock during the load, 0 to 10000; every second one is released later
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub holds: u32,
    /// Most units of one restock, cut or hold, 1 to 1000000; drawn evenly from 1 to this
    #[arg(long, default_value_t = 10, value_name = "UNITS")]
    pub change_units: u32,
    /// Faults during the spike, one after another, separated by commas; `--faults help` lists them
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = fault_name)]
    pub faults: Vec<String>,
    /// Closed-loop users beside the arrivals, 0 to 1000: each looks at the stock, orders, pays or cancels and asks again until the load ends; needs
    /// a build with --features goose
    #[arg(long, default_value_t = 0, value_name = "USERS")]
    pub journeys: u32,
    /// Different users
    #[arg(long, default_value_t = 100_000, value_name = "COUNT")]
    pub users: u64,
    /// Most units in one order; quantities are drawn evenly from 1 to this
    #[arg(long, default_value_t = 1, value_name = "UNITS")]
    pub quantity: u32,
    /// Seed of every draw; a fresh one by default, printed so that the run can be repeated
    #[arg(long)]
    pub seed: Option<Seed>,
    /// Service processes that answer HTTP
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    pub api: u16,
    /// Service processes that run the workers
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    pub workers: u16,
    /// p99 budget of accepted and of refused creates, milliseconds
    #[arg(long, default_value_t = 10.0, value_name = "MS", value_parser = above_zero)]
    pub p99: f64,
    /// What the sale stands on
    #[command(flatten)]
    pub rig: RigOptions,
    /// Further argument of every service process, such as --service-arg=--writer-connections=2; may be given several times
    #[arg(long = "service-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub service_args: Vec<String>,
    /// Folder of the reports
    #[arg(long, default_value = "reports", value_name = "DIR")]
    pub reports: PathBuf,
    /// Serve the report on a free port of 127.0.0.1 while the run goes on; measuring for it takes some of the machine
    #[arg(long)]
    pub live: bool,
}

impl FlashSaleArgs {
    const fn operator(&self) -> Operator {
        Operator { restocks: self.restocks, cuts: self.cuts, holds: self.holds, units_max: self.change_units }
    }

    /// The sale that the options describe.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; the scenario checks the range")]
    pub fn sale(&self) -> FlashSale {
        let standard = FlashSale::default();
        // The names were checked when they were read.
        let faults = named_faults::in_turn(&self.faults, flash_sale::FAULTS_FROM_MS).unwrap_or_default();
        let lasting = || if faults.is_empty() { standard.stock } else { flash_sale::units_while(&faults, self.rate) };
        // Enough for everybody while the faults last; then the demand says nothing about the length.
        let demand = if faults.is_empty() || self.stock.is_some() { self.demand } else { 1.0 };
        FlashSale {
            stock: self.stock.unwrap_or_else(lasting),
            skus: self.skus,
            sku_stock: self.sku_stock,
            stores: self.stores,
            limit_per_user: self.limit,
            order_ttl_ms: (self.order_ttl * 1e3).round() as u64,
            rate_per_s: self.rate,
            demand,
            spike_ms: self.duration.map(|seconds| (seconds * 1e3).round() as u64),
            mix: Mix {
                users: self.users,
                greedy: self.greedy,
                duplicates: self.duplicates,
                concurrent_duplicates: self.concurrent_duplicates,
                cancels: self.cancels,
                payments: self.payments,
                refunds: self.refunds,
                reads: self.reads,
                quantity_max: self.quantity,
                carts: Carts { share: self.carts, items_max: self.cart_skus, named_twice: self.carts_twice },
                operator: self.operator(),
                journeys: self.journeys,
                ..standard.mix
            },
            processes: Processes { api: self.api, worker: self.workers },
            latency_p99_budget_ms: self.p99,
            faults,
        }
    }
}

/// The name of a fault.
fn fault_name(text: &str) -> Result<String, String> {
    named_faults::in_turn(&[text.to_owned()], 0).map(|_| text.to_owned())
}

/// A number that a length, a rate or a budget can be.
fn above_zero(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error: std::num::ParseFloatError| error.to_string())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("must be a number above 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_options_are_those_of_the_scenario() {
        assert_eq!(FlashSaleArgs::parse_from(["flash-sale"]).sale(), FlashSale::default());
    }

    #[test]
    fn a_number_that_is_none_is_a_usage_error_and_names_its_option() {
        for option in ["--rate", "--demand", "--duration", "--p99", "--skus", "--order-ttl", "--stores"] {
            for number in ["nan", "inf", "-1", "x"] {
                let error = FlashSaleArgs::try_parse_from(["flash-sale", option, number]).expect_err(number).to_string();
                assert!(error.contains(option), "{option} {number}: {error}");
            }
        }
    }

    #[test]
    fn faults_make_the_sale_last_as_long_as_they_do() {
        let scenario = |words: &[&str]| FlashSaleArgs::parse_from(words.iter().copied()).sale().scenario(Seed(1));
        let broken = scenario(&["flash-sale", "--faults", "redis_flush,worker_kill"]);
        assert_eq!(broken.check(), Ok(()));
        assert_eq!(broken.faults.len(), 2);
        assert!(broken.supply() > scenario(&["flash-sale"]).supply());
        let told = FlashSaleArgs::try_parse_from(["flash-sale", "--faults", "help"]).unwrap_err().to_string();
        assert!(told.contains("redis_flush") && told.contains("--faults"), "{told}");
    }

    #[test]
    fn one_url_without_the_other_is_a_usage_error() {
        assert!(FlashSaleArgs::try_parse_from(["flash-sale", "--redis-url", "redis://h/"]).is_err());
    }
}
