import { run } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'
import { Samples } from './prometheus.ts'

/** The groups and resources that an operator works with; the API server asks itself about others all the time. */
const GROUPS = new Set(['', 'batch', 'pgpack.io'])
const RESOURCES = new Set(['pgpackdumps', 'pgpackrestores', 'pgpacktransfers', 'jobs', 'pods', 'configmaps', 'events'])
const DURATION = 'apiserver_request_duration_seconds'

/** What was asked of an API server, by verb and resource: its own count, whoever asked. */
export class RequestCount {
  readonly #kubeconfig: string
  #before = new Samples('')

  private constructor(kubeconfig: string) {
    this.#kubeconfig = kubeconfig
  }

  /** Counts from now on. */
  static async start(kubeconfig: string): Promise<RequestCount> {
    const count = new RequestCount(kubeconfig)
    count.#before = await count.#read()
    return count
  }

  /** `LIST jobs` -> 1, since the start. */
  async sinceStart(): Promise<Map<string, number>> {
    const before = sums(this.#before)
    const now = [...sums(await this.#read())].map(([key, value]) => [key, value - (before.get(key) ?? 0)] as const)
    return new Map(now.filter(([, value]) => value > 0).sort())
  }

  /** Seconds that the API server itself took to answer `verb` on a status of this resource since the start. */
  async statusSeconds(
    verb: string,
    group: string,
    resource: string,
  ): Promise<{ readonly mean: number; readonly p99: number }> {
    const labels = { verb, group, resource, subresource: 'status' }
    const now = await this.#read()
    const since = (suffix: string) => now.sum(DURATION + suffix, labels) - this.#before.sum(DURATION + suffix, labels)
    return {
      mean: since('_sum') / since('_count'),
      p99: now.quantile(DURATION, 0.99, labels, this.#before),
    }
  }

  async #read(): Promise<Samples> {
    const { kubectl } = await ensureTools(['kubectl'])
    return new Samples(await run(kubectl, ['--kubeconfig', this.#kubeconfig, 'get', '--raw', '/metrics']))
  }
}

function sums(samples: Samples): Map<string, number> {
  const found = new Map<string, number>()
  // Watches, and logs that are followed, are counted when they end; how many there are is a gauge.
  for (const metric of ['apiserver_request_total', 'apiserver_longrunning_requests']) {
    for (const { labels, value } of samples.select(metric)) {
      const { verb = '', group = '', resource = '', subresource = '' } = labels
      if (!GROUPS.has(group) || !RESOURCES.has(resource)) continue
      const key = `${verb} ${subresource === '' ? resource : `${resource}/${subresource}`}`
      found.set(key, (found.get(key) ?? 0) + value)
    }
  }
  return found
}
