import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ClusterAccess } from '../../src/operator/index.ts'
import { hasEnded, run, startBound, waitFor } from '../cluster/processes.ts'
import { ensureTools } from '../cluster/tools.ts'
import { pgpackFile } from './command.ts'
import { Samples } from './prometheus.ts'

/** Who the operator is, as its pod knows it: a folder with a service account's token and the cluster's CA. */
export interface ServiceAccount {
  readonly directory: string
  remove(): Promise<void>
}

/** Asks the API server for a real token of a service account that exists. */
export async function mountServiceAccount(
  cluster: { readonly kubeconfig: string; readonly access: ClusterAccess },
  namespace: string,
  name: string,
): Promise<ServiceAccount> {
  const { kubectl } = await ensureTools(['kubectl'])
  const directory = await mkdtemp(join(tmpdir(), 'pgpack-serviceaccount-'))
  const token = await run(kubectl, ['--kubeconfig', cluster.kubeconfig, 'create', 'token', name, '-n', namespace])
  const options: RequestOptions = {}
  await cluster.access.applyToHTTPSOptions(options)
  await writeFile(join(directory, 'token'), token, { mode: 0o600 })
  await writeFile(join(directory, 'ca.crt'), String(options.ca))
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

/** One line of the operator's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly level: string; readonly msg: string }

export interface OperatorProcessOptions {
  /** Of the API server, or of a proxy before it. */
  readonly server: { readonly host: string; readonly port: number | string }
  readonly account: ServiceAccount
  readonly flags?: readonly string[]
  /** Default the sources as they are now; dist/main.js where memory is measured. */
  readonly entry?: string
  readonly env?: Readonly<Record<string, string>>
}

/** `pgpack operator` in a process of its own, as in its pod. It ends with this process. */
export class OperatorProcess {
  readonly child: ChildProcess
  readonly lines: LogLine[] = []
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>

  constructor(options: OperatorProcessOptions) {
    const entry = options.entry ?? pgpackFile()
    const { host, port } = options.server
    const args = [
      entry,
      'operator',
      '--job-image=pgpack-operator:test',
      '--health-port=0',
      `--service-account-directory=${options.account.directory}`,
      ...(options.flags ?? []),
    ]
    const place = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: String(port), ...options.env }
    this.child = startBound(process.execPath, args, ['ignore', 'inherit', 'pipe'], place)
    this.ended = once(this.child, 'exit').then(([code, signal]) => code ?? signal)
    if (this.child.stderr !== null) createInterface({ input: this.child.stderr }).on('line', (line) => this.#take(line))
  }

  #take(line: string): void {
    // What is no JSON is said by Node itself, or by the command before it logs.
    this.lines.push(line.startsWith('{') ? (JSON.parse(line) as LogLine) : { level: 'none', msg: line })
  }

  /** Lines with this message, from an index on. */
  said(message: string, from = 0): LogLine[] {
    return this.lines.slice(from).filter(({ msg }) => msg === message)
  }

  /** Waits for a line; throws what was said instead when the process has ended. */
  says(message: string, seconds = 30, from = 0): Promise<LogLine> {
    return waitFor(`operator says "${message}"`, seconds * 1000, async () => {
      const [line] = this.said(message, from)
      if (line !== undefined || !hasEnded(this.child)) return line
      const said = this.lines.slice(-10).map((each) => JSON.stringify(each))
      throw new Error(`the operator has ended:\n${said.join('\n')}`)
    })
  }

  /** A path of its health server. */
  async get(path: string): Promise<{ readonly code: number; readonly text: string }> {
    const { port } = await this.says('health server listens')
    const response = await fetch(`http://127.0.0.1:${Number(port)}${path}`, { signal: AbortSignal.timeout(5_000) })
    return { code: response.status, text: await response.text() }
  }

  async metrics(): Promise<Samples> {
    return new Samples((await this.get('/metrics')).text)
  }

  /** Resident memory, in bytes (Linux). */
  async residentBytes(): Promise<number> {
    return residentBytes(this.child.pid ?? 0)
  }

  /** SIGTERM; what it ended with. */
  async stop(): Promise<number | NodeJS.Signals> {
    if (!hasEnded(this.child)) this.child.kill('SIGTERM')
    return this.ended
  }

  async kill(): Promise<void> {
    if (!hasEnded(this.child)) this.child.kill('SIGKILL')
    await this.ended
  }
}

/** VmRSS of a process, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
  if (kib === undefined) throw new Error(`process ${pid} has no resident memory: it has ended`)
  return Number(kib) * 1024
}
