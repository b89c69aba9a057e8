import type { RunStatus } from '../../../src/api/v1alpha1/status.ts'
import { decodeProgress } from '../../../src/run/progress.ts'
import { HarnessError } from '../errors.ts'
import type { ClusterApi, KubernetesObject } from './api.ts'
import { OPERATOR } from './operator.ts'
import { type Run, type RunRef, runsPath, shortName } from './runs.ts'

interface Event extends KubernetesObject {
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string }
  readonly type: string
  readonly reason: string
  readonly message: string
  readonly count?: number
}

/** What a person wants to see of a log after a failure. */
const POD_LOG_LINES = 25
const OPERATOR_LOG_LINES = 15

/** Everything that tells why a run stands where it stands: conditions, Events, the logs of its pods and the operator's. */
export async function diagnose(api: ClusterApi, namespace: string, ref: RunRef): Promise<string> {
  const run = await orReason(api.get<Run>(`${runsPath(namespace, ref.kind)}/${ref.name}`))
  if (typeof run === 'string') return `${shortName(ref)} cannot be read: ${run}`
  const parts = await Promise.all([events(api, run), podLogs(api, run), operatorLog(api, run)])
  return [`${shortName(ref)} in namespace ${namespace}`, ...describeStatus(run.status), ...parts.flat()].join('\n')
}

/** Each message once: a run's conditions and its last failure mostly say the same. */
function describeStatus(status: RunStatus | undefined): string[] {
  if (status?.conditions === undefined) return ['  no conditions: the operator has not seen it']
  const told = new Set<string>()
  const once = (head: string, message: string | undefined): string => {
    if (message === undefined || told.has(message)) return `  ${head}`
    told.add(message)
    return `  ${head}: ${message}`
  }
  const { conditions, lastFailure } = status
  const lines = conditions.map(({ type, status: value, reason, message }) =>
    once(`${type}=${value} ${reason}`, message),
  )
  if (lastFailure === undefined) return lines
  return [...lines, once(`last failed attempt: ${lastFailure.attempt}`, lastFailure.message)]
}

async function events(api: ClusterApi, run: Run): Promise<string[]> {
  const found = await orReason(api.list<Event>(`/api/v1/namespaces/${run.metadata.namespace}/events`))
  if (typeof found === 'string') return [`Events cannot be read: ${found}`]
  const job = run.status?.jobName
  const concerns = ({ involvedObject: { uid, name } }: Event): boolean =>
    uid === run.metadata.uid || (job !== undefined && name.startsWith(job))
  const lines = found
    .filter(concerns)
    .map((event) => `  ${event.type} ${event.involvedObject.kind}: ${event.reason}: ${event.message}`)
  return ['Events:', ...(lines.length === 0 ? ['  none'] : lines)]
}

async function podLogs(api: ClusterApi, run: Run): Promise<string[]> {
  const { namespace } = run.metadata
  const job = run.status?.jobName
  if (job === undefined) return []
  const pods = await orReason(api.list<KubernetesObject>(`/api/v1/namespaces/${namespace}/pods`))
  if (typeof pods === 'string') return [`pods cannot be read: ${pods}`]
  const names = pods.map(({ metadata }) => metadata.name).filter((name) => name.startsWith(job))
  const logs = names.map(async (name) => [
    `log of pod ${name}:`,
    ...tail(await podLog(api, namespace, name), POD_LOG_LINES, (line) => decodeProgress(line) === undefined),
  ])
  return (await Promise.all(logs)).flat()
}

async function operatorLog(api: ClusterApi, run: Run): Promise<string[]> {
  const path = `/api/v1/namespaces/${OPERATOR.namespace}/pods`
  const pods = await orReason(api.list<KubernetesObject>(path))
  if (typeof pods === 'string') return [`the operator's pods cannot be read: ${pods}`]
  const logs = pods.map(({ metadata }) => podLog(api, OPERATOR.namespace, metadata.name))
  const lines = (await Promise.all(logs)).join('\n')
  return [
    'log of the operator, where it names the run:',
    ...tail(
      lines,
      OPERATOR_LOG_LINES,
      (line) => line.includes(run.metadata.uid) || line.includes(`"${run.metadata.name}"`),
    ),
  ]
}

async function podLog(api: ClusterApi, namespace: string, name: string): Promise<string> {
  return orReason(api.text(`/api/v1/namespaces/${namespace}/pods/${name}/log`))
}

function tail(log: string, count: number, wanted: (line: string) => boolean): string[] {
  const lines = log.split('\n').filter((line) => line.trim() !== '' && wanted(line))
  return lines.length === 0 ? ['  nothing'] : lines.slice(-count).map((line) => `  ${readable(line)}`)
}

/** What stands before the rest of a line, or in every line of a run. */
const UNTOLD = ['level', 'time', 'msg', 'attempt', 'kind', 'namespace', 'name', 'uid']

/** A line of our structured logs, without stack traces; any other line, one that was cut included, as it is. */
function readable(line: string): string {
  if (!/^\{"level".*\}$/.test(line)) return line
  const fields = JSON.parse(line, (key, value) => (key === 'stack' ? undefined : value)) as Record<string, unknown>
  const rest = Object.entries(fields).filter(([key]) => !UNTOLD.includes(key))
  const told = rest.map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return [fields['time'], fields['level'], fields['msg'], ...told].join(' ')
}

/** A diagnosis must not fail over what it cannot read: the reason takes the place of the answer. */
async function orReason<T>(answer: Promise<T>): Promise<T | string> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof HarnessError) return error.message
    throw error
  }
}

/** An error and what led to it, a line each, without stack traces. */
export function describeError(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('message' in error)) return String(error)
  const { message, cause } = error as Error
  const text = message === '' && 'code' in error ? String(error.code) : message
  return cause === undefined ? text : `${text}\ncaused by: ${describeError(cause)}`
}
