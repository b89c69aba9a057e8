import type { RunStatus } from '../../../../src/api/v1alpha1/status.ts'
import { ARTIFACT_FINALIZER } from '../../../../src/operator/controllers/deletion.ts'
import type { Observation } from '../../../../src/operator/controllers/observation.ts'
import type { Job, Pod } from '../../../../src/operator/manager/resources.ts'
import { childName } from '../../../../src/operator/specs/names.ts'
import type { DumpRun, RestoreRun, Run, TransferRun } from '../../../../src/operator/specs/run.ts'
import { encodeResult, exitCodeOf, type RunResult } from '../../../../src/run/result.ts'

export const NOW = new Date('2026-01-02T03:04:05.678Z')
export const UID = '1a2b3c4d-0000-4000-8000-000000000000'

const metadata = { namespace: 'shop', name: 'orders', uid: UID, generation: 1, resourceVersion: '1' }

export function dumpRun(spec: Partial<DumpRun['spec']> = {}, status?: RunStatus): DumpRun {
  return {
    apiVersion: 'pgpack.io/v1alpha1',
    kind: 'PGPackDump',
    metadata: { ...metadata },
    spec: {
      source: { secretRef: { name: 'orders-app' } },
      objects: [{ table: { schema: 'public', name: 'orders' } }],
      destination: { s3: { endpoint: 'http://minio:9000', bucket: 'b-1', credentialsSecretRef: { name: 'minio' } } },
      ...spec,
    },
    ...(status === undefined ? {} : { status }),
  }
}

export function restoreRun(spec: Partial<RestoreRun['spec']> = {}, status?: RunStatus): RestoreRun {
  return {
    apiVersion: 'pgpack.io/v1alpha1',
    kind: 'PGPackRestore',
    metadata: { ...metadata },
    spec: { source: { dumpRef: { name: 'orders' } }, target: { secretRef: { name: 'copy-app' } }, ...spec },
    ...(status === undefined ? {} : { status }),
  }
}

export function transferRun(spec: Partial<TransferRun['spec']> = {}, status?: RunStatus): TransferRun {
  return {
    apiVersion: 'pgpack.io/v1alpha1',
    kind: 'PGPackTransfer',
    metadata: { ...metadata },
    spec: {
      source: { secretRef: { name: 'orders-app' } },
      target: { secretRef: { name: 'copy-app' } },
      objects: [{ table: { schema: 'public', name: 'orders' } }],
      ...spec,
    },
    ...(status === undefined ? {} : { status }),
  }
}

/** The same run, deleted so many seconds ago and held by these finalizers. */
export function deleted<R extends Run>(run: R, finalizers: string[] = [ARTIFACT_FINALIZER], seconds = 1): R {
  return { ...run, metadata: { ...run.metadata, deletionTimestamp: ago(seconds), finalizers } }
}

/** The time so many seconds before NOW, as the API has it. */
export function ago(seconds: number): string {
  return new Date(NOW.getTime() - seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
}

export interface JobShape {
  readonly name?: string
  readonly conditions?: readonly (readonly [type: string, reason?: string])[]
  readonly suspend?: boolean
  readonly deleting?: boolean
  readonly ageSeconds?: number
  readonly ttlSecondsAfterFinished?: number
  readonly attemptsBefore?: number
  readonly activeDeadlineSeconds?: number
  readonly active?: number
}

export function jobOf(run: Run, shape: JobShape = {}): Job {
  const { name = childName(run), conditions = [], suspend, deleting, ageSeconds = 1 } = shape
  const { ttlSecondsAfterFinished, attemptsBefore, activeDeadlineSeconds } = shape
  return {
    metadata: {
      namespace: run.metadata.namespace,
      name,
      uid: `uid-of-${name}`,
      creationTimestamp: ago(ageSeconds),
      ...(deleting === true ? { deletionTimestamp: ago(0) } : {}),
      ...(attemptsBefore === undefined ? {} : { annotations: { 'pgpack.io/attempts-before': String(attemptsBefore) } }),
      ownerReferences: [
        {
          apiVersion: run.apiVersion,
          kind: run.kind,
          name: run.metadata.name,
          uid: run.metadata.uid,
          controller: true,
        },
      ],
    },
    spec: {
      template: {},
      ...(suspend === undefined ? {} : { suspend }),
      ...(ttlSecondsAfterFinished === undefined ? {} : { ttlSecondsAfterFinished }),
      ...(activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds }),
    },
    status: {
      ...(shape.active === undefined ? {} : { active: shape.active }),
      startTime: ago(ageSeconds),
      conditions: conditions.map(([type, reason = 'Because']) => ({
        type,
        status: 'True',
        reason,
        message: 'said the Job',
      })),
    },
  }
}

export interface PodShape {
  readonly name?: string
  readonly phase?: string
  readonly ageSeconds?: number
  readonly state?: object
  readonly conditions?: readonly { type: string; status: string; reason?: string; message?: string }[]
  readonly memory?: string
  readonly reason?: string
  readonly message?: string
  readonly deleting?: boolean
}

export function podOf(shape: PodShape = {}): Pod {
  const { name = 'pod-1', phase = 'Pending', ageSeconds = 1, state, conditions = [], memory, reason, message } = shape
  return {
    metadata: {
      namespace: 'shop',
      name,
      uid: `uid-of-${name}`,
      creationTimestamp: ago(ageSeconds),
      ...(shape.deleting === true ? { deletionTimestamp: ago(0) } : {}),
    },
    spec: { containers: [{ name: 'engine', ...(memory === undefined ? {} : { resources: { limits: { memory } } }) }] },
    status: {
      phase,
      conditions: [...conditions],
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(state === undefined
        ? {}
        : { containerStatuses: [{ name: 'engine', image: '', imageID: '', ready: false, restartCount: 0, state }] }),
    },
  }
}

/** A pod whose engine has ended with this result. */
export function endedPod(result: RunResult, shape: PodShape = {}): Pod {
  const exitCode = exitCodeOf(result)
  return podOf({
    phase: exitCode === 0 ? 'Succeeded' : 'Failed',
    ...shape,
    state: { terminated: { exitCode, message: encodeResult(result), finishedAt: ago(0) } },
  })
}

export const SUCCESS = {
  outcome: 'Succeeded',
  attempt: 'pod-1',
  totals: { objects: 2, rows: '5000000', bytes: '1073741824', storedBytes: '314572800' },
  seconds: 14.21,
  artifact: { path: 'shop/orders-1a2b3c4d/pod-1', manifestSHA256: 'f'.repeat(64) },
} as const satisfies RunResult

export const PERMANENT = {
  outcome: 'Failed',
  attempt: 'pod-1',
  code: 'POSTGRES_NO_RELATION',
  message: 'relation "public"."orders" does not exist',
  retryable: false,
} as const satisfies RunResult

export const TRANSIENT = {
  outcome: 'Failed',
  attempt: 'pod-1',
  code: 'STORE_UNREACHABLE',
  message: 'connect ECONNREFUSED',
  retryable: true,
} as const satisfies RunResult

export function observationOf(run: Run, seen: Partial<Observation> = {}): Observation {
  return {
    run,
    job: undefined,
    pods: [],
    removal: { job: undefined, pods: [] },
    prerequisite: { ready: true },
    live: true,
    warnings: [],
    progress: undefined,
    now: NOW,
    ...seen,
  }
}
