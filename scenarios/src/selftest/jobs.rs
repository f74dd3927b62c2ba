//! Several pieces of work at once, on as many threads as are asked for.
//!
//! In: the work in its order. Out: what came of each, in the same order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Does all of `work`, at most `threads` at once; begun in order. A panic in one ends the whole.
pub(super) fn do_all<T: Send, R: Send>(work: Vec<T>, threads: usize, act: impl Fn(T) -> R + Sync) -> Vec<R> {
    let length = work.len();
    let queue: Mutex<VecDeque<(usize, T)>> = Mutex::new(work.into_iter().enumerate().collect());
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(length));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(length) {
            scope.spawn(|| {
                while let Some((place, piece)) = next(&queue) {
                    let result = act(piece);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

fn next<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn two_are_done_at_once_and_the_results_stand_in_order() {
        let pair = Barrier::new(2);
        let met = do_all((0..8).collect(), 2, |number: u32| {
            pair.wait();
            number * number
        });
        assert_eq!(met, [0, 1, 4, 9, 16, 25, 36, 49]);
        assert!(do_all(Vec::<u32>::new(), 3, |number| number).is_empty());
    }
}
