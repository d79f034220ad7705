//! How much CPU time user code may use.
//!
//! Time is that of the thread, and not of the day: a busy machine faults nobody. The engine asks now and then whether
//! it is to stop; only then is a clock read.

use std::{cell::Cell, rc::Rc, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// The CPU time that this thread has used.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// The budget of one call at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget(Rc<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts the calls.
    call: Cell<u64>,
    allowed: Cell<Duration>,
    /// The call that was asked about last, and when that began.
    asked: Cell<(u64, Duration)>,
    over: Cell<bool>,
}

impl Budget {
    /// Begins a call that may use so much.
    pub(super) fn begin(&self, allowed: Duration) {
        self.0.call.set(self.0.call.get() + 1);
        self.0.allowed.set(allowed);
        self.0.over.set(false);
    }

    /// Whether the call is to stop.
    pub(super) fn is_over(&self) -> bool {
        let (call, state) = (self.0.call.get(), &self.0);
        let (asked, since) = state.asked.get();
        if asked != call {
            state.asked.set((call, cpu_time()));
            return false;
        }
        let over = cpu_time().saturating_sub(since) > state.allowed.get();
        state.over.set(over);
        over
    }

    /// Whether the call was stopped.
    pub(super) fn was_over(&self) -> bool {
        self.0.over.get()
    }
}
