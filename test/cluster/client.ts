import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { HarnessError } from './errors.ts'
import { lastLines, run, startBound, stop } from './processes.ts'
import { say } from './progress.ts'
import type { ToolName } from './tools.ts'

export interface CommandOptions {
  /** Written to the command's standard input, as for `kubectl apply --filename -`. */
  readonly input?: string
  readonly signal?: AbortSignal
}

/** A way from this machine into the cluster. */
export interface PortForward {
  /** Port of 127.0.0.1. */
  readonly port: number
  close(): Promise<void>
}

/** What can be done with any cluster that there is a kubeconfig for. */
export interface ClusterClient {
  /** A path or, for a given cluster, all that `KUBECONFIG` lists. */
  readonly kubeconfig: string
  /** Runs kubectl; its standard output. */
  kubectl(args: readonly string[], options?: CommandOptions): Promise<string>
  /** Runs Helm; its standard output. */
  helm(args: readonly string[], options?: CommandOptions): Promise<string>
  /**
   * Forwards a free port of 127.0.0.1.
   * @param target as kubectl names it: `svc/postgres`, `pod/x`.
   */
  portForward(namespace: string, target: string, port: number): Promise<PortForward>
  /** Says on standard error what a person would look at after a failure: pods, events, logs. Never throws. */
  logsOnFailure(namespace: string): Promise<void>
}

/**
 * Where the cluster comes from:
 * `given`: the one that `KUBECONFIG` names; it is used, never made or removed.
 * `kind`: made by kind, where a Docker engine answers.
 * `bare`: one node in namespaces of this machine, for root on Linux without a Docker engine.
 */
export type Flavour = 'given' | 'kind' | 'bare'

/** A Kubernetes cluster for tests and the quickstart. */
export interface Cluster extends ClusterClient {
  readonly flavour: Flavour
  /** Images that the cluster has or can pull. Use them with `imagePullPolicy: IfNotPresent`. */
  readonly images: { readonly postgres: string; readonly olderPostgres: string; readonly minio: string }
  /** Makes the operator's image of this checkout known to the cluster, built where its inputs have changed; its reference. */
  loadOperatorImage(): Promise<string>
  /** Removes the cluster; a given one is left alone. */
  down(): Promise<void>
}

/** @param findTool finds kubectl and helm; asked when they are first needed. */
export function createClient(kubeconfig: string, findTool: (name: ToolName) => Promise<string>): ClusterClient {
  // As a variable rather than an option: it may list several files.
  const env = { KUBECONFIG: kubeconfig }
  const kubectl = async (args: readonly string[], options: CommandOptions = {}): Promise<string> =>
    run(await findTool('kubectl'), args, { ...options, env })
  return {
    kubeconfig,
    kubectl,
    helm: async (args, options = {}) => run(await findTool('helm'), args, { ...options, env }),
    portForward: async (namespace, target, port) => {
      const args = ['port-forward', '--namespace', namespace, '--address', '127.0.0.1', target, `:${port}`]
      return forward(await findTool('kubectl'), args, env)
    },
    logsOnFailure: (namespace) => showState(kubectl, namespace),
  }
}

async function forward(
  kubectl: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<PortForward> {
  const child = startBound(kubectl, args, ['ignore', 'pipe', 'pipe'], env)
  const diagnostics: string[] = []
  child.stderr?.setEncoding('utf8').on('data', (text: string) => diagnostics.push(text))
  const lines = child.stdout === null ? undefined : createInterface({ input: child.stdout })
  const [line] = lines === undefined ? [] : await Promise.race([once(lines, 'line'), once(child, 'exit')])
  const port = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(String(line))?.[1]
  if (port === undefined) {
    await stop(child, 0)
    throw new HarnessError('NOT_READY', `kubectl ${args.join(' ')}: ${lastLines(diagnostics.join(''), 5)}`)
  }
  return { port: Number(port), close: () => stop(child, 1000) }
}

async function showState(kubectl: ClusterClient['kubectl'], namespace: string): Promise<void> {
  const show = async (args: readonly string[]): Promise<string> => {
    try {
      const output = await kubectl(['--namespace', namespace, ...args])
      say(`$ kubectl --namespace ${namespace} ${args.join(' ')}\n${output}`)
      return output
    } catch (error) {
      // The failure that led here is the one to report; this one is only mentioned.
      say(String(error))
      return ''
    }
  }
  await show(['get', 'pods,jobs,services', '--output', 'wide'])
  await show(['get', 'events', '--sort-by', '.lastTimestamp'])
  const pods = await show(['get', 'pods', '--output', 'name'])
  for (const pod of pods.split('\n').filter(Boolean)) {
    await show(['describe', pod])
    await show(['logs', pod, '--all-containers', '--prefix', '--tail', '200'])
  }
}
