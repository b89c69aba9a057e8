import type { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { EVENTS, JOBS, type Job, PODS, type Pod } from '../../../../src/operator/manager/resources.ts'
import { encodeResult, exitCodeOf, type RunResult } from '../../../../src/run/result.ts'

type PodStatus = NonNullable<Pod['status']>

/** Plays the Job controller and the kubelet: makes pods and writes the status of Jobs and pods. */
export class Kubelet {
  readonly #client: KubernetesClient
  #pods = 0

  constructor(client: KubernetesClient) {
    this.#client = client
  }

  /** A pod of the Job, as the Job controller makes it; it waits. */
  async createPod(job: Job): Promise<Pod> {
    const { namespace, name, uid } = job.metadata ?? {}
    const pod = await this.#client.create(PODS, {
      metadata: {
        ...(namespace === undefined ? {} : { namespace }),
        name: `${name}-${String(++this.#pods).padStart(5, '0')}`,
        labels: job.spec?.template.metadata?.labels ?? {},
        annotations: job.spec?.template.metadata?.annotations ?? {},
        ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: name ?? '', uid: uid ?? '', controller: true }],
      },
      ...(job.spec?.template.spec === undefined ? {} : { spec: job.spec.template.spec }),
    })
    await this.patchJob(job, { ...startTime(job), active: 1 })
    return this.patchPod(pod, waiting('ContainerCreating'))
  }

  patchPod(pod: Pod, status: object): Promise<Pod> {
    return this.#client.patchStatus(PODS, ref(pod), status)
  }

  /** Gives the pod a node: from then on it ends gracefully, and only the kubelet takes it away. */
  async bind(pod: Pod): Promise<void> {
    const { namespace, name } = ref(pod)
    const target = { apiVersion: 'v1', kind: 'Node', name: 'node' }
    await this.#client.rest.json({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods/${name}/binding`,
      body: { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target },
    })
  }

  run(pod: Pod): Promise<Pod> {
    return this.patchPod(pod, {
      phase: 'Running',
      containerStatuses: [container({ running: { startedAt: now() } })],
    })
  }

  /** The engine ends with this result and its exit code. */
  finish(pod: Pod, result: RunResult): Promise<Pod> {
    return this.end(pod, { exitCode: exitCodeOf(result), message: encodeResult(result) })
  }

  end(pod: Pod, terminated: { exitCode: number; message?: string; reason?: string }): Promise<Pod> {
    return this.patchPod(pod, {
      phase: terminated.exitCode === 0 ? 'Succeeded' : 'Failed',
      containerStatuses: [container({ terminated: { startedAt: now(), finishedAt: now(), ...terminated } })],
    })
  }

  /** An Event of the kubelet about a pod that waits. */
  async warn(pod: Pod, reason: string, message: string): Promise<void> {
    const { namespace, name, uid } = pod.metadata ?? {}
    await this.#client.create(EVENTS, {
      metadata: { ...(namespace === undefined ? {} : { namespace }), name: `${name}.${++this.#pods}` },
      involvedObject: { kind: 'Pod', apiVersion: 'v1', ...pick({ namespace, name, uid }) },
      type: 'Warning',
      reason,
      message,
      lastTimestamp: now(),
    })
  }

  patchJob(job: Job, status: object): Promise<Job> {
    return this.#client.patchStatus(JOBS, ref(job), status)
  }

  completeJob(job: Job): Promise<Job> {
    return this.patchJob(job, {
      active: 0,
      ready: 0,
      succeeded: 1,
      ...startTime(job),
      completionTime: now(),
      conditions: [condition('SuccessCriteriaMet'), condition('Complete')],
    })
  }

  failJob(job: Job, reason: string): Promise<Job> {
    const conditions = [condition('FailureTarget', reason), condition('Failed', reason)]
    return this.patchJob(job, { active: 0, ready: 0, failed: 1, ...startTime(job), conditions })
  }
}

/** The API server lets nobody change it while the Job runs. */
function startTime({ metadata }: Job) {
  return { startTime: metadata?.creationTimestamp }
}

function ref({ metadata }: Pod | Job) {
  return { namespace: metadata?.namespace, name: metadata?.name ?? '' }
}

function pick(fields: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z')
}

function waiting(reason: string): PodStatus {
  return { phase: 'Pending', containerStatuses: [container({ waiting: { reason } })] }
}

function container(state: object) {
  return { name: 'engine', image: 'pgpack-operator:test', imageID: '', ready: false, restartCount: 0, state }
}

function condition(type: string, reason = 'ByTest') {
  return { type, status: 'True', reason, message: 'the test says so', lastTransitionTime: now(), lastProbeTime: now() }
}
