import type { Logger } from '../../../../src/log.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { systemClock } from '../../../../src/operator/manager/clock.ts'
import { createLeaseLock, LeaderElector } from '../../../../src/operator/manager/leaderelection.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { accessOf } from '../../../support/kubeconfig-access.ts'
import { TIMING } from './timing.ts'

/** A candidate in a process of its own: kubeconfig, namespace, identity. Says what it logs; ends on SIGTERM. */
const [kubeconfig = '', namespace = '', identity = ''] = process.argv.slice(2)
const say = (_: unknown, message: string): void => void process.stdout.write(`${message}\n`)
const log: Logger = { debug: say, info: say, warn: say, error: say, child: () => log }
const client = new KubernetesClient(new RestClient({ access: accessOf(kubeconfig) }))
const lock = createLeaseLock(client, namespace, 'operator')
const elector = new LeaderElector({ ...TIMING, lock, identity, clock: systemClock, log })
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

await elector.run(stop.signal, async (lost) => {
  await new Promise<void>((resolve) => {
    for (const signal of [stop.signal, lost]) signal.addEventListener('abort', () => resolve())
  })
})
