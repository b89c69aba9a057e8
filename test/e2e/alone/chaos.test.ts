import { describe, expect, it } from '@jest/globals'
import { playChaos } from '../../chaos/player.ts'
import { formatReport } from '../../chaos/report.ts'
import { ensureCluster } from '../../cluster/index.ts'

/** `npm run chaos` has a hundred faults; these are enough to see that the runner itself works, and most of the kinds. */
const OPTIONS = { seed: 20_261_121, faults: 5, lanes: 2 }

describe('runs under random faults', () => {
  it('end true: succeeded with the rows that were dumped, or failed for a reason that a fault explains', async () => {
    const report = await playChaos(await ensureCluster(), OPTIONS)
    const text = formatReport(report)
    expect(`${text}\n${report.problems.length} problems`).toContain('\n0 problems')
    expect(report.injected.filter(({ error }) => error !== undefined)).toEqual([])
    expect(report.injected.filter(({ hit }) => hit !== undefined).length).toBeGreaterThan(OPTIONS.faults / 2)
    expect(report.outcomes.length).toBeGreaterThanOrEqual(OPTIONS.lanes)
  }, 1_500_000)
})
