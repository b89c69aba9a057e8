import { silentLogger } from '../../src/log.ts'
import { DUMPS } from '../../src/operator/controllers/kinds.ts'
import type { KubernetesClient } from '../../src/operator/manager/client.ts'
import { systemClock } from '../../src/operator/manager/clock.ts'
import { createListWatch, Informer } from '../../src/operator/manager/informer.ts'
import type { DumpRun } from '../../src/operator/specs/run.ts'

const TIMEOUT_MS = 120_000

/** The dumps of a namespace as a watch tells of them: to wait for one costs the API server nothing. */
export class RunWatch {
  readonly #namespace: string
  readonly #informer: Informer<DumpRun>
  readonly #abort = new AbortController()
  readonly #waiting = new Set<() => void>()
  #ended: Promise<void> = Promise.resolve()

  private constructor(client: KubernetesClient, namespace: string) {
    this.#namespace = namespace
    const source = createListWatch(client, DUMPS, { namespace })
    this.#informer = new Informer({ name: 'runs', source, clock: systemClock, log: silentLogger })
    this.#informer.addHandler(() => {
      for (const look of this.#waiting) look()
    })
  }

  static async start(client: KubernetesClient, namespace: string): Promise<RunWatch> {
    const watch = new RunWatch(client, namespace)
    watch.#ended = watch.#informer.run(watch.#abort.signal)
    await watch.#informer.waitForSync(watch.#abort.signal)
    return watch
  }

  get(name: string): DumpRun | undefined {
    return this.#informer.store.get(`${this.#namespace}/${name}`)
  }

  /** Waits until `look` finds something in the run of this name. */
  until<T>(name: string, what: string, look: (run: DumpRun) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = (): void => {
        const run = this.get(name)
        const found = run === undefined ? undefined : look(run)
        if (found !== undefined) end(() => resolve(found))
      }
      const late = setTimeout(() => end(() => reject(new Error(`not in time: ${name} ${what}`))), TIMEOUT_MS)
      const end = (settle: () => void): void => {
        clearTimeout(late)
        this.#waiting.delete(attempt)
        settle()
      }
      this.#waiting.add(attempt)
      attempt()
    })
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('nobody waits for runs any more'))
    await this.#ended
  }
}
