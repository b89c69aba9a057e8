import { describe, expect, it } from '@jest/globals'
import { Registry } from 'prom-client'
import { registerInventory } from '../../../../src/operator/controllers/inventory.ts'
import { ObjectStore } from '../../../../src/operator/manager/store.ts'
import type { Run } from '../../../../src/operator/specs/run.ts'
import { Samples } from '../../../support/prometheus.ts'

const DAY = 24 * 3600

function run(name: string, namespace: string, status?: object): Run {
  return { apiVersion: 'pgpack.io/v1alpha1', kind: 'PGPackDump', metadata: { name, namespace }, status } as Run
}

function succeeded(days: number, rest: object = { artifact: { path: 'p' } }): object {
  const conditions = [{ type: 'Succeeded', status: 'True', reason: 'Succeeded', message: '' }]
  return { phase: 'Succeeded', completionTime: new Date(days * DAY * 1000).toISOString(), conditions, ...rest }
}

function inventory() {
  const registry = new Registry()
  const store = new ObjectStore<Run>()
  registerInventory(registry, [{ kind: 'PGPackDump', runs: [{ store }] }])
  return { store, scrape: async () => new Samples(await registry.metrics()) }
}

describe('the inventory of runs', () => {
  it('counts what there is, by kind, namespace and phase, anew at each scrape', async () => {
    const { store, scrape } = inventory()
    store.set(run('a', 'one', { phase: 'Running' }))
    store.set(run('b', 'one', { phase: 'Running' }))
    store.set(run('c', 'two'))
    const running = { kind: 'PGPackDump', namespace: 'one', phase: 'Running' }
    expect((await scrape()).sum('pgpack_run_resources', running)).toBe(2)
    expect((await scrape()).sum('pgpack_run_resources', { namespace: 'two', phase: 'Pending' })).toBe(1)
    store.set(run('b', 'one', { phase: 'Failed' }))
    store.delete('one/a')
    expect((await scrape()).select('pgpack_run_resources', running)).toEqual([])
  })

  it('tells when a run of a namespace last succeeded, from the first scrape on', async () => {
    const { store, scrape } = inventory()
    store.set(run('old', 'one', succeeded(1)))
    store.set(run('new', 'one', succeeded(3)))
    store.set(run('failed', 'one', { ...succeeded(9), conditions: [{ type: 'Succeeded', status: 'False' }] }))
    const samples = await scrape()
    expect(samples.select('pgpack_last_success_timestamp_seconds')).toEqual([
      expect.objectContaining({ labels: { kind: 'PGPackDump', namespace: 'one' }, value: 3 * DAY }),
    ])
  })

  it('does not go back when the newest run is deleted', async () => {
    const { store, scrape } = inventory()
    store.set(run('old', 'one', succeeded(1)))
    store.set(run('new', 'one', succeeded(3)))
    await scrape()
    store.delete('one/new')
    expect((await scrape()).sum('pgpack_last_success_timestamp_seconds')).toBe(3 * DAY)
  })

  it('takes no DryRun for a success: nothing was dumped', async () => {
    const { store, scrape } = inventory()
    store.set(run('dry', 'one', succeeded(3, { plan: 'what would be done' })))
    expect((await scrape()).select('pgpack_last_success_timestamp_seconds')).toEqual([])
  })
})
