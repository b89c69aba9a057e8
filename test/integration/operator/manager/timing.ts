/** client-go's durations, a fifth of them: the tests wait for real leases. */
export const TIMING = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 400 }
