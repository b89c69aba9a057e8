import { describe, expect, it } from '@jest/globals'
import { ManagerMetrics } from '../../../../src/operator/manager/metrics.ts'
import { WorkQueue } from '../../../../src/operator/manager/workqueue.ts'
import { FakeClock } from './fakeclock.ts'

async function sampleOf(metrics: ManagerMetrics, line: string): Promise<number | undefined> {
  const text = await metrics.registry.metrics()
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `))
  return found === undefined ? undefined : Number(found.slice(line.length))
}

describe('ManagerMetrics', () => {
  it("counts a controller's work under controller-runtime's names", async () => {
    const metrics = new ManagerMetrics()
    const clock = new FakeClock()
    const hooks = metrics.controller('dumps', 4)
    const queue = new WorkQueue({ clock, metrics: hooks.queue })
    metrics.observeQueue('dumps', queue)
    queue.add('a')
    queue.add('b')
    await queue.get()
    hooks.started()
    await clock.advance(2_000)
    const labels = '{name="dumps",controller="dumps"}'
    expect(await sampleOf(metrics, `workqueue_depth${labels}`)).toBe(1)
    expect(await sampleOf(metrics, `workqueue_adds_total${labels}`)).toBe(2)
    expect(await sampleOf(metrics, `workqueue_unfinished_work_seconds${labels}`)).toBe(2)
    expect(await sampleOf(metrics, `workqueue_longest_running_processor_seconds${labels}`)).toBe(2)
    expect(await sampleOf(metrics, `workqueue_queue_duration_seconds_count${labels}`)).toBe(1)
    expect(await sampleOf(metrics, 'controller_runtime_active_workers{controller="dumps"}')).toBe(1)
    queue.addRateLimited('a')
    queue.done('a')
    hooks.finished('error', 2)
    expect(await sampleOf(metrics, `workqueue_work_duration_seconds_sum${labels}`)).toBe(2)
    expect(await sampleOf(metrics, `workqueue_retries_total${labels}`)).toBe(1)
    expect(await sampleOf(metrics, `workqueue_unfinished_work_seconds${labels}`)).toBe(0)
    expect(await sampleOf(metrics, 'controller_runtime_active_workers{controller="dumps"}')).toBe(0)
    expect(await sampleOf(metrics, 'controller_runtime_max_concurrent_reconciles{controller="dumps"}')).toBe(4)
    const errors = '{controller="dumps",result="error"}'
    expect(await sampleOf(metrics, `controller_runtime_reconcile_total${errors}`)).toBe(1)
    expect(await sampleOf(metrics, 'controller_runtime_reconcile_errors_total{controller="dumps"}')).toBe(1)
    const slow = '{le="2.5",controller="dumps"}'
    expect(await sampleOf(metrics, `controller_runtime_reconcile_time_seconds_bucket${slow}`)).toBe(1)
  })

  it('shows who leads, what was asked of the API server, and the process itself', async () => {
    const metrics = new ManagerMetrics()
    metrics.leading('operator', true)
    metrics.observeRequest({ code: '200', method: 'GET', host: '10.0.0.1:443' }, 0.04)
    metrics.informer('jobs').listed()
    metrics.informer('jobs').restarted('expired')
    metrics.recordedEvent('dropped')
    expect(await sampleOf(metrics, 'leader_election_master_status{name="operator"}')).toBe(1)
    const request = '{code="200",method="GET",host="10.0.0.1:443"}'
    expect(await sampleOf(metrics, `rest_client_requests_total${request}`)).toBe(1)
    const within = (seconds: number) => `_bucket{le="${seconds}",host="10.0.0.1:443",verb="GET"}`
    expect(await sampleOf(metrics, `rest_client_request_duration_seconds${within(0.05)}`)).toBe(1)
    expect(await sampleOf(metrics, `rest_client_request_duration_seconds${within(0.025)}`)).toBe(0)
    expect(await sampleOf(metrics, 'informer_lists_total{informer="jobs"}')).toBe(1)
    expect(await sampleOf(metrics, 'informer_watch_restarts_total{informer="jobs",reason="expired"}')).toBe(1)
    expect(await sampleOf(metrics, 'event_recorder_events_total{result="dropped"}')).toBe(1)
    expect(await sampleOf(metrics, 'process_resident_memory_bytes')).toBeGreaterThan(0)
    metrics.leading('operator', false)
    expect(await sampleOf(metrics, 'leader_election_master_status{name="operator"}')).toBe(0)
  })
})
