import { describe, expect, it } from '@jest/globals'
import { Registry } from 'prom-client'
import type { RunStatus } from '../../../../src/api/v1alpha1/status.ts'
import { eventsBetween } from '../../../../src/operator/controllers/events.ts'
import { RunMetrics } from '../../../../src/operator/controllers/metrics.ts'
import type { Reason, RemovalReason } from '../../../../src/operator/status/reasons.ts'
import { type RunState, summarize, summarizeRemoval } from '../../../../src/operator/status/summarize.ts'
import { ago, NOW, SUCCESS } from './fixtures.ts'

const VISIT = { now: NOW, generation: 1 }
const statusOf = (state: RunState, before?: RunStatus, facts = {}) => summarize(before, state, facts, VISIT)
const waiting = (reason: Reason, before?: RunStatus, facts = {}) =>
  statusOf({ phase: 'Pending', reason, message: `because of ${reason}` }, before, facts)
const FAILURE = { attempt: 'pod-1', reason: 'StoreUnreachable', message: 'refused', time: ago(0) }

const told = (before: RunStatus | undefined, after: RunStatus) =>
  eventsBetween(before, after).map(({ type, reason }) => `${type} ${reason}`)

describe('the Events of a run', () => {
  it('tell of the start, once', () => {
    const after = waiting('Pending', undefined, { jobName: 'job' })
    expect(eventsBetween(undefined, after)).toEqual([
      { type: 'Normal', reason: 'RunStarted', message: 'created Job job' },
    ])
    expect(told(after, after)).toEqual([])
  })

  it('tell of each failed attempt, once', () => {
    const before = waiting('Pending')
    const after = waiting('Retrying', before, { lastFailure: FAILURE })
    expect(eventsBetween(before, after)).toEqual([
      { type: 'Warning', reason: 'AttemptFailed', message: 'attempt pod-1 failed: StoreUnreachable: refused' },
    ])
    expect(told(after, waiting('Running', after))).toEqual([])
    expect(told(after, waiting('Retrying', after, { lastFailure: { ...FAILURE, attempt: 'pod-2' } }))).toEqual([
      'Warning AttemptFailed',
    ])
  })

  it.each([
    ['SecretNotFound', 'Warning'],
    ['Unschedulable', 'Warning'],
    ['ImagePullFailed', 'Warning'],
    ['DumpNotFound', 'Normal'],
    ['DumpNotSucceeded', 'Normal'],
  ] as const)('tell what is waited for (%s is %s)', (reason, type) => {
    expect(told(waiting('Pending'), waiting(reason))).toEqual([`${type} ${reason}`])
    expect(told(waiting(reason), waiting(reason))).toEqual([])
  })

  it.each(['Pending', 'Running', 'Retrying'] as const)('do not tell that it is %s', (reason) => {
    expect(told(waiting('SecretNotFound'), waiting(reason))).toEqual([])
  })

  it('tell of suspension and resumption', () => {
    const suspended = statusOf({ phase: 'Suspended', reason: 'Suspended', message: 'm' })
    expect(told(waiting('Running'), suspended)).toEqual(['Normal Suspended'])
    expect(told(suspended, waiting('Pending', suspended))).toEqual(['Normal Resumed'])
    expect(told(suspended, waiting('SecretNotFound', suspended))).toEqual(['Normal Resumed', 'Warning SecretNotFound'])
  })

  it('tell of the end, with rows, bytes and seconds, or with the reason', () => {
    expect(eventsBetween(waiting('Running'), statusOf({ phase: 'Succeeded', result: SUCCESS }))).toEqual([
      { type: 'Normal', reason: 'Succeeded', message: '5000000 rows, 1 GiB (300 MiB stored) in 14.2 s' },
    ])
    const failed = statusOf({ phase: 'Failed', reason: 'OOMKilled', message: 'killed' })
    expect(eventsBetween(waiting('Running'), failed)).toEqual([
      { type: 'Warning', reason: 'Failed', message: 'OOMKilled: killed' },
    ])
  })
})

describe('the Events of a removal', () => {
  const final = statusOf({ phase: 'Succeeded', result: SUCCESS })
  const removing = (reason: RemovalReason, status: 'Unknown' | 'True' | 'False' = 'Unknown', before = final) =>
    summarizeRemoval(before, { status, reason, message: `because of ${reason}` }, VISIT)

  it('tell that it begins, what stands in its way, and how it ends, each once', () => {
    const begun = removing('Removing')
    expect(told(final, begun)).toEqual(['Normal RemovingArtifact'])
    expect(told(begun, begun)).toEqual([])
    const missing = removing('SecretNotFound')
    expect(told(begun, missing)).toEqual(['Warning SecretNotFound'])
    expect(told(missing, removing('Removing'))).toEqual([])
    expect(told(missing, removing('Removed', 'True'))).toEqual(['Normal ArtifactRemoved'])
    expect(told(missing, removing('RemovalDeadlineExceeded', 'False'))).toEqual(['Warning ArtifactNotRemoved'])
  })

  it('do not tell the end of the run again', () => {
    expect(told(final, removing('Removing')).filter((event) => event.includes('Succeeded'))).toEqual([])
  })
})

describe('the metrics of runs', () => {
  const setUp = () => {
    const registry = new Registry()
    return { metrics: new RunMetrics(registry), text: () => registry.metrics() }
  }

  it('count a success once, with what it moved and how long it took', async () => {
    const { metrics, text } = setUp()
    const running = waiting('Running', undefined, { startTime: ago(10) })
    const done = statusOf({ phase: 'Succeeded', result: SUCCESS }, running)
    metrics.observe('PGPackDump', running, done)
    metrics.observe('PGPackDump', done, done)
    const page = await text()
    expect(page).toContain('pgpack_runs_total{kind="PGPackDump",outcome="Succeeded"} 1')
    expect(page).toContain('pgpack_rows_total{kind="PGPackDump"} 5000000')
    expect(page).toContain('pgpack_copied_bytes_total{kind="PGPackDump"} 1073741824')
    expect(page).toContain('pgpack_stored_bytes_total{kind="PGPackDump"} 314572800')
    expect(page).toContain('pgpack_run_duration_seconds_sum{kind="PGPackDump",outcome="Succeeded"} 10')
  })

  it('count failures and failed attempts by reason', async () => {
    const { metrics, text } = setUp()
    const retrying = waiting('Retrying', undefined, { lastFailure: FAILURE })
    metrics.observe('PGPackRestore', undefined, retrying)
    metrics.observe('PGPackRestore', retrying, waiting('Running', retrying))
    metrics.observe(
      'PGPackRestore',
      retrying,
      statusOf({ phase: 'Failed', reason: 'StoreUnreachable', message: '' }, retrying),
    )
    const page = await text()
    expect(page).toContain('pgpack_attempt_failures_total{kind="PGPackRestore",reason="StoreUnreachable"} 1')
    expect(page).toContain('pgpack_run_failures_total{kind="PGPackRestore",reason="StoreUnreachable"} 1')
    expect(page).toContain('pgpack_runs_total{kind="PGPackRestore",outcome="Failed"} 1')
  })
})
