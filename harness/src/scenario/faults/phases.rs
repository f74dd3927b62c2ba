//! Divides the stretches of a load by its faults, so that measurements know what was fault free.
//!
//! In: stretches, and windows with one start each. Out: the same load, with `fault` from the start to the planned end of each window,
//! `recovery` behind the first of them, and every stretch as it was before.

use super::FaultWindow;
use crate::scenario::{LoadStretch, Phase};

/// The stretches, cut where a fault begins or ends. Rates and total length stay. Dividing again changes nothing.
#[must_use]
pub fn phased(stretches: &[LoadStretch], windows: &[FaultWindow]) -> Vec<LoadStretch> {
    let spans: Vec<(u64, u64)> = windows.iter().map(|window| (window.start_ms.0, window.latest_end_ms())).collect();
    let mut cuts: Vec<u64> = spans.iter().flat_map(|(start, end)| [*start, *end]).collect();
    cuts.sort_unstable();
    let mut divided: Vec<LoadStretch> = Vec::new();
    let mut start = 0;
    for stretch in stretches {
        let end = start + stretch.duration_ms;
        let inner: Vec<u64> = cuts.iter().copied().filter(|cut| start < *cut && *cut < end).collect();
        for next in inner.into_iter().chain([end]) {
            let piece = LoadStretch { phase: phase(start, stretch.phase, &spans), duration_ms: next - start, ..stretch.clone() };
            start = next;
            match divided.last_mut() {
                Some(last)
                    if last.phase == piece.phase
                        && last.name == piece.name
                        && last.rate_per_s.total_cmp(&piece.rate_per_s).is_eq() =>
                {
                    last.duration_ms += piece.duration_ms;
                }
                _ => divided.push(piece),
            }
        }
    }
    divided
}

fn phase(at: u64, own: Phase, spans: &[(u64, u64)]) -> Phase {
    if spans.iter().any(|(start, end)| (*start..*end).contains(&at)) {
        Phase::Fault
    } else if spans.iter().any(|(_, end)| *end <= at) {
        Phase::Recovery
    } else {
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::faults::{Fault, Target};

    fn stretch(name: &str, phase: Phase, duration_ms: u64) -> LoadStretch {
        LoadStretch { name: name.to_owned(), phase, duration_ms, rate_per_s: 10.0 }
    }

    fn window(start: u64, duration_ms: u64) -> FaultWindow {
        let (fault, target) = (Fault::RedisFlush, Target::Redis);
        FaultWindow { fault, target, start_ms: (start, start), duration_ms, max_ms: duration_ms, recovery_ms: None }
    }

    #[test]
    fn a_load_is_divided_into_what_was_before_during_and_after() {
        let load = [stretch("warm-up", Phase::Warmup, 100), stretch("steady", Phase::Baseline, 900)];
        let divided = phased(&load, &[window(300, 200), window(700, 100)]);
        let told: Vec<_> = divided.iter().map(|piece| (piece.phase, piece.duration_ms)).collect();
        let wanted = [
            (Phase::Warmup, 100),
            (Phase::Baseline, 200),
            (Phase::Fault, 200),
            (Phase::Recovery, 200),
            (Phase::Fault, 100),
            (Phase::Recovery, 200),
        ];
        assert_eq!(told, wanted);
        assert_eq!(phased(&divided, &[window(300, 200), window(700, 100)]), divided, "dividing again changes nothing");
        assert_eq!(phased(&load, &[]), load);
    }

    #[test]
    fn windows_that_overlap_or_touch_make_one_stretch_of_faults() {
        let divided = phased(&[stretch("steady", Phase::Baseline, 1_000)], &[window(100, 300), window(200, 300), window(500, 100)]);
        let told: Vec<_> = divided.iter().map(|piece| (piece.phase, piece.duration_ms)).collect();
        assert_eq!(told, [(Phase::Baseline, 100), (Phase::Fault, 500), (Phase::Recovery, 400)]);
    }
}
