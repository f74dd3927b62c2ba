//! Limits for each user, kept by MySQL: `user_quota` counts what a user's live orders hold of an item that has a limit (`docs/protocol.md`
//! 5.1 step 4). Orders take from it inside their transaction, ends of orders give back inside theirs, so that no process can be raced.

use std::collections::{BTreeMap, HashMap};

use super::connection::{Connection, Reply};
use super::failure::Failure;
use super::{NewOrder, rows, sql};
use crate::domain::{Item, UserId, UserLimit};

/// Limits remembered at most; beyond it the memory starts anew, which costs a slower transaction each.
const LIMITS_MAX: usize = 10_000;

/// What a line asks of a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    /// Place of the order.
    order: usize,
    item: Item,
    user: UserId,
    units: i64,
    limit: UserLimit,
}

impl Demand {
    const fn key(&self) -> (Item, UserId) {
        (self.item, self.user)
    }
}

/// Demands of these orders, by place, in the order of `places`.
pub(super) fn demands(orders: &[&NewOrder], places: &[usize], limit_of: impl Fn(Item) -> UserLimit) -> Vec<Demand> {
    let of_order = |order: usize| {
        let request = &orders[order].request;
        let demand = |line: &crate::domain::Line| Demand {
            order,
            item: line.item,
            user: request.user(),
            units: i64::from(line.quantity.get()),
            limit: limit_of(line.item),
        };
        request.lines().iter().map(demand).filter(|demand| !demand.limit.is_none()).collect::<Vec<_>>()
    };
    places.iter().flat_map(|order| of_order(*order)).collect()
}

/// Rows of the users, made where there are none and locked in the order in which everybody locks them.
pub(super) fn open_rows(demands: &[Demand]) -> String {
    let rows =
        sql::list(sorted_keys(demands).into_iter().map(|(item, user)| format!("({},{},0)", sql::item_values(item), user.get())));
    format!(
        "INSERT INTO user_quota (store_id, product_id, sku_id, user_id, quantity) VALUES {rows} \
         ON DUPLICATE KEY UPDATE quantity = quantity"
    )
}

/// One UPDATE for each demand. One that matches no row is over its limit.
pub(super) fn take(demands: &[Demand]) -> String {
    let update = |demand: &Demand| {
        let (is, units, limit) = (row_is(demand.key()), demand.units, demand.limit.get());
        format!("UPDATE user_quota SET quantity = quantity + {units} WHERE {is} AND quantity + {units} <= {limit}")
    };
    demands.iter().map(update).collect::<Vec<_>>().join("; ")
}

/// Makes and locks the rows, and tells which orders are over a limit: the first order of a user that fits is served first.
///
/// # Errors
/// As a query.
pub(super) async fn over_limit(connection: &mut Connection, demands: &[Demand]) -> Result<HashMap<usize, Item>, Failure> {
    let keys = sorted_keys(demands);
    let select = |key: &(Item, UserId)| {
        format!("SELECT store_id, product_id, sku_id, user_id, quantity FROM user_quota WHERE {} FOR UPDATE", row_is(*key))
    };
    let selects: Vec<String> = keys.iter().map(select).collect();
    let reply = connection.query(format!("{}; {}", open_rows(demands), selects.join("; "))).await?;
    Ok(refuse(demands, held(&reply)?))
}

fn held(reply: &Reply) -> Result<HashMap<(Item, UserId), i64>, Failure> {
    let found = (0..reply.len()).flat_map(|at| reply.rows(at));
    let read = |row| {
        let user = UserId::new(rows::int(row, "user_id")?).map_err(|error| Failure::Broken { why: error.to_string() })?;
        Ok(((rows::item(row)?, user), rows::int(row, "quantity")?))
    };
    found.map(read).collect()
}

/// Orders that do not fit with all their lines, each with the first item that is over. An order that is refused takes nothing.
fn refuse(demands: &[Demand], mut held: HashMap<(Item, UserId), i64>) -> HashMap<usize, Item> {
    let mut refused = HashMap::new();
    for lines in demands.chunk_by(|one, other| one.order == other.order) {
        let over = |line: &&Demand| held.get(&line.key()).copied().unwrap_or_default() + line.units > line.limit.get();
        if let Some(line) = lines.iter().find(over) {
            refused.insert(line.order, line.item);
            continue;
        }
        for line in lines {
            *held.entry(line.key()).or_default() += line.units;
        }
    }
    refused
}

/// Demands of orders that were not refused.
pub(super) fn without(demands: Vec<Demand>, refused: &HashMap<usize, Item>) -> Vec<Demand> {
    demands.into_iter().filter(|demand| !refused.contains_key(&demand.order)).collect()
}

fn sorted_keys(demands: &[Demand]) -> Vec<(Item, UserId)> {
    let keys: BTreeMap<(Item, UserId), ()> = demands.iter().map(|demand| (demand.key(), ())).collect();
    keys.into_keys().collect()
}

fn row_is((item, user): (Item, UserId)) -> String {
    format!("{} AND user_id = {}", sql::item_is(item), user.get())
}

/// Limits as last seen by one writer: a guess that each transaction checks under its share lock.
#[derive(Debug, Default)]
pub(super) struct SeenLimits(HashMap<Item, UserLimit>);

impl SeenLimits {
    /// The limit of the item as last seen; none if it never was.
    pub(super) fn of(&self, item: Item) -> UserLimit {
        self.0.get(&item).copied().unwrap_or_default()
    }

    /// Remembers what was seen.
    pub(super) fn learn(&mut self, item: Item, limit: UserLimit) {
        if limit.is_none() {
            self.0.remove(&item);
            return;
        }
        if self.0.len() >= LIMITS_MAX {
            self.0.clear();
        }
        self.0.insert(item, limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(order: usize, sku: i64, units: i64) -> Demand {
        let (item, user) = (Item::new(1, 1, sku).unwrap(), UserId::new(7).unwrap());
        Demand { order, item, user, units, limit: UserLimit::new(3).unwrap() }
    }

    #[test]
    fn an_order_that_is_refused_takes_nothing_from_those_behind_it() {
        let demands = [demand(0, 1, 2), demand(1, 1, 1), demand(1, 2, 4), demand(2, 1, 1), demand(3, 1, 1)];
        let refused = refuse(&demands, HashMap::new());
        let skus: BTreeMap<usize, i64> = refused.into_iter().map(|(order, item)| (order, item.sku)).collect();
        assert_eq!(skus, BTreeMap::from([(1, 2), (3, 1)]), "the cart fails by its second item, the last by what the others hold");
    }

    #[test]
    fn what_is_held_already_counts() {
        let held = HashMap::from([(demand(0, 1, 1).key(), 3)]);
        assert_eq!(refuse(&[demand(0, 1, 1)], held).len(), 1);
    }

    #[test]
    fn seen_limits_are_forgotten_when_there_is_none_any_more() {
        let (mut seen, item) = (SeenLimits::default(), Item::new(1, 1, 1).unwrap());
        seen.learn(item, UserLimit::new(2).unwrap());
        assert_eq!(seen.of(item).get(), 2);
        seen.learn(item, UserLimit::NONE);
        assert!(seen.of(item).is_none() && seen.0.is_empty());
    }
}
