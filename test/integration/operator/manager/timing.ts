/** client-go's durations, a fifth of them: the tests wait for real leases. */
export const TIMING = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 400 }
/** Of a leader that nothing happens to: it must not lose its lease because the machine is busy. */
export const CALM = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 400 }
