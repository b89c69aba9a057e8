import { describe, expect, it } from '@jest/globals'
import { PHASES } from '../../../../src/api/v1alpha1/status.ts'
import { decide } from '../../../../src/operator/controllers/machine.ts'
import { READINGS } from '../../../../src/operator/status/reasons.ts'
import { type RunState, summarize } from '../../../../src/operator/status/summarize.ts'
import { kstatusOf } from '../../../support/kstatus.ts'
import { dumpRun, NOW, observationOf, SUCCESS } from '../controllers/fixtures.ts'

const visit = { now: NOW, generation: 1 }

function stateIn(phase: (typeof PHASES)[number]): RunState {
  if (phase === 'Succeeded') return { phase, result: SUCCESS }
  return { phase, reason: phase === 'Failed' ? 'OOMKilled' : phase, message: 'm' }
}

describe('how the state of a run is read', () => {
  it.each(PHASES)('is as documented: %s', (phase) => {
    const status = summarize(undefined, stateIn(phase), {}, visit)
    const { conditions, kstatus } = READINGS[phase]
    expect(status.conditions?.map(({ type, status: is }) => `${type}=${is}`)).toEqual(
      ['Succeeded', 'Reconciling', 'Stalled'].map((type, index) => `${type}=${conditions[index]}`),
    )
    expect(kstatusOf({ metadata: { generation: 1 }, status })).toBe(kstatus)
    expect(kstatusOf({ metadata: { generation: 1, deletionTimestamp: 'now' }, status })).toBe('Terminating')
  })

  it('is not Current before anybody has looked, by the first thing that is written', () => {
    const { status } = decide(observationOf(dumpRun()))
    expect(kstatusOf({ metadata: { generation: 1 }, status })).toBe('InProgress')
  })

  it.each(['Succeeded', 'Failed'] as const)('stays %s when what may change of a spec changes', (phase) => {
    const run = dumpRun({ suspend: true }, summarize(undefined, stateIn(phase), {}, visit))
    const changed = { ...run, metadata: { ...run.metadata, generation: 2 } }
    expect(kstatusOf(changed)).toBe('InProgress')
    const { status } = decide(observationOf(changed))
    expect(kstatusOf({ ...changed, status })).toBe(READINGS[phase].kstatus)
    expect({ ...status, observedGeneration: 1 }).toEqual(run.status)
  })
})
